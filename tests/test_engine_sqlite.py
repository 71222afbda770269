"""SQLite keeps the promises of ``rooms.store``, and some of its own: whose file it is, one writer, any call fails."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.engines.lock import DataDirectory
from carets.engines.record import decode_record, encode_record
from carets.engines.sqlite import SqliteStore
from carets.engines.sqlite_file import APPLICATION_ID, LOG_PAGES_MAX, MIGRATIONS
from carets.errors import Misconfigured
from carets.protocol.messages import FileRecord
from carets.rooms.store import ROW_BYTES, Batch, Checkpoint, FileAppend, LogEntry, StoreFailed
from tests.suites.store_promises import (
    ANN,
    BOB,
    ROOM,
    StorePromises,
    bytes_of,
    chat,
    entry,
    link,
    record,
    said,
    updates,
)

if TYPE_CHECKING:
    from sqlite3 import _Parameters


class SqliteUnderTest:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStore.open(path)

    async def restart(self) -> None:
        await self.store.close()
        self.store = SqliteStore.open(self.path)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[SqliteUnderTest]:
    engine = SqliteUnderTest(tmp_path / "carets.db")
    yield engine
    await engine.store.close()


class TestSqlite(StorePromises):
    pass


# -- failing calls


class Fuse:
    """Fails the calls number `first` to ``first + count - 1`` of a connection class, counted from when it is lit."""

    def __init__(self) -> None:
        self.calls = 0
        self.first = sys.maxsize
        self.count = 0
        self.statements: list[str] = []

    def light(self, first: int, count: int) -> None:
        self.calls, self.first, self.count = 0, first, count

    @property
    def has_blown(self) -> bool:
        return self.calls >= self.first

    def call(self, sql: str) -> None:
        self.calls += 1
        self.statements.append(sql)
        if self.first <= self.calls < self.first + self.count:
            raise sqlite3.OperationalError(f"injected at call {self.calls}: {sql[:20]}")


def connection_class(fuse: Fuse) -> type[sqlite3.Connection]:
    class Failing(sqlite3.Connection):
        def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
            fuse.call(sql)
            return super().execute(sql, parameters)

    return Failing


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_whichever_call_fails_batches_are_whole_and_the_store_goes_on(tmp_path: Path, failures: int) -> None:
    for first in range(1, 200):
        fuse = Fuse()
        path = tmp_path / f"{first}.db"
        store = SqliteStore.open(path, connection_class=connection_class(fuse))
        await store.create_workspace(record(FileRecord(1, "a.py", "e1"), FileRecord(2, "b.py", "e2")), Batch(ROOM))
        fuse.light(first, failures)
        saved = 0
        for seq in range(1, 4):
            appends = [FileAppend(file_id, saved + 1, [entry(saved + 1)], [(seq, ANN)]) for file_id in (1, 2)]
            try:
                await store.append(Batch(ROOM, appends))
            except StoreFailed:
                continue
            saved += 1
        try:
            await store.put_checkpoint(ROOM, 1, Checkpoint(saved, b"state"))
            await store.load_file(ROOM, 1)
        except StoreFailed:
            pass
        has_blown = fuse.has_blown
        fuse.light(sys.maxsize, 0)
        for reopened in (False, True):
            if reopened:
                await store.close()
                store = SqliteStore.open(path)
            logs = [await store.load_file(ROOM, file_id) for file_id in (1, 2)]
            assert [log.seq for log in logs] == [saved, saved], f"call {first}, {failures} failures"
            assert logs[0].owners == logs[1].owners
            assert await store.read_log(ROOM, 2, 0, 9) == [entry(number) for number in range(1, saved + 1)]
        await store.append(updates(saved + 1))
        await store.close()
        if not has_blown:
            assert first > 10
            return
    pytest.fail("the calls never end")


async def test_when_even_the_rollback_fails_the_next_batch_gets_a_new_connection(tmp_path: Path) -> None:
    failing: set[str] = set()

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
            if sql in failing:
                failing.remove(sql)
                raise sqlite3.OperationalError(f"injected: {sql}")
            return super().execute(sql, parameters)

    store = SqliteStore.open(tmp_path / "carets.db", connection_class=Failing)
    await store.create_workspace(record(), Batch(ROOM))
    failing |= {"COMMIT", "ROLLBACK"}
    with pytest.raises(StoreFailed, match="injected: COMMIT"):
        await store.append(updates(1))
    assert not failing
    await store.append(updates(1))
    assert (await store.load_file(ROOM, 1)).updates == bytes_of(1, 1)
    await store.close()


async def test_a_lock_that_could_not_be_let_go_goes_with_its_connection(tmp_path: Path) -> None:
    # It stayed: every write after that failed, each after ten seconds, for as long as the process lived.
    stuck: list[sqlite3.Connection] = []
    jams = False

    class Jamming(sqlite3.Connection):
        def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
            if jams and sql == "COMMIT" and not stuck:
                stuck.append(self)
            if self in stuck and sql != "ROLLBACK":
                raise sqlite3.OperationalError("locking protocol")
            return super().execute(sql, parameters)

    store = SqliteStore.open(tmp_path / "carets.db", connection_class=Jamming)
    await store.create_workspace(record(), Batch(ROOM))
    jams = True
    with pytest.raises(StoreFailed, match="locking protocol"):
        await store.append(updates(1))
    await store.append(updates(1))
    assert (await store.load_file(ROOM, 1)).updates == bytes_of(1, 1)
    await store.close()


async def test_a_write_that_does_not_return_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server on a disk that hung could not be stopped: its end waited for the write, without a bound."""
    monkeypatch.setattr(limits, "STORE_CLOSE_S", 0.1)
    hangs, answers = threading.Event(), threading.Event()

    class Hanging(sqlite3.Connection):
        def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
            if sql == "COMMIT" and hangs.is_set():
                answers.wait()
            return super().execute(sql, parameters)

    store = SqliteStore.open(tmp_path / "carets.db", connection_class=Hanging)
    await store.create_workspace(record(), Batch(ROOM))
    hangs.set()
    asyncio.get_running_loop().call_later(5, answers.set)  # so that a close without a bound fails and does not hang
    waiting = asyncio.create_task(store.append(updates(1)))
    await asyncio.sleep(0)
    await store.close()
    assert not waiting.done()
    answers.set()
    await waiting


