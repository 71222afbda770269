"""``carets check``: a sound file is said to be sound, and whatever is wrong with one is named, with what to do.

The file is a real server's. What a disk or a bug would do to it is done here by SQL, while the server is stopped.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from carets.checkup import Report, check
from carets.cli import main
from carets.config import Config
from carets.engines.lock import DataDirectory
from carets.engines.record import decode_record, encode_checkpoint, encode_record
from carets.engines.sqlite_file import DATA_FILE
from carets.errors import Misconfigured
from carets.rooms.document import Document, update_of
from carets.rooms.store import LogEntry
from carets.server import running
from tests.operator import Ended, carets
from tests.peer import connect, create_workspace
from tests.serving import serving

Spoil = Callable[..., None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two workspaces; one file's log has nine rows of one update, and a checkpoint in between; one is deleted."""
    return tmp_path_factory.mktemp("made")


async def make(data: Path) -> None:
    async with running(Config(port=0, data=data)) as server, aiohttp.ClientSession() as http:
        url = server.address.rstrip("/")
        workspace_id, keys = await create_workspace(http, url, {"a.py": "x = 1\n", "b.py": ""}, title="One")
        await create_workspace(http, url, {"c.py": "y"}, title="Two")
        async with connect(url, workspace_id, keys["editor"]) as peer:
            replica = await peer.open_file(1, client_id=7)
            for number in range(4):
                if number == 2:
                    file = server.lobby.rooms[workspace_id].open_files[1]
                    await server.lobby.around.store.put_checkpoint(workspace_id, 1, file.make_checkpoint())
                replica.append(f"edit {number} 😀\n")
                await peer.until_saved()
                replica.delete(0, 1)
                await peer.until_saved()
            await peer.ask(type="chat", text="hello", nonce="n")
            await peer.ask(type="delete_file", file_id=2)


@pytest.fixture
async def path(made: Path, tmp_path: Path) -> Path:
    """A data file of one's own, like the one that was made."""
    if not (made / "data").exists():
        await make(made / "data")
    data = tmp_path / "data"
    data.mkdir()
    (data / DATA_FILE).write_bytes((made / "data" / DATA_FILE).read_bytes())
    return data / DATA_FILE


@pytest.fixture
def spoil(path: Path) -> Spoil:
    """Do something to the file. Document 1 is ``a.py``."""

    def run(sql: str, *values: object) -> None:
        with sqlite3.connect(path) as connection:
            assert connection.execute(sql, values).rowcount > 0, "nothing was spoiled"
        connection.close()

    return run


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """``carets check`` on that file, in this process."""

    def check_it(*options: str) -> Ended:
        capsys.readouterr()
        status = main(["check", "--data", str(path.parent), *options])
        return Ended(status, *capsys.readouterr())

    return check_it


def found(path: Path) -> list[str]:
    """What a check finds."""
    before = path.read_bytes()
    report = check(path)
    assert path.read_bytes() == before, "a look changes nothing"
    assert report.is_sound == (not report.problems)
    return [str(problem) for problem in report.problems]


async def test_a_sound_file_is_sound(path: Path) -> None:
    report: Report = check(path)
    assert report.problems == []
    assert (report.facts.workspaces, report.documents, report.quarantined) == (2, 3, [])
    assert report.updates > 5
    ended = await carets("check", "--data", path.parent)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(f"{path} is sound: 2 workspaces, 3 documents, {report.updates} updates (")


