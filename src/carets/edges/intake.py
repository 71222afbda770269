"""How a door hands a member's frames to its room, and when it reads no further.

Owns: that keystrokes which are here already are taken in one go, all else frame by frame. Does not know: sockets,
what frames mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from carets.rooms.member import Member
from carets.rooms.room import Room


async def take_in(room: Room, member: Member, frames: list[bytes], receive: Callable[[bytes], None]) -> None:
    """Give the room binary frames of a member, in order, until it is gone. Raises: what `receive` raises."""
    at = 0
    while at < len(frames) and member.gone is None:
        taken = room.type_on(member, frames, at)
        if not taken:
            receive(frames[at])
            taken = 1
        at += taken
        await rest(room, member)


async def rest(room: Room, member: Member) -> None:
    """Wait while the member, or its room, must be read no further."""
    if room.is_full:
        await room.eased()
    if wait_s := member.allowance.wait_s():
        await asyncio.sleep(wait_s)