async def test_nobody_is_answered_before_the_commit_returns(tmp_path: Path) -> None:
    answered_before_commit: list[bool] = []
    tasks: list[asyncio.Task[None]] = []

    class Watching(sqlite3.Connection):
        def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
            if sql == "COMMIT" and tasks:
                # The event loop has its turn here, as it would during a slow sync.
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
                answered_before_commit.extend(task.done() for task in tasks)
            return super().execute(sql, parameters)

    loop = asyncio.get_running_loop()
    store = SqliteStore.open(tmp_path / "carets.db", connection_class=Watching)
    await store.create_workspace(record(), Batch(ROOM))
    tasks.append(asyncio.ensure_future(store.append(updates(1))))
    await tasks[0]
    tasks.clear()
    await store.close()
    assert answered_before_commit == [False]


class Gate:
    """A store's writer that waits before a statement, so that batches gather behind it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self.opened: asyncio.Future[None] | None = None
        self.commits = 0

    def connection_class(self) -> type[sqlite3.Connection]:
        gate = self

        class Gated(sqlite3.Connection):
            def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
                if sql == "BEGIN IMMEDIATE" and gate.opened is not None:
                    asyncio.run_coroutine_threadsafe(gate.wait(), gate.loop).result()
                if sql == "COMMIT" and not self.execute("PRAGMA query_only").fetchone()[0]:
                    gate.commits += 1
                return super().execute(sql, parameters)

        return Gated

    async def wait(self) -> None:
        self.reached.set()
        if self.opened is not None:
            await self.opened


async def test_all_that_waits_is_one_commit(tmp_path: Path) -> None:
    gate = Gate()
    store = SqliteStore.open(tmp_path / "carets.db", connection_class=gate.connection_class())
    await store.create_workspace(record(), Batch(ROOM))
    gate.opened = gate.loop.create_future()
    first = asyncio.ensure_future(store.append(updates(1)))
    await gate.reached.wait()
    rest = [asyncio.ensure_future(store.append(updates(seq))) for seq in range(2, 30)]
    await asyncio.sleep(0)
    gate.commits = 0
    gate.opened.set_result(None)
    await asyncio.gather(first, *rest)
    assert gate.commits == 2
    await store.close()


async def test_a_bad_batch_in_a_group_fails_alone(tmp_path: Path) -> None:
    gate = Gate()
    store = SqliteStore.open(tmp_path / "carets.db", connection_class=gate.connection_class())
    rooms = [f"workspace-{number}" for number in range(5)]
    for room in rooms:
        await store.create_workspace(record(workspace_id=room), Batch(room))
    gate.opened = gate.loop.create_future()
    held = asyncio.ensure_future(store.put_link(rooms[0], link("held")))
    await gate.reached.wait()
    appends = [FileAppend(1, 7 if number == 2 else 1, [entry(1)]) for number in range(5)]
    tasks = [asyncio.ensure_future(store.append(Batch(room, [a]))) for room, a in zip(rooms, appends, strict=True)]
    await asyncio.sleep(0)
    gate.opened.set_result(None)
    results = await asyncio.gather(held, *tasks, return_exceptions=True)
    assert [isinstance(result, StoreFailed) for result in results] == [False, False, False, True, False, False]
    assert "does not follow" in str(results[3])
    assert [(await store.load_file(room, 1)).seq for room in rooms] == [1, 1, 0, 1, 1]
    await store.close()


async def test_reads_see_every_write_that_was_asked_for_before(tmp_path: Path) -> None:
    gate = Gate()
    store = SqliteStore.open(tmp_path / "carets.db", connection_class=gate.connection_class())
    await store.create_workspace(record(), Batch(ROOM))
    gate.opened = gate.loop.create_future()
    append = asyncio.ensure_future(store.append(updates(1)))
    await gate.reached.wait()
    append.cancel()
    load = asyncio.ensure_future(store.load_file(ROOM, 1))
    await asyncio.sleep(0)
    gate.opened.set_result(None)
    assert (await load).seq == 1
    await store.close()


async def test_closing_finishes_what_was_asked_for_and_then_refuses(tmp_path: Path) -> None:
    path = tmp_path / "carets.db"
    store = SqliteStore.open(path)
    await store.create_workspace(record(), Batch(ROOM))
    tasks = [asyncio.ensure_future(store.append(updates(seq))) for seq in range(1, 20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*tasks)
    for call in (
        store.append(updates(20)),
        store.load_file(ROOM, 1),
        store.load_workspace(ROOM),
        store.put_link(ROOM, link("late")),
        store.get_or_create_secret("secret", lambda: b"x"),
    ):
        with pytest.raises(StoreFailed, match="closed"):
            await call
    await store.close()
    store = SqliteStore.open(path)
    assert (await store.load_file(ROOM, 1)).updates == bytes_of(1, 19)
    await store.close()


async def test_a_value_that_cannot_be_kept_is_a_store_failure(engine: SqliteUnderTest) -> None:
    await engine.store.create_workspace(record(), Batch(ROOM))
    for batch in (
        Batch(ROOM, [FileAppend(1, 1, [LogEntry(2**70, ANN, b"x")])]),
        Batch(ROOM, [FileAppend(1, 1, [entry(1)], [(2**70, ANN)])]),
        Batch(ROOM, [], [FileRecord(1, "\ud800", "e1")]),
    ):
        with pytest.raises(StoreFailed):
            await engine.store.append(batch)
    await engine.store.append(updates(1))


async def test_sqlites_own_log_stays_short_however_much_is_written(engine: SqliteUnderTest) -> None:
    await engine.store.create_workspace(record(), Batch(ROOM))
    for seq in range(1, 31):
        await engine.store.append(Batch(ROOM, [FileAppend(1, seq, [LogEntry(0, ANN, bytes(2**21))])]))
    await engine.store.load_file(ROOM, 1)
    assert engine.path.with_name("carets.db-wal").stat().st_size < 3 * LOG_PAGES_MAX * 4096


# -- secrets


async def test_a_secret_is_made_once(engine: SqliteUnderTest) -> None:
    made = iter((b"one", b"two", b"three"))
    both = [engine.store.get_or_create_secret("signing", lambda: next(made)) for _ in range(2)]
    assert await asyncio.gather(*both) == [b"one", b"one"]
    await engine.restart()
    assert await engine.store.get_or_create_secret("signing", lambda: b"other") == b"one"
    assert stat.S_IMODE(engine.path.stat().st_mode) == 0o600


# -- whose file it is


def test_the_file_says_that_it_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "carets.db"
    asyncio.run(SqliteStore.open(path).close())
    header = path.read_bytes()[:100]
    assert header[68:72] == b"CRTS"
    assert int.from_bytes(header[60:64], "big") == len(MIGRATIONS)


def make_foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript("PRAGMA application_id = 7; CREATE TABLE t (x)")
    connection.close()


def make_unmarked(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()


def make_newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 999")
    connection.close()


def make_text(path: Path) -> None:
    path.write_text("not a database at all\n" * 100)


@pytest.mark.parametrize(
    "make, text",
    [
        (make_foreign, "another program's"),
        (make_unmarked, "another program's"),
        (make_newer, "newer Carets (schema 999"),
        (make_text, "no sound database"),
        (Path.mkdir, "cannot be written"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_untouched(tmp_path: Path, make: Callable[[Path], None], text: str) -> None:
    path = tmp_path / "carets.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(Misconfigured) as caught:
        SqliteStore.open(path)
    assert text in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before == (path.read_bytes() if path.is_file() else b"")
    assert [file.name for file in tmp_path.iterdir()] == ["carets.db"]


def test_a_file_that_another_program_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "carets.db"
    asyncio.run(SqliteStore.open(path).close())
    holder = sqlite3.connect(path)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Misconfigured, match="locked"):
        SqliteStore.open(path)
    holder.close()


def test_a_migration_that_fails_leaves_the_schema_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "carets.db"
    asyncio.run(SqliteStore.open(path).close())
    migrations = (*MIGRATIONS, "CREATE TABLE later (x); CREATE TABLE meta (x);")
    monkeypatch.setattr("carets.engines.sqlite_file.MIGRATIONS", migrations)
    with pytest.raises(Misconfigured):
        SqliteStore.open(path)
    monkeypatch.setattr("carets.engines.sqlite_file.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE later (x);"))
    asyncio.run(SqliteStore.open(path).close())
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    connection.close()


def make_schema_1(path: Path) -> None:
    """A file as the first release left it: the first migration alone, and a workspace with what it then had."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            f"BEGIN; {MIGRATIONS[0]} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;"
            "INSERT INTO meta VALUES ('signing', x'00ff');"
            f"INSERT INTO workspaces VALUES (7, '{ROOM}', 'A title', 1700000000000);"
            "INSERT INTO links VALUES"
            f" (1, 7, 'link-a', 'editor', x'{link('link-a').key_hash.hex()}', '', 5, NULL, NULL);"
            "INSERT INTO documents VALUES (3, 7, 1, 'e1');"
            "INSERT INTO files VALUES (7, 1, 3, 'a.py', 'lf', NULL);"
            "INSERT INTO paths VALUES (7, 'a.py', 3);"
            f"INSERT INTO log VALUES (3, 1, 2, x'{encode_record([entry(1), entry(2)]).hex()}');"
            "INSERT INTO client_ids VALUES (3, 77, 'person:ann'); COMMIT;"
        )
    connection.close()


