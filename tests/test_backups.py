"""Backups: one moment of a server in use, whole and checked; and restoring one, as the same server or as another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from carets import backups, limits
from carets.backups import back_up, restore
from carets.checkup import Report, check
from carets.cli import main
from carets.config import Config
from carets.engines.lock import DataDirectory
from carets.engines.record import encode_record
from carets.engines.sqlite_backup import look_at
from carets.engines.sqlite_file import DATA_FILE
from carets.errors import Code, Misconfigured
from carets.rooms.document import update_of
from carets.rooms.store import LogEntry
from carets.server import Running, running
from tests.operator import carets
from tests.peer import Peer, Replica, connect, create_workspace, join
from tests.serving import serving

WRITERS = 4


def url_of(server: Running) -> str:
    return server.address.rstrip("/")


@contextlib.asynccontextmanager
async def served(data: Path) -> AsyncIterator[str]:
    """The address of a server in this process."""
    async with running(Config(port=0, data=data)) as server:
        yield url_of(server)


def put_back(
    backup: Path, data: Path, lineage: backups.Lineage | None = None, *, anyway: bool = False
) -> backups.Restored:
    return restore(backup, data, lineage, anyway=anyway, tell=lambda report: None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def text_at(url: str, workspace_id: str, key: str, file_id: int = 1) -> str:
    async with connect(url, workspace_id, key) as peer:
        return str(await peer.open_file(file_id))


# -- a backup


async def test_all_that_was_saved_before_a_backup_began_is_in_it(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """While people type. What they type meanwhile may be in it or not; the file is sound either way."""
    backup = tmp_path / "backup.sqlite3"
    async with serving(tmp_path / "data") as server:
        workspace_id, keys = await create_workspace(http, server.url, {f"{n}.txt": "" for n in range(WRITERS)})
        peers = [await join(http, server.url, workspace_id, keys["editor"]) for _ in range(WRITERS)]
        replicas = [await peer.open_file(number) for number, peer in enumerate(peers, 1)]
        is_over = asyncio.Event()
        typing = [asyncio.create_task(type_on(replica, is_over)) for replica in replicas]
        await asyncio.gather(*(until_saved(peer, 100) for peer in peers))
        saved = [said(replica, peer.saved) for replica, peer in zip(replicas, peers, strict=True)]
        ended = await carets("backup", "--data", tmp_path / "data", backup)
        assert (ended.status, ended.err) == (0, "")
        await asyncio.gather(*(until_saved(peer, peer.saved + 1) for peer in peers))
        is_over.set()
        await asyncio.gather(*typing)
        for peer in peers:
            await peer.close()
    assert re.fullmatch(
        rf"{re.escape(str(backup))} has 1 workspace as of .* UTC \(\d.* [KM]iB, schema \d+, lineage \w{{8}}\)\.\n",
        ended.out,
    )
    assert names(tmp_path) == ["backup.sqlite3", "data", "data.log"], "nothing else is left"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert check(backup).is_sound
    put_back(backup, tmp_path / "elsewhere")
    async with served(tmp_path / "elsewhere") as url:
        for number, text in enumerate(saved, 1):
            assert (await text_at(url, workspace_id, keys["viewer"], number)).startswith(text)


async def until_saved(peer: Peer, count: int) -> None:
    await peer.until(lambda: peer.saved >= count)


async def type_on(replica: Replica, is_over: asyncio.Event) -> None:
    """Type words one after the other until it is over; four at most are on their way."""
    while not is_over.is_set():
        replica.append(f"{replica.peer.count};")
        await replica.peer.until(lambda: replica.peer.count - replica.peer.saved < 4)


def said(replica: Replica, saved: int) -> str:
    """What of the typed words the server has said to be saved: frame number n + 1 brought word n."""
    return "".join(re.findall(r"\d+;", str(replica))[: saved - 1])


async def test_a_backup_takes_no_other_files_place_unless_told(tmp_path: Path) -> None:
    async with served(tmp_path / "data"):
        pass
    (tmp_path / "b").write_text("something else")
    with pytest.raises(Misconfigured, match="is there already"):
        back_up(tmp_path / "data", tmp_path / "b", replace=False)
    assert (tmp_path / "b").read_text() == "something else"
    back_up(tmp_path / "data", tmp_path / "b", replace=True)
    assert check(tmp_path / "b").is_sound


@pytest.mark.parametrize("name", ["carets.sqlite3", "carets.sqlite3-wal", "lock", "a link", "another name"])
async def test_a_backup_never_takes_the_place_of_the_data_file_in_use(
    tmp_path: Path, http: aiohttp.ClientSession, name: str
) -> None:
    """`--replace` with the data file's own name unlinked it below the server: what was saved then was lost."""
    data = tmp_path / "data"
    (tmp_path / "a link").symlink_to(data / DATA_FILE)
    async with served(data) as url:
        (tmp_path / "another name").hardlink_to(data / DATA_FILE)
        workspace_id, keys = await create_workspace(http, url, {"a.py": "x"})
        target = (tmp_path if " " in name else data) / name
        before = (target.stat().st_ino, names(data))
        with pytest.raises(Misconfigured, match="no place for a backup"):
            back_up(data, target, replace=True)
        assert (target.stat().st_ino, names(data)) == before
        async with connect(url, workspace_id, keys["editor"]) as peer:
            (await peer.open_file(1)).append("y")
            await peer.until_saved()
    assert check(data / DATA_FILE).updates == 2


