"""Delete sets that come again: read where they differ from an earlier one, to the same verdict."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from carets.errors import Code, WireError
from carets.protocol import deletions
from carets.protocol.admission import Author, Gate
from carets.protocol.deletions import DeleteSets
from carets.protocol.intervals import Range
from carets.protocol.repetition import Repetition
from carets.protocol.updates import read_deletions, read_told
from carets.protocol.wire import encode_varuint as v
from tests.sessions import block, item, update

ANN = "person:ann"


def scattered(count: int, seed: int = 1) -> list[Range]:
    """So many ranges with gaps between them, of clocks of one to three bytes."""
    chance = random.Random(seed)
    ranges, at = [], 0
    for _ in range(count):
        start = at + chance.randrange(1, 30)
        at = start + chance.randrange(1, 5)
        ranges.append((start, at))
    return ranges


RANGES = scattered(300)
WHOLE = update(gone={9: RANGES})
BEFORE = Repetition(WHOLE[read_told(WHOLE, 1, {})[0].begin :], RANGES)


def read_again(data: bytes) -> tuple[list[Range], int]:
    """What of a delete set of client 9 has to be read when `RANGES` were read before, and how many ranges it has."""
    (told,) = read_told(data, 1, {9: BEFORE})
    return told.ranges, told.ranges_count


def refusal(data: bytes, before: dict[int, Repetition]) -> Code | None:
    """What is wrong with a delete set; None where nothing is."""
    try:
        read_told(data, 1, before)
    except WireError as error:
        return error.code
    return None


def test_what_was_read_before_is_not_read_again() -> None:
    assert read_again(WHOLE) == ([], 300)


def test_only_what_is_unlike_is_read() -> None:
    less = [*RANGES[:100], *RANGES[103:200], (RANGES[200][0] - 1, RANGES[200][1]), *RANGES[201:]]
    ranges, count = read_again(update(gone={9: less}))
    assert count == len(less)
    assert len(ranges) <= 6, "some beside each difference, since the least that is compared is two"
    assert set(ranges) <= set(less)


def test_the_same_ranges_of_another_client_are_read() -> None:
    (told,) = read_told(update(gone={8: RANGES}), 1, {9: BEFORE})
    assert told.ranges == RANGES


def test_a_repetition_ends_where_its_client_does() -> None:
    """Also where the next client's id, its number of ranges and its ranges read as the earlier set goes on."""
    ranges = [(1, 2), (5, 6), (10, 11), (15, 16), (20, 21)]
    whole = update(gone={9: ranges})
    before = Repetition(whole[read_told(whole, 1, {})[0].begin :], ranges)
    data = b"\0" + b"\x02" + b"\x09\x02" + _coded(ranges[:2]) + b"\x0a\x01" + _coded(ranges[3:4])
    told = read_told(data, 1, {9: before})
    assert [(each.client, each.ranges_count, each.ranges) for each in told] == [(9, 2, []), (10, 1, ranges[3:4])]


def _coded(ranges: list[Range]) -> bytes:
    return b"".join(v(start) + v(end - start) for start, end in ranges)


@settings(derandomize=True, max_examples=300)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 299), st.integers(0, 9)), max_size=5),
    at=st.integers(1, len(WHOLE) - 1),
    byte=st.integers(0, 255),
    times=st.integers(0, 2),
)
def test_any_bytes_get_the_same_verdict(cuts: list[tuple[int, int]], at: int, byte: int, times: int) -> None:
    """Ranges taken out, or one byte changed, put in or taken away: what is wrong is found, and nothing else is lost."""
    ranges = list(RANGES)
    for first, count in cuts:
        del ranges[first : first + count]
    data = update(gone={9: ranges or RANGES})
    data = data[:at] + bytes([byte]) * times + data[at + 1 :]
    if (code := refusal(data, {})) is not None:
        assert refusal(data, {9: BEFORE}) is code
        return
    wanted = read_deletions(data, 1)
    told = read_told(data, 1, {9: BEFORE})
    assert [(each.client, each.ranges_count) for each in told] == [(client, len(ranges)) for client, ranges in wanted]
    for each, (_, whole) in zip(told, wanted, strict=True):
        assert set(each.ranges) <= set(whole)
        assert set(whole) - set(each.ranges) <= set(RANGES)


def gate_with(units: int) -> tuple[Gate, Author]:
    gate, author = Gate(), Author(ANN)
    assert gate.admit(update(block(9, 0, item("x" * units))), author)
    return gate, author


@settings(derandomize=True, max_examples=60)
@given(seeds=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 250), st.integers(0, 30)), min_size=1, max_size=6))
def test_a_gate_that_remembers_is_as_one_that_does_not(seeds: list[tuple[int, int, int]]) -> None:
    gate, author = gate_with(20_000)
    other, stranger = gate_with(20_000)
    for seed, first, count in seeds:
        ranges = scattered(300, seed)
        del ranges[first : first + count]
        data = update(gone={9: ranges})
        other._delete_sets = DeleteSets()
        assert gate.admit(data, author) == other.admit(data, stranger)
        assert gate.known_deletions() == other.known_deletions()
        assert gate.units == other.units


def test_what_was_refused_is_not_remembered() -> None:
    gate, author = gate_with(100)
    data = update(gone={9: RANGES})
    for _ in range(2):
        assert gate.admit(data, author) is None, "it deletes what is not here"
    assert not gate._delete_sets._before
    assert gate.known_deletions() == {}


def test_what_is_remembered_is_bounded() -> None:
    gate = Gate()
    author = Author(ANN, new_ids_left=100)
    for client in range(deletions.CLIENTS_MAX + 3):
        assert gate.admit(update(block(client, 0, item("x" * 6_000))), author)
    for at in range(deletions.DIGESTS_MAX + 9):
        client = at % (deletions.CLIENTS_MAX + 3)
        gate.admit(update(gone={client: RANGES[at:]}), author)
    assert len(gate._delete_sets._digests) == deletions.DIGESTS_MAX
    assert len(gate._delete_sets._before) == deletions.CLIENTS_MAX


def test_a_crowd_that_comes_back_has_its_delete_sets_read_once() -> None:
    """Counted: a thousand members whose sets differ in a few places cost a few ranges each, not all of them."""
    gate, author = gate_with(20_000)
    gate.admit(WHOLE, author)
    read = 0
    for member in range(100):
        missed = RANGES[: 2 * member] + RANGES[2 * member + 3 :]
        read += sum(len(each.ranges) for each in read_told(update(gone={9: missed}), 1, gate._delete_sets._before))
    assert read <= 100 * 4
