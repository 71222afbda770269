"""A workspace while it is open: the members, the files, and the one clock that they share, the commit.

Owns: what comes in, in which order it becomes durable, and when it is told. What goes out is `Delivery`'s.
Does not know: sockets, SQL, other processes.

Invariants:
  1. Nobody is sent an edit, or told that it is saved, before the store has returned.
  2. Gates speak of the admitted state, answers and broadcasts of the committed one.
  3. No method awaits between reading the room's state and changing it. `receive` and `request` are synchronous.
  4. One commit runs at a time. When it fails, the admitted state is the committed one again, and whoever has
     unsaved frames is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import structlog

from carets import limits
from carets.errors import CaretsError, Code, Refused, Unavailable, WireError
from carets.protocol import access, messages, wire
from carets.protocol.access import Role
from carets.protocol.admission import Author
from carets.protocol.dialect import Dialect
from carets.protocol.updates import decode_state_vector
from carets.rooms import document as documents
from carets.rooms.commit import Pending, Sealed
from carets.rooms.delivery import Delivery
from carets.rooms.file import OpenFile
from carets.rooms.files import FileTable
from carets.rooms.member import Member, Seat
from carets.rooms.outbox import Outbox, Sink
from carets.rooms.presence import decode_page_state, decode_stock_state
from carets.rooms.shelf import Shelf
from carets.rooms.store import Batch, FileAppend, LinkRecord, LogEntry, Store, StoreFailed, WorkspaceRecord

_log = structlog.get_logger("carets.room")


_FRAME_HEAD_BYTES = 16
"""Bytes before an update in a frame: file id, kind, step and length."""


_SERVER = "server"
"""The author of the texts with which a workspace was created, and the owner of their client ids."""


class Surroundings(NamedTuple):
    """What every room of a process shares. Time and chance are passed in, so that a simulation can own them."""

    store: Store
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    secret: bytes
    """Signs person tokens."""
    build: str
    is_open: bool = False
    """Whether a hello without a key is let in as an editor."""


class Room:
    """One open workspace."""

    def __init__(self, record: WorkspaceRecord, around: Surroundings) -> None:
        self.id = record.workspace_id
        self.title = record.title
        self.members: dict[int, Member] = {}
        self.files = FileTable(record.files)
        self.shelf = Shelf(self.id, around.store, self.files)
        self.open_files = self.shelf.files
        self.links = {link.link_id: link for link in record.links}
        self.delivery = Delivery(self.members, self.open_files, self.files, self.fail)
        self.failed: Exception | None = None
        self.is_draining = False
        self.is_failing = False
        """Whether the last commit failed."""
        self._around = around
        self._pending = Pending()
        self._committing: asyncio.Task[None] | None = None
        self._member_ids = 0
        self._links_coming = 0
        self.empty_since_ms = around.now_ms()

    # -- members

    def find_link(self, key: str) -> LinkRecord | None:
        """The link of this key; None for an open server's visitor without one. Raises: Refused."""
        if not key and self._around.is_open:
            return None
        found = None
        for link in self.links.values():
            if access.key_matches(key, link.key_hash):
                found = link
        if found is None:
            raise Refused(Code.KEY_WRONG)
        if found.revoked_at_ms is not None:
            raise Refused(Code.LINK_REVOKED)
        if found.expires_at_ms is not None and found.expires_at_ms <= self._around.now_ms():
            raise Refused(Code.LINK_EXPIRED)
        return found

    def join(self, hello: messages.Hello, dialect: Dialect, sink: Sink) -> Member:
        """Let a connection in by its link's key. Raises: Refused, Unavailable."""
        link = self.find_link(hello.key)
        if len(self.members) >= limits.MEMBERS_MAX:
            raise Unavailable(Code.ROOM_FULL)
        self._member_ids += 1
        link_id, role = (link.link_id, Role.of(link.role)) if link else ("open", Role.EDITOR)
        token = hello.person
        if dialect.has_notices:
            person = access.read_person(self._around.secret, self.id, token)
            if person is None:
                person_id = access.new_person_id(self._around.entropy(16))
                token = access.sign_person(self._around.secret, self.id, person_id)
                person = access.person_name(person_id)
        else:
            person = access.link_person(link_id)
        name = access.clean_label(hello.name, limits.NAME_UNITS_MAX, f"Guest {self._member_ids}")
        color = access.clean_color(hello.color, self._member_ids)
        member = Member(self._member_ids, person, link_id, role, name, color, dialect, Outbox(sink))
        self.members[member.id] = member
        self.delivery.arrived(member)
        self.delivery.reply(member, self._welcome(member, token))
        self.delivery.flush(member)
        return member

    def _welcome(self, member: Member, token: str) -> messages.Welcome:
        return messages.Welcome(
            member_id=member.id,
            person=token,
            role=member.role.label,
            name=member.name,
            color=member.color,
            workspace_id=self.id,
            title=self.title,
            files=self.files.listed(),
            members=[other.record for other in self.members.values()],
            build=self._around.build,
        )

    def leave(self, member: Member) -> None:
        """A connection ended. What it had admitted stays admitted."""
        if self.members.pop(member.id, None) is None:
            return
        for file_id in list(member.seats):
            self._give_up_seat(member, file_id)
        self.delivery.left(member)
        if not self.members:
            self.empty_since_ms = self._around.now_ms()

    def expel(self, member: Member, error: CaretsError) -> None:
        """Tell a member why, and end its connection."""
        if member.gone is not None:
            return
        self.leave(member)
        member.gone = error
        self.delivery.reply(member, messages.refusal(error))
        member.outbox.close(error)

    def drained(self, member: Member) -> None:
        """The member's line took everything that was written."""
        if member.gone is None:
            self.delivery.drained(member)

    # -- what comes in

    def receive(self, member: Member, data: bytes) -> None:
        """Take one binary frame of ``carets.v1``. Raises: WireError; nothing is changed then."""
        if self.is_draining:
            return
        file_id, message = wire.decode_frame(data)
        if type(message) is wire.Part:
            whole = member.parts.take(file_id, message)
            if whole is None:
                return
            message = whole
        elif member.parts.is_open(file_id) and type(message) is not wire.Awareness:
            raise WireError(Code.MALFORMED_MESSAGE, "another message of this file is under way in parts")
        try:
            self._take(member, file_id, message)
        except Refused as refused:
            self._give_up_seat(member, file_id)
            self.refuse(member, refused, file_id, None)

    def receive_stock(self, member: Member, file_id: int, data: bytes) -> None:
        """Take one message at the stock door. Raises: WireError, Refused."""
        if self.is_draining:
            return
        message = wire.decode_message(data)
        if type(message) is wire.Part:
            raise WireError(Code.MALFORMED_MESSAGE, "the stock door takes whole messages only")
        self._take(member, file_id, message)

    def _take(self, member: Member, file_id: int, message: wire.Message) -> None:
        kind = type(message)
        seat = member.seats.get(file_id)
        if kind is wire.Update or kind is wire.Step2:
            self._take_update(member, file_id, seat, message.update, kind is wire.Step2)  # type: ignore[union-attr]
        elif seat is None:
            return
        elif kind is wire.Step1:
            known = decode_state_vector(message.state_vector)  # type: ignore[union-attr]
            file = self.open_files[file_id]
            file.check_lineage(known)
            seat.ready = True
            self.delivery.answer(file, seat, message.state_vector)  # type: ignore[union-attr]
        elif kind is wire.Awareness:
            self._take_presence(member, seat, message.payload)  # type: ignore[union-attr]
        elif kind is wire.QueryAwareness:
            self.delivery.tell_presence(self.open_files[file_id], seat)
            self.delivery.flush(member)

    def _take_update(self, member: Member, file_id: int, seat: Seat | None, update: bytes, is_step_2: bool) -> None:
        """Admit an edit and queue it, or say why not. Every frame counts, whatever becomes of it."""
        member.received += 1
        try:
            if seat is None:
                raise Refused(Code.FILE_NOT_OPEN)
            if is_step_2:
                seat.asked = False
            if not seat.blocked:
                self._admit(member, self.open_files[file_id], seat, update, is_step_2)
        except Refused as refused:
            self._refuse_update(member, file_id, seat, refused)
        self._pending.touched[member.id] = member
        self._wake()

    def _admit(self, member: Member, file: OpenFile, seat: Seat, update: bytes, is_step_2: bool) -> None:
        if not member.may_write:
            is_short = len(update) <= limits.VIEWER_UPDATE_BYTES_MAX
            if is_step_2 and is_short and not file.gate.has_news(update):
                return
            raise Refused(Code.ROLE_TOO_LOW, "a viewer cannot edit")
        if file.deleted:
            raise Refused(Code.FILE_DELETED)
        admitted = file.gate.admit(update, seat.author)
        if admitted is None:
            member.gaps.setdefault(file.id, member.received)
            if not is_step_2:
                # A step 2 with a gap is all that its sender has: asking again would go round for ever.
                self.delivery.ask(seat)
                self.delivery.flush(member)
            return
        if is_step_2:
            member.gaps.pop(file.id, None)
        if admitted:
            self._pending.add(file, member, admitted)

    def _refuse_update(self, member: Member, file_id: int, seat: Seat | None, refused: Refused) -> None:
        # What waits for the repair of a gap is not taken either: the first of it is the frame to name.
        frame = member.gaps.pop(file_id, member.received)
        if not member.dialect.has_notices:
            if refused.code is Code.ROLE_TOO_LOW:
                denied = wire.encode_permission_denied(str(refused))
                member.outbox.put(member.dialect.message(file_id, denied))
                self.delivery.flush(member)
                return
            raise refused
        if seat is not None:
            seat.blocked = True
        self.delivery.reply(member, messages.refusal(refused, file_id=file_id, frame=frame))
        self.delivery.flush(member)

    def _take_presence(self, member: Member, seat: Seat, payload: bytes) -> None:
        whereabouts = self.open_files[seat.file_id].whereabouts
        if member.dialect.has_notices:
            (entry,) = wire.decode_awareness(payload, 1) or (None,)
            state = decode_page_state(entry.state) if entry else None
            if state is None:
                whereabouts.remove(member.id)
            else:
                whereabouts.put(member.record, state)
        else:
            self._take_stock_presence(member, seat, wire.decode_awareness(payload, limits.PRESENCE_ENTRIES_MAX))
        self.delivery.tick_soon()

    def _take_stock_presence(self, member: Member, seat: Seat, entries: list[wire.Presence]) -> None:
        """A stock client's first message about itself has one entry; later ones repeat what others said, too."""
        whereabouts = self.open_files[seat.file_id].whereabouts
        if seat.client_id is None and len(entries) == 1 and entries[0].state != "null":
            seat.client_id = None if whereabouts.is_taken(entries[0].id, member.id) else entries[0].id
        for entry in entries:
            if entry.id != seat.client_id:
                continue
            if entry.clock > limits.CLOCK_MAX:
                # One more, when it leaves, and the others could not read the number any more.
                raise WireError(Code.MALFORMED_PRESENCE, f"a clock above {limits.CLOCK_MAX}")
            user, state = decode_stock_state(entry.state)
            if state is None:
                whereabouts.remove(member.id)
                continue
            if user.name and not seat.greeted:
                seat.greeted = True
                member.name = access.clean_label(user.name, limits.NAME_UNITS_MAX, member.name)
                member.color = access.clean_color(user.color, member.id)
                self.delivery.arrived(member)
            whereabouts.put(member.record, state, entry.id, entry.clock)

    # -- requests

    def request(self, member: Member, request: messages.Request) -> None:
        """Take one text frame; `OpenFile` goes to `open_file`. Raises: WireError."""
        if self.is_draining:
            return
        try:
            self._do(member, request)
        except Refused as refused:
            file_id = getattr(request, "file_id", None)
            self.refuse(member, refused, file_id, getattr(request, "request", None))

    def refuse(self, member: Member, refused: CaretsError, file_id: int | None, request: int | None) -> None:
        """Tell a member that its request was not done; it stays."""
        self.delivery.reply(member, messages.refusal(refused, file_id=file_id, request=request))
        self.delivery.flush(member)

    def _do(self, member: Member, request: messages.Request) -> None:
        match request:
            case messages.Ping():
                self.delivery.reply(member, messages.Pong())
                self.delivery.flush(member)
            case messages.OpenFile():
                raise AssertionError("open_file waits, so it does not come by here")
            case messages.CloseFile():
                member.parts.forget(request.file_id)
                if request.file_id in member.gaps:
                    unmended = Refused(Code.FILE_NOT_OPEN, "it was closed before a gap in its edits was mended")
                    self._refuse_update(member, request.file_id, None, unmended)
                    self._pending.touched[member.id] = member
                    self._wake()
                self._give_up_seat(member, request.file_id)
            case messages.Profile():
                self._rename_member(member, request)
            case messages.Hello():
                raise WireError(Code.MALFORMED_MESSAGE, "a second hello")
            case _:
                self._change_files(member, request)

    async def open_file(self, member: Member, request: messages.OpenFile) -> None:
        """Load a file's document, and give the member its place there, or tell it why not."""
        try:
            await self.shelf.load(request.file_id)
            if member.gone is None:
                self._take_seat(member, request)
        except (Refused, StoreFailed) as error:
            self.refuse(member, error, request.file_id, None)

    async def open_stock_file(self, member: Member, file_id: int) -> None:
        """Give a stock client its place in its one file. Raises: Refused, StoreFailed."""
        await self.shelf.load(file_id)
        if member.gone is None:
            self._take_seat(member, messages.OpenFile(file_id, 0))

    def _take_seat(self, member: Member, request: messages.OpenFile) -> None:
        record, file = self.files.live(request.file_id), self.open_files[request.file_id]
        if request.epoch and request.epoch != record.epoch:
            raise Refused(Code.EPOCH_CHANGED)
        author = Author(member.person)
        declared = member.dialect.has_notices
        if declared and member.may_write:
            file.gate.declare(request.client_id, author)
        self._give_up_seat(member, file.id)
        seat = Seat(member, file.id, author, request.client_id if declared else None)
        member.seats[file.id] = file.seats[member.id] = seat
        if not declared:
            self.delivery.keep_stock_fresh()

    def _give_up_seat(self, member: Member, file_id: int) -> None:
        if member.seats.pop(file_id, None) is None:
            return
        if member.outbox.forget(file_id) and member.dialect.has_parts:
            # The next message of this file must not be taken for the rest of this one.
            member.outbox.put(member.dialect.part(wire.abandon_parts(file_id)))
            self.delivery.flush(member)
        file = self.open_files[file_id]
        del file.seats[member.id]
        file.whereabouts.remove(member.id)
        self.delivery.tick_soon()

    def _rename_member(self, member: Member, profile: messages.Profile) -> None:
        member.name = access.clean_label(profile.name, limits.NAME_UNITS_MAX, member.name)
        member.color = access.clean_color(profile.color, member.id)
        self.delivery.arrived(member)
        for file_id in member.seats:
            self.open_files[file_id].whereabouts.restamp(member.record)

    def _change_files(self, member: Member, request: messages.Request) -> None:
        """Admit a change of the list of files; it is told when it is committed. Raises: Refused."""
        if not member.may_write:
            raise Refused(Code.ROLE_TOO_LOW, "a viewer cannot change files")
        now_ms = self._around.now_ms()
        match request:
            case messages.CreateFile():
                record = self.files.create(request.path, request.eol, self._around.entropy(8).hex())
            case messages.RenameFile():
                record = self.files.rename(request.file_id, request.path)
            case messages.DeleteFile():
                record = self.files.delete(request.file_id, now_ms)
            case messages.RestoreFile():
                record = self.files.restore(request.file_id, request.path, now_ms)
            case _:
                raise AssertionError(request)
        if file := self.open_files.get(record.file_id):
            file.deleted = record.deleted_at_ms is not None
        member.requests_open += 1
        self._pending.operate(member, request.request, record)
        self._wake()

    # -- the commit

    def _wake(self) -> None:
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())

    async def _commit_all(self) -> None:
        """Commit what is pending, batch after batch, until nothing is."""
        try:
            while self._pending:
                sealed = self._pending.seal(self.id, self._around.now_ms())
                if not sealed.batch.is_empty:
                    try:
                        await self._around.store.append(sealed.batch)
                    except StoreFailed as error:
                        self.is_failing = True
                        if await self._may_be_kept(sealed.batch):
                            self._drop(error, Code.UNAVAILABLE)
                            return
                        self._fall_back(sealed, error)
                        continue
                self._take_in(sealed)
        except Exception as error:  # noqa: BLE001 - around one room, which is dropped; logged whole
            self.fail(error)
        finally:
            self._committing = None

    def _take_in(self, sealed: Sealed) -> None:
        """What is durable becomes the room's state; then it is told."""
        self.is_failing = False
        for file, edits, append in sealed.edits:
            sizes = [len(edit.update) + _FRAME_HEAD_BYTES for edit in edits]
            large = max(sizes) > limits.PART_BYTES_MAX or sum(sizes) > limits.OUTBOX_BYTES_LAGGING
            before = file.mark() if large else None
            file.commit([edit.update for edit in edits], append.claims)
            self.delivery.broadcast(file, edits, before)
            self.shelf.checkpoint_if_due(file)
        if sealed.operations:
            self._take_in_operations(sealed)
        for member, count in sealed.acks:
            if member.gone is None:
                self.delivery.acknowledge(member, count)
        self.delivery.flush_all()

    def _take_in_operations(self, sealed: Sealed) -> None:
        self.files.commit(sealed.batch.files)
        for operation in sealed.operations:
            asker = operation.member
            asker.requests_open -= 1
            if operation.request is not None and asker.gone is None:
                self.delivery.reply(asker, messages.Files([operation.record], request=operation.request))
        self.delivery.notify(self.members.values(), messages.Files(sealed.batch.files))
        for record in sealed.batch.files:
            file = self.open_files.get(record.file_id)
            if file is None:
                continue
            file.is_lineage_stale = True
            if record.deleted_at_ms is not None:
                for seat in list(file.seats.values()):
                    if not seat.member.dialect.has_notices:
                        self.expel(seat.member, Refused(Code.FILE_DELETED))

    async def _may_be_kept(self, batch: Batch) -> bool:
        """Whether a batch is in the store although its append failed, or cannot be said not to be.

        Then only the log knows what is committed: the numbers that the room would give next may be taken.
        """
        store = self._around.store
        try:
            for append in batch.appends:
                if await store.read_log(self.id, append.file_id, append.seq - 1, 1):
                    return True
            record = await store.load_workspace(self.id) if batch.files else None
        except StoreFailed:
            return True
        return record is not None and {file.file_id: file for file in record.files} != self.files.committed

    def _fall_back(self, sealed: Sealed, error: StoreFailed) -> None:
        """A commit failed: forget what was admitted since the last one, and close whoever waits for it."""
        _log.error("commit_failed", workspace=self.id, error=str(error), files=len(sealed.edits))
        touched = [*sealed.edits, *((file, edits, None) for file, edits in self._pending.edits.items())]
        self._pending.clear()
        self.files.fall_back()
        for file, _, _ in touched:
            file.fall_back()
        for file in self.open_files.values():
            file.deleted = self.files.is_deleted(file.id)
        for member in list(self.members.values()):
            if member.has_unsaved:
                self.expel(member, Unavailable(Code.UNAVAILABLE))

    def fail(self, error: Exception) -> None:
        """A mistake of ours: close everyone; the lobby drops the room, and the log makes it anew."""
        if self.failed is None:
            _log.error("room_failed", workspace=self.id, exc_info=error)
            self._drop(error, Code.INTERNAL)

    def _drop(self, error: Exception, code: Code) -> None:
        """What the room holds may not be what is committed: close everyone; the log makes it anew."""
        _log.error("room_dropped", workspace=self.id, error=str(error))
        self.failed = error
        for member in list(self.members.values()):
            self.expel(member, Unavailable(code))
        self.delivery.stop()

    # -- for the lobby and the edges

    async def put_link(self, link: LinkRecord) -> None:
        """Keep a new or changed link; members on a revoked one are closed at once. Raises: Refused, StoreFailed."""
        is_new = link.link_id not in self.links
        if is_new and len(self.links) + self._links_coming >= limits.LINKS_MAX:
            raise Refused(Code.LINKS_TOO_MANY, f"at most {limits.LINKS_MAX}")
        self._links_coming += is_new
        try:
            await self._around.store.put_link(self.id, link)
        finally:
            self._links_coming -= is_new
        self.links[link.link_id] = link
        if link.revoked_at_ms is not None:
            for member in list(self.members.values()):
                if member.link_id == link.link_id:
                    self.expel(member, Refused(Code.LINK_REVOKED))

    @property
    def is_clean(self) -> bool:
        """Whether all that was admitted is durable."""
        return not self._pending and self._committing is None

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the next commit that edges must read no further until `settle`."""
        return self._pending.bytes_waiting > limits.BATCH_BYTES_MAX

    def sweep(self) -> bool:
        """Put idle files out of memory. Returns whether the room itself may go: empty, clean, nothing under way."""
        if self.failed is not None:
            return self._committing is None and not self.shelf.is_busy
        self.shelf.unload_idle()
        self._expel_expired()
        return not (self.members or self.open_files or self.shelf.is_busy) and self.is_clean

    def _expel_expired(self) -> None:
        now_ms = self._around.now_ms()
        for member in list(self.members.values()):
            link = self.links.get(member.link_id)
            if link is not None and link.expires_at_ms is not None and link.expires_at_ms <= now_ms:
                self.expel(member, Refused(Code.LINK_EXPIRED))

    async def settle(self) -> None:
        """Wait until all that was admitted is durable, and checkpoints under way are kept."""
        while self._committing is not None:
            await asyncio.wait({self._committing})
        await self.shelf.settle()

    def drain(self) -> None:
        """Tell everyone that the server restarts. What comes from now on is not taken, and so sent again elsewhere."""
        self.is_draining = True
        self.delivery.notify(self.members.values(), messages.Draining())
        self.delivery.flush_all()

    def describe(self) -> dict[str, object]:
        """For the operator."""
        return {
            "workspace_id": self.id,
            "members": len(self.members),
            "lagging": sum(member.outbox.lagging for member in self.members.values()),
            "files": [file.describe() for file in self.open_files.values()],
            "clean": self.is_clean,
        }


def first_batch(workspace_id: str, files: dict[str, str], around: Surroundings) -> Batch:
    """The files with which a workspace begins, as their first commit. Raises: Refused."""
    table = FileTable([])
    now_ms = around.now_ms()
    batch = Batch(workspace_id, at_ms=now_ms)
    for path, text in files.items():
        record = table.create(path, "crlf" if "\r\n" in text else "lf", around.entropy(8).hex())
        batch.files.append(record)
        if clean := access.clean_text(text):
            client_id = int.from_bytes(around.entropy(4), "big")
            entry = LogEntry(now_ms, _SERVER, documents.update_of(clean, client_id))
            batch.appends.append(FileAppend(record.file_id, 1, [entry], [(client_id, _SERVER)]))
    return batch
