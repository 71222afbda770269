"""A store in memory that keeps the promises of ``rooms.store``, late or not at all, as the seed says.

Owns: what is durable, and which calls fail. Does not know: what is in an update.
It runs ``tests/suites/store_promises.py`` like any engine. `on_kept` is called in the moment a batch becomes durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random

from carets import limits
from carets.errors import Code
from carets.protocol.messages import FaultName, FileRecord
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

DocumentKey = tuple[int, str]
"""File id and epoch."""


class Fate(Enum):
    """What becomes of one call."""

    DONE = "done"
    REFUSED = "refused"
    """It raises, and has done nothing."""
    UNANSWERED = "unanswered"
    """It raises, and has done all: a commit whose answer was lost."""


@dataclass(slots=True)
class _Log:
    entries: list[LogEntry] = field(default_factory=list)
    owners: dict[int, str] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    quarantined: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Workspace:
    record: WorkspaceRecord
    files: dict[int, FileRecord] = field(default_factory=dict)
    links: dict[str, LinkRecord] = field(default_factory=dict)
    logs: dict[DocumentKey, _Log] = field(default_factory=dict)
    paths: dict[str, list[DocumentKey]] = field(default_factory=dict)
    chat: list[ChatEntry] = field(default_factory=list)
    log_bytes: int = 0

    def log(self, file_id: int) -> _Log:
        if file_id not in self.files:
            raise _failed(f"no file {file_id}")
        return self.logs[file_id, self.files[file_id].epoch]


def _failed(detail: str, fault: FaultName | None = None) -> StoreFailed:
    return StoreFailed(Code.UNAVAILABLE, detail, fault=fault)


class MemoryStore:
    """Durable as long as this object lives: a crash of the server is a new server over the same store."""

    def __init__(self, chance: Random | None = None) -> None:
        self._chance = chance
        self._workspaces: dict[str, _Workspace] = {}
        self._turn = asyncio.Lock()
        self.delay_s = 0.002
        self.append_fate: Callable[[], Fate] = lambda: Fate.DONE
        self.other_fate: Callable[[], Fate] = lambda: Fate.DONE
        self.is_full: Callable[[], bool] = lambda: False
        """While it is, all can be read and nothing can be written."""
        self.on_kept: Callable[[Batch], None] = lambda batch: None

    async def _wait(self) -> None:
        await asyncio.sleep(self.delay_s * self._chance.uniform(0.1, 3.0) if self._chance is not None else 0)

    async def create_workspace(self, record: WorkspaceRecord, first: Batch) -> None:
        """Keep a new workspace, with its links, files and their first updates, durably and at once."""
        async with self._turn:
            if record.workspace_id in self._workspaces:
                raise _failed("there is such a workspace")
            self._workspaces[record.workspace_id] = _Workspace(replace(record, files=[], links=[]))
            batch = replace(first, files=[*record.files, *first.files])
            try:
                self._keep(batch)
            except StoreFailed:
                del self._workspaces[record.workspace_id]
                raise
            self._workspaces[record.workspace_id].links = {link.link_id: link for link in record.links}

    async def load_workspace(self, workspace_id: str) -> WorkspaceRecord | None:
        """The workspace, or None."""
        async with self._turn:
            await self._wait()
            self._pass_or_fail()
            held = self._workspaces.get(workspace_id)
            if held is None:
                return None
            files = [held.files[file_id] for file_id in sorted(held.files)]
            chat = held.chat[-limits.CHAT_TAIL_ENTRIES :]
            links, log_bytes = list(held.links.values()), held.log_bytes
            return replace(held.record, files=files, links=links, chat=chat, log_bytes=log_bytes)

    async def put_workspace(self, workspace_id: str, title: str, deleted_at_ms: int | None) -> None:
        """Keep another title, or since when the workspace is deleted."""
        async with self._turn:
            self._write_or_fail()
            held = self._workspace(workspace_id)
            held.record = replace(held.record, title=title, deleted_at_ms=deleted_at_ms)

    async def read_chat(self, workspace_id: str, before_id: int, count_max: int) -> list[ChatEntry]:
        """The latest entries before an id."""
        async with self._turn:
            self._pass_or_fail()
            earlier = [entry for entry in self._workspace(workspace_id).chat if entry.chat_id < before_id]
            return earlier[max(0, len(earlier) - count_max) :]

    async def append(self, batch: Batch) -> None:
        """Make the batch durable, whole."""
        frozen = replace(
            batch, appends=[replace(a, entries=list(a.entries), claims=list(a.claims)) for a in batch.appends]
        )
        frozen.files, frozen.chat = list(batch.files), list(batch.chat)
        async with self._turn:
            fate = self.append_fate()
            try:
                await self._wait()
            except asyncio.CancelledError:
                if self._chance is not None and self._chance.random() < 0.5:
                    self._keep(frozen)
                raise
            if fate is Fate.REFUSED or self.is_full():
                raise _failed("this append was to fail", "full")
            self._keep(frozen)
            if fate is Fate.UNANSWERED:
                raise _failed("the answer to this append was lost", "failing")

    async def load_file(self, workspace_id: str, file_id: int) -> FileLog:
        """The newest checkpoint of a file and the log after it."""
        async with self._turn:
            await self._wait()
            self._pass_or_fail()
            held = self._workspace(workspace_id)
            log = held.log(file_id)
            after = log.checkpoint.seq if log.checkpoint else 0
            updates = [
                b"" if seq in log.quarantined else entry.update
                for seq, entry in enumerate(log.entries[after:], after + 1)
            ]
            own, path = (file_id, held.files[file_id].epoch), held.files[file_id].path
            former = {client for key in held.paths[path] if key != own for client in held.logs[key].owners}
            return FileLog(log.checkpoint, updates, dict(log.owners), frozenset(former))

    async def put_checkpoint(self, workspace_id: str, file_id: int, checkpoint: Checkpoint) -> None:
        """Keep a newer checkpoint in place of the one before."""
        async with self._turn:
            await self._wait()
            self._write_or_fail()
            log = self._workspace(workspace_id).log(file_id)
            if checkpoint.seq > len(log.entries):
                raise _failed("a checkpoint beyond the log")
            if log.checkpoint is None or log.checkpoint.seq <= checkpoint.seq:
                log.checkpoint = checkpoint

    async def read_log(self, workspace_id: str, file_id: int, after_seq: int, count_max: int) -> list[LogEntry]:
        """At most `count_max` entries of the log, from number ``after_seq + 1`` on."""
        async with self._turn:
            self._pass_or_fail()
            return self._workspace(workspace_id).log(file_id).entries[after_seq : after_seq + count_max]

    async def quarantine(self, workspace_id: str, file_id: int, seq: int) -> None:
        """Set update number `seq` aside."""
        async with self._turn:
            self._write_or_fail()
            log = self._workspace(workspace_id).log(file_id)
            if not 1 <= seq <= len(log.entries):
                raise _failed("no such update")
            log.quarantined.add(seq)
            if log.checkpoint is not None and log.checkpoint.seq >= seq:
                log.checkpoint = None

    async def put_link(self, workspace_id: str, link: LinkRecord) -> None:
        """Keep a new or changed link, durably."""
        async with self._turn:
            self._write_or_fail()
            self._workspace(workspace_id).links[link.link_id] = link

    async def probe(self, bytes_count: int) -> None:
        """Whether what comes next can be kept."""
        async with self._turn:
            await self._wait()
            self._write_or_fail()

    # -- what is durable, for the checks

    def files(self, workspace_id: str) -> dict[int, FileRecord]:
        """The list of files as it is kept."""
        return dict(self._workspaces[workspace_id].files)

    def updates(self, workspace_id: str, file_id: int) -> list[bytes]:
        """All updates of a file's log as they are kept."""
        return [entry.update for entry in self._workspaces[workspace_id].log(file_id).entries]

    def chat(self, workspace_id: str) -> list[ChatEntry]:
        """The chat as it is kept."""
        return list(self._workspaces[workspace_id].chat)

    # -- keeping

    def _workspace(self, workspace_id: str) -> _Workspace:
        if workspace_id not in self._workspaces:
            raise _failed(f"no workspace {workspace_id}")
        return self._workspaces[workspace_id]

    def _pass_or_fail(self) -> None:
        if self.other_fate() is not Fate.DONE:
            raise _failed("this call was to fail", "full")

    def _write_or_fail(self) -> None:
        self._pass_or_fail()
        if self.is_full():
            raise _failed("nothing can be written", "full")

    def _keep(self, batch: Batch) -> None:
        """All of a batch or, with StoreFailed, nothing."""
        held = self._workspace(batch.workspace_id)
        files = held.files | {file.file_id: file for file in batch.files}
        for append in batch.appends:
            if append.file_id not in files:
                raise _failed(f"no file {append.file_id}")
            log = held.logs.get((append.file_id, files[append.file_id].epoch), _Log())
            if append.entries and append.seq != len(log.entries) + 1:
                raise _failed(f"update {append.seq} does not follow {len(log.entries)}")
            if any(log.owners.get(client, person) != person for client, person in append.claims):
                raise _failed("a client id is somebody else's")
        for number, entry in enumerate(batch.chat, len(held.chat) + 1):
            if entry.chat_id != number:
                raise _failed(f"chat entry {entry.chat_id} does not follow {number - 1}")
        for file in batch.files:
            key = file.file_id, file.epoch
            held.files[file.file_id] = file
            held.logs.setdefault(key, _Log())
            keys = held.paths.setdefault(file.path, [])
            if key not in keys:
                keys.append(key)
        for append in batch.appends:
            log = held.log(append.file_id)
            log.entries += append.entries
            log.owners |= dict(append.claims)
        held.chat += batch.chat
        held.log_bytes += batch.log_bytes
        self.on_kept(batch)
