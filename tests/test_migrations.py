"""A file of every earlier schema opens with the newest and has all that it had; a migration that fails changes nothing.

A file of schema n is what the first n migrations make, which are released and never change, with rows as the builds
of that time wrote them: records of version 1, checkpoints without a sum, real Yjs updates.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from pycrdt import Doc, Text
from structlog.testing import capture_logs

from carets.checkup import check
from carets.config import Config
from carets.engines.record import encode_record
from carets.engines.sqlite import SqliteStore
from carets.engines.sqlite_file import APPLICATION_ID, DATA_FILE, MIGRATIONS, open_file
from carets.errors import Misconfigured
from carets.protocol import access
from carets.protocol.messages import FileRecord
from carets.rooms.document import Document
from carets.rooms.store import ChatEntry, LinkRecord, LogEntry
from carets.server import running
from tests.peer import connect

NEWEST = len(MIGRATIONS)
ROOM, GONE = "workspace-1", "workspace-2"
ANN, BOB = "person:0a", "link:link-editor"
KEYS = {"owner": "owner-key", "editor": "editor-key"}


def typed() -> tuple[list[bytes], bytes, str]:
    """Three updates of two people, the state after the second, and the text in the end."""
    ann: Doc[Text] = Doc(client_id=77)
    ann["text"] = text = Text("one two 😀")
    first = ann.get_update()
    bob: Doc[Text] = Doc(client_id=78)
    bob.apply_update(first)
    bob.get("text", type=Text).insert(3, " and a half")
    second = bob.get_update(ann.get_state())
    ann.apply_update(second)
    state, before = ann.get_update(), ann.get_state()
    del text[0:4]
    return [first, second, ann.get_update(before)], state, str(text)


UPDATES, STATE, TEXT = typed()
FILES = [
    FileRecord(1, "src/a.py", "e1", "crlf"),
    FileRecord(2, "b.md", "e2"),
    FileRecord(3, "gone.py", "e3", deleted_at_ms=1_700_000_000_500),
]
LINKS = [
    LinkRecord("link-owner", "owner", access.hash_key(KEYS["owner"]), "owner", 5),
    LinkRecord("link-editor", "editor", access.hash_key(KEYS["editor"]), "Ünï", 6, 2**45, None),
    LinkRecord("link-old", "viewer", access.hash_key("old"), "", 7, None, 9),
]
SAID = ChatEntry(1, 1_700_000_000_700, ANN, "Ann", "#123456", "hello", "nonce")


def record_1(*entries: LogEntry) -> bytes:
    """A record as it was before there were sums."""
    return b"\x01" + encode_record(entries)[5:]


def rows(version: int) -> Iterator[tuple[str, tuple[object, ...]]]:
    """What a build with schema `version` had written: each statement names the columns that there were."""
    yield "meta (name, value)", ("person_secret", bytes(32))
    yield "workspaces (workspace, workspace_id, title, created_at_ms)", (7, ROOM, "A title", 1_700_000_000_000)
    yield "workspaces (workspace, workspace_id, title, created_at_ms)", (8, GONE, "Gone", 1_700_000_000_001)
    for number, workspace in ((0, 7), (10, 8)):
        for link in LINKS:
            columns = "link_id, role, key_hash, name, created_at_ms, expires_at_ms, revoked_at_ms"
            yield f"links (workspace, {columns})", (workspace, *link)
        for file in FILES:
            at = number + file.file_id
            yield "documents (document, workspace, file_id, epoch)", (at, workspace, file.file_id, file.epoch)
            values = (workspace, file.file_id, at, file.path, file.eol, file.deleted_at_ms)
            yield "files (workspace, file_id, document, path, eol, deleted_at_ms)", values
            yield "paths (workspace, path, document)", (workspace, file.path, at)
        yield "paths (workspace, path, document)", (workspace, "b.md", number + 3)
        first, second, third = (LogEntry(at_ms, ANN, update) for at_ms, update in enumerate(UPDATES, 1_700_000_000_100))
        yield "log (document, seq, count, record)", (number + 1, 1, 2, record_1(first, second._replace(author=BOB)))
        yield "log (document, seq, count, record)", (number + 1, 3, 1, record_1(third))
        yield "log (document, seq, count, record)", (number + 3, 1, 1, record_1(first))
        yield "checkpoints (document, seq, state)", (number + 1, 2, STATE)
        for document, client_id, person in ((1, 77, ANN), (1, 78, BOB), (3, 77, ANN)):
            yield "client_ids (document, client_id, person)", (number + document, client_id, person)
        yield "quarantine (document, seq)", (number + 3, 1)
    yield "client_ids (document, client_id, person)", (2, 99, "server")
    yield "log (document, seq, count, record)", (2, 1, 1, record_1(LogEntry(5, "server", lone())))
    if version >= 2:
        columns = "chat_id, at_ms, author, name, color, text, nonce"
        yield f"chat (workspace, {columns})", (7, *SAID)


def lone() -> bytes:
    doc: Doc[Text] = Doc(client_id=99)
    doc["text"] = Text("# b")
    return doc.get_update()


def make(path: Path, version: int) -> None:
    """The file as a build with this schema left it."""
    path.parent.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for number, migration in enumerate(MIGRATIONS[:version], 1):
            connection.executescript(
                f"BEGIN; {migration} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
            )
            if number == 1:
                connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")
        for table, values in rows(version):
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
        if version >= 2:
            connection.execute("UPDATE workspaces SET deleted_at_ms = 1700000000900 WHERE workspace = 8")
        connection.execute("COMMIT")


def content(path: Path) -> list[str]:
    """All that is in the file, as SQL."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
        return [f"version {version}", *connection.iterdump()]