async def test_a_file_of_schema_1_opens_with_all_that_it_had_and_takes_chat(tmp_path: Path) -> None:
    path = tmp_path / "carets.db"
    make_schema_1(path)
    store = SqliteStore.open(path)
    kept = replace(record(), links=[link("link-a")])
    assert await store.load_workspace(ROOM) == kept
    log = await store.load_file(ROOM, 1)
    assert (log.updates, log.owners) == (bytes_of(1, 2), {77: ANN})
    assert await store.read_meta("signing") == b"\x00\xff"
    await store.append(replace(updates(3), chat=[said(1)]))
    await store.put_workspace(ROOM, "Another", 9)
    await store.close()
    store = SqliteStore.open(path)
    assert await store.load_workspace(ROOM) == replace(kept, title="Another", deleted_at_ms=9, chat=[said(1)])
    assert (await store.load_file(ROOM, 1)).seq == 3
    await store.close()


async def test_what_a_file_of_schema_2_holds_is_counted_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "carets.db"
    make_schema_1(path)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.executescript(f"BEGIN; {MIGRATIONS[1]} PRAGMA user_version = 2; COMMIT;")
        for number in range(1, 4):
            values = (7, *said(number, "ü" * 1_000))
            connection.execute(f"INSERT INTO chat VALUES ({', '.join('?' * len(values))})", values)
        connection.execute("INSERT INTO workspaces VALUES (8, 'workspace-2', 'Empty', 1, NULL)")
    connection.close()
    store = SqliteStore.open(path)
    workspace, empty = await store.load_workspace(ROOM), await store.load_workspace("workspace-2")
    assert workspace is not None
    assert empty is not None
    record_bytes = len(encode_record([entry(1), entry(2)]))
    assert workspace.log_bytes == record_bytes + len("a.py") + 3 * 2_000 + 5 * ROW_BYTES
    assert empty.log_bytes == 0
    await store.append(chat(4))
    grown = await store.load_workspace(ROOM)
    assert grown is not None
    assert grown.log_bytes == workspace.log_bytes + chat(4).log_bytes
    await store.close()


