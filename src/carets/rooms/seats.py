"""Who has which file open: a member takes its seat in a file, and gives it up.

Owns: the two tables of seats, a member's and a file's, which always say the same. Does not know: edits, commits.

Invariant: a seat is taken only in a live file, under a Yjs client id that is the member's to use.
"""

from __future__ import annotations

from collections.abc import Mapping

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import messages, wire
from carets.protocol.admission import Author
from carets.rooms import profile
from carets.rooms.delivery import Delivery
from carets.rooms.file import OpenFile
from carets.rooms.files import FileTable
from carets.rooms.member import Member, Seat


class Seats:
    """The seats of one room. It shares the room's tables of files, and changes neither."""

    def __init__(self, open_files: Mapping[int, OpenFile], table: FileTable, delivery: Delivery) -> None:
        self._open = open_files
        self._table = table
        self._delivery = delivery

    def check(self, member: Member, file_id: int) -> None:
        """Raises: Refused FILES_OPEN_TOO_MANY, before anything is loaded for the member."""
        if file_id not in member.seats and len(member.seats) >= limits.FILES_OPEN_MAX:
            raise Refused(Code.FILES_OPEN_TOO_MANY, f"at most {limits.FILES_OPEN_MAX}")

    def take(self, member: Member, request: messages.OpenFile) -> None:
        """Give a member its place in a file that is in memory; one that it had there before is given up.

        Raises: Refused.
        """
        record, file = self._table.live(request.file_id), self._open[request.file_id]
        if request.epoch and request.epoch != record.epoch:
            raise Refused(Code.EPOCH_CHANGED)
        author = Author(member.person)
        declared = member.dialect.has_notices
        if declared and member.may_write:
            file.gate.declare(request.client_id, author)
        self.give_up(member, file.id)
        seat = Seat(member, file.id, author, request.client_id if declared else None)
        member.seats[file.id] = file.seats[member.id] = seat
        if not declared:
            member.place = file.id
            self._delivery.arrived(member)
            self._delivery.keep_stock_fresh()

    def give_up(self, member: Member, file_id: int) -> None:
        """Take a member out of a file, if it is in it."""
        if member.seats.pop(file_id, None) is None:
            return
        if member.outbox.forget(file_id) and member.dialect.has_parts:
            # The next message of this file must not be taken for the rest of this one.
            member.outbox.put(member.dialect.part(wire.abandon_parts(file_id)))
            self._delivery.flush(member)
        file = self._open[file_id]
        del file.seats[member.id]
        file.whereabouts.remove(member.id)
        self._delivery.tick_soon()

    def take_presence(self, seat: Seat, payload: bytes) -> None:
        """Take in where a member says that it is in a file. Raises: WireError."""
        whereabouts = self._open[seat.file_id].whereabouts
        if seat.member.dialect.has_notices:
            profile.take_page_presence(whereabouts, seat.member, payload)
        elif profile.take_stock_presence(whereabouts, seat, payload):
            self._delivery.arrived(seat.member)
        self._delivery.tick_soon()
