"""A workspace while it is open: the members, the files, and the one clock that they share, the commit.

Owns: what comes in, in which order it becomes durable, and when it is told. What goes out is `Delivery`'s.
Does not know: sockets, SQL, other processes.

Invariants:
  1. Nobody is sent an edit, or told that it is saved, before the store has returned.
  2. Gates speak of the admitted state, answers and broadcasts of the committed one.
  3. No method awaits between reading the room's state and changing it. `receive` and `request` are synchronous.
  4. One commit runs at a time. When it fails, the admitted state is the committed one again, and whoever has
     unsaved frames is closed.
  5. While nothing can be saved nothing new is admitted: an edit waits like one with a gap, and is asked for later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from carets import limits
from carets.errors import CaretsError, Code, Refused, Unavailable, WireError
from carets.protocol import access, messages, signals, wire
from carets.protocol.access import Role
from carets.protocol.dialect import Dialect
from carets.protocol.messages import FileRecord
from carets.protocol.updates import decode_state_vector
from carets.rooms import chores, imports, profile, summary
from carets.rooms.allowance import Allowance
from carets.rooms.chat import Chat
from carets.rooms.commit import FileOperation, Pending, Post, Sealed
from carets.rooms.delivery import Delivery, is_large
from carets.rooms.file import OpenFile
from carets.rooms.files import FileTable
from carets.rooms.gathering import Gathering
from carets.rooms.keystrokes import Keystrokes
from carets.rooms.ledger import Ledger
from carets.rooms.links import Links
from carets.rooms.member import Member, Seat, check_parts
from carets.rooms.outbox import Outbox, Sink
from carets.rooms.seats import Seats
from carets.rooms.shelf import Shelf
from carets.rooms.storage import RoomStorage, Storage
from carets.rooms.store import LinkRecord, StoreFailed, WorkspaceRecord, may_be_kept
from carets.rooms.surroundings import Surroundings
from carets.rooms.whole import Whole

_log = structlog.get_logger("carets.room")


class Room:
    """One open workspace."""

    def __init__(self, record: WorkspaceRecord, around: Surroundings, storage: Storage) -> None:
        self.id = record.workspace_id
        self.title = record.title
        self.created_at_ms = record.created_at_ms
        self.deleted_at_ms = record.deleted_at_ms
        self.members: dict[int, Member] = {}
        self.files = FileTable(record.files)
        self.storage = RoomStorage(storage)
        self.ledger = Ledger(record.log_bytes, around.quotas.workspace_bytes_max)
        self.shelf = Shelf(self.id, storage, self.files, around.clock_s, is_carrying=around.is_carrying)
        self.open_files = self.shelf.files
        self.links = Links(record.links)
        self.chat = Chat(record.chat)
        self._whole = Whole(self.id, lambda: self.title, self.members, self.files, self.chat, self.storage)
        self.delivery = Delivery(self.members, self.open_files, self._whole.notices(), self.fail, around.metrics)
        self.seats = Seats(self.open_files, self.files, self.delivery)
        self.failed: Exception | None = None
        self.is_draining = False
        self._around = around
        self._pending = Pending()
        self._keystrokes = Keystrokes(self.open_files, self._pending, self.storage, self.ledger, around.metrics)
        self._committing: asyncio.Task[None] | None = None
        self._member_ids = 0
        self._calls = chores.Calls()
        """Those that will change the workspace: the room stays in memory for them."""
        self._record_turn = asyncio.Lock()
        self.empty_since_ms = around.now_ms()

    # -- members

    def find_link(self, key: str) -> LinkRecord | None:
        """The link of this key; None for an open server's visitor without one. Raises: Refused."""
        if not key and self._around.is_open:
            return None
        return self.links.find(key, self._around.now_ms())

    def join(self, hello: messages.Hello, dialect: Dialect, sink: Sink) -> Member:
        """Let a connection in by its link's key. Raises: Refused, Unavailable."""
        link = self.find_link(hello.key)
        link_id, role = (link.link_id, Role.of(link.role)) if link else ("open", Role.EDITOR)
        person, token = access.link_person(link_id), ""
        if dialect.has_notices:
            person, token = access.recognise(self._around.secret, self.id, hello.person, self._around.entropy)
        for other in list(self.members.values()):
            if hello.page and (other.person, other.page) == (person, hello.page):
                # A page has one connection: the other is dead, and nobody has noticed yet.
                self.expel(other, Unavailable(Code.SILENT, "its page came back by another connection"))
        if len(self.members) >= self._around.quotas.members_max:
            raise Unavailable(Code.ROOM_FULL)
        self._member_ids += 1
        name = access.clean_label(hello.name, limits.NAME_UNITS_MAX, f"Guest {self._member_ids}")
        color = access.clean_color(hello.color, self._member_ids)
        outbox, allowance = Outbox(sink), Allowance(self._around.clock_s)
        member = Member(self._member_ids, person, link_id, role, name, color, dialect, outbox, allowance, hello.page)
        self.members[member.id] = member
        self.delivery.arrived(member)
        self.delivery.reply(member, self._whole.welcome(member, token, self._around))
        if not self.chat.is_empty:
            self.delivery.reply(member, self.chat.tail())
        self.delivery.flush(member)
        return member

    def leave(self, member: Member) -> None:
        """A connection ended. What it had admitted stays admitted."""
        if self.members.pop(member.id, None) is None:
            return
        for file_id in list(member.seats):
            self.seats.give_up(member, file_id)
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

    def type_on(self, member: Member, frames: Sequence[bytes], first: int = 0) -> int:
        """Take the keystrokes with which frames of either door go on; how many: after 0 `receive` must take one."""
        taken = 0 if self.is_draining else self._keystrokes.take(member, frames, first)
        if taken:
            self._wake()
        return taken

    def receive(self, member: Member, data: bytes) -> None:
        """Take one binary frame of ``carets.v1``. Raises: WireError, Unavailable; nothing is changed then."""
        if self.is_draining:
            return
        with member.allowance.measured(len(data)):
            self._receive(member, data)

    def _receive(self, member: Member, data: bytes) -> None:
        file_id, message = wire.decode_frame(data)
        if type(message) is wire.Part:
            whole = member.parts.take(file_id, message)
            if whole is None:
                check_parts(self.members.values())
                return
            message = whole
        elif member.parts.is_open(file_id) and type(message) is not wire.Awareness:
            raise WireError(Code.MALFORMED_MESSAGE, "another message of this file is under way in parts")
        try:
            self._take(member, file_id, message)
        except Refused as refused:
            if not self._give_up(member, file_id, refused):
                self.refuse(member, refused, file_id, None)

    def receive_stock(self, member: Member, file_id: int, data: bytes) -> None:
        """Take one message at the stock door. Raises: WireError, Refused."""
        if self.is_draining:
            return
        with member.allowance.measured(len(data)):
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
            self.open_files[file_id].check_lineage(known)
            self.delivery.answer(seat, message.state_vector)  # type: ignore[union-attr]
        elif kind is wire.Awareness:
            self.seats.take_presence(seat, message.payload)  # type: ignore[union-attr]
        elif kind is wire.QueryAwareness:
            self.delivery.answer_presence(seat)

    def _take_update(self, member: Member, file_id: int, seat: Seat | None, update: bytes, is_step_2: bool) -> None:
        """Admit an edit and queue it, or say why not. Every frame counts, whatever becomes of it."""
        member.received += 1
        self._around.metrics.receive(len(update))
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
        is_held = not self.storage.is_writable and file.gate.has_news(update)
        if not self.ledger.has_room(self._pending.bytes_waiting + len(update)) and file.gate.has_news(update):
            raise self.ledger.refusal()
        admitted = None if is_held else (file.gate.carry if is_step_2 else file.gate.admit)(update, seat.author)
        if admitted is None:
            member.gaps.setdefault(file.id, member.received)
            if not is_step_2 and not is_held:
                # A step 2 with a gap is all that its sender has: asking again would go round for ever.
                self.delivery.ask(seat)
                self.delivery.flush(member)
            return
        if is_step_2:
            member.gaps.pop(file.id, None)
        if admitted:
            member.typing_in = file.id
            self._pending.add(file, member, admitted)

    def _refuse_update(self, member: Member, file_id: int, seat: Seat | None, refused: Refused) -> None:
        # What waits for the repair of a gap is not taken either: the first of it is the frame to name.
        frame = member.gaps.pop(file_id, member.received)
        if not member.dialect.has_notices and refused.code is not Code.ROLE_TOO_LOW:
            raise refused
        self._around.note_refusal(refused, self.id)
        if member.dialect.has_notices:
            if seat is not None:
                seat.blocked = True
            self.delivery.reply(member, messages.refusal(refused, file_id=file_id, frame=frame))
        else:
            denied = wire.encode_permission_denied(str(refused))
            member.outbox.put(member.dialect.message(file_id, denied))
        self.delivery.flush(member)

    def _give_up(self, member: Member, file_id: int, refused: Refused) -> bool:
        """Take a member out of a file; whether it was told so for edits that wait for the repair of a gap there."""
        has_gap = file_id in member.gaps
        if has_gap:
            self._refuse_update(member, file_id, None, refused)
            self._pending.touched[member.id] = member
            self._wake()
        self.seats.give_up(member, file_id)
        return has_gap

    # -- requests

    def request(self, member: Member, request: messages.Request) -> None:
        """Take one text frame; `OpenFile` goes to `open_file`. Raises: WireError, Unavailable for who floods."""
        if self.is_draining:
            return
        try:
            with member.allowance.measured():
                member.allowance.take(request)
                self._do(member, request)
        except (Refused, Unavailable) as refused:
            if refused.code is Code.RATE_LIMITED and not member.allowance.may_be_refused():
                raise
            file_id = None if isinstance(request, messages.Place) else getattr(request, "file_id", None)
            self.refuse(member, refused, file_id, getattr(request, "request", None))

    def refuse(self, member: Member, refused: CaretsError, file_id: int | None, request: int | None) -> None:
        """Tell a member that its request was not done; it stays."""
        self._around.note_refusal(refused, self.id)
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
                unmended = Refused(Code.FILE_NOT_OPEN, "it was closed before a gap in its edits was mended")
                self._give_up(member, request.file_id, unmended)
            case messages.Profile():
                profile.take_profile(member, request, self.open_files)
                self.delivery.arrived(member)
            case messages.Place():
                member.place = request.file_id if request.file_id in self.files.committed else None
                self.delivery.arrived(member)
            case messages.Chat() | messages.Signal() if not member.may_write:
                raise Refused(Code.ROLE_TOO_LOW, "a viewer can neither write into the chat nor send signals")
            case messages.Chat():
                self._post(member, request)
            case messages.Signal():
                signals.check(memoryview(request.data))
                self.delivery.signal(member, request)
            case messages.Hello():
                raise WireError(Code.MALFORMED_MESSAGE, "a second hello")
            case _:
                self._change_files(member, request)

    async def open_file(self, member: Member, request: messages.OpenFile) -> None:
        """Load a file's document, and give the member its place there, or tell it why not."""
        try:
            self.seats.check(member, request.file_id)
            await self.shelf.load(request.file_id, member.allowance)
            if member.gone is None:
                self.seats.take(member, request)
        except (Refused, StoreFailed) as error:
            self.refuse(member, error, request.file_id, None)

    async def open_stock_file(self, member: Member, file_id: int) -> None:
        """Give a stock client its place in its one file. Raises: Refused, StoreFailed."""
        await self.shelf.load(file_id, member.allowance)
        if member.gone is None:
            self.seats.take(member, messages.OpenFile(file_id, 0))

    def _change_files(self, member: Member, request: messages.FileRequest) -> None:
        """Admit a change of the list of files; it is told when it is committed. Raises: Refused, StoreFailed."""
        if not member.may_write:
            raise Refused(Code.ROLE_TOO_LOW, "a viewer cannot change files")
        self._check_waiting(member)
        records = self.files.change(request, self._around.now_ms(), lambda: self._around.entropy(8).hex())
        member.allowance.changed(len(records))
        for record in records:
            if file := self.open_files.get(record.file_id):
                file.deleted = record.deleted_at_ms is not None
        self._pending.operate(FileOperation(records, member=member, request=request.request))
        self._wake()

    def _post(self, member: Member, request: messages.Chat) -> None:
        """Admit a message of the chat; it is told when it is committed. Raises: Refused, Unavailable."""
        self._check_waiting(member)
        text, look = access.clean_message(request.text), (member.name, member.color)
        entry, is_new = self.chat.admit(self._around.now_ms(), member.person, look, text, request.nonce)
        self._pending.post(Post(member, request.request, entry, is_new))
        self._wake()

    def _check_waiting(self, member: Member) -> None:
        """Raises: Refused WORKSPACE_FULL, Unavailable when nothing can be kept, or no more of this member may wait."""
        self.storage.check()
        self.ledger.check(self._pending.bytes_waiting)
        if member.requests_open >= limits.REQUESTS_OPEN_MAX:
            raise Unavailable(Code.RATE_LIMITED, retry_after_s=1.0)

    # -- the commit

    def _wake(self) -> None:
        if self._committing is None:
            self._committing = chores.begin(self._commit_all())

    async def _commit_all(self) -> None:
        """Commit what is pending, batch after batch, until nothing is."""
        try:
            while self._pending:
                sealed = self._pending.seal(self.id, self._around.now_ms())
                if not sealed.batch.is_empty:
                    self.ledger.seal(sealed.batch.log_bytes)
                    try:
                        await self.storage.shared.append(sealed.batch)
                    except StoreFailed as error:
                        self.storage.is_damaged |= error.fault == "damaged"
                        if await may_be_kept(self.storage.shared, sealed.batch, self.files.committed):
                            self._drop(error, Code.UNAVAILABLE)
                            return
                        self._fall_back(sealed, error)
                        continue
                telling = Gathering(sealed.frames, self._around.clock_s)
                self._take_in(sealed)
                await telling.rest()
        except Exception as error:  # noqa: BLE001 - around one room, which is dropped; logged whole
            self.fail(error)
        finally:
            self._committing = None

    def _take_in(self, sealed: Sealed) -> None:
        """What is durable becomes the room's state; then it is told."""
        self.ledger.commit()
        for file, edits, append in sealed.edits:
            before = file.mark() if is_large(edits) else None
            file.commit([edit.update for edit in edits], append.claims)
            self.delivery.broadcast(file, edits, before)
            self.shelf.checkpoint_if_due(file)
        if sealed.operations:
            self._take_in_operations(sealed)
        if sealed.posts:
            self._take_in_chat(sealed)
        for member, count in sealed.acks:
            if member.gone is None:
                self.delivery.acknowledge(member, count)
        self.delivery.flush_all()

    def _take_in_operations(self, sealed: Sealed) -> None:
        self.files.commit(sealed.batch.files)
        for records, _, asker, request, kept in sealed.operations:
            if kept is not None and not kept.done():
                kept.set_result(None)
            if asker is not None:
                asker.requests_open -= 1
                if request is not None and asker.gone is None:
                    self.delivery.reply(asker, messages.Files(records, request=request))
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

    def _take_in_chat(self, sealed: Sealed) -> None:
        for asker, *_ in sealed.posts:
            asker.requests_open -= 1
        self.chat.commit(sealed.batch.chat)
        self.delivery.tell_chat(sealed.posts, self.chat.news(sealed.batch.chat))

    def _fall_back(self, sealed: Sealed, error: StoreFailed) -> None:
        """A commit failed: forget what was admitted since the last one, and close whoever waits for it."""
        _log.error("commit_failed", workspace=self.id, error=str(error), files=len(sealed.edits))
        touched = [*sealed.edits, *((file, edits, None) for file, edits in self._pending.edits.items())]
        self._pending.clear()
        self.ledger.fall_back()
        self.files.fall_back()
        self.chat.fall_back()
        self._pending.disappoint(error)
        for file, _, _ in touched:
            file.fall_back()
        for file in self.open_files.values():
            file.deleted = self.files.is_deleted(file.id)
        for member in list(self.members.values()):
            if member.has_unsaved:
                self.expel(member, Unavailable(Code.UNAVAILABLE))
        if self.storage.is_damaged:
            self.storage_changed()

    def fail(self, error: Exception) -> None:
        """A mistake of ours: close everyone; the lobby drops the room, and the log makes it anew."""
        if self.failed is None:
            _log.error("room_failed", workspace=self.id, exc_info=error)
            self._drop(error, Code.INTERNAL)

    def _drop(self, error: Exception, code: Code) -> None:
        """What the room holds may not be what is committed: close everyone; the log makes it anew."""
        _log.error("room_dropped", workspace=self.id, error=str(error))
        self.failed = error
        self._pending.disappoint(Unavailable(code))
        for member in list(self.members.values()):
            self.expel(member, Unavailable(code))
        self.delivery.stop()

    # -- for the lobby and the edges

    def storage_changed(self) -> None:
        """Tell everybody that nothing can be saved, or that it can again; then ask for what was not admitted."""
        self.delivery.notify(self.members.values(), messages.StorageNotice(self.storage.fault))
        if self.storage.is_writable:
            self.delivery.ask_for_gaps()
        self.delivery.flush_all()

    def _check_open(self) -> None:
        """Raises: Refused, Unavailable when the workspace must not be changed here any more."""
        if self.deleted_at_ms is not None:
            raise Refused(Code.WORKSPACE_DELETED)
        if self.is_draining or self.failed is not None:
            raise Unavailable(Code.DRAINING if self.is_draining else Code.UNAVAILABLE)
        self.storage.check()

    async def import_files(self, author: str, files: Mapping[str, str], key: str | None = None) -> list[FileRecord]:
        """Make files of texts, all in one durable commit or none, while `key` is good. Raises: Refused, Unavailable."""
        with self._calls:
            drafts = await imports.draft_all(files, self._around.entropy)
            self._check_open()
            if key is not None:
                self.find_link(key)
            self.ledger.check(self._pending.bytes_waiting + sum(len(each.update) for each in drafts))
            records, appends = imports.place(drafts, self.files, self._around.entropy, self._around.now_ms(), author)
            kept = self._pending.expect()
            self._pending.operate(FileOperation(records, appends, kept=kept))
            self._wake()
            await kept
            return records

    async def rename(self, title: str) -> None:
        """Give the workspace another title. Raises: Refused, Unavailable."""
        with self._calls:
            async with self._record_turn:
                self._check_open()
                await self.storage.shared.put_workspace(self.id, title, None)
                self.title = title
                self._around.audit.note("workspace_renamed", workspace=self.id)
                self.delivery.notify(self.members.values(), messages.WorkspaceNotice(title))
                self.delivery.flush_all()

    async def delete(self) -> None:
        """Delete the workspace, so that it can be restored, and close everyone. Raises: Refused, Unavailable.

        The log stays: what was saved before, or is saved meanwhile, is there when it is restored.
        """
        with self._calls:
            async with self._record_turn:
                self._check_open()
                now_ms = self._around.now_ms()
                await self.storage.shared.put_workspace(self.id, self.title, now_ms)
                self.deleted_at_ms = now_ms
                self._around.audit.note("workspace_deleted", workspace=self.id, members=len(self.members))
                for member in list(self.members.values()):
                    self.expel(member, Refused(Code.WORKSPACE_DELETED))

    async def restore(self) -> None:
        """Take back the deletion of a workspace that is still in memory. Raises: StoreFailed."""
        with self._calls:
            async with self._record_turn:
                await self.storage.shared.put_workspace(self.id, self.title, None)
                self.deleted_at_ms = None

    async def put_link(self, link: LinkRecord) -> None:
        """Keep a new or changed link; members on a revoked one are closed at once. Raises: Refused, Unavailable."""
        with self._calls, self.links.coming(link):
            await self.storage.shared.put_link(self.id, link)
        self._around.note_link(link, self.id)
        if link.revoked_at_ms is not None:
            self._expel_links({link.link_id}, Code.LINK_REVOKED)
        if self.failed is not None:
            raise Unavailable(Code.UNAVAILABLE, "the workspace may have been opened anew without it: ask again")

    @property
    def is_clean(self) -> bool:
        """Whether all that was admitted is durable."""
        return not self._pending and self._committing is None

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the next commit."""
        return self._pending.bytes_waiting

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the next commit that edges must read no further until `eased`."""
        return self.failed is None and self._pending.bytes_waiting > limits.BATCH_BYTES_MAX

    async def eased(self) -> None:
        """Wait until what waits now is in a commit, or given up; not for what comes meanwhile, as `settle` does."""
        await self._pending.gone.wait()

    def sweep(self) -> bool:
        """Put idle files out of memory. Returns whether the room itself may go: empty, clean, nothing under way."""
        if self.failed is not None:
            return self._committing is None and not self.shelf.is_busy
        self.shelf.unload_idle()
        return not (self.members or self.open_files or self.shelf.is_busy or self._calls) and self.is_clean

    def expel_expired(self) -> None:
        """Close whoever is on a link whose time is over."""
        if expired := self.links.expired(self._around.now_ms()):
            for link_id in expired & {member.link_id for member in self.members.values()}:
                self._around.audit.note("link_expired", workspace=self.id, target=link_id)
            self._expel_links(expired, Code.LINK_EXPIRED)

    def _expel_links(self, link_ids: set[str], code: Code) -> None:
        for member in list(self.members.values()):
            if member.link_id in link_ids:
                self.expel(member, Refused(code))

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
            "members": summary.of_members(self.members.values()),
            "files": summary.of_files(self.open_files.values()),
            "queued_bytes": self.queued_bytes,
            "clean": self.is_clean,
        }
