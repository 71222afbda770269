"""Whole folders, in and out: imports of many files in one commit, and the workspace as a zip."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import random
import shutil
import socket
import subprocess
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from carets import limits
from carets.config import Config
from carets.edges import transfer
from carets.errors import Code
from carets.protocol.messages import FileRecord
from carets.rooms.room import Room
from carets.rooms.shelf import Shelf
from carets.rooms.store import StoreFailed
from carets.server import Running, running
from tests.peer import connect, create_workspace, join
from tests.stage import settled

FILES = {"a.py": "x = 1\n", "docs/é 😀.md": "größer\r\nals\r\n", "empty": "", "שלום/نص.txt": "a\n"}


def noise(characters: int, seed: int) -> str:
    """Text that hardly packs."""
    return random.Random(seed).randbytes(characters // 2).hex()


def unzip(packed: bytes, folder: Path) -> bool:
    """Unpack by Info-ZIP, which must have nothing to complain about. False where there is none."""
    if shutil.which("unzip") is None:
        return False
    (folder / "a.zip").write_bytes(packed)
    environment = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}
    subprocess.run(["unzip", "-q", "a.zip"], cwd=folder, check=True, env=environment)
    return True


@dataclass
class Place:
    """A workspace, and whoever asks for it."""

    server: Running
    http: aiohttp.ClientSession
    workspace_id: str
    keys: dict[str, str]

    def url(self, what: str) -> str:
        return f"{self.server.address.rstrip('/')}/api/workspaces/{self.workspace_id}/{what}"

    def bearer(self, role: str = "editor") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role]}"}

    async def take_in(self, files: dict[str, str], role: str = "editor", **more: str) -> tuple[int, Any]:
        body = {"files": files, **more}
        headers = self.bearer(role) | {"Content-Type": "application/json"}
        data = io.BytesIO(json.dumps(body).encode())
        async with self.http.post(self.url("files"), data=data, headers=headers) as response:
            return response.status, await response.json()

    async def zip(self, role: str = "viewer") -> bytes:
        async with self.http.get(self.url("export.zip"), headers=self.bearer(role)) as response:
            assert (response.status, response.content_type) == (200, "application/zip")
            return await response.read()

    async def room(self) -> Room:
        return await self.server.lobby.enter(self.workspace_id)


@pytest.fixture
async def place(server: Running, http: aiohttp.ClientSession) -> Place:
    return await made(server, http, FILES)


async def made(server: Running, http: aiohttp.ClientSession, files: dict[str, str], title: str = "Ours") -> Place:
    return Place(server, http, *await create_workspace(http, server.address.rstrip("/"), files, title))


# -- in


async def test_an_import_makes_all_files_and_tells_the_members(place: Place) -> None:
    base = place.server.address.rstrip("/")
    async with connect(base, place.workspace_id, place.keys["viewer"]) as peer:
        status, told = await place.take_in({"src/b.py": "y = 2\r\n", "src/c.py": "é😀"})
        assert status == 201
        records = [FileRecord(**record) for record in told["files"]]
        assert [(record.path, record.eol) for record in records] == [("src/b.py", "crlf"), ("src/c.py", "lf")]
        await peer.until(lambda: records[1].file_id in peer.files)
        texts = [str(await peer.open_file(record.file_id)) for record in records]
        assert texts == ["y = 2\n", "é😀"]


async def test_imported_text_is_by_the_person_of_the_token_or_else_by_the_link(place: Place) -> None:
    base = place.server.address.rstrip("/")
    async with connect(base, place.workspace_id, place.keys["editor"]) as peer:
        token = peer.welcome["person"]
    store, authors = place.server.lobby.around.store, []
    for name, person in (("1", token), ("2", token[:-1] + "!"), ("3", "")):
        _, told = await place.take_in({name: "text"}, person=person)
        authors.append((await store.read_log(place.workspace_id, told["files"][0]["file_id"], 0, 10))[0].author)
    assert authors[0].startswith("person:")
    assert authors[1] == authors[2]
    assert authors[1].startswith("link:")


async def test_a_viewer_cannot_import_and_nobody_can_without_a_key(place: Place) -> None:
    status, told = await place.take_in({"b": ""}, "viewer")
    assert (status, told["error"]["code"]) == (403, Code.ROLE_TOO_LOW)
    # Before anything that they sent is read.
    headers = place.bearer("viewer") | {"Content-Type": "application/json"}
    async with place.http.post(place.url("files"), data=b"{", headers=headers) as response:
        assert (await response.json())["error"]["code"] == Code.ROLE_TOO_LOW
    for what, call in (("files", place.http.post), ("export.zip", place.http.get)):
        async with call(place.url(what)) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (403, Code.KEY_WRONG)


async def test_a_refused_import_says_what_was_wrong_and_makes_nothing(place: Place) -> None:
    bad = {"good": "", "../a": "", "b//c": "", "d\u202e": "", "e\\": "", "f/.": ""}
    status, told = await place.take_in(bad)
    assert (status, told["error"]["code"]) == (400, Code.PATH_INVALID)
    for words in ("../a: ", "b//c: ", "d\\u202e: ", "2 more"):
        assert words in told["error"]["text"]
    assert "e\\" not in told["error"]["text"]
    status, told = await place.take_in({"a.py": "", "new": "", "empty": ""})
    assert (status, told["error"]["code"]) == (409, Code.PATH_TAKEN)
    assert "a.py; empty" in told["error"]["text"]
    status, told = await place.take_in({"n": "x", "n/m": "y"})
    assert (status, told["error"]["code"]) == (409, Code.PATH_TAKEN)
    lone = b'{"files": {"lone": "\\ud800", "n": ""}}'
    headers = place.bearer() | {"Content-Type": "application/json"}
    async with place.http.post(place.url("files"), data=lone, headers=headers) as response:
        assert response.status == 400
    assert [file.path for file in (await place.room()).files.listed()] == list(FILES)


async def test_too_many_files_are_refused_before_time_is_spent_on_each(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FILES_MAX", 5)
    status, told = await place.take_in(dict.fromkeys(("../a", "../b", "../c", "../d", "../e", "../f"), ""))
    assert (status, told["error"]["code"]) == (409, Code.FILES_TOO_MANY)


async def test_a_body_of_a_million_strings_is_refused_before_it_is_decoded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """28 MiB of empty files, far more than any workspace may have, held the event loop for 1.2 s in the decoder."""
    decoded: list[int] = []
    decode = msgspec.json.decode

    def watched(body: bytes, **kind: Any) -> Any:
        decoded.append(len(body))
        return decode(body, **kind)

    monkeypatch.setattr(msgspec.json, "decode", watched)
    headers = {"Authorization": f"Bearer {place.keys['editor']}", "Content-Type": "application/json"}
    for end in (b"", b"\\\\"):
        names = b",".join(b'"%x%s":""' % (number, end) for number in range(1_000_000))
        body = b'{"files":{' + names + b"}}"
        async with place.http.post(place.url("files"), data=io.BytesIO(body), headers=headers) as answer:
            assert (await answer.json())["error"]["code"] == Code.FILES_TOO_MANY
    assert decoded == []
    status, _ = await place.take_in({"quotes": '"' * 100_000})
    assert status == 201
    assert decoded


async def test_an_import_that_is_too_large_is_refused(place: Place) -> None:
    status, told = await place.take_in({"large": "x" * limits.BODY_BYTES_MAX})
    assert (status, told["error"]["code"]) == (413, Code.BODY_TOO_LARGE)
    status, told = await place.take_in({"large": "x" * (limits.DOCUMENT_UNITS_MAX + 1)})
    assert (status, told["error"]["code"]) == (413, Code.DOCUMENT_TOO_LARGE)
    assert "large" in told["error"]["text"]


async def test_a_link_that_is_revoked_while_the_files_come_brings_none(place: Place) -> None:
    listed = await (await place.http.get(place.url("links"), headers=place.bearer("owner"))).json()
    (editor,) = [link["link_id"] for link in listed["links"] if link["role"] == "editor"]

    async def body() -> AsyncIterator[bytes]:
        yield b'{"files": {'
        async with place.http.delete(place.url(f"links/{editor}"), headers=place.bearer("owner")) as response:
            assert response.status == 204
        yield b'"late": ""}}'

    headers = place.bearer() | {"Content-Type": "application/json"}
    async with place.http.post(place.url("files"), data=body(), headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, Code.LINK_REVOKED)
    assert "late" not in [file.path for file in (await place.room()).files.listed()]


# -- out


async def test_an_export_holds_every_live_file_with_its_name_and_line_ends(place: Place, tmp_path: Path) -> None:
    base = place.server.address.rstrip("/")
    async with connect(base, place.workspace_id, place.keys["editor"]) as peer:
        replica = await peer.open_file(peer.file_id("a.py"))
        replica.append("y = 2\n")
        await peer.until_saved()
        await peer.ask(type="delete_file", file_id=peer.file_id("empty"))
    packed = await place.zip()
    expected = {"a.py": "x = 1\ny = 2\n", "docs/é 😀.md": "größer\r\nals\r\n", "שלום/نص.txt": "a\n"}
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name).decode() for name in archive.namelist()} == expected
        for entry in archive.infolist():
            assert entry.external_attr >> 16 == 0o100644
            assert entry.date_time[0] >= 2024
            assert entry.compress_type == zipfile.ZIP_DEFLATED
    for role in ("owner", "editor"):
        assert await place.zip(role) == packed
    if not unzip(packed, tmp_path):
        pytest.skip("no unzip")
    for path, text in expected.items():
        assert (tmp_path / path).read_bytes() == text.encode()
    assert (tmp_path / "a.py").stat().st_mode & 0o777 == 0o644


async def test_an_empty_workspace_is_an_empty_zip(server: Running, http: aiohttp.ClientSession) -> None:
    with zipfile.ZipFile(io.BytesIO(await (await made(server, http, {})).zip())) as archive:
        assert archive.namelist() == []


async def test_a_line_end_that_a_stock_client_typed_is_not_doubled() -> None:
    archive = transfer._Archive(0)
    archive.add(FileRecord(1, "a", "e", "crlf"), "one\r\ntwo\n")
    archive.end()
    with zipfile.ZipFile(io.BytesIO(archive.take())) as read:
        assert read.read("a") == b"one\r\ntwo\r\n"
        assert read.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


async def test_a_zip_beyond_four_gigabytes_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The same code with a smaller limit: 4 GiB of zip would take minutes.
    archive = transfer._Archive(0)
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 300)
    texts = {str(number): noise(400, number)[: 200 + number] for number in range(8)}
    for path, text in texts.items():
        archive.add(FileRecord(1, path, "e"), text)
    archive.end()
    packed = archive.take()
    assert b"PK\x06\x06" in packed
    monkeypatch.undo()
    with zipfile.ZipFile(io.BytesIO(packed)) as read:
        assert {name: read.read(name).decode() for name in read.namelist()} == texts
    unzip(packed, tmp_path)


@pytest.mark.parametrize(
    "title,header",
    [
        ("My project", "attachment; filename=\"My project.zip\"; filename*=UTF-8''My%20project.zip"),
        ('a/b\\c:"d"', "attachment; filename=\"a-b-c--d-.zip\"; filename*=UTF-8''a-b-c--d-.zip"),
        ("Größe", "attachment; filename=\"Groe.zip\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.zip"),
        ("文書", "attachment; filename=\"workspace.zip\"; filename*=UTF-8''%E6%96%87%E6%9B%B8.zip"),
        (" .. ", "attachment; filename=\"workspace.zip\"; filename*=UTF-8''workspace.zip"),
        (
            "x＂;a=＂／＼",
            "attachment; filename=\"x-;a=---.zip\"; filename*=UTF-8''x%EF%BC%82%3Ba%3D%EF%BC%82%EF%BC%8F%EF%BC%BC.zip",
        ),
        ("50% off", "attachment; filename=\"50- off.zip\"; filename*=UTF-8''50%25%20off.zip"),
    ],
)
def test_the_zip_is_named_after_the_workspace(title: str, header: str) -> None:
    assert transfer._attachment(title) == header


async def test_head_tells_what_get_would(place: Place) -> None:
    async with place.http.head(place.url("export.zip"), headers=place.bearer("viewer")) as response:
        assert response.status == 200
        assert response.headers["Content-Disposition"].startswith('attachment; filename="Ours.zip"')
        assert response.headers["Content-Type"] == "application/zip"


async def test_an_open_server_gives_and_takes_without_a_key(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with running(Config(port=0, data=tmp_path / "data", open=True)) as server:
        place = await made(server, http, FILES)
        async with http.post(place.url("files"), json={"files": {"new": "1"}}) as response:
            assert response.status == 201
        async with http.get(place.url("export.zip")) as response:
            with zipfile.ZipFile(io.BytesIO(await response.read())) as archive:
                assert archive.read("new") == b"1"


async def test_a_deleted_workspace_is_not_exported(place: Place) -> None:
    await (await place.room()).delete()
    async with place.http.get(place.url("export.zip"), headers=place.bearer()) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (410, Code.WORKSPACE_DELETED)


async def test_a_file_that_is_deleted_during_the_export_is_left_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_text = Shelf.read_text

    async def reading(shelf: Shelf, file_id: int) -> str:
        if file_id == 1:
            async with connect(place.server.address.rstrip("/"), place.workspace_id, place.keys["editor"]) as peer:
                await peer.ask(type="delete_file", file_id=2)
        return await read_text(shelf, file_id)

    monkeypatch.setattr(Shelf, "read_text", reading)
    with zipfile.ZipFile(io.BytesIO(await place.zip())) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.py", "empty", "שלום/نص.txt"]


async def test_a_file_that_cannot_be_read_gives_no_zip_that_looks_whole(
    server: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await made(server, http, {f"{number}": noise(200_000, number) for number in range(4)})
    read_text = Shelf.read_text
    failing = 3

    async def reading(shelf: Shelf, file_id: int) -> str:
        if file_id == failing:
            raise StoreFailed(Code.UNAVAILABLE, "the disk is gone")
        return await read_text(shelf, file_id)

    monkeypatch.setattr(Shelf, "read_text", reading)
    with pytest.raises(aiohttp.ClientError):
        await place.zip()
    assert server.lobby.around.metrics.refusals[Code.UNAVAILABLE] == 1
    failing = 1  # before anything was sent, there is an answer to be had
    async with http.get(place.url("export.zip"), headers=place.bearer()) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (503, Code.UNAVAILABLE)
    failing = 0
    with zipfile.ZipFile(io.BytesIO(await place.zip())) as archive:
        assert len(archive.namelist()) == 4


async def test_who_goes_away_during_an_export_ends_it(
    server: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await made(server, http, {f"{number:02}": "" for number in range(40)})
    reads: list[int] = []
    left, gone = asyncio.Event(), asyncio.Event()

    async def reading(shelf: Shelf, file_id: int) -> str:
        reads.append(file_id)
        if file_id == 3:
            left.set()
            await gone.wait()
        return noise(4_000_000, file_id)

    monkeypatch.setattr(Shelf, "read_text", reading)
    ended = asyncio.Event()
    send = transfer.Transfer._send

    async def sending(self: transfer.Transfer, *arguments: Any) -> Any:
        try:
            return await send(self, *arguments)
        finally:
            ended.set()

    monkeypatch.setattr(transfer.Transfer, "_send", sending)
    async with http.get(place.url("export.zip"), headers=place.bearer()) as response:
        reading_on = asyncio.ensure_future(response.content.readexactly(2 * 1_900_000))
        await left.wait()
        await reading_on
        response.close()
    gone.set()
    async with asyncio.timeout(30):
        await ended.wait()
    assert len(reads) < 10, reads


async def test_so_many_of_a_role_export_at_once_and_so_many_files_are_packed_for_all(
    tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXPORTS_MAX", 2)
    comers = ["viewer", "owner"] * 3
    all_came = asyncio.Event()
    inside: Counter[str] = Counter()
    most: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def counted(what: str) -> AsyncIterator[None]:
        inside[what] += 1
        most[what] = max(most[what], inside[what])
        await all_came.wait()
        await settled()
        yield
        inside[what] -= 1

    send = transfer.Transfer._send

    async def sending(self: transfer.Transfer, request: web.Request, room: Room, response: Any) -> web.StreamResponse:
        async with counted("sent"):
            return await send(self, request, room, response)

    async def reading(_: Room, __: int) -> str:
        async with counted("packed"):
            return ""

    monkeypatch.setattr(transfer.Transfer, "_send", sending)
    monkeypatch.setattr(Shelf, "read_text", reading)
    async with running(Config(port=0, data=tmp_path / "data")) as server:
        place = await made(server, http, {"a": ""})
        came: list[str] = []

        def come(network: str) -> None:
            came.append(network)
            if len(came) == len(comers):
                all_came.set()

        monkeypatch.setattr(server.listener.rates, "transfer", come)
        assert all(await asyncio.gather(*(place.zip(role) for role in comers)))
    assert most == {"sent": 4, "packed": 2}


async def test_who_stops_reading_an_export_makes_room_for_others(
    tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXPORTS_MAX", 1)
    monkeypatch.setattr(limits, "EXPORT_STALL_S", 0.3)

    async def reading(shelf: Shelf, file_id: int) -> str:
        return noise(16_000_000, file_id) if file_id == 1 else "short"

    async with running(Config(port=0, data=tmp_path / "data")) as server:
        large = await made(server, http, {"a": ""})
        monkeypatch.setattr(Shelf, "read_text", reading)
        writer = await _ask_and_read_no_further(large)
        async with asyncio.timeout(30):
            assert await large.zip("viewer")
        writer.close()


async def test_who_stops_reading_an_export_keeps_no_other_workspace_and_no_owner_waiting(
    tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXPORTS_MAX", 1)
    texts = iter([noise(16_000_000, 1)])

    async def reading(shelf: Shelf, file_id: int) -> str:
        return next(texts, "short")

    async with running(Config(port=0, data=tmp_path / "data")) as server:
        slow, other = [await made(server, http, {"a": ""}) for _ in range(2)]
        monkeypatch.setattr(Shelf, "read_text", reading)
        writer = await _ask_and_read_no_further(slow)
        async with asyncio.timeout(limits.EXPORT_STALL_S / 2):
            assert await other.zip("viewer")
            assert await slow.zip("owner")
        writer.close()


async def _ask_and_read_no_further(place: Place) -> asyncio.StreamWriter:
    line = socket.socket()
    line.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
    )  # or the kernel takes megabytes for a reader that stopped
    line.setblocking(False)
    await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", place.server.port))
    reader, writer = await asyncio.open_connection(sock=line, limit=1024)
    head = f"GET /api/workspaces/{place.workspace_id}/export.zip HTTP/1.1\r\nHost: localhost\r\n"
    writer.write(f"{head}Authorization: Bearer {place.keys['viewer']}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    return writer


async def test_who_does_not_take_the_very_end_of_an_export_makes_room_for_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXPORT_STALL_S", 0.05)
    never = asyncio.Event()

    async def stuck(*_: object) -> None:
        await never.wait()

    monkeypatch.setattr(web.StreamResponse, "write_eof", stuck)
    async with asyncio.timeout(30):
        with pytest.raises(aiohttp.ClientPayloadError):
            await place.zip()


async def test_a_link_that_is_revoked_during_an_export_gets_nothing_more(
    server: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await made(server, http, {f"{number:02}": "" for number in range(5)})
    room, reads = await place.room(), []
    (link,) = [link for link in room.links.values() if link.role == "viewer"]

    async def reading(shelf: Shelf, file_id: int) -> str:
        reads.append(file_id)
        if file_id == 2:
            await room.put_link(link._replace(revoked_at_ms=1))
        return noise(400_000, file_id)

    monkeypatch.setattr(Shelf, "read_text", reading)
    with pytest.raises(aiohttp.ClientPayloadError):
        await place.zip("viewer")
    assert reads == [1, 2]
    assert server.lobby.around.metrics.refusals[Code.LINK_REVOKED] == 1


async def test_an_export_takes_no_more_memory_for_more_files(
    server: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await made(server, http, {f"{number:02}": "" for number in range(60)})
    texts = [noise(1_000_000, seed) for seed in range(3)]

    async def reading(shelf: Shelf, file_id: int) -> str:
        return texts[file_id % 3] + str(file_id)

    monkeypatch.setattr(Shelf, "read_text", reading)
    tracemalloc.start()
    try:
        size = 0
        async with http.get(place.url("export.zip"), headers=place.bearer()) as response:
            async for piece in response.content.iter_chunked(1 << 16):
                size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 25_000_000
    assert peak < 12_000_000, peak


async def test_a_document_that_was_read_for_an_export_does_not_stay(place: Place) -> None:
    await place.zip()
    assert (await place.room()).open_files == {}


async def test_unsaved_text_is_in_no_export(place: Place) -> None:
    """What others cannot see yet cannot be downloaded either (P2): the zip shows committed text."""
    base = place.server.address.rstrip("/")
    peer = await join(place.http, base, place.workspace_id, place.keys["editor"])
    replica = await peer.open_file(peer.file_id("a.py"))
    room = await place.room()
    store = room._around.store
    asked, release = asyncio.Event(), asyncio.Event()
    append = store.append

    async def held(batch: Any) -> None:
        asked.set()
        await release.wait()
        await append(batch)

    store.append = held  # type: ignore[method-assign]
    replica.append("held\n")
    await asked.wait()
    with zipfile.ZipFile(io.BytesIO(await place.zip())) as archive:
        assert archive.read("a.py") == b"x = 1\n"
    release.set()
    await peer.until_saved()
    with zipfile.ZipFile(io.BytesIO(await place.zip())) as archive:
        assert archive.read("a.py") == b"x = 1\nheld\n"
    await peer.close()
