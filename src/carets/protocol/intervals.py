"""Sorted, disjoint intervals of clocks: what is deleted of one Yjs client.

Owns: union and difference of half-open ranges `[start, end)`. Does not know: clients, updates, what a clock means.

Invariants:
  1. Intervals ascend, are not empty and do not touch: the same set has one representation.
  2. `total` is the number of clocks inside.
  3. Nothing is ever taken out: deletion is monotonic.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""`[start, end)`, in clocks."""

_INSERTS_MAX = 256
"""Ranges above which all is merged at once. An insertion moves the tails of two arrays, a merge reads everything in
Python: a hostile list of a million ranges must cost one reading, not a million moves."""


class Intervals:
    """A set of clocks below 2^32, at eight bytes an interval."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts = array("I")
        self._ends = array("I")
        self._merge(ranges)

    def __iter__(self) -> Iterator[Range]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        """The number of intervals."""
        return len(self._starts)

    def missing(self, ranges: list[Range]) -> list[Range]:
        """What of `ranges` (ascending, disjoint) is not inside, ascending. Linear in `ranges` and what they touch."""
        starts, ends = self._starts, self._ends
        known = len(starts)
        out: list[Range] = []
        for start, end in ranges:
            at = bisect_right(starts, start)
            begin = ends[at - 1] if at and ends[at - 1] > start else start
            while at < known and starts[at] < end:
                if begin < starts[at]:
                    out.append((begin, starts[at]))
                begin = ends[at]
                at += 1
            if begin < end:
                out.append((begin, end))
        return out

    def add(self, ranges: list[Range]) -> None:
        """Take `ranges` in, in any order, known or not."""
        if len(ranges) > _INSERTS_MAX:
            self._merge(ranges)
            return
        for start, end in ranges:
            self._insert(start, end)

    def _insert(self, start: int, end: int) -> None:
        starts, ends = self._starts, self._ends
        first = bisect_left(ends, start)
        after = bisect_right(starts, end, first)
        if first == after:
            starts.insert(first, start)
            ends.insert(first, end)
            return
        start = min(start, starts[first])
        end = max(end, ends[after - 1])
        starts[first] = start
        ends[first] = end
        if after - first > 1:
            del starts[first + 1 : after]
            del ends[first + 1 : after]

    def _merge(self, ranges: Iterable[Range]) -> None:
        starts, ends = array("I"), array("I")
        last = -1
        for start, end in sorted([*self, *ranges]):
            if start > last:
                starts.append(start)
                ends.append(end)
                last = end
            elif end > last:
                ends[-1] = last = end
        self._starts, self._ends = starts, ends
