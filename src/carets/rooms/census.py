"""What is in memory at one moment, counted over all rooms.

Owns: the counts. Does not know: who asks, and how often.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from carets.protocol.access import Role, RoleName
from carets.rooms.lobby import Lobby


@dataclass(slots=True)
class Census:
    """Rooms, and what is in them."""

    rooms: int = 0
    members: dict[RoleName, int] = field(default_factory=lambda: {role.label: 0 for role in Role})
    lagging: int = 0
    documents: int = 0
    units: int = 0
    """UTF-16 units of all documents in memory."""
    units_max: int = 0
    """UTF-16 units of the longest of them."""
    queued_bytes: int = 0
    """Bytes that were admitted and wait for a commit."""


def take_census(lobby: Lobby) -> Census:
    """Count. It takes about a millisecond for 5,000 members."""
    census = Census(rooms=len(lobby.rooms))
    for room in lobby.rooms.values():
        for member in room.members.values():
            census.members[member.role.label] += 1
            census.lagging += member.outbox.lagging
        for file in room.open_files.values():
            census.documents += 1
            census.units += file.gate.units
            census.units_max = max(census.units_max, file.gate.units)
        census.queued_bytes += room.queued_bytes
    return census