async def test_nor_of_the_data_file_of_another_server(tmp_path: Path) -> None:
    for place in ("data", "other"):
        async with served(tmp_path / place):
            pass
    with pytest.raises(Misconfigured, match="no place for a backup"):
        back_up(tmp_path / "data", tmp_path / "other" / DATA_FILE, replace=True)
    (tmp_path / "kept").mkdir()
    back_up(tmp_path / "data", tmp_path / "kept" / DATA_FILE, replace=False)
    assert check(tmp_path / "kept" / DATA_FILE).is_sound, "among backups it is a name as any other"


async def test_into_a_folder_a_backup_goes_under_a_name_with_the_date(tmp_path: Path) -> None:
    async with served(tmp_path / "data"):
        pass
    (tmp_path / "kept").mkdir()
    kept = back_up(tmp_path / "data", tmp_path / "kept", replace=False)
    assert kept.path.parent == tmp_path / "kept"
    assert re.fullmatch(r"carets-\d{8}T\d{6}Z\.sqlite3", kept.path.name)
    assert check(kept.path).is_sound


def test_a_slash_behind_a_folder_that_is_not_there_makes_no_file_of_that_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nightly line names a folder. When its disk was not mounted, the first backup became a file of that name."""
    assert main(["backup", "--data", str(tmp_path / "data"), f"{tmp_path}/kept/"]) == 2
    assert f"there is no folder {tmp_path}/kept/: make it first" in capsys.readouterr().err
    assert names(tmp_path) == []


async def test_a_backup_that_cannot_be_made_leaves_nothing_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path / "data"):
        pass
    (tmp_path / "old").write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for target, name in (("no/such/folder/b", ""), ("old", "fsync")):
        with monkeypatch.context() as patch:
            if name:
                patch.setattr(os, name, fail)
            assert main(["backup", "--data", str(tmp_path / "data"), "--replace", str(tmp_path / target)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "cannot be written" in err
    assert (tmp_path / "old").read_text() == "old"
    assert names(tmp_path) == ["data", "old"]


async def test_a_damaged_file_gives_no_backup_that_looks_like_one(tmp_path: Path) -> None:
    async with served(tmp_path / "data"):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / DATA_FILE)) as connection:
        connection.execute("INSERT INTO checkpoints VALUES (99, 1, x'00')")
        connection.commit()
    with pytest.raises(Misconfigured, match="is not sound"):
        back_up(tmp_path / "data", tmp_path / "b", replace=False)
    assert not (tmp_path / "b").exists()


async def test_a_backup_of_damaged_rows_is_kept_and_told_when_asked_for(
    tmp_path: Path, http: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite finds nothing wrong with a row that says something else: nights of backups were reported as good."""
    data = tmp_path / "data"
    await made(data, http)
    words = ["backup", "--data", str(data), "--replace", str(tmp_path / "kept"), "--check"]
    assert main(words) == 0
    assert "kept is sound: 1 workspace, " in capsys.readouterr().out
    with contextlib.closing(sqlite3.connect(data / DATA_FILE)) as connection:
        connection.execute("UPDATE log SET record = x'02'")
        connection.commit()
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert "update 1 of the log cannot be read" in out
    assert "kept has 1 problem: " in out
    assert err == ""


# -- restoring


async def made(data: Path, http: aiohttp.ClientSession) -> tuple[str, dict[str, str], Path]:
    """A workspace with a text, and its backup."""
    async with served(data) as url:
        workspace_id, keys = await create_workspace(http, url, {"a.py": "old text"})
    backup = data.with_name("backup")
    back_up(data, backup, replace=True)
    return workspace_id, keys, backup


