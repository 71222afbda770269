"""What a room asks of whatever keeps its edits: the promises, not how they are kept.

Owns: the records that pass between rooms and a store, and the protocol `Store`. Does not know: SQL, NATS, disks.
The suite ``tests/suites/store_promises.py`` states every promise below; each engine runs it.

Invariants:
  1. When `append` returns, the batch is durable whole; when it raises, the next `load_*` shows none of it, or all.
  2. The log is the truth: nothing here is ever changed or taken out of it. Checkpoints are derived and may be lost.
  3. Batches of one workspace become durable in the order in which `append` was called.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from carets.errors import Code, Unavailable
from carets.protocol.access import RoleName
from carets.protocol.messages import ChatRecord, FaultName, FileRecord

ROW_BYTES = 64
"""Bytes that anything kept counts for besides its update, text or path."""


class StoreFailed(Unavailable):
    """A store that could not keep or read something.

    `fault` is what ails the store itself; None where what was asked is at fault: it would fail on a sound store too.
    """

    def __init__(
        self, code: Code, detail: str = "", *, fault: FaultName | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(code, detail, retry_after_s=retry_after_s)
        self.fault = fault


class LogEntry(NamedTuple):
    """One update of the log; its bytes name the client id. `author` is "person:...", "link:..." or "server"."""

    at_ms: int
    author: str
    update: bytes


@dataclass(slots=True)
class FileAppend:
    """What one commit adds to one file's log: consecutive updates, the first of which is number `seq` (from 1)."""

    file_id: int
    seq: int
    entries: list[LogEntry]
    claims: list[tuple[int, str]] = field(default_factory=list)
    """Yjs client ids whose first update is here, with the person that owns them from now on."""


class ChatEntry(NamedTuple):
    """One message of a workspace's chat; `chat_id` counts from 1. `nonce` is the author's own name for it."""

    chat_id: int
    at_ms: int
    author: str
    name: str
    color: str
    text: str
    nonce: str

    @property
    def record(self) -> ChatRecord:
        """The entry as members are told it."""
        return ChatRecord(*self[:-1])


@dataclass(slots=True)
class Batch:
    """One commit of one room. `files` are records that are new or changed; they count before `appends`.

    `chat` are consecutive entries that go on where the workspace's chat ended.
    """

    workspace_id: str
    appends: list[FileAppend] = field(default_factory=list)
    files: list[FileRecord] = field(default_factory=list)
    at_ms: int = 0
    chat: list[ChatEntry] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to keep."""
        return not self.appends and not self.files and not self.chat

    @property
    def log_bytes(self) -> int:
        """What the batch adds to the bytes of its workspace: all that it brings, in place of something or not."""
        updates = [len(entry.update) for append in self.appends for entry in append.entries]
        bytes_count = sum(updates) + ROW_BYTES * len(self.appends)
        if self.chat or self.files:
            texts = [entry.text for entry in self.chat] + [file.path for file in self.files]
            bytes_count += sum(len(text.encode(errors="surrogatepass")) for text in texts) + ROW_BYTES * len(texts)
        return bytes_count


class Checkpoint(NamedTuple):
    """A document, encoded, that covers the log up to and with update number `seq`."""

    seq: int
    state: bytes


@dataclass(slots=True)
class FileLog:
    """All that a file's document is made of: a checkpoint, the updates after it, and who owns which client id."""

    checkpoint: Checkpoint | None
    updates: list[bytes]
    """The updates number ``checkpoint.seq + 1`` and on, quarantined ones as empty bytes."""
    owners: dict[int, str]
    former_client_ids: frozenset[int]
    """Client ids of deleted files that had this file's path: their documents must not be merged into this one."""

    @property
    def seq(self) -> int:
        """The number of the last update; 0 when there is none."""
        return (self.checkpoint.seq if self.checkpoint else 0) + len(self.updates)


class LinkRecord(NamedTuple):
    """A link: a role for whoever holds the key whose hash this is."""

    link_id: str
    role: RoleName
    key_hash: bytes
    name: str
    created_at_ms: int
    expires_at_ms: int | None = None
    revoked_at_ms: int | None = None


@dataclass(slots=True)
class WorkspaceRecord:
    """A workspace as it is kept, without its documents, and with the latest `CHAT_TAIL_ENTRIES` of its chat."""

    workspace_id: str
    title: str
    created_at_ms: int
    files: list[FileRecord] = field(default_factory=list)
    links: list[LinkRecord] = field(default_factory=list)
    deleted_at_ms: int | None = None
    chat: list[ChatEntry] = field(default_factory=list)
    log_bytes: int = field(default=0, compare=False)
    """The bytes of all batches that were kept, by `Batch.log_bytes`. They only grow, since the log does."""


class Store(Protocol):
    """The promises. Every method raises `StoreFailed` when it cannot do what it says, and then has done nothing."""

    async def create_workspace(self, record: WorkspaceRecord, first: Batch) -> None:
        """Keep a new workspace, with its links, files and their first updates, durably and at once.

        Its `log_bytes` begin with those of the files and of `first`.
        """

    async def load_workspace(self, workspace_id: str) -> WorkspaceRecord | None:
        """The workspace, deleted or not, or None. Files and chat by their ids, links in the order of their making."""

    async def put_workspace(self, workspace_id: str, title: str, deleted_at_ms: int | None) -> None:
        """Keep another title, or since when the workspace is deleted, durably. All else of it stays as it is."""

    async def read_chat(self, workspace_id: str, before_id: int, count_max: int) -> list[ChatEntry]:
        """The latest entries, at most `count_max`, of those with ids below `before_id`, in the order of their ids."""

    async def append(self, batch: Batch) -> None:
        """Make the batch durable: all of it, in one commit, before this returns."""

    async def load_file(self, workspace_id: str, file_id: int) -> FileLog:
        """The newest checkpoint of a file and the log after it. A file without updates has an empty log."""

    async def put_checkpoint(self, workspace_id: str, file_id: int, checkpoint: Checkpoint) -> None:
        """Keep a newer checkpoint in place of the one before. The log stays as it is."""

    async def read_log(self, workspace_id: str, file_id: int, after_seq: int, count_max: int) -> list[LogEntry]:
        """At most `count_max` entries of the log, from number ``after_seq + 1`` on, quarantined ones with them."""

    async def quarantine(self, workspace_id: str, file_id: int, seq: int) -> None:
        """Set update number `seq` aside: `load_file` gives empty bytes in its place from now on."""

    async def put_link(self, workspace_id: str, link: LinkRecord) -> None:
        """Keep a new or changed link, durably."""

    async def probe(self, bytes_count: int) -> None:
        """Keep so many bytes durably, and let go of them: what comes next can be kept, too."""


async def may_be_kept(store: Store, batch: Batch, committed: dict[int, FileRecord]) -> bool:
    """Whether a batch is in the store although its append failed, or cannot be said not to be.

    `committed` are the files as they were before it. A batch is kept whole or not at all, so any part of it tells.
    """
    try:
        for append in batch.appends:
            if append.entries and await store.read_log(batch.workspace_id, append.file_id, append.seq - 1, 1):
                return True
        for entry in batch.chat[-1:]:
            if entry in await store.read_chat(batch.workspace_id, entry.chat_id + 1, 1):
                return True
        record = await store.load_workspace(batch.workspace_id) if batch.files else None
    except StoreFailed:
        return True
    return record is not None and {file.file_id: file for file in record.files} != committed
