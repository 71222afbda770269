"""A few characters somewhere in the text go a short way through the gate, to the same verdict as the long one."""

from __future__ import annotations

import random

import pytest

from carets.errors import CaretsError, Code
from carets.protocol.admission import Author, Gate
from carets.protocol.updates import read_insertion
from carets.protocol.wire import encode_varuint as v
from tests.sessions import Id, block, item, state_of, update

OWN, OTHER = 300, 5
START = update(block(OTHER, 0, item("other")), block(OWN, 0, item("own")))


def verdict(gate: Gate, data: bytes, author: Author) -> bytes | Code | None:
    try:
        return gate.admit(data, author)
    except CaretsError as error:
        return error.code


def keystrokes(gate: Gate) -> dict[int, bytes]:
    return {client: bytes(lane.keystroke) for client, lane in gate._lanes.items()}


def attempt(chance: random.Random, clock: int) -> bytes:
    """An update of one struct, mostly as an editor makes it, now and then as nobody may."""

    def unit() -> Id | None:
        if chance.random() < 0.15:
            return None
        client = chance.choice((OWN, OWN, OTHER))
        return client, chance.randrange((clock if client == OWN else 5) + (chance.random() < 0.05))

    left, right = unit(), unit()
    content = chance.choice(("a", "bc", "d" * 127, "e" * 128, "é", "😀") if chance.random() < 0.2 else ("a", "bc"))
    at = clock + chance.choice((-1, 1)) if chance.random() < 0.05 else clock
    data = update(block(OWN, max(at, 0), item(content, left, right)))
    if chance.random() < 0.05:
        data = data[: chance.randrange(len(data))] + chance.randbytes(chance.randrange(2))
    return data


@pytest.mark.parametrize("seed", range(40))
def test_the_short_way_and_the_long_one_agree(seed: int) -> None:
    chance = random.Random(seed)
    short, long = Gate.of(START, {OWN: "ann", OTHER: "ben"}), Gate.of(START, {OWN: "ann", OTHER: "ben"})
    author = Author("ann")
    admitted = 0
    for _ in range(300):
        data = attempt(chance, short.known_clocks()[OWN])
        told = verdict(short, data, author)
        assert told == verdict(long, data, Author("ann")), f"seed {seed}: {data.hex()}"
        assert state_of(short) == state_of(long), f"seed {seed}: {data.hex()}"
        if isinstance(told, bytes) and told:
            admitted += 1
            assert keystrokes(short) == keystrokes(long), f"seed {seed}: {data.hex()}"
    assert admitted > 20


def test_what_stands_between_units_that_were_never_neighbours_is_refused_on_the_short_way() -> None:
    gate, author = Gate.of(START, {OWN: "ann", OTHER: "ben"}), Author("ann")
    assert gate.admit(update(block(OWN, 3, item("!", (OWN, 2)))), author)
    assert author.lane is not None
    assert verdict(gate, update(block(OWN, 4, item("x", (OWN, 2), (OWN, 0)))), author) is Code.ILLEGAL_UPDATE


def test_an_insertion_of_an_editor_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, author = Gate.of(START, {OWN: "ann", OTHER: "ben"}), Author("ann")
    assert gate.admit(update(block(OWN, 3, item("!", (OWN, 2)))), author)
    monkeypatch.setattr(gate, "_admit_any", None)
    for clock, (left, right) in enumerate([((OWN, 0), (OWN, 1)), ((OWN, 4), (OWN, 1)), (None, (OTHER, 0))], 4):
        assert gate.admit(update(block(OWN, clock, item("y", left, right))), author)


@pytest.mark.parametrize(
    "data",
    [
        item(3, (5, 1)) + v(0),
        item("a") + v(0),
        item("", (5, 1)) + v(0),
        item("é", (5, 1)) + v(0),
        item("a" * 128, (5, 1)) + v(0),
        item("a", (5, 1)) + v(1),
        item("a", (5, 1)) + v(0) + v(0),
        item("a", (5, 1)),
        item("a", (5, 1))[:3],
        b"\x84\x05\x81\x00\x01a\x00",
    ],
)
def test_anything_else_is_left_to_the_long_way(data: bytes) -> None:
    assert read_insertion(data, 0) is None
