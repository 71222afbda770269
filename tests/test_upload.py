"""Bodies that come slowly, never end, or are many: each is bounded in time and memory, and nobody else waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from carets import limits
from carets.config import Config
from carets.edges.upload import Uploads, _Places
from carets.errors import Code, Unavailable
from carets.server import Running, running
from tests.peer import Peer, Replica, create_workspace, join

LARGE = json.dumps({"title": "x" * 100, "files": {"a.txt": "x" * 200_000}}).encode()


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(limits, "BODY_WAIT_S", 0.4)
    monkeypatch.setattr(limits, "BODY_BYTES_PER_S_MIN", 50_000)
    monkeypatch.setattr(limits, "UPLOAD_WAIT_S", 2.0)
    monkeypatch.setattr(limits, "LINGER_S", 0.2)
    async with running(Config(port=0, data=tmp_path / "data")) as server:
        yield server


@pytest.fixture
async def bystander(server: Running, http: aiohttp.ClientSession) -> AsyncIterator[tuple[Peer, Replica]]:
    """Somebody who types before, and after; tests have them type during."""
    url = server.address.rstrip("/")
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    peer = await join(http, url, workspace_id, keys["editor"])
    text = await peer.open_file(1)
    text.append("before ")
    await peer.until_saved()
    yield peer, text
    text.append("after")
    await peer.until_saved()
    assert (str(text), peer.refusals, peer.close_code) == ("before during after", [], None)
    await peer.close()


class Upload:
    """A request by hand, whose body comes as a test likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.is_answered = False

    @classmethod
    async def begin(cls, server: Running, length: int | None, address: str = "127.0.0.2") -> Upload:
        """Send the head; without a length the body is chunked."""
        upload = cls(*await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0)))
        size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        upload.writer.write(
            "POST /api/workspaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"{size}\r\n\r\n".encode()
        )
        return upload

    async def answer(self) -> tuple[int, int, str]:
        """Status, number (0 for none) and text; a refusal in the middle ends the connection."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            told = json.loads(await self.reader.readexactly(length))
            self.is_answered = True
            if "error" not in told:
                return int(head.split()[1]), 0, ""
            assert "connection: close" in head.lower()
            await self.reader.read()
        return int(head.split()[1]), told["error"]["code"], told["error"]["text"]

    async def trickle(self, data: bytes, piece: int) -> tuple[int, int, str]:
        """Send a piece now and again until there is an answer."""
        answer = asyncio.create_task(self.answer())
        for at in range(0, len(data), piece):
            if self.is_answered:
                break
            self.writer.write(data[at : at + piece])
            await asyncio.sleep(0.05)
        return await answer

    def close(self) -> None:
        self.writer.close()


async def until_open(server: Running, count: int) -> None:
    """Wait until so many uploads have a place."""
    async with asyncio.timeout(10):
        while server.listener.uploads.open != count:  # noqa: ASYNC110 - it has no bell
            await asyncio.sleep(0.005)


async def test_a_body_that_does_not_come_or_trickles_is_cut(server: Running, bystander: tuple[Peer, Replica]) -> None:
    peer, text = bystander
    silent = await Upload.begin(server, 1000)
    slow = await Upload.begin(server, len(LARGE))
    stalled = await Upload.begin(server, len(LARGE))
    stalled.writer.write(LARGE[:90_000])
    chunked = await Upload.begin(server, None)
    chunked.writer.write(b"5\r\n")
    waiting = asyncio.gather(
        silent.answer(), slow.trickle(LARGE, 10), stalled.answer(), chunked.trickle(b"x" * 1000, 1)
    )
    text.append("during ")
    await peer.until_saved()
    for status, code, told in await waiting:
        assert (status, code) == (408, Code.SILENT)
        assert "50000 bytes a second" in told
    for upload in (silent, slow, stalled, chunked):
        upload.close()


async def test_a_body_that_comes_fast_enough_is_read_however_long_it_takes(
    server: Running, bystander: tuple[Peer, Replica]
) -> None:
    peer, text = bystander
    upload = await Upload.begin(server, len(LARGE))
    trickling = asyncio.create_task(upload.trickle(LARGE, 8_000))
    text.append("during ")
    await peer.until_saved()
    began_s = asyncio.get_running_loop().time()
    assert (await trickling)[0] == 201
    assert asyncio.get_running_loop().time() - began_s > 2 * limits.BODY_WAIT_S
    upload.close()


async def test_what_says_that_it_is_too_large_is_refused_before_it_comes(
    server: Running, bystander: tuple[Peer, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, text = bystander
    monkeypatch.setattr(limits, "BODY_BYTES_MAX", 100_000)
    upload = await Upload.begin(server, 100_001)
    assert (await upload.answer())[:2] == (413, Code.BODY_TOO_LARGE)
    chunked = await Upload.begin(server, None)
    chunked.writer.write(b"30000\r\n" + b"x" * 0x30000)
    assert (await chunked.answer())[:2] == (413, Code.BODY_TOO_LARGE), "and what does not say so, once it is"
    text.append("during ")
    await peer.until_saved()
    upload.close()
    chunked.close()


async def test_large_bodies_wait_for_their_place_and_small_ones_and_other_addresses_do_not(
    server: Running, bystander: tuple[Peer, Replica], http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, text = bystander
    monkeypatch.setattr(limits, "ADDRESS_UPLOADS_OPEN_MAX", 2)
    monkeypatch.setattr(limits, "BODY_WAIT_S", 20.0)
    held = [await Upload.begin(server, len(LARGE)) for _ in range(2)]
    for upload in held:
        upload.writer.write(LARGE[:150_000])
    await until_open(server, 2)
    third = await Upload.begin(server, len(LARGE))
    third.writer.write(LARGE)
    waiting = asyncio.create_task(third.answer())
    small = await Upload.begin(server, 2)
    small.writer.write(b"{}")
    assert (await small.answer())[0] == 201
    other = await Upload.begin(server, len(LARGE), "127.0.0.3")
    other.writer.write(LARGE)
    assert (await other.answer())[0] == 201
    text.append("during ")
    await peer.until_saved()
    assert not waiting.done(), "two of its address hold their places"
    held[0].writer.write(LARGE[150_000:])
    assert (await held[0].answer())[0] == 201
    assert (await waiting)[0] == 201
    for upload in (*held, third, small, other):
        upload.close()


async def test_who_has_had_a_place_for_long_gives_way_while_others_wait(
    server: Running, bystander: tuple[Peer, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four bodies at the least speed kept all others of their address from uploading for more than an hour."""
    peer, text = bystander
    monkeypatch.setattr(limits, "ADDRESS_UPLOADS_OPEN_MAX", 2)
    monkeypatch.setattr(limits, "BODY_WAIT_S", 20.0)
    monkeypatch.setattr(limits, "UPLOAD_WAIT_S", 20.0)
    held: list[Upload] = []
    for _ in range(2):
        held.append(await Upload.begin(server, len(LARGE)))
        held[-1].writer.write(LARGE[:150_000])
        await until_open(server, len(held))
    monkeypatch.setattr(limits, "UPLOAD_HELD_S", 0.0)
    held[0].writer.write(LARGE[150_000:150_001])
    third = await Upload.begin(server, len(LARGE))
    third.writer.write(LARGE)
    async with asyncio.timeout(10):
        while not server.listener.uploads._by_network["127.0.0.2"].waiting:  # noqa: ASYNC110 - it has no bell
            await asyncio.sleep(0.005)
    assert server.listener.uploads.open == 2, "nobody gave way while nobody waited"
    other = await Upload.begin(server, len(LARGE), "127.0.0.3")
    other.writer.write(LARGE)
    assert (await other.answer())[0] == 201, "who waits for its own address makes no other give way"
    held[0].writer.write(LARGE[150_001:150_002])
    assert (await held[0].answer())[:2] == (408, Code.SILENT)
    assert (await third.answer())[0] == 201
    held[1].writer.write(LARGE[150_000:])
    assert (await held[1].answer())[0] == 201, "one is enough"
    text.append("during ")
    await peer.until_saved()
    for upload in (*held, third, other):
        upload.close()


