"""What a crowd typed, deleted, saw and was told saved; and whether a text holds to it.

A text of the soak is nothing but pieces, ``<member.number>`` or ``<member.number:filling>``, each typed once and whole,
between others; who deletes deletes a whole one. So each can be counted.

Owns: the pieces by place (a file of a room), and the verdict. Does not know: connections.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

PIECE = re.compile(r"<(\d+)\.(\d+)(?::[^<>]*)?>")

_PER_MEMBER = 1_000_000


def new_piece(member: int, number: int, filling: str = "") -> str:
    """The text of a piece."""
    return f"<{member}.{number}{':' if filling else ''}{filling}>"


def piece_id(found: re.Match[str]) -> int:
    """A number for a piece."""
    return int(found[1]) * _PER_MEMBER + int(found[2])


def pieces_of(text: str) -> list[int]:
    """The pieces of a text in order."""
    return [piece_id(found) for found in PIECE.finditer(text)]


def member_of(piece: int) -> int:
    """Who typed it."""
    return piece // _PER_MEMBER


class Verdict(NamedTuple):
    """How many pieces of a text are wrong, by what is wrong with them."""

    pieces: int
    acked: int
    lost: int
    """Told saved, or seen by somebody else, deleted by nobody, and not there."""
    doubled: int
    undead: int
    """There, although its deletion was told saved."""
    strange: int
    """There, and typed by nobody; or characters that are no piece."""

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.undead or self.strange)


class Ledger:
    """Pieces by place and by what happened to them."""

    KINDS = ("typed", "acked", "seen", "deleted", "gone")

    def __init__(self) -> None:
        self.typed: defaultdict[str, set[int]] = defaultdict(set)
        self.acked: defaultdict[str, set[int]] = defaultdict(set)
        self.seen: defaultdict[str, set[int]] = defaultdict(set)
        """By somebody who did not type it."""
        self.deleted: defaultdict[str, set[int]] = defaultdict(set)
        """Whose deletion was begun; it may not have arrived."""
        self.gone: defaultdict[str, set[int]] = defaultdict(set)
        """Whose deletion was told saved."""

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        told = {kind: {place: sorted(set_) for place, set_ in getattr(self, kind).items()} for kind in self.KINDS}
        path.write_text(json.dumps(told))

    def add(self, path: Path) -> None:
        """Take in another's."""
        for kind, places in json.loads(path.read_text()).items():
            for place, ids in places.items():
                getattr(self, kind)[place].update(ids)

    def judge(self, place: str, text: str) -> Verdict:
        """What is wrong with the text of a place, now that nobody types any more."""
        counts = Counter(pieces_of(text))
        found = set(counts)
        must = (self.acked[place] | self.seen[place]) - self.deleted[place]
        return Verdict(
            pieces=len(found),
            acked=len(self.acked[place]),
            lost=len(must - found),
            doubled=sum(count > 1 for count in counts.values()),
            undead=len(self.gone[place] & found),
            strange=len(found - self.typed[place]) + len(PIECE.sub("", text)),
        )
