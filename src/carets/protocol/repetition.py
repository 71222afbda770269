"""Delete sets that are like one that was read before: of what is the same, only the bytes are compared.

Owns: the ranges of one client as they stood in an update, and finding them again in another one.
Does not know: what they mean, and whether they are deleted: the gate keeps only what is.

After a cut each member of a room sends all that is deleted, thousands of ranges, and hardly two of them the same: each
has missed something else. They differ in some places, and are alike byte by byte between these.

Invariants:
  1. What is found again is what the bytes say: whole ranges, as many, in the same order.
  2. To look costs no more than to read.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from itertools import accumulate

from carets.protocol.intervals import Range

RANGES_MIN = 64
"""Ranges from which a client's part of a delete set is worth keeping: a shorter one is read as fast."""

RANGES_MAX = 65_536
"""Ranges up to which it is kept: 1 MB. A text of 1 MB that was cut to pieces has 30,000."""

_STEPS = (128, 16, 2)
"""Ranges that are compared at once, the most first: what follows a difference is mostly alike again."""

_RANGE = re.compile(rb"[\x80-\xff]*[\x00-\x7f][\x80-\xff]*[\x00-\x7f]")


class Repetition:
    """One client's ranges in a delete set that was read, as arrays and as bytes: 16 bytes a range."""

    __slots__ = ("_data", "_ends", "_places", "_starts")

    def __init__(self, data: bytes, ranges: list[Range]) -> None:
        """`data` are the bytes of exactly these ranges, which were read and found good."""
        self._data = data
        self._starts = array("I", [start for start, _ in ranges])
        self._ends = array("I", [end for _, end in ranges])
        self._places = array("I", accumulate(map(len, _RANGE.findall(data)), initial=0))

    def again(self, data: bytes, at: int, start: int, count_max: int) -> tuple[int, int, int]:
        """How many ranges from `at` on, where one begins with the clock `start`, stand here too, one after the other.

        Returns: their number, at most `count_max`; the place after them; the last one's end. Zeros where none is.
        """
        first = index = bisect_left(self._starts, start)
        places, whole = self._places, self._data
        until = min(len(self._starts), first + count_max)
        for step in _STEPS:
            while (after := index + step) <= until and data.startswith(whole[places[index] : places[after]], at):
                at += places[after] - places[index]
                index = after
        return (index - first, at, self._ends[index - 1]) if index > first else (0, 0, 0)