def test_a_migration_that_stops_half_way_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "carets.db"
    make_schema_1(path)
    second = MIGRATIONS[1]
    monkeypatch.setattr("carets.engines.sqlite_file.MIGRATIONS", (MIGRATIONS[0], second + "CREATE TABLE meta (x);"))
    with pytest.raises(Misconfigured):
        SqliteStore.open(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'chat'").fetchone() == (0,)
    connection.close()
    monkeypatch.setattr("carets.engines.sqlite_file.MIGRATIONS", MIGRATIONS)
    asyncio.run(SqliteStore.open(path).close())


# -- the data directory


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[DataDirectory]:
    directory = DataDirectory.lock(tmp_path / "a" / "b")
    yield directory
    directory.release()


def test_the_directory_is_made_for_its_owner_only(locked: DataDirectory) -> None:
    assert stat.S_IMODE(locked.path.stat().st_mode) == 0o700


def test_a_second_process_is_told_who_holds_the_directory(locked: DataDirectory) -> None:
    code = (
        "import sys, pathlib; from carets.engines.lock import DataDirectory; from carets.errors import Misconfigured\n"
    )
    code += "try: DataDirectory.lock(pathlib.Path(sys.argv[1]))\nexcept Misconfigured as e: print(type(e).__name__, e)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(locked.path)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert child.stdout.startswith("DirectoryInUseError")
    assert f"in use by process {os.getpid()}" in child.stdout
    assert str(locked.path) in child.stdout
    assert child.stdout.count("\n") == 1
    locked.release()
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert child.stdout == ""


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "lock").mkdir()
    no_folder, no_rights = "is no directory", "cannot be written"
    for path, why in ((tmp_path / "file", no_folder), (tmp_path / "file" / "x", no_folder), (tmp_path, no_rights)):
        with pytest.raises(Misconfigured, match=why) as caught:
            DataDirectory.lock(path)
        assert str(path) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Misconfigured, match="Permission denied"):
        DataDirectory.lock(tmp_path)
    with pytest.raises(Misconfigured, match="Permission denied"):
        SqliteStore.open(tmp_path / "carets.db")


# -- records


@given(st.lists(st.builds(LogEntry, st.integers(0, 2**53), st.sampled_from([ANN, BOB, "link:ü"]), st.binary())))
def test_a_record_is_read_as_it_was_written(entries: list[LogEntry]) -> None:
    assert decode_record(encode_record(entries)) == entries


def test_a_record_tells_each_author_once_and_little_else() -> None:
    entries = [LogEntry(1_700_000_000_000 + 40 * n, "person:" + "a" * 16, b"12345678") for n in range(100)]
    assert len(encode_record(entries)) < 100 * (8 + 5) + 50


@pytest.mark.parametrize("blob", [b"", b"\x02\x90", b"\x01", b"\x01\x90", encode_record([entry(1)])[:-1]])
def test_what_is_no_record_is_a_value_error(blob: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any text will do
        decode_record(blob)
