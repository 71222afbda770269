"""A room on a stage: a store in memory, lines that can get stuck, and members whose documents are real.

Owns: doubles of what `rooms` is given, and a reader of the frames that it writes. Does not know: sockets, SQL.
Nothing here waits: a test lets the event loop turn with `settled`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pycrdt import Doc, Text

from carets import limits
from carets.errors import CaretsError, Code
from carets.metrics import Metrics
from carets.protocol import access, messages, wire
from carets.protocol.dialect import CARETS, STOCK, Dialect
from carets.protocol.messages import FaultName, FileRecord
from carets.rooms.lobby import Lobby
from carets.rooms.member import Member
from carets.rooms.room import Room
from carets.rooms.store import (
    Batch,
    ChatEntry,
    Checkpoint,
    FileLog,
    LinkRecord,
    LogEntry,
    StoreFailed,
    WorkspaceRecord,
)
from carets.rooms.surroundings import Surroundings

KEYS = {"viewer": "viewer-key", "editor": "editor-key", "owner": "owner-key"}
ROOM_ID = "workspace-1"


class MemoryStore:
    """Keeps everything in dictionaries. `fails` makes it fail. Appends wait for `gate`, loads for `loading`."""

    def __init__(self) -> None:
        self.workspaces: dict[str, WorkspaceRecord] = {}
        self.logs: dict[tuple[str, int], list[LogEntry]] = {}
        self.owners: dict[tuple[str, int], dict[int, str]] = {}
        self.checkpoints: dict[tuple[str, int], Checkpoint] = {}
        self.quarantined: set[tuple[str, int, int]] = set()
        self.former: frozenset[int] = frozenset()
        self.batches: list[Batch] = []
        self.fails = False
        self.fault: FaultName | None = None
        """While it is set, nothing can be written, and all can be read."""
        self.probes: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.loading = asyncio.Event()
        self.loading.set()

    def _check(self) -> None:
        if self.fails:
            raise StoreFailed(Code.UNAVAILABLE, "this call was to fail")

    def _check_write(self) -> None:
        self._check()
        if self.fault is not None:
            raise StoreFailed(Code.UNAVAILABLE, "the disk does not take it", fault=self.fault)

    async def probe(self, bytes_count: int) -> None:
        self.probes.append(bytes_count)
        self._check_write()

    async def create_workspace(self, record: WorkspaceRecord, first: Batch) -> None:
        self._check_write()
        self.workspaces[record.workspace_id] = record
        record.log_bytes = Batch(record.workspace_id, files=record.files).log_bytes
        self._keep(first)

    async def load_workspace(self, workspace_id: str) -> WorkspaceRecord | None:
        self._check()
        return self.workspaces.get(workspace_id)

    async def append(self, batch: Batch) -> None:
        await self.gate.wait()
        self._check_write()
        self.batches.append(batch)
        self._keep(batch)

    def _keep(self, batch: Batch) -> None:
        record = self.workspaces[batch.workspace_id]
        files = {file.file_id: file for file in record.files} | {file.file_id: file for file in batch.files}
        record.files = list(files.values())
        record.log_bytes += batch.log_bytes
        for entry in batch.chat:
            assert entry.chat_id == len(record.chat) + 1, "the chat goes on where it ended"
            record.chat.append(entry)
        for append in batch.appends:
            log = self.logs.setdefault((batch.workspace_id, append.file_id), [])
            assert append.seq == len(log) + 1, "the log goes on where it ended"
            log += append.entries
            self.owners.setdefault((batch.workspace_id, append.file_id), {}).update(append.claims)

    async def load_file(self, workspace_id: str, file_id: int) -> FileLog:
        await self.loading.wait()
        self._check()
        key = (workspace_id, file_id)
        checkpoint = self.checkpoints.get(key)
        first = checkpoint.seq if checkpoint else 0
        updates = [
            b"" if (*key, seq) in self.quarantined else entry.update
            for seq, entry in enumerate(self.logs.get(key, []), 1)
        ]
        return FileLog(checkpoint, updates[first:], dict(self.owners.get(key, {})), self.former)

    async def put_checkpoint(self, workspace_id: str, file_id: int, checkpoint: Checkpoint) -> None:
        self._check_write()
        self.checkpoints[workspace_id, file_id] = checkpoint

    async def read_log(self, workspace_id: str, file_id: int, after_seq: int, count_max: int) -> list[LogEntry]:
        return self.logs.get((workspace_id, file_id), [])[after_seq : after_seq + count_max]

    async def quarantine(self, workspace_id: str, file_id: int, seq: int) -> None:
        self.quarantined.add((workspace_id, file_id, seq))

    async def put_workspace(self, workspace_id: str, title: str, deleted_at_ms: int | None) -> None:
        await self.gate.wait()
        self._check_write()
        record = self.workspaces[workspace_id]
        record.title, record.deleted_at_ms = title, deleted_at_ms

    async def read_chat(self, workspace_id: str, before_id: int, count_max: int) -> list[ChatEntry]:
        self._check()
        return [entry for entry in self.workspaces[workspace_id].chat if entry.chat_id < before_id][-count_max:]

    async def put_link(self, workspace_id: str, link: LinkRecord) -> None:
        await self.gate.wait()
        self._check_write()
        record = self.workspaces[workspace_id]
        record.links = [each for each in record.links if each.link_id != link.link_id] + [link]


class StageLine:
    """A member's line. While `is_stuck`, what is written waits; otherwise it has left at once."""

    def __init__(self) -> None:
        self.is_stuck = False
        self.waiting = 0
        self.writes: list[bytes] = []
        self.closed_with: CaretsError | None = None

    def write(self, data: bytes) -> int:
        self.writes.append(data)
        self.waiting += len(data) if self.is_stuck else 0
        return self.waiting

    def close(self, error: CaretsError) -> None:
        self.closed_with = error


