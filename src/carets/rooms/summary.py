"""What an operator is told of many members and many files: how many, and some of them.

Owns: which of them, and what of each. Does not know: rooms, how it is asked for.

Invariants:
  1. However many there are, what is told has a bound.
  2. No text, name, path, key or person is in it: what people work on, and who they are, is theirs
     (docs/decisions/0017-what-the-operator-sees.md).
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import nsmallest

from carets.rooms.file import OpenFile
from carets.rooms.member import Member

TOLD_MAX = 20
"""Members and files of a room that are told one by one: those that wait or lag come first, and few do."""


def of_members(members: Collection[Member]) -> dict[str, object]:
    """How many, how many lag, and some: first who lags, then who waits for being saved, then who came first."""
    first = nsmallest(
        TOLD_MAX, members, key=lambda member: (not member.outbox.lagging, not member.has_unsaved, member.id)
    )
    return {
        "count": len(members),
        "lagging": sum(member.outbox.lagging for member in members),
        "some": [member.describe() for member in first],
    }


def of_files(files: Collection[OpenFile]) -> dict[str, object]:
    """How many are in memory, and some: first those with most that waits for a commit, then the largest."""
    first = nsmallest(TOLD_MAX, files, key=lambda file: (file.seq - file.admitted_seq, -file.gate.units))
    return {"count": len(files), "some": [file.describe() for file in first]}