async def test_who_has_had_a_place_for_less_is_not_sent_away_nor_is_anybody_but_the_first() -> None:
    places = _Places(2)
    async with places.held("first"), places.held("second"):
        waiting = asyncio.create_task(places.acquire())
        await asyncio.sleep(0)
        assert not places.must_go("first"), "it has its minute"
        places._since_s = {name: since_s - limits.UPLOAD_HELD_S for name, since_s in places._since_s.items()}
        assert (places.must_go("first"), places.must_go("second")) == (True, False)
    await waiting
    assert places.waiting == 0


async def test_the_first_of_all_addresses_gives_way_to_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UPLOADS_OPEN_MAX", 2)
    monkeypatch.setattr(limits, "UPLOAD_HELD_S", -1.0)
    uploads = Uploads()
    async with AsyncExitStack() as held:
        must_go = [await held.enter_async_context(uploads._place(f"10.0.0.{number}")) for number in range(2)]
        assert [each() for each in must_go] == [False, False]
        waiting = asyncio.create_task(held.enter_async_context(uploads._place("10.0.1.0")))
        await asyncio.sleep(0)
        assert [each() for each in must_go] == [True, False]
        waiting.cancel()
        await asyncio.wait({waiting})
        assert [each() for each in must_go] == [False, False]


async def test_all_addresses_together_have_so_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UPLOAD_WAIT_S", 0.0)
    uploads = Uploads()
    async with AsyncExitStack() as held:
        for number in range(limits.UPLOADS_OPEN_MAX):
            await held.enter_async_context(uploads._place(f"10.0.0.{number}"))
        with pytest.raises(Unavailable) as caught:
            await held.enter_async_context(uploads._place("10.0.1.0"))
        assert caught.value.code is Code.RATE_LIMITED
    async with uploads._place("10.0.1.0"):
        assert uploads.open == 1


async def test_who_waits_too_long_for_a_place_is_told_when_to_come_back(
    server: Running, bystander: tuple[Peer, Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, text = bystander
    monkeypatch.setattr(limits, "ADDRESS_UPLOADS_OPEN_MAX", 1)
    monkeypatch.setattr(limits, "BODY_WAIT_S", 20.0)
    monkeypatch.setattr(limits, "UPLOAD_WAIT_S", 0.3)
    held, late = await Upload.begin(server, len(LARGE)), await Upload.begin(server, len(LARGE))
    held.writer.write(LARGE[:150_000])
    await until_open(server, 1)
    late.writer.write(LARGE[:150_000])
    status, code, told = await late.answer()
    assert (status, code) == (429, Code.RATE_LIMITED)
    assert "1 from one address" in told
    text.append("during ")
    await peer.until_saved()
    late.close()
    held.close()
    await until_open(server, 0)
