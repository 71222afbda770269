"""What is new of one update, while the gate looks at it and before anything of it is admitted.

Owns: the parts of an update that are new, and how much of the document they move. Does not know: what is here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

from carets.errors import Code, WireError
from carets.protocol.deletions import NOTHING
from carets.protocol.intervals import Range
from carets.protocol.updates import Block, Deletions, encode_block, encode_update


class Part:
    """What is new of one block: its structs from `first` on, from clock `known` on.

    `at` and `reached` move while it is walked.
    """

    __slots__ = ("at", "block", "first", "is_waiting", "known", "reached")

    def __init__(self, block: Block, known: int) -> None:
        first = 0
        if known > block.clock:
            structs = block.structs
            while structs[first][0] + structs[first][1] <= known:
                first += 1
        self.block = block
        self.known = known
        self.first = first
        self.at = first
        self.reached = known
        self.is_waiting = False


class Change:
    """What is new in an update, and how much of the document it moves. Nothing in it is admitted yet."""

    __slots__ = ("deletions", "gone", "highs", "is_whole", "parts", "reading", "units")

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}
        self.deletions: Deletions = []
        self.highs: dict[int, list[int]] = {}
        self.gone: dict[int, list[Range]] = {}
        """New structs that are deleted already."""
        self.units = 0
        """By how much the live text grows; negative where it shrinks."""
        self.is_whole = True
        """Whether all of the update is new."""
        self.reading = NOTHING

    def survey(self, part: Part) -> None:
        """Count the units of one part, and note its halves of characters and what is deleted in it."""
        block, known = part.block, part.known
        highs: list[int] = []
        gone: list[Range] = []
        for clock, units, _, _, _, _, text_at, _, struct_highs in islice(block.structs, part.first, None):
            start = max(clock, known)
            if not text_at:
                gone.append((start, clock + units))
                continue
            self.units += clock + units - start
            if struct_highs is not None:
                at = bisect_left(struct_highs, start)
                if at and struct_highs[at - 1] == start - 1:
                    raise split("an overlap ends inside a character")
                highs += struct_highs[at:]
        if highs:
            self.highs[block.client] = highs
        if gone:
            self.gone[block.client] = gone

    def encode(self, update: bytes) -> bytes:
        """The bytes of what is new, in Yjs's form."""
        blocks = [encode_block(update, part.block, part.first, part.known) for part in self.parts.values()]
        return encode_update(blocks, self.deletions)


def split(detail: str) -> WireError:
    """What is raised for an update that goes between the halves of a character."""
    return WireError(Code.SPLIT_CHARACTER, detail)


def is_in(clock: int, highs: Sequence[int]) -> bool:
    """Whether the unit at `clock` is one of these, which ascend."""
    at = bisect_left(highs, clock)
    return at < len(highs) and highs[at] == clock
