"""The tree of what was typed behind what."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carets.errors import Code, Refused, WireError
from carets.protocol.admission import Author, Gate
from carets.protocol.origins import Origins
from tests.sessions import Id, block, item, new_doc, state_of, text_of, update


class Plain:
    """The same questions, answered by walking from unit to unit."""

    def __init__(self) -> None:
        self.origin: dict[Id, Id | None] = {}

    def hang(self, client: int, clock: int, origin: Id | None, units: int) -> None:
        for at in range(clock, clock + units):
            self.origin[client, at] = origin if at == clock else (client, at - 1)

    def line(self, unit: Id | None) -> list[Id | None]:
        """A unit and its ancestors, up to the beginning."""
        out: list[Id | None] = [unit]
        while unit is not None:
            unit = self.origin[unit]
            out.append(unit)
        return out

    def may_meet(self, left: Id | None, right: Id) -> bool:
        line = self.line(left)
        return self.origin[right] in line and right not in line


@settings(derandomize=True, max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_question_has_the_answer_of_a_walk_from_unit_to_unit(seed: int) -> None:
    chance = random.Random(seed)
    tree, plain, clocks = Origins(), Plain(), dict.fromkeys((1, 2, 300), 0)
    is_deep = chance.random() < 0.5
    for _ in range(40):
        client = chance.choice(list(clocks))
        units = chance.randint(1, 3)
        known = list(plain.origin)
        origin = chance.choice(known[-2:] if is_deep else [*known, None]) if known else None
        if origin != (client, clocks[client] - 1):
            tree.hang(client, clocks[client], origin)
        plain.hang(client, clocks[client], origin, units)
        clocks[client] += units
    units_here = list(plain.origin)
    for _ in range(150):
        left, right = chance.choice([*units_here, None]), chance.choice(units_here)
        assert tree.may_meet(left, right) == plain.may_meet(left, right), (left, right)


def test_what_is_cut_back_was_never_there() -> None:
    tree = Origins()
    tree.hang(1, 0, None)
    tree.hang(2, 0, (1, 3))
    tree.hang(1, 9, (2, 0))
    tree.hang(3, 0, (1, 9))
    tree.cut_back(3)
    assert len(tree) == 3
    assert not tree.may_meet(None, (1, 9)), "of client 1 only its first run is left"
    tree.hang(3, 0, None)
    assert tree.may_meet(None, (3, 0))


def test_a_deep_tree_is_asked_in_few_steps() -> None:
    """Two people who answer each other 20,000 times make a tree of that depth; a walk up it would take minutes."""
    tree, count = Origins(), 20_000
    tree.hang(1, 0, None)
    for at in range(count):
        tree.hang(2, at, (1, at))
        tree.hang(1, at + 1, (2, at))
    assert all(tree.may_meet((1, count), (2, at)) is False for at in range(count))
    tree.hang(3, 0, None)
    assert all(tree.may_meet((1, at), (3, 0)) for at in range(count))


# -- at the gate

A = update(block(3, 0, item("bc")))


@pytest.mark.parametrize(
    "before,data",
    [
        pytest.param([A], update(block(1, 0, item("a", (3, 1), (3, 1)))), id="one-unit-as-both"),
        pytest.param([A], update(block(1, 0, item("a", (3, 1), (3, 0)))), id="right-before-left"),
        pytest.param([A], update(block(1, 0, item("a", None, (3, 1)))), id="begins-before-the-middle"),
        pytest.param(
            [update(block(3, 0, item("bcd")))], update(block(1, 0, item("a", (3, 0), (3, 2)))), id="over-a-unit"
        ),
        pytest.param(
            [A, update(block(1, 0, item("x", (3, 0))))],
            update(block(2, 0, item("a", None, (1, 0)))),
            id="over-a-parent",
        ),
        pytest.param([], update(block(3, 0, item("b"), item("c", (3, 0)), item("f", (3, 1), (3, 1)))), id="in-itself"),
        pytest.param([A], update(block(3, 1, item("cd", (3, 0), (3, 0)))), id="behind-what-is-known"),
    ],
)
def test_a_struct_between_units_that_never_were_neighbours_is_refused(before: list[bytes], data: bytes) -> None:
    """With such origins yjs and yrs show different texts, and so does one engine live and loaded from its state."""
    gate, author = Gate(), Author("person:ann")
    for each in before:
        assert gate.admit(each, author)
    held, nodes = state_of(gate), len(gate._origins)
    with pytest.raises(WireError) as caught:
        gate.admit(data, author)
    assert caught.value.code is Code.ILLEGAL_UPDATE
    with pytest.raises(WireError):
        gate.has_news(data)
    assert (state_of(gate), len(gate._origins)) == (held, nodes)


def test_such_a_struct_makes_one_document_two_texts() -> None:
    """The reason for the rule. Should the engine mend it, the rule may go."""
    live, loaded = new_doc(), new_doc()
    for data in (A, update(block(1, 0, item("a", (3, 1), (3, 1))))):
        live.apply_update(data)
    loaded.apply_update(live.get_update())
    assert (text_of(live), text_of(loaded)) == ("bac", "bca")


def test_what_is_refused_late_leaves_no_origins_behind() -> None:
    gate = Gate(units_max=3)
    assert gate.admit(A, Author("person:ann"))
    nodes = len(gate._origins)
    assert gate.has_news(update(block(1, 0, item("x", (3, 0)))))
    too_long = update(block(1, 0, item("long", (3, 0))))
    not_theirs = update(block(3, 2, item("x", (3, 0))))
    for data, code in ((too_long, Code.DOCUMENT_TOO_LARGE), (not_theirs, Code.CLIENT_ID_TAKEN)):
        with pytest.raises(Refused) as caught:
            gate.admit(data, Author("person:bob"))
        assert caught.value.code is code
        assert len(gate._origins) == nodes
    gap = update(block(1, 0, item("x", (3, 0)), item("y", (9, 9))))
    assert gate.admit(gap, Author("person:bob")) is None
    assert len(gate._origins) == nodes


def test_a_log_from_before_the_rule_still_loads() -> None:
    gate = Gate.of(A, {3: "person:ann"})
    gate.replay(update(block(1, 0, item("a", (3, 1), (3, 1)))))
    assert gate.units == 3


def test_what_is_typed_on_takes_one_node() -> None:
    gate = Gate()
    assert gate.admit(update(block(7, 0, item("a"), item("b", (7, 0)), item(2, (7, 1)))), Author("person:ann"))
    assert len(gate._origins) == 2