@pytest.mark.parametrize("version", range(1, NEWEST + 1))
async def test_a_file_of_every_schema_opens_with_all_that_it_had(tmp_path: Path, version: int) -> None:
    path = tmp_path / "data" / DATA_FILE
    make(path, version)
    told = check(path)
    assert (told.problems, told.facts.schema) == ([], version), "a look needs no migration"
    store = SqliteStore.open(path)
    try:
        workspace = await store.load_workspace(ROOM)
        assert workspace is not None
        assert (workspace.title, workspace.created_at_ms, workspace.deleted_at_ms) == (
            "A title", 1_700_000_000_000, None
        )  # fmt: skip
        assert (workspace.files, workspace.links) == (FILES, LINKS)
        assert workspace.chat == ([SAID] if version >= 2 else [])
        assert workspace.log_bytes > sum(map(len, UPDATES)) if version < 3 else workspace.log_bytes == 0
        gone = await store.load_workspace(GONE)
        assert gone is not None
        assert gone.deleted_at_ms == (1_700_000_000_900 if version >= 2 else None)
        log = await store.load_file(ROOM, 1)
        assert log.checkpoint is not None
        assert Document([log.checkpoint.state, *log.updates]).text() == TEXT
        assert (log.checkpoint.seq, log.seq, log.owners) == (2, 3, {77: ANN, 78: BOB})
        assert [(e.author, e.update) for e in await store.read_log(ROOM, 1, 0, 9)] == [
            (ANN, UPDATES[0]), (BOB, UPDATES[1]), (ANN, UPDATES[2])
        ]  # fmt: skip
        assert (await store.load_file(ROOM, 2)).former_client_ids == {77}
        assert (await store.load_file(ROOM, 3)).updates == [b""], "what was set aside still is"
        assert await store.read_meta("person_secret") == bytes(32)
    finally:
        await store.close()
    assert (check(path).problems, check(path).facts.schema) == ([], NEWEST)


@pytest.mark.parametrize("version", range(1, NEWEST))
async def test_people_go_on_in_a_file_of_every_earlier_schema(tmp_path: Path, version: int) -> None:
    data = tmp_path / "data"
    make(data / DATA_FILE, version)
    async with running(Config(port=0, data=data)) as server:
        url = server.address.rstrip("/")
        async with connect(url, ROOM, KEYS["editor"]) as peer:
            replica = await peer.open_file(1, epoch="e1")
            assert str(replica) == TEXT
            replica.append(" more")
            await peer.ask(type="chat", text="hi", nonce="n2")
            await peer.until_saved()
        async with connect(url, ROOM, KEYS["editor"]) as peer:
            assert str(await peer.open_file(1)) == TEXT + " more"
    assert check(data / DATA_FILE).problems == []


def failing(number: int) -> type[sqlite3.Connection]:
    """Connections whose part number `number` of preparing any statement is refused. They count together."""

    class Failing(sqlite3.Connection):
        asked = 0

        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            self.set_authorizer(self._ask)

        @classmethod
        def _ask(cls, *_: object) -> int:
            cls.asked += 1
            return sqlite3.SQLITE_DENY if cls.asked == number else sqlite3.SQLITE_OK

    return Failing


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_a_migration_that_fails_at_any_statement_leaves_the_old_schema_whole(tmp_path: Path, version: int) -> None:
    path = tmp_path / "data" / DATA_FILE
    make(path, version)
    whole = [content(path)]
    for newer in range(version + 1, NEWEST):  # each migration is a transaction of its own
        make(tmp_path / str(newer) / DATA_FILE, version)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("carets.engines.sqlite_file.MIGRATIONS", MIGRATIONS[:newer])
            _open_and_close(tmp_path / str(newer) / DATA_FILE, sqlite3.Connection)
        whole.append(content(tmp_path / str(newer) / DATA_FILE))
    for number in range(1, 1000):
        kind = failing(number)
        try:
            _open_and_close(path, kind)
        except Misconfigured:
            assert content(path) in whole
        if kind.asked < number:  # type: ignore[attr-defined]
            break
    else:
        raise AssertionError("it never passed")
    assert number > 5 * (NEWEST - version), "so many things can fail"
    assert content(path)[0] == f"version ({NEWEST},)"


@pytest.mark.parametrize("version", range(NEWEST + 1))
def test_a_migration_is_told_since_there_is_no_way_back(tmp_path: Path, version: int) -> None:
    path = tmp_path / "data" / DATA_FILE
    make(path, version) if version else path.parent.mkdir()
    with capture_logs() as lines:
        _open_and_close(path, sqlite3.Connection)
    told = [(line["event"], line["file"], line["from_schema"], line["to_schema"]) for line in lines]
    assert told == ([("migrates", str(path), version, NEWEST)] if 0 < version < NEWEST else [])


def _open_and_close(path: Path, kind: type[sqlite3.Connection]) -> None:
    open_file(path, kind).close()