def epochs(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {epoch for (epoch,) in connection.execute("SELECT epoch FROM documents")}


async def test_in_the_place_of_its_own_file_histories_go_on_and_the_window_opens(
    tmp_path: Path, http: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    workspace_id, keys, backup = await made(data, http)
    before = epochs(data / DATA_FILE)
    async with served(data) as url, connect(url, workspace_id, keys["editor"]) as peer:
        (await peer.open_file(1)).append(" and more")
        await peer.until_saved()
    assert main(["restore", "--data", str(data), str(backup)]) == 0
    out = capsys.readouterr().out
    assert "Histories go on. Until " in out
    assert epochs(data / DATA_FILE) == before
    assert look_at(data / DATA_FILE).lineage == look_at(backup).lineage
    assert stat.S_IMODE((data / DATA_FILE).stat().st_mode) == 0o600
    (aside,) = data.glob(f"{DATA_FILE}.replaced-*Z")
    assert str(aside) in out, "the file from before is kept, and the operator told where"
    assert check(aside).updates == check(backup).updates + 1
    async with running(Config(port=0, data=data)) as server:
        around = server.lobby.around
        assert around.is_carrying()
        days = (around.carry_until_ms - time.time() * 1000) / 86_400_000
        assert limits.CARRY_DAYS - 0.1 < days <= limits.CARRY_DAYS
        assert await text_at(url_of(server), workspace_id, keys["viewer"]) == "old text"


async def test_elsewhere_a_life_of_its_own_begins(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    data = tmp_path / "data"
    workspace_id, keys, backup = await made(data, http)
    async with served(tmp_path / "other"):
        pass
    for place in ("empty", "other"):
        restored = put_back(backup, tmp_path / place)
        assert (restored.lineage, restored.carry_until_ms) == ("new", 0)
        assert (restored.aside is not None) == (place == "other")
        assert not epochs(tmp_path / place / DATA_FILE) & epochs(data / DATA_FILE)
        assert look_at(tmp_path / place / DATA_FILE).lineage not in (None, look_at(backup).lineage)
        async with running(Config(port=0, data=tmp_path / place)) as server:
            assert not server.lobby.around.is_carrying()
            async with connect(url_of(server), workspace_id, keys["editor"]) as peer:
                assert str(await peer.open_file(1)) == "old text"


async def test_a_browser_with_the_history_from_before_is_kept_out_of_a_copy(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    workspace_id, keys, backup = await made(tmp_path / "data", http)
    async with served(tmp_path / "data") as url, connect(url, workspace_id, keys["editor"]) as peer:
        epoch = peer.files[1]["epoch"]
    put_back(backup, tmp_path / "copy")
    async with served(tmp_path / "copy") as url, connect(url, workspace_id, keys["editor"]) as peer:
        peer.start_opening(1, epoch=epoch)
        await peer.until(lambda: bool(peer.refusals))
        assert [refusal["code"] for refusal in peer.refusals] == [Code.EPOCH_CHANGED]


async def test_for_a_lost_disk_the_operator_says_that_it_is_the_same_server(
    tmp_path: Path, http: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who does not say so is told, while it can still be said: a new lineage loses what browsers have."""
    _, _, backup = await made(tmp_path / "data", http)
    words = ["restore", str(backup), "--data", str(tmp_path / "new disk")]
    assert main(words) == 0
    assert "run this again with --same-lineage before anyone comes" in capsys.readouterr().out
    assert main([*words, "--same-lineage"]) == 0
    out = capsys.readouterr().out
    assert "Histories go on." in out
    assert "run this again" not in out
    (tmp_path / "new disk" / DATA_FILE).unlink()
    restored = put_back(backup, tmp_path / "new disk", "same")
    assert (restored.lineage, restored.aside) == ("same", None)
    assert epochs(tmp_path / "new disk" / DATA_FILE) == epochs(backup)
    assert look_at(tmp_path / "new disk" / DATA_FILE).lineage == look_at(backup).lineage


async def test_a_copy_may_be_asked_for_in_the_place_of_the_file_itself(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    _, _, backup = await made(tmp_path / "data", http)
    put_back(backup, tmp_path / "data")
    back_up(tmp_path / "data", backup, replace=True)
    assert put_back(backup, tmp_path / "data", "new").lineage == "new"
    async with running(Config(port=0, data=tmp_path / "data")) as server:
        assert not server.lobby.around.is_carrying(), "the window that was open when the backup was made is shut"


@pytest.mark.parametrize("what", ["broken", "older"])
async def test_where_nobody_can_tell_the_operator_is_asked(
    tmp_path: Path, http: aiohttp.ClientSession, what: str
) -> None:
    data = tmp_path / "data"
    _, _, backup = await made(data, http)
    if what == "broken":
        (data / DATA_FILE).write_bytes(b"\xa5" * 8192)
    else:
        with contextlib.closing(sqlite3.connect(data / DATA_FILE)) as connection:
            connection.execute("DELETE FROM meta WHERE name = 'lineage'")
            connection.commit()
    before = (data / DATA_FILE).read_bytes()
    with pytest.raises(Misconfigured, match="--same-lineage"):
        put_back(backup, data)
    assert (data / DATA_FILE).read_bytes() == before
    restored = put_back(backup, data, "same")
    assert restored.aside is not None
    assert restored.aside.read_bytes() == before
    assert check(data / DATA_FILE).is_sound


async def test_what_waits_in_the_log_of_a_killed_server_is_set_aside_with_its_file(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """Beside the file that is put in place, SQLite would take that log for its own."""
    data = tmp_path / "data"
    workspace_id, keys, backup = await made(data, http)
    async with serving(data) as server:
        async with connect(server.url, workspace_id, keys["editor"]) as peer:
            (await peer.open_file(1)).append(" and more")
            await peer.until_saved()
        await server.kill()
    assert (data / f"{DATA_FILE}-wal").stat().st_size > 0
    restored = put_back(backup, data)
    assert restored.aside is not None
    assert check(restored.aside).updates == check(backup).updates + 1, "the last edits are in what is set aside"
    assert check(data / DATA_FILE).updates == check(backup).updates


async def test_a_data_directory_in_use_is_not_touched(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    _, _, backup = await made(tmp_path / "data", http)
    before = (tmp_path / "data" / DATA_FILE).read_bytes()
    directory = DataDirectory.lock(tmp_path / "data")
    try:
        with pytest.raises(Misconfigured, match="is in use by process"):
            put_back(backup, tmp_path / "data", "same")
    finally:
        directory.release()
    assert (tmp_path / "data" / DATA_FILE).read_bytes() == before


async def test_a_backup_with_problems_is_put_back_only_when_told(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    data = tmp_path / "data"
    _, _, backup = await made(data, http)
    with contextlib.closing(sqlite3.connect(backup)) as connection:
        connection.execute("UPDATE log SET record = x'02'")
        connection.commit()
    told: list[Report] = []
    with pytest.raises(Misconfigured, match="--anyway"):
        restore(backup, data, None, anyway=False, tell=told.append)
    assert [report.is_sound for report in told] == [False]
    assert check(data / DATA_FILE).is_sound
    assert put_back(backup, data, anyway=True).lineage == "same"


def type_two(path: Path) -> None:
    """Two updates more, the last of them in the WAL and not in the file."""
    wal = path.with_name(path.name + "-wal")
    kept = (b"", b"")
    for seq in (2, 3):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            record = encode_record([LogEntry(1, "person:x", update_of("z", seq))])
            connection.execute("INSERT INTO log SELECT document, ?, 1, ? FROM log LIMIT 1", (seq, record))
            connection.commit()
            kept = path.read_bytes(), wal.read_bytes()
    path.write_bytes(kept[0])
    wal.write_bytes(kept[1])


@pytest.mark.parametrize("call", ["link", "rename", "replace", "fsync"])
@pytest.mark.parametrize("is_lasting", [False, True])
async def test_a_restore_that_is_cut_off_leaves_the_file_from_before_or_the_one_from_after(
    tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, call: str, is_lasting: bool
) -> None:
    """The n-th call fails, for n = 1, 2, ... until none does: as a full disk does it, or for good, as a crash does.

    The last edit is in SQLite's log, which a killed server has left.
    """
    data = tmp_path / "data"
    _, _, backup = await made(data, http)
    type_two(data / DATA_FILE)
    assert (check(data / DATA_FILE).updates, check(backup).updates) == (3, 1)
    real: Callable[..., object] = getattr(os, call)
    for number in range(1, 20):
        calls = 0

        def fail(*arguments: object, number: int = number, **more: object) -> object:
            nonlocal calls
            calls += 1
            if calls == number or (is_lasting and calls > number):
                raise OSError(28, "No space left on device")
            return real(*arguments, **more)

        with monkeypatch.context() as patch, contextlib.suppress(Misconfigured):
            patch.setattr(os, call, fail)
            put_back(backup, data, "same")
        report = check(data / DATA_FILE)
        assert report.is_sound
        assert report.updates in (3, 1), "2 would be the file from before without its last edit"
        assert not list(data.glob(".*.coming*"))
        if calls < number:
            return
    raise AssertionError("it never passed")
