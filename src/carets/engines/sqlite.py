"""Keeps the promises of ``rooms.store`` in one SQLite file.

Owns: the writer thread with its group commit, the readers, the SQL. Does not know: rooms, or what is in an update.

Invariants:
  1. Nobody is answered before the COMMIT that covers their write returned; ``synchronous=FULL`` syncs before that.
  2. All that waits when the writer is free goes into one transaction; if that fails, each is tried alone.
  3. After a failed transaction the connection is rolled back, or closed and opened anew.
  4. Reads never run on the event loop, and see every write that was asked for before them.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from carets import limits
from carets.engines.record import encode_checkpoint, encode_record
from carets.engines.sqlite_faults import Faults
from carets.engines.sqlite_file import LOG_PAGES_MAX, connect_reader, connect_writer, open_file
from carets.engines.sqlite_log import LAST_SEQ, Place, read_after, read_checkpoint, read_rest
from carets.errors import Code
from carets.protocol.messages import FileRecord
from carets.rooms.store import (
    Batch,
    ChatEntry,
    Checkpoint,
    FileAppend,
    FileLog,
    LinkRecord,
    LogEntry,
    StoreFailed,
    WorkspaceRecord,
)

_log = structlog.get_logger("carets.store")

T = TypeVar("T")

READERS = 2
"""Threads that read: one large load must not keep a small one waiting; more would only fight over Python's lock."""


# -- threads


def _closed() -> StoreFailed:
    return StoreFailed(Code.UNAVAILABLE, "the store is closed")


@dataclass(slots=True, eq=False)
class _Job:
    """A write that waits: how to do it, about how many bytes it adds, and whom to tell."""

    work: Callable[[sqlite3.Connection], object]
    bytes_added: int
    future: asyncio.Future[Any]
    result: object = None
    failure: StoreFailed | None = None
    is_told: bool = False
    followers: list[asyncio.Future[None]] = field(default_factory=list)
    """Those who wait until it is told, however it went, and whoever asked for it."""


def _tell(jobs: list[_Job]) -> None:
    """On the event loop: answer all of one commit. Who was cancelled meanwhile hears nothing."""
    for job in jobs:
        job.is_told = True
        if job.future.done():
            pass
        elif job.failure is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.failure)
        for follower in job.followers:
            if not follower.done():
                follower.set_result(None)


