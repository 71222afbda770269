"""Links that expire or are revoked while somebody is on them: both doors, exports and imports, on real sockets."""

from __future__ import annotations

import asyncio
import random
import socket as sockets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from carets import limits
from carets.edges import transfer
from carets.errors import Code
from carets.protocol import wire
from carets.rooms import imports
from carets.rooms.shelf import Shelf
from carets.server import Running
from tests.peer import Peer, connect, create_workspace


class Place:
    """A workspace, its owner's calls, and who comes by its links."""

    def __init__(self, url: str, http: aiohttp.ClientSession, stack: AsyncExitStack) -> None:
        self.url, self.http, self._stack = url, http, stack
        self.id = ""
        self.keys: dict[str, str] = {}

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """What the owner is answered."""
        headers = {"Authorization": f"Bearer {self.keys['owner']}"}
        address = f"{self.url}/api/workspaces/{self.id}/{path}"
        async with self.http.request(method, address, headers=headers, **more) as response:
            assert response.status < 300, await response.text()
            return await response.json() if response.content_type == "application/json" else None

    async def link(self, expires_at_ms: int | None = None) -> tuple[str, str]:
        """The id and the key of a new editor's link."""
        told = await self.call("POST", "links", json={"role": "editor", "expires_at_ms": expires_at_ms})
        return told["link_id"], told["url"].split("#key=")[1]

    async def join(self, key: str) -> Peer:
        return await self._stack.enter_async_context(connect(self.url, self.id, key))

    async def join_stock(self, key: str) -> aiohttp.ClientWebSocketResponse:
        socket = await self.http.ws_connect(f"{self.url}/yjs/{self.id}/~1", protocols=("yjs", key))
        await socket.send_bytes(wire.encode_step_1(b"\0"))
        await socket.receive_bytes()
        return socket


@pytest.fixture
async def place(server: Running, http: aiohttp.ClientSession) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        place = Place(server.address.rstrip("/"), http, stack)
        place.id, place.keys = await create_workspace(http, place.url, {"a.py": "", "b.py": ""})
        yield place


async def until_closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(30):
        while (await socket.receive()).type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
            pass
    return socket.close_code


async def test_a_link_that_expires_closes_both_doors_within_a_second(place: Place) -> None:
    end_ms = time.time_ns() // 1_000_000 + 1_500
    _, key = await place.link(end_ms)
    other = await place.join(place.keys["editor"])
    page, stock = await place.join(key), await place.join_stock(key)
    assert set(await asyncio.gather(page.until_closed(), until_closed(stock))) == {Code.LINK_EXPIRED}
    late_ms = time.time_ns() // 1_000_000 - end_ms
    assert 0 <= late_ms < 1_000
    assert [each["code"] for each in page.refusals] == [Code.LINK_EXPIRED]
    assert other.close_code is None


async def test_a_link_that_is_revoked_closes_both_doors_at_once(place: Place) -> None:
    link_id, key = await place.link()
    page, stock = await place.join(key), await place.join_stock(key)
    began_s = time.monotonic()
    await place.call("DELETE", f"links/{link_id}")
    assert set(await asyncio.gather(page.until_closed(), until_closed(stock))) == {Code.LINK_REVOKED}
    assert time.monotonic() - began_s < 1


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_an_export_whose_reader_has_stopped_ends_with_its_link(
    place: Place, server: Running, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = random.Random(1).randbytes(8_000_000).hex()
    link_id, key = await place.link()

    async def reading(_: Shelf, __: int) -> str:
        return text

    ended = asyncio.get_running_loop().create_future()
    send = transfer.Transfer._send

    async def sending(self: transfer.Transfer, *arguments: Any) -> Any:
        try:
            return await send(self, *arguments)
        finally:
            ended.set_result(time.time_ns() // 1_000_000)

    monkeypatch.setattr(Shelf, "read_text", reading)
    monkeypatch.setattr(transfer.Transfer, "_send", sending)
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 16_384)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", server.port))
    head = (
        f"GET /api/workspaces/{place.id}/export.zip HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
    await loop.sock_sendall(raw, head.encode())
    assert (await loop.sock_recv(raw, 100)).startswith(b"HTTP/1.1 200")
    assert not ended.done(), "it waits for its reader"
    end_ms = time.time_ns() // 1_000_000
    if how == "revoked":
        await place.call("DELETE", f"links/{link_id}")
    else:
        room = server.lobby.rooms[place.id]
        end_ms += 300
        await room.put_link(room.links[link_id]._replace(expires_at_ms=end_ms))
    async with asyncio.timeout(limits.EXPORT_STALL_S / 2):
        assert 0 <= await ended - end_ms < 5_000
    raw.close()


async def test_an_import_whose_link_ends_while_it_is_made_makes_nothing(
    place: Place, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    link_id, key = await place.link()
    draft_all = imports.draft_all

    async def slowly(files: Mapping[str, str], entropy: Any) -> Any:
        drafts = await draft_all(files, entropy)
        await place.call("DELETE", f"links/{link_id}")
        return drafts

    monkeypatch.setattr(imports, "draft_all", slowly)
    address, headers = f"{place.url}/api/workspaces/{place.id}/files", {"Authorization": f"Bearer {key}"}
    async with place.http.post(address, headers=headers, json={"files": {"c.py": "c"}}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, Code.LINK_REVOKED)
    assert [file.path for file in server.lobby.rooms[place.id].files.listed()] == ["a.py", "b.py"]
