"""Disks that fill up, turn read-only or hang below a server at work: rooms are read, and nothing promised is lost.

Each server is a process of its own on a small disk that is really full, or with calls that really fail.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from carets.engines.sqlite_file import DATA_FILE
from carets.errors import Code
from tests.disks import SmallDisk, calls_that, small_disk
from tests.peer import connect, create_workspace
from tests.serving import ServerProcess, serving
from tests.writers import Writers, writers

SEED = 7
PAGE_BYTES = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with serving(tmp_path / "data") as server:
        yield server


async def readiness(server: ServerProcess) -> tuple[int, list[str]]:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/readyz") as response:
        return response.status, (await response.json())["reasons"]


async def until_all_know(crowd: Writers, fault: str | None) -> None:
    await crowd.until(lambda: all(each.fault == fault and each.peer for each in crowd.all), f"to hear of {fault}")


async def test_a_disk_that_fills_up_under_load_costs_nothing_that_was_promised_and_heals(disk: SmallDisk) -> None:
    # The log of the server is on it, too: that it cannot be written must not matter.
    async with serving(disk.path / "data") as server, writers(server.url) as crowd:
        crowd.add(4, SEED)
        crowd.set_typing(True)
        await crowd.until_more(20)
        for _ in range(2):
            disk.fill()
            await until_all_know(crowd, "full")
            assert await readiness(server) == (503, ["cannot save: its disk is full"])
            await crowd.until(lambda: all(len(each.typed) > len(each.acked) + 50 for each in crowd.all))
            saved, connections = [len(each.acked) for each in crowd.all], [each.connections for each in crowd.all]
            await crowd.check_kept()
            assert [len(each.acked) for each in crowd.all] == saved
            disk.empty()
            await crowd.until_more(60)
            assert [each.connections for each in crowd.all] == connections, "nobody had to come back"
            assert await readiness(server) == (200, [])
        await crowd.until_level()
        # And all of it is on the disk, not only in the process.
        await server.kill()
        await server.start()
        await crowd.until_level()
        await crowd.check_kept()


async def refusal_to_start(data: Path) -> str:
    """What ``carets serve`` says when it does not start."""
    command = [sys.executable, "-m", "carets", "serve", "--port", "0", "--data", str(data)]
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    told, _ = await child.communicate()
    assert child.returncode == 2, told.decode()
    return told.decode().splitlines()[-1]


async def test_a_disk_on_which_a_server_cannot_start_is_named_with_what_ails_it(disk: SmallDisk) -> None:
    data = disk.path / "data"
    async with serving(data) as server, aiohttp.ClientSession() as http:
        workspace_id, keys = await create_workspace(http, server.url, {"a.txt": "kept"})
        assert await server.stop() == 0
        disk.fill()
        assert await refusal_to_start(data) == (
            f"carets: {data / DATA_FILE} cannot be used (disk I/O error): its disk is full: make room, then start again"
        )
        disk.empty()
        disk.remount("ro")
        assert "Read-only file system" in await refusal_to_start(data)
        disk.remount("rw")
        await server.start()
        async with connect(server.url, workspace_id, keys["editor"]) as ann:
            assert str(await ann.open_file(1)) == "kept"


@pytest.mark.parametrize("error, fault", [("EROFS", "failing"), ("EIO", "failing"), ("ENOSPC", "full")])
async def test_a_disk_whose_calls_begin_to_fail_makes_rooms_read_only_until_they_stop(
    error: str, fault: str, server: ServerProcess
) -> None:
    async with writers(server.url) as crowd:
        crowd.add(2, SEED)
        crowd.set_typing(True)
        await crowd.until_more(5)
        async with calls_that(server.pid, server.data / DATA_FILE, f"error={error}"):
            await until_all_know(crowd, fault)
            await crowd.until(lambda: all(len(each.typed) > len(each.acked) + 20 for each in crowd.all))
            await crowd.check_kept()
        await until_all_know(crowd, None)
        await crowd.until_level()


async def test_a_disk_that_hangs_is_told_and_costs_neither_edits_nor_lines(server: ServerProcess) -> None:
    async with writers(server.url) as crowd:
        crowd.add(2, SEED)
        crowd.set_typing(True)
        await crowd.until_more(5)
        async with calls_that(server.pid, server.data / DATA_FILE, "delay_enter=60000000", "fdatasync"):
            await until_all_know(crowd, "stalled")
            assert await readiness(server) == (503, ["cannot save: its disk does not answer"])
        await until_all_know(crowd, None)
        await crowd.until_level()
        assert [each.connections for each in crowd.all] == [1, 1]
        assert await readiness(server) == (200, [])


# -- damage

OTHERS = (b"between", b"whole")
"""What the other texts hold: pages that they share with the harmed one stay whole."""


def pages_of(database: Path, marker: bytes, others: Sequence[bytes]) -> list[int]:
    """Which pages of a database that nobody writes hold these bytes, and nothing of others."""
    raw = database.read_bytes()
    pages = {match.start() // PAGE_BYTES for match in re.finditer(re.escape(marker), raw)}
    held = {page: raw[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] for page in pages}
    return sorted(page for page, bytes_ in held.items() if not any(other in bytes_ for other in others))


def overwrite(database: Path, marker: bytes) -> None:
    """Pages that hold the marker become noise, as a disk leaves them that lost its mind."""
    with database.open("r+b") as file:
        for page in pages_of(database, marker, OTHERS):
            file.seek(page * PAGE_BYTES)
            file.write(b"\xff" * PAGE_BYTES)


def flip(database: Path, marker: bytes) -> None:
    """One bit of each marker is another: the page is whole, and the row that it holds is not."""
    raw = database.read_bytes()
    with database.open("r+b") as file:
        for match in re.finditer(re.escape(marker), raw):
            file.seek(match.start())
            file.write(bytes([marker[0] ^ 1]))


@pytest.mark.parametrize("harm", [overwrite, flip])
@pytest.mark.parametrize("is_running", [False, True], ids=["at the start", "while it runs"])
async def test_damaged_data_are_refused_by_name_and_other_workspaces_go_on(
    harm: Callable[[Path, bytes], None], is_running: bool, server: ServerProcess
) -> None:
    database = server.data / DATA_FILE
    async with aiohttp.ClientSession() as http:
        hit = await create_workspace(http, server.url, {"a.txt": "harmed " * 4000})
        # So that the two do not share a page: SQLite reads whole rows on its way to a neighbour.
        await create_workspace(http, server.url, {f"{n}.txt": f"between {n} " * 50 for n in range(80)})
        other = await create_workspace(http, server.url, {"a.txt": "whole " * 4000})
    await server.stop()
    assert pages_of(database, b"harmed harmed", OTHERS)
    if not is_running:
        harm(database, b"harmed harmed")
    await server.start()
    if is_running:
        harm(database, b"harmed harmed")
    async with connect(server.url, hit[0], hit[1]["editor"]) as ann:
        ann.start_opening(1)
        await ann.until(lambda: bool(ann.refusals))
        refused = ann.refusals[0]
        assert (refused["code"], refused["file_id"]) == (Code.UNAVAILABLE, 1)
    async with connect(server.url, other[0], other[1]["editor"]) as bob:
        whole = await bob.open_file(1)
        whole.append("and more")
        await bob.until_saved()
        assert str(whole) == "whole " * 4000 + "and more"
    assert await readiness(server) == (200, [])
    if harm is overwrite:
        assert "carets check" in refused["text"]
        assert f'"file": "{database}"' in server.log
        assert '"event": "data_damaged"' in server.log


async def test_damage_that_a_server_cannot_do_without_is_named_when_it_starts(server: ServerProcess) -> None:
    database = server.data / DATA_FILE
    await server.stop()
    with sqlite3.connect(database) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'meta'").fetchone()
    connection.close()
    raw = database.read_bytes()
    page = slice((root - 1) * PAGE_BYTES, root * PAGE_BYTES)
    database.write_bytes(raw[: page.start] + b"\xff" * PAGE_BYTES + raw[page.stop :])
    told = await refusal_to_start(server.data)
    assert told.startswith(f"carets: {database} cannot be used")
    assert "carets check" in told
    database.write_bytes(raw)
    await server.start()