class _Writer:
    """The one thread that writes.

    What waits needs no bound in bytes of its own: a room has one batch in flight, of `limits.BATCH_BYTES_MAX` at most.
    """

    def __init__(
        self, connection: sqlite3.Connection, reconnect: Callable[[], sqlite3.Connection], faults: Faults
    ) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._reconnect = reconnect
        self._faults = faults
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        """None is the last."""
        self._closing = threading.Lock()
        """Held to close, and by whoever adds what must not come after the last."""
        self._is_closing = False
        self._last: _Job | None = None
        self._log_pages = 0
        self._thread = threading.Thread(target=self._run, name="carets-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[sqlite3.Connection], T], bytes_added: int = 0) -> T:
        """Run `work` in the next transaction and return what it returned, once that is durable.

        A caller that is cancelled leaves its write where it is: it is done whole, or fails whole.
        """
        job = _Job(work, bytes_added, asyncio.get_running_loop().create_future())
        with self._closing:
            if self._is_closing:
                raise _closed()
            self._last = job
            self._waiting.put(job)
        result: T = await job.future
        return result

    async def settled(self) -> None:
        """Wait until every write that was asked for before is done or has failed: they are answered in order."""
        last, loop = self._last, asyncio.get_running_loop()
        if last is not None and not last.is_told and last.future.get_loop() is loop:
            follower = loop.create_future()
            last.followers.append(follower)
            await follower

    def close(self) -> None:
        """Do what still waits, then end. For any thread but the event loop's.

        A write that does not return is left to the kernel: nobody was told that it is done, and the process ends.
        """
        with self._closing:
            self._is_closing = True
            self._waiting.put(None)
        self._thread.join(limits.STORE_CLOSE_S)
        if self._thread.is_alive():
            _log.error("write_abandoned", next_step="see whether the disk answers; nothing that was saved is lost")

    def _run(self) -> None:
        is_open = True
        while is_open:
            first = self._waiting.get()
            # Nobody else takes from it, so as many are there at least.
            rest = [self._waiting.get() for _ in range(self._waiting.qsize())]
            jobs = [job for job in (first, *rest) if job is not None]
            is_open = len(jobs) > len(rest)  # else None was there
            if not jobs:
                break
            if not self._commit(jobs) and len(jobs) > 1:
                for job in jobs:
                    self._commit([job])
            for loop in {job.future.get_loop() for job in jobs}:
                with suppress(RuntimeError):  # a loop that has ended has nobody to tell
                    loop.call_soon_threadsafe(_tell, [job for job in jobs if job.future.get_loop() is loop])
            self._trim()
        self._drop_connection()

    def _commit(self, jobs: list[_Job]) -> bool:
        """Do all of `jobs` in one transaction, or none, and note in each how it went."""
        try:
            self._faults.refuse_another_file()
            connection = self._connection = self._connection or self._reconnect()
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                job.result = job.work(connection)
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the process's one writer must outlive whatever one write does
            failure = self._faults.failure(error)
            self._roll_back(failure)
            for job in jobs:
                job.failure = failure
            return False
        for job in jobs:
            job.failure = None
            self._log_pages += 2 + job.bytes_added // 4096
        return True

    def _roll_back(self, failure: StoreFailed) -> None:
        """After a batch that the store is too sound to take, go on; after a failing disk, with a new connection.

        A lock that could not be let go, for one, stays with the connection, and would fail whatever comes.
        """
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop_connection()
        if failure.fault is not None:
            self._drop_connection()

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _trim(self) -> None:
        """Move a long SQLite log into the file: here and not in a COMMIT, where somebody would wait for it."""
        if self._log_pages >= LOG_PAGES_MAX and self._connection is not None:
            self._log_pages = 0
            with suppress(sqlite3.Error):  # what is in the log stays there, and is safe
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


class _Readers:
    """Some threads that read, each read seeing one moment of the file."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], faults: Faults) -> None:
        self._connect = connect
        self._faults = faults
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="carets-reader")
        self._idle: queue.SimpleQueue[sqlite3.Connection | None] = queue.SimpleQueue()
        self._is_closing = False
        for _ in range(READERS):
            self._idle.put(None)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns. Raises: StoreFailed."""
        if self._is_closing:
            raise _closed()
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    def close(self) -> None:
        """Finish the reads that were begun, then end. For any thread but the event loop's."""
        self._is_closing = True
        self._threads.shutdown()
        while not self._idle.empty():
            connection = self._idle.get()
            if connection is not None:
                connection.close()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle.get()
        try:
            if connection is None:
                connection = self._connect()
            connection.execute("BEGIN")
            result = work(connection)
            connection.execute("COMMIT")
        except Exception as error:
            # A new connection is the simplest known state.
            if connection is not None:
                connection.close()
                connection = None
            raise self._faults.failure(error) from error
        else:
            return result
        finally:
            self._idle.put(connection)


# -- SQL

_CURRENT = "workspaces JOIN files USING (workspace) WHERE workspace_id = ? AND file_id = ?"
_PUT_UPDATES = f"""
    INSERT INTO log (document, seq, count, record) SELECT document, ?, ?, ? FROM {_CURRENT}
    AND {LAST_SEQ.format("files.document")} = ? - 1
"""  # noqa: S608 - made of our own constants
_PUT_CLAIM = f"""
    INSERT INTO client_ids (document, client_id, person) SELECT document, ?, ? FROM {_CURRENT}
    ON CONFLICT (document, client_id) DO UPDATE SET person = excluded.person WHERE person = excluded.person
"""  # noqa: S608 - made of our own constants
_PUT_DOCUMENT = """
    INSERT INTO documents (workspace, file_id, epoch) SELECT workspace, ?, ? FROM workspaces WHERE workspace_id = ?
    ON CONFLICT DO NOTHING
"""
_PUT_FILE = """
    INSERT INTO files (workspace, file_id, document, path, eol, deleted_at_ms)
    SELECT workspace, file_id, document, ?, ?, ? FROM workspaces JOIN documents USING (workspace)
    WHERE workspace_id = ? AND file_id = ? AND epoch = ?
    ON CONFLICT (workspace, file_id) DO UPDATE SET document = excluded.document, path = excluded.path,
        eol = excluded.eol, deleted_at_ms = excluded.deleted_at_ms
"""
_PUT_PATH = f"""
    INSERT INTO paths (workspace, path, document) SELECT workspace, path, document FROM {_CURRENT}
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - made of our own constants
_PUT_LINK = """
    INSERT INTO links (workspace, link_id, role, key_hash, name, created_at_ms, expires_at_ms, revoked_at_ms)
    SELECT workspace, ?, ?, ?, ?, ?, ?, ? FROM workspaces WHERE workspace_id = ?
    ON CONFLICT (workspace, link_id) DO UPDATE SET role = excluded.role, key_hash = excluded.key_hash,
        name = excluded.name, created_at_ms = excluded.created_at_ms, expires_at_ms = excluded.expires_at_ms,
        revoked_at_ms = excluded.revoked_at_ms
"""
_PUT_CHAT = """
    INSERT INTO chat (workspace, chat_id, at_ms, author, name, color, text, nonce)
    SELECT workspace, ?, ?, ?, ?, ?, ?, ? FROM workspaces WHERE workspace_id = ?
    AND ? - 1 = coalesce((SELECT max(chat_id) FROM chat WHERE chat.workspace = workspaces.workspace), 0)
"""
_READ_CHAT = """
    SELECT chat_id, at_ms, author, name, color, text, nonce FROM chat WHERE workspace = ? AND chat_id < ?
    ORDER BY chat_id DESC LIMIT ?
"""
_COUNT_BYTES = "UPDATE workspaces SET log_bytes = log_bytes + ? WHERE workspace_id = ?"
_PUT_CHECKPOINT = """
    INSERT INTO checkpoints (document, seq, state) VALUES (?, ?, ?)
    ON CONFLICT (document) DO UPDATE SET seq = excluded.seq, state = excluded.state WHERE excluded.seq >= seq
"""
_FORMER_CLIENT_IDS = """
    SELECT DISTINCT client_id FROM paths JOIN client_ids USING (document)
    WHERE workspace = ? AND path = ? AND document <> ?
"""


_PROBE = "probe"
"""The name of what is kept to see whether it can be."""

_AFTER_ALL = 2**63 - 1
"""Above every id that SQLite can hold."""


def _do_one(connection: sqlite3.Connection, complaint: str, sql: str, values: tuple[object, ...]) -> None:
    """Run what must change exactly one row. Raises: StoreFailed with the complaint."""
    if connection.execute(sql, values).rowcount != 1:
        raise StoreFailed(Code.UNAVAILABLE, complaint)


def _find_document(connection: sqlite3.Connection, workspace_id: str, file_id: int) -> tuple[int, int, str, int]:
    """The document of a file, its workspace, its path and the number of its last update. Raises: StoreFailed."""
    last_seq = LAST_SEQ.format("files.document")
    sql = f"SELECT document, workspace, path, {last_seq} FROM {_CURRENT}"  # noqa: S608 - made of our own constants
    row: tuple[int, int, str, int] | None = connection.execute(sql, (workspace_id, file_id)).fetchone()
    if row is None:
        raise StoreFailed(Code.UNAVAILABLE, f"no file {file_id} in workspace {workspace_id}")
    return row


def _put_file(connection: sqlite3.Connection, workspace_id: str, file: FileRecord) -> None:
    connection.execute(_PUT_DOCUMENT, (file.file_id, file.epoch, workspace_id))
    values = (file.path, file.eol, file.deleted_at_ms, workspace_id, file.file_id, file.epoch)
    _do_one(connection, f"no workspace {workspace_id}", _PUT_FILE, values)
    connection.execute(_PUT_PATH, (workspace_id, file.file_id))


def _put_link(connection: sqlite3.Connection, workspace_id: str, link: LinkRecord) -> None:
    _do_one(connection, f"no workspace {workspace_id}", _PUT_LINK, (*link, workspace_id))


def _find_workspace(connection: sqlite3.Connection, workspace_id: str) -> int:
    """The number of a workspace. Raises: StoreFailed."""
    sql = "SELECT workspace FROM workspaces WHERE workspace_id = ?"
    row: tuple[int] | None = connection.execute(sql, (workspace_id,)).fetchone()
    if row is None:
        raise StoreFailed(Code.UNAVAILABLE, f"no workspace {workspace_id}")
    return row[0]


def _read_chat(connection: sqlite3.Connection, workspace: int, before_id: int, count_max: int) -> list[ChatEntry]:
    """The latest entries before an id, oldest first."""
    rows = connection.execute(_READ_CHAT, (workspace, before_id, max(0, count_max))).fetchall()
    return [ChatEntry(*row) for row in reversed(rows)]


@dataclass(slots=True)
class _Write:
    """A batch as it was when it was given: the caller's lists may change while it waits."""

    workspace_id: str
    files: list[FileRecord]
    appends: list[tuple[int, int, int, bytes, list[tuple[int, str]]]]
    chat: list[ChatEntry]
    log_bytes: int
    bytes_added: int

    @classmethod
    def of(cls, batch: Batch) -> _Write:
        try:
            appends = [_freeze(append) for append in batch.appends]
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreFailed(Code.UNAVAILABLE, f"{type(error).__name__}: {error}") from error
        bytes_added = sum(len(record) for *_, record, _ in appends) + sum(len(entry.text) for entry in batch.chat)
        return cls(batch.workspace_id, list(batch.files), appends, list(batch.chat), batch.log_bytes, bytes_added)

    def run(self, connection: sqlite3.Connection) -> None:
        for file in self.files:
            _put_file(connection, self.workspace_id, file)
        for file_id, seq, count, record, claims in self.appends:
            at = (self.workspace_id, file_id)
            if count:
                complaint = f"update {seq} of file {file_id} does not follow the log, or there is no such file"
                _do_one(connection, complaint, _PUT_UPDATES, (seq, count, record, *at, seq))
            for client_id, person in claims:
                complaint = f"client id {client_id} of file {file_id} is somebody else's, or there is no such file"
                _do_one(connection, complaint, _PUT_CLAIM, (client_id, person, *at))
        for entry in self.chat:
            complaint = f"chat entry {entry.chat_id} does not follow the chat, or there is no such workspace"
            _do_one(connection, complaint, _PUT_CHAT, (*entry, self.workspace_id, entry.chat_id))
        connection.execute(_COUNT_BYTES, (self.log_bytes, self.workspace_id))


def _freeze(append: FileAppend) -> tuple[int, int, int, bytes, list[tuple[int, str]]]:
    return append.file_id, append.seq, len(append.entries), encode_record(append.entries), list(append.claims)


# -- the store


class SqliteStore:
    """A `Store` in one file. Open it with `open`, end with `close`; after that, every call raises StoreFailed."""

    def __init__(self, writer: _Writer, readers: _Readers) -> None:
        self._writer = writer
        self._readers = readers

    @classmethod
    def open(cls, path: Path, *, connection_class: type[sqlite3.Connection] = sqlite3.Connection) -> SqliteStore:
        """Open the file, make it when missing, and bring its schema up to date. Blocks: for start-up only.

        The caller holds the data directory's lock. `connection_class` lets tests fail what they like.

        Raises: Misconfigured when the file cannot be used, before anything in it was changed.
        """
        connection = open_file(path, connection_class)
        faults = Faults(path)
        writer = _Writer(connection, lambda: connect_writer(path, connection_class), faults)
        return cls(writer, _Readers(lambda: connect_reader(path, connection_class), faults))

    async def close(self) -> None:
        """Do what was asked for, then let go of the file."""
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._writer.close)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds, seeing one moment of the file and every write that was asked for before."""
        await self._writer.settled()
        return await self._readers.read(work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, once what it did is durable: it is one part of a transaction, or all of one."""
        return await self._writer.write(work)

    async def create_workspace(self, record: WorkspaceRecord, first: Batch) -> None:
        """Keep a new workspace, with its links, files and their first updates, durably and at once."""
        write = _Write.of(replace(first, files=[*record.files, *first.files]))
        links = list(record.links)
        row = (record.workspace_id, record.title, record.created_at_ms)

        def create(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO workspaces (workspace_id, title, created_at_ms) VALUES (?, ?, ?)", row)
            for link in links:
                _put_link(connection, record.workspace_id, link)
            write.run(connection)

        await self._writer.write(create, write.bytes_added)

    async def load_workspace(self, workspace_id: str) -> WorkspaceRecord | None:
        """The workspace, deleted or not, or None. Files and chat by their ids, links in the order of their making."""

        def load(connection: sqlite3.Connection) -> WorkspaceRecord | None:
            sql = "SELECT workspace, title, created_at_ms, deleted_at_ms, log_bytes FROM workspaces"
            row = connection.execute(f"{sql} WHERE workspace_id = ?", (workspace_id,)).fetchone()
            if row is None:
                return None
            files = connection.execute(
                "SELECT files.file_id, path, epoch, eol, deleted_at_ms FROM files JOIN documents USING (document)"
                " WHERE files.workspace = ? ORDER BY files.file_id",
                row[:1],
            )
            links = connection.execute(
                "SELECT link_id, role, key_hash, name, created_at_ms, expires_at_ms, revoked_at_ms FROM links"
                " WHERE workspace = ? ORDER BY link",
                row[:1],
            )
            workspace, title, created_at_ms, deleted_at_ms, log_bytes = row
            return WorkspaceRecord(
                workspace_id,
                title,
                created_at_ms,
                [FileRecord(*file) for file in files],
                [LinkRecord(*link) for link in links],
                deleted_at_ms,
                _read_chat(connection, workspace, _AFTER_ALL, limits.CHAT_TAIL_ENTRIES),
                log_bytes,
            )

        return await self.read(load)

    async def put_workspace(self, workspace_id: str, title: str, deleted_at_ms: int | None) -> None:
        """Keep another title, or since when the workspace is deleted, durably. All else of it stays as it is."""
        sql = "UPDATE workspaces SET title = ?, deleted_at_ms = ? WHERE workspace_id = ?"
        values = (title, deleted_at_ms, workspace_id)
        await self._writer.write(lambda connection: _do_one(connection, f"no workspace {workspace_id}", sql, values))

    async def read_chat(self, workspace_id: str, before_id: int, count_max: int) -> list[ChatEntry]:
        """The latest entries, at most `count_max`, of those with ids below `before_id`, in the order of their ids."""

        def read(connection: sqlite3.Connection) -> list[ChatEntry]:
            return _read_chat(connection, _find_workspace(connection, workspace_id), before_id, count_max)

        return await self.read(read)

    async def append(self, batch: Batch) -> None:
        """Make the batch durable: all of it, in one commit, before this returns."""
        write = _Write.of(batch)
        await self._writer.write(write.run, write.bytes_added)

    async def load_file(self, workspace_id: str, file_id: int) -> FileLog:
        """The newest checkpoint of a file and the log after it. A file without updates has an empty log.

        A checkpoint that is damaged counts as none; a log that is damaged raises, with the workspace, the file and the
        number of the update.
        """

        def load(connection: sqlite3.Connection) -> FileLog:
            document, workspace, path, _ = _find_document(connection, workspace_id, file_id)
            at, place = (document,), Place(document, workspace_id, file_id)
            checkpoint = read_checkpoint(connection, place)
            after = checkpoint.seq if checkpoint else 0
            updates = read_rest(connection, place, checkpoint)
            aside = connection.execute("SELECT seq FROM quarantine WHERE document = ? AND seq > ?", (document, after))
            for (seq,) in aside:
                updates[seq - after - 1] = b""
            owners = dict(connection.execute("SELECT client_id, person FROM client_ids WHERE document = ?", at))
            former = connection.execute(_FORMER_CLIENT_IDS, (workspace, path, document))
            return FileLog(checkpoint, updates, owners, frozenset(client_id for (client_id,) in former))

        return await self.read(load)

    async def put_checkpoint(self, workspace_id: str, file_id: int, checkpoint: Checkpoint) -> None:
        """Keep a newer checkpoint in place of the one before; an older one changes nothing. The log stays as it is."""
        state = encode_checkpoint(checkpoint.state)

        def put(connection: sqlite3.Connection) -> None:
            document, _, _, last_seq = _find_document(connection, workspace_id, file_id)
            if not 0 <= checkpoint.seq <= last_seq:
                raise StoreFailed(Code.UNAVAILABLE, f"a checkpoint at {checkpoint.seq}, but the log ends at {last_seq}")
            connection.execute(_PUT_CHECKPOINT, (document, checkpoint.seq, state))

        await self._writer.write(put, len(checkpoint.state))

    async def read_log(self, workspace_id: str, file_id: int, after_seq: int, count_max: int) -> list[LogEntry]:
        """At most `count_max` entries of the log, from number ``after_seq + 1`` on, quarantined ones with them."""

        def read(connection: sqlite3.Connection) -> list[LogEntry]:
            document, *_ = _find_document(connection, workspace_id, file_id)
            place = Place(document, workspace_id, file_id)
            return read_after(connection, place, max(0, after_seq), max(0, count_max))

        return await self.read(read)

    async def quarantine(self, workspace_id: str, file_id: int, seq: int) -> None:
        """Set update number `seq` aside: `load_file` gives empty bytes in its place from now on.

        A checkpoint that covers it holds what is set aside, so it goes; it can be made anew from the log.
        """

        def set_aside(connection: sqlite3.Connection) -> None:
            document, _, _, last_seq = _find_document(connection, workspace_id, file_id)
            if not 1 <= seq <= last_seq:
                raise StoreFailed(Code.UNAVAILABLE, f"no update {seq} in file {file_id}: the log ends at {last_seq}")
            connection.execute("INSERT INTO quarantine VALUES (?, ?) ON CONFLICT DO NOTHING", (document, seq))
            connection.execute("DELETE FROM checkpoints WHERE document = ? AND seq >= ?", (document, seq))

        await self._writer.write(set_aside)

    async def put_link(self, workspace_id: str, link: LinkRecord) -> None:
        """Keep a new or changed link, durably."""
        await self._writer.write(lambda connection: _put_link(connection, workspace_id, link))

    async def probe(self, bytes_count: int) -> None:
        """Keep so many bytes durably, and let go of them: what comes next can be kept, too.

        Two transactions: what one transaction makes and deletes, SQLite does not write at all.
        """
        sql = "INSERT INTO meta VALUES (?, zeroblob(?)) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        await self._writer.write(lambda connection: connection.execute(sql, (_PROBE, bytes_count)), bytes_count)
        await self._writer.write(lambda connection: connection.execute("DELETE FROM meta WHERE name = ?", (_PROBE,)))

    async def read_meta(self, name: str) -> bytes | None:
        """A value of the server itself, or None."""

        def read(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
            return None if row is None else row[0]

        return await self.read(read)

    async def get_or_create_secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The value of this name; made once, by `make`, and durable before anybody sees it."""

        def get_or_create(connection: sqlite3.Connection) -> bytes:
            connection.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, made))
            value: bytes = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0]
            return value

        kept = await self.read_meta(name)
        if kept is not None:
            return kept
        made = make()
        return await self._writer.write(get_or_create)
