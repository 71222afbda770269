"""What a document says of itself as a whole, without its structs: enough of a gate to let readers in.

Owns: the record of it. Does not know: who makes it; the CRDT engine does, in a twentieth of the time of reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Outline(NamedTuple):
    """Of one committed document."""

    clocks: Mapping[int, int]
    """The next clock of each client id."""
    deletions: bytes
    """An update without structs, with all deletions."""
    units: int
    """UTF-16 units of its text."""
    is_wide: bool
    """Whether the text has characters of two units."""

    @classmethod
    def of(cls, clocks: Mapping[int, int], deletions: bytes, text: str) -> Outline:
        """The outline of a document with this text."""
        is_wide = not text.isascii() and max(text) > "\uffff"
        return cls(clocks, deletions, len(text.encode("utf-16-le")) // 2 if is_wide else len(text), is_wide)
