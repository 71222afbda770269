"""What waits for the next commit of a room, and what one commit holds.

Owns: the order of admitted edits, file operations and chat, and which frames are acknowledged with them.
Does not know: documents, stores, sockets.

Invariant: what is sealed is gone from here; it comes back only as committed, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from carets import limits
from carets.protocol.lanes import Lane
from carets.protocol.messages import FileRecord
from carets.protocol.wire import encode_varuint
from carets.rooms.file import OpenFile
from carets.rooms.member import Member, Seat
from carets.rooms.store import Batch, ChatEntry, FileAppend, LogEntry

_RECORD_BYTES = 500
"""Bytes that a record of a file or of the chat takes besides its path or text, here and in what is told of it."""


@dataclass(slots=True, eq=False)
class Edit:
    """An admitted update and the member who sent it; or a run: keystrokes that go on one behind the other.

    A run becomes one update when it is sealed, as Yjs itself writes what was typed in one go. Until then `update` is
    how that one begins, `texts` are the texts of its keystrokes, and `end` is the clock behind the last of them.
    """

    member: Member
    update: bytes
    texts: list[bytes] | None = None
    texts_bytes: int = 0
    end: int = 0

    def seal(self) -> bytes:
        """End a run. Returns the update."""
        if self.texts is not None:
            text, self.texts = b"".join(self.texts), None
            self.update = b"%b%b%b\0" % (self.update, encode_varuint(len(text)), text)
        return self.update


class FileOperation(NamedTuple):
    """An admitted change of the list of files, and the first updates of files that come with their texts.

    Who asked is a member, which knows the answer by `request`, or waits for `kept`.
    """

    records: list[FileRecord]
    appends: Sequence[FileAppend] = ()
    member: Member | None = None
    request: int | None = None
    kept: asyncio.Future[None] | None = None


class Post(NamedTuple):
    """An admitted message of the chat. A repetition, which is not new, is only answered, after what it repeats."""

    member: Member
    request: int | None
    entry: ChatEntry
    is_new: bool


@dataclass(slots=True)
class Sealed:
    """One commit: what the store must keep, and what follows when it has."""

    batch: Batch
    edits: list[tuple[OpenFile, list[Edit], FileAppend]]
    operations: list[FileOperation]
    posts: list[Post]
    acks: list[tuple[Member, int]]

    @property
    def frames(self) -> int:
        """How many frames will be told saved with it."""
        return sum(count - member.saved for member, count in self.acks)


@dataclass(slots=True)
class Pending:
    """What gathers while a commit runs."""

    edits: dict[OpenFile, list[Edit]] = field(default_factory=dict)
    runs: dict[Lane, Edit] = field(default_factory=dict)
    """The run at the end of each client id's edits, for what it types on."""

    operations: list[FileOperation] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    touched: dict[int, Member] = field(default_factory=dict)
    """Members with a frame that came since the last commit began; no-ops count."""

    bytes_waiting: int = 0
    awaited: set[asyncio.Future[None]] = field(default_factory=set)
    """What outsiders wait for; it outlives the sealing of what it is about."""

    _gone: asyncio.Event | None = None
    """What `gone` gave for what is here now: hardly any batch is waited for."""

    def __bool__(self) -> bool:
        return bool(self.touched or self.operations or self.edits)

    def add(self, file: OpenFile, member: Member, update: bytes) -> None:
        """Queue an admitted update."""
        self._queue(file, Edit(member, update))
        self.bytes_waiting += len(update)
        self.touched[member.id] = member

    def type_on(self, file: OpenFile, seat: Seat, frames: Sequence[bytes], first: int) -> int:
        """Admit and queue the keystrokes with which `frames` go on from number `first`; how many they were."""
        lane, member = seat.author.lane, seat.member
        if lane is None:
            return 0
        run = self.runs.get(lane)
        goes_on = run is not None and run.member is member and run.end == lane.next
        if run is None or not goes_on or run.texts_bytes >= limits.RUN_BYTES_MAX:
            run = Edit(member, bytes(lane.keystroke), [])
        texts = file.gate.type_on(frames, first, seat.update_head, seat.author)
        if not texts:
            return 0
        if not run.texts:
            self.runs[lane] = run
            self._queue(file, run)
        run.texts += texts  # type: ignore[operator]
        run.texts_bytes += sum(map(len, texts))
        run.end = lane.next
        return len(texts)

    def _queue(self, file: OpenFile, edit: Edit) -> None:
        edits = self.edits.get(file)
        if edits is None:
            edits = self.edits[file] = []
        edits.append(edit)
        file.admitted_seq += 1

    def operate(self, operation: FileOperation) -> None:
        """Queue an admitted change of the list of files."""
        self.operations.append(operation)
        self.bytes_waiting += sum(_RECORD_BYTES + len(record.path) for record in operation.records)
        self.bytes_waiting += sum(len(entry.update) for append in operation.appends for entry in append.entries)
        if operation.member is not None:
            operation.member.requests_open += 1
            self.touched[operation.member.id] = operation.member

    def expect(self) -> asyncio.Future[None]:
        """A future for an operation that an outsider waits for."""
        kept = asyncio.get_running_loop().create_future()
        self.awaited.add(kept)
        kept.add_done_callback(self.awaited.discard)
        return kept

    def disappoint(self, error: Exception) -> None:
        """Tell all outsiders that what they wait for will not be."""
        for kept in self.awaited:
            if not kept.done():
                kept.set_exception(error)
        self._let_go()

    def post(self, post: Post) -> None:
        """Queue a message of the chat."""
        self.posts.append(post)
        self.bytes_waiting += _RECORD_BYTES + len(post.entry.text)
        post.member.requests_open += 1
        self.touched[post.member.id] = post.member

    def clear(self) -> None:
        """Begin anew."""
        self.edits, self.runs, self.operations, self.posts = {}, {}, [], []
        self.touched, self.bytes_waiting = {}, 0
        self._let_go()

    @property
    def gone(self) -> asyncio.Event:
        """Set when what is here now is here no more; what comes after has another one."""
        if self._gone is None:
            self._gone = asyncio.Event()
        return self._gone

    def _let_go(self) -> None:
        if self._gone is not None:
            self._gone.set()
            self._gone = None

    def seal(self, workspace_id: str, now_ms: int) -> Sealed:
        """Make all that is here into one commit."""
        batch = Batch(workspace_id, at_ms=now_ms, chat=[post.entry for post in self.posts if post.is_new])
        for operation in self.operations:
            batch.files += operation.records
            batch.appends += operation.appends
        grouped = []
        for file, edits in self.edits.items():
            entries = [LogEntry(now_ms, edit.member.person, edit.seal()) for edit in edits]
            append = FileAppend(file.id, file.seq + 1, entries, file.gate.take_claims())
            batch.appends.append(append)
            grouped.append((file, edits, append))
        acks = [(member, member.acknowledgeable) for member in self.touched.values()]
        sealed = Sealed(batch, grouped, self.operations, self.posts, acks)
        self.clear()
        return sealed
