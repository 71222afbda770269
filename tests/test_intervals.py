"""Intervals against the obvious model: a set of numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carets.protocol import intervals
from carets.protocol.intervals import Intervals, Range


def clocks_in(ranges: list[Range]) -> set[int]:
    return {clock for start, end in ranges for clock in range(start, end)}


RANGE = st.tuples(st.integers(0, 60), st.integers(1, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))
RANGES = st.lists(RANGE, max_size=12)
ASCENDING = RANGES.map(lambda ranges: list(Intervals(ranges)))


@settings(derandomize=True)
@given(batches=st.lists(RANGES, max_size=6), merged=st.booleans())
def test_adding_is_union_and_has_one_representation(batches: list[list[Range]], merged: bool) -> None:
    subject, model = Intervals(), set[int]()
    inserts_max = intervals._INSERTS_MAX
    intervals._INSERTS_MAX = -1 if merged else inserts_max
    try:
        for batch in batches:
            subject.add(batch)
            model |= clocks_in(batch)
            found = list(subject)
            assert clocks_in(found) == model
            assert all(before[1] < after[0] for before, after in pairwise(found))
            assert len(subject) == len(found)
    finally:
        intervals._INSERTS_MAX = inserts_max


@settings(derandomize=True)
@given(known=RANGES, asked=ASCENDING)
def test_missing_is_difference(known: list[Range], asked: list[Range]) -> None:
    subject = Intervals(known)
    missing = subject.missing(asked)
    assert clocks_in(missing) == clocks_in(asked) - clocks_in(known)
    assert sum(end - start for start, end in missing) == len(clocks_in(missing))
    assert missing == sorted(missing)
    assert list(subject) == list(Intervals(known))


def test_what_is_not_known_comes_back_as_it_was() -> None:
    asked = [(3, 4), (4, 9), (20, 21)]
    assert Intervals([(30, 40)]).missing(asked) == asked


def test_touching_ranges_become_one() -> None:
    subject = Intervals([(0, 3), (6, 9)])
    subject.add([(3, 6)])
    assert list(subject) == [(0, 9)]


def test_a_long_list_is_merged_at_once_to_the_same_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Range by range, a hostile list would cost the square of its length."""
    many = [(2 * at, 2 * at + 1) for at in range(intervals._INSERTS_MAX + 1)]
    one_by_one, at_once = Intervals([(5, 12)]), Intervals([(5, 12)])
    for pair in reversed(many):
        one_by_one.add([pair])
    monkeypatch.setattr(Intervals, "_insert", None)
    at_once.add(many)
    assert list(at_once) == list(one_by_one)
