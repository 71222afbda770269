"""The short way of a keystroke: what a member types on in one file, taken without being decoded.

Owns: when that way may be taken. Does not know: what a keystroke's bytes are, which is the gate's.

Invariant: it takes only what `Room.receive` would admit at this moment, and to the same effect: what goes on in one
batch is one update of the log, as Yjs itself writes it, where `receive` alone would make one of each keystroke.
Source: docs/decisions/0021-what-an-edit-costs.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from carets.metrics import Metrics
from carets.rooms.commit import Pending
from carets.rooms.file import OpenFile
from carets.rooms.ledger import Ledger
from carets.rooms.member import Member
from carets.rooms.storage import RoomStorage

_FRAME_BYTES_MAX = 256
"""Bytes that a keystroke's frame does not reach: its length is told in one byte."""


class Keystrokes:
    """The short way into one room. It shares what the room has, and changes `pending` and members only."""

    def __init__(
        self,
        open_files: Mapping[int, OpenFile],
        pending: Pending,
        storage: RoomStorage,
        ledger: Ledger,
        metrics: Metrics,
    ) -> None:
        self._open = open_files
        self._pending = pending
        self._storage = storage
        self._ledger = ledger
        self._metrics = metrics

    def take(self, member: Member, frames: Sequence[bytes], first: int) -> int:
        """Take the keystrokes with which `frames` go on from number `first`; how many they were, and 0 is common.

        All checks but the gate's are made once: nothing else happens between one frame and the next.
        """
        seat = member.seats.get(member.typing_in)
        if seat is None or seat.blocked or not member.may_write or not self._storage.is_writable:
            return 0
        file, pending = self._open[seat.file_id], self._pending
        if file.deleted or member.parts.is_open(file.id):
            return 0
        if not self._ledger.has_room(pending.bytes_waiting + _FRAME_BYTES_MAX * len(frames)):
            return 0
        with member.allowance.measured():
            taken = pending.type_on(file, seat, frames, first)
            if taken:
                bytes_count = sum(map(len, frames[first : first + taken]))
                member.received += taken
                member.allowance.came(bytes_count)
                pending.bytes_waiting += bytes_count
                pending.touched[member.id] = member
                self._metrics.receive(bytes_count - taken * (len(seat.update_head) + 1), taken)
        return taken