async def test_a_file_in_use_is_looked_at_too(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with serving(tmp_path / "data") as server:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": "x"})
        async with connect(server.url, workspace_id, keys["editor"]) as peer:
            replica = await peer.open_file(1)
            replica.append("y")
            await peer.until_saved()
            ended = await carets("check", "--data", tmp_path / "data", "--json")
            assert ended.status == 0, ended
            told = json.loads(ended.out)
            assert (told["sound"], told["documents"], told["updates"], told["problems"]) == (True, 1, 2, [])
            replica.append("z")
            await peer.until_saved()


def test_what_is_wrong_is_status_1_and_named_with_what_to_do(
    path: Path, spoil: Spoil, run: Callable[..., Ended]
) -> None:
    spoil("UPDATE log SET record = ? WHERE document = 1 AND seq = 3", encode_record([])[:-1])
    ended = run()
    assert (ended.status, ended.err) == (1, "")
    first, last = ended.out.splitlines()
    assert first.startswith("file 1 (a.py) of workspace ")
    assert "update 3 of the log cannot be read" in first
    assert first.endswith("What to do: restore a backup from before; other files are not concerned.")
    assert last.startswith(f"{path} has 1 problem: ")
    told = json.loads(run("--json").out)
    assert [set(problem) for problem in told["problems"]] == [{"where", "what", "advice"}]


@pytest.mark.parametrize(
    "sql, told",
    [
        ("DELETE FROM log WHERE document = 1 AND seq = 3", "update 3 of the log cannot be read"),
        ("UPDATE checkpoints SET seq = seq + 1 WHERE document = 1", "is another text than the log"),
        ("UPDATE checkpoints SET seq = 99 WHERE document = 1", "its checkpoint covers 99 updates"),
        ("UPDATE checkpoints SET state = x'ffff' WHERE document = 1", "its checkpoint cannot be read"),
        ("INSERT INTO client_ids VALUES (1, 99, 'person:eve')", "client id 99 is on record for person:eve"),
        ("INSERT INTO quarantine VALUES (1, 2)", "edits of it rest on one that is not there"),
        ("UPDATE chat SET chat_id = 5", "its chat has 1 entries from number 5 to 5"),
        ("UPDATE links SET role = 'viewer' WHERE role = 'owner'", "it has no link of an owner"),
        ("UPDATE files SET document = 3 WHERE document = 1", "is of another workspace than its document"),
        ("UPDATE files SET path = 'a.py', deleted_at_ms = NULL WHERE file_id = 2", "two files are at the path a.py"),
        ("UPDATE files SET workspace = 9 WHERE file_id = 2", "belongs to a row of workspaces that is not there"),
    ],
)
def test_each_thing_that_can_be_wrong_is_found(path: Path, spoil: Spoil, sql: str, told: str) -> None:
    spoil(sql)
    problems = found(path)
    assert any(told in problem for problem in problems), problems
    assert all("What to do: " in problem for problem in problems)


def test_an_update_that_cannot_be_applied_is_named(path: Path, spoil: Spoil) -> None:
    for update, told in ((b"\x01\x01\x07\x63\x06", "its log cannot be applied"), (b"nonsense", "cannot be applied")):
        spoil(
            "UPDATE log SET record = ? WHERE document = 1 AND seq = 3", encode_record([LogEntry(1, "person:x", update)])
        )
        (problem,) = found(path)
        assert told in problem


@pytest.mark.parametrize("change", ["another text", "more text", "other ids"])
def test_a_checkpoint_that_differs_in_anything_is_found_and_mended(
    path: Path, spoil: Spoil, run: Callable[..., Ended], change: str
) -> None:
    """Rooms begin with the checkpoint: what it has else than the log would be shown to everybody."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT record FROM log WHERE document = 1 ORDER BY seq").fetchall()
    connection.close()
    document = Document([entry.update for (record,) in rows for entry in decode_record(record)])
    if change == "more text":
        document.apply([update_of("more", 99)])
    else:
        document = Document([update_of(document.text() + "!" * (change == "another text"), 99)])
    state = encode_checkpoint(document.encode())
    spoil("UPDATE checkpoints SET state = ?, seq = (SELECT max(seq) FROM log WHERE document = 1)", state)
    problems = found(path)
    assert any("is another text than the log" in problem and "--mend" in problem for problem in problems)
    ended = run("--mend")
    assert (ended.status, ended.err) == (0, "Forgot 1 checkpoint; looking again.\n")
    assert found(path) == []


def test_mending_leaves_a_running_server_alone(path: Path, spoil: Spoil, run: Callable[..., Ended]) -> None:
    spoil("UPDATE checkpoints SET state = x'ffff' WHERE document = 1")
    directory = DataDirectory.lock(path.parent)
    try:
        ended = run("--mend")
    finally:
        directory.release()
    assert ended.status == 2
    assert "is in use by process" in ended.err
    assert any("its checkpoint cannot be read" in problem for problem in found(path))


def test_updates_that_were_set_aside_are_listed(path: Path, run: Callable[..., Ended]) -> None:
    """One that nothing rests on: it is in no text, which is known, and no problem."""
    with sqlite3.connect(path) as connection:
        (last,) = connection.execute("SELECT max(seq) FROM log WHERE document = 1").fetchone()
        connection.execute("INSERT INTO quarantine VALUES (1, ?)", (last,))
        connection.execute("DELETE FROM checkpoints")
    connection.close()
    report = check(path)
    assert (report.problems, len(report.quarantined)) == ([], 1)
    assert f"update {last} was set aside" in run().out


@pytest.mark.parametrize("first_page", [3, 8])
def test_pages_that_are_broken_are_told_by_sqlite(path: Path, run: Callable[..., Ended], first_page: int) -> None:
    pages = bytearray(path.read_bytes())
    pages[4096 * first_page :] = b"\xa5" * (len(pages) - 4096 * first_page)
    path.write_bytes(pages)
    report = check(path)
    assert not report.is_sound
    assert any("restore a backup" in problem.advice for problem in report.problems)
    assert run().status == 1


def tear(path: Path) -> None:
    """Take the root page of the log's table, and the name of another table, whose pages are nobody's then."""
    with sqlite3.connect(path) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'log'").fetchone()
        connection.execute("CREATE TABLE pages (blob)")
        connection.executemany("INSERT INTO pages VALUES (zeroblob(9000))", [()] * 20)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'pages'")
    connection.close()
    pages = bytearray(path.read_bytes())
    pages[4096 * (root - 1) : 4096 * root] = b"\xa5" * 4096
    path.write_bytes(pages)


async def test_a_torn_file_is_told_in_few_lines_and_whole_to_machines(path: Path) -> None:
    """SQLite names twenty pages; and the look at documents, ended by an error, could not end its transaction."""
    tear(path)
    ended = await carets("check", "--data", path.parent)
    assert (ended.status, ended.err) == (1, "")
    assert "more of the kind; carets check --json names all." in ended.out
    assert len(ended.out.splitlines()) < 10
    told = json.loads((await carets("check", "--data", path.parent, "--json")).out)
    assert len(told["problems"]) > 10


def test_a_backup_is_looked_at_by_its_name_and_never_mended(path: Path, run: Callable[..., Ended]) -> None:
    backup = path.replace(path.with_name("backup"))
    ended = run(str(backup))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(f"{backup} is sound: ")
    assert "leave out FILE" in run(str(backup), "--mend").err


@pytest.mark.parametrize(
    "content, told", [(None, "there is no data file"), (b"nonsense" * 1000, "no sound database"), (b"", "is empty")]
)
def test_what_cannot_be_looked_at_is_status_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / DATA_FILE).write_bytes(content)
    assert main(["check", "--data", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err
    with pytest.raises(Misconfigured):
        check(tmp_path / DATA_FILE)


def test_another_programs_database_and_a_newer_schema_are_not_looked_at(tmp_path: Path) -> None:
    for pragma in (
        "application_id = 5",
        f"application_id = {int.from_bytes(b'CRTS', 'big')}; PRAGMA user_version = 99",
    ):
        (tmp_path / DATA_FILE).unlink(missing_ok=True)
        with sqlite3.connect(tmp_path / DATA_FILE) as connection:
            connection.executescript(f"CREATE TABLE t (x); PRAGMA {pragma};")
        connection.close()
        with pytest.raises(Misconfigured):
            check(tmp_path / DATA_FILE)