def frames_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The opcodes and payloads of a server's frames that are whole. Source: RFC 6455, 5.2."""
    at = 0
    while at + 2 <= len(data):
        opcode, length, at = data[at] & 0x0F, data[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            return
        yield opcode, data[at : at + length]
        at += length


class Actor:
    """A member and its side of the line: documents, notices, everything that it was told, in order."""

    def __init__(self, stage: Stage, member: Member, line: StageLine) -> None:
        self.stage, self.member, self.line = stage, member, line
        self.docs: dict[int, Doc[Text]] = {}
        self.notices: list[dict[str, Any]] = []
        self.messages: list[tuple[int, wire.Message]] = []
        self.frame_order: list[int] = []
        self._parts = wire.PartsInbox(limits.FILES_MAX)
        self._unsent: list[tuple[int, bytes]] = []
        self._is_remote = False
        self._subscriptions: list[object] = []

    def doc(self, file_id: int, client_id: int | None = None) -> Doc[Text]:
        """The member's document of a file, made at first sight."""
        if file_id not in self.docs:
            doc: Doc[Text] = Doc(client_id=client_id)
            doc.get("text", type=Text)
            self._subscriptions.append(doc.observe(lambda event: self._changed(file_id, event)))
            self.docs[file_id] = doc
        return self.docs[file_id]

    def _changed(self, file_id: int, event: Any) -> None:
        if not self._is_remote:
            self._unsent.append((file_id, event.update))

    def text(self, file_id: int) -> str:
        """The text as this member sees it, once it has read what was written."""
        self.read()
        return str(self.doc(file_id)["text"])

    def read(self) -> None:
        """Take in everything that was written."""
        writes, self.line.writes = self.line.writes, []
        for opcode, payload in frames_of(b"".join(writes)):
            if opcode == 1:
                self.notices.append(json.loads(payload))
                continue
            if self.member.dialect is STOCK:
                file_id, message = next(iter(self.member.seats), 1), wire.decode_message(payload)
            else:
                file_id, message = wire.decode_frame(payload)
            self.frame_order.append(file_id)
            self._take(file_id, message)

    def _take(self, file_id: int, message: wire.Message) -> None:
        if isinstance(message, wire.Part):
            whole = self._parts.take(file_id, message)
            if whole is None:
                return
            message = whole
        self.messages.append((file_id, message))
        if isinstance(message, wire.Update | wire.Step2):
            self._is_remote = True
            self.doc(file_id).apply_update(message.update)
            self._is_remote = False

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The notices of a type so far."""
        self.read()
        return [notice for notice in self.notices if notice["type"] == kind]

    @property
    def saved(self) -> int:
        counts = [notice["count"] for notice in self.told("saved")]
        assert counts == sorted(set(counts)), "saved never repeats and never goes back"
        return counts[-1] if counts else 0

    async def open(self, file_id: int, client_id: int | None = None, epoch: str = "") -> None:
        """Open a file and send step 1; the answer comes when the loop turns."""
        doc = self.doc(file_id, client_id)
        await self.stage.room.open_file(self.member, messages.OpenFile(file_id, doc.client_id, epoch))
        self.send(file_id, wire.encode_step_1(doc.get_state()))

    def send(self, file_id: int, message: bytes) -> None:
        """Send one message, whole."""
        frame = wire.encode_varuint(file_id) + message
        if not self.stage.room.type_on(self.member, [frame]):
            self.stage.room.receive(self.member, frame)

    def edit(self, file_id: int, index: int, text: str) -> bytes:
        """Type without sending; the update."""
        self.doc(file_id)["text"].insert(index, text)
        return self._unsent.pop()[1]

    def type(self, file_id: int, text: str) -> None:
        """Type at the end and send it."""
        self.send(file_id, wire.encode_update(self.edit(file_id, len(self.text(file_id).encode()), text)))

    def answer_step_1(self, file_id: int) -> int:
        """Answer every step 1 that came; how many there were."""
        self.read()
        asked = [message for at, message in self.messages if at == file_id and isinstance(message, wire.Step1)]
        self.messages = [each for each in self.messages if each[0] != file_id or not isinstance(each[1], wire.Step1)]
        for message in asked:
            self.send(file_id, wire.encode_step_2(self.doc(file_id).get_update(message.state_vector)))
        return len(asked)

    def drain(self) -> None:
        """The line takes everything, once: what is written from then on waits again while it is stuck."""
        self.line.waiting = 0
        self.stage.room.drained(self.member)


class Stage:
    """A lobby over a memory store, a workspace in it, and a clock of its own."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.now_ms = 1_000_000
        self._drawn = self._looks = 0
        self.around = Surroundings(
            self.store,
            lambda: self.now_ms,
            self._entropy,
            b"s" * 32,
            "build-1",
            Metrics(),
            clock_s=self._clock_s,
        )
        self.lobby = Lobby(self.around)
        self.room: Room

    def _clock_s(self) -> float:
        """Each look at it is a microsecond later: what is done here takes that long."""
        self._looks += 1
        return self.now_ms / 1000 + self._looks * 1e-6

    def _entropy(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(4, "big") * (count // 4 + 1)

    async def set_up(self, *paths: str) -> Stage:
        """Make the workspace, with an empty file at each path, and open its room."""
        links = [
            LinkRecord(f"link-{role}", access.Role.of(role).label, access.hash_key(key), role, 0)
            for role, key in KEYS.items()
        ]
        files = [FileRecord(number, path, f"epoch-{number}") for number, path in enumerate(paths, 1)]
        await self.store.create_workspace(WorkspaceRecord(ROOM_ID, "Title", 0, files, links), Batch(ROOM_ID))
        self.room = await self.lobby.enter(ROOM_ID)
        return self

    def join(self, role: str = "editor", dialect: Dialect = CARETS, **hello: str) -> Actor:
        """A new member."""
        line = StageLine()
        member = self.room.join(messages.Hello(key=KEYS[role], **hello), dialect, line)
        return Actor(self, member, line)

    async def editor(self, *file_ids: int, client_id: int | None = None) -> Actor:
        """A new editor who has files open and is up to date."""
        actor = self.join()
        for file_id in file_ids:
            await actor.open(file_id, client_id)
        await settled()
        for file_id in file_ids:
            actor.answer_step_1(file_id)
        await settled()
        return actor


def delays_asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """In how many seconds each thing is to be done that the event loop is asked for from now on.

    The rest after a commit is none of them: here it is some microseconds.
    """
    asked: list[float] = []
    loop = asyncio.get_running_loop()
    real = loop.call_later

    def call_later(delay: float, *more: Any) -> asyncio.TimerHandle:
        if delay >= 0.001:
            asked.append(delay)
        return real(delay, *more)

    monkeypatch.setattr(loop, "call_later", call_later)
    return asked


async def settled(turns: int = 40) -> None:
    """Let the loop turn until whatever can happen without time passing has happened."""
    for _ in range(turns):
        await asyncio.sleep(0)
