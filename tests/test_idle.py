"""What a connection costs on which nothing happens: counts that are the same on every machine, and bytes of Python."""

from __future__ import annotations

import asyncio
import gc
import socket as sockets
import tracemalloc
from collections.abc import AsyncIterator

import aiohttp
import pytest

from carets.protocol import wire
from carets.server import Running
from tests.peer import create_workspace

COUNT = 40
BYTES_MAX = 18_200
"""Of Python's allocator, for a member with a file open and a caret in it: 16.5 KB in CPython 3.11, 22 KB with the head
of its request, 26 KB before each part of a connection was asked what it keeps."""
OBJECTS_MAX = 105
"""That the garbage collector looks through again and again: 0.6 us each, for everybody."""

HEAD = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: */*\r\n"
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n"
    "Pragma: no-cache\r\nCache-Control: no-cache\r\n"
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: carets.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame, whose mask of zeros is legal. The payload is short."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


class Crowd:
    """Members by bare sockets, which cost this process next to nothing."""

    def __init__(self, server: Running, workspace_id: str, key: str) -> None:
        self._server, self._port, self._workspace_id, self._key = server, server.port, workspace_id, key
        self._sockets: list[sockets.socket] = []

    async def grow(self, count: int) -> None:
        """Join, open the file, show a caret; then nothing any more."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            socket = sockets.socket()
            socket.setblocking(False)
            await loop.sock_connect(socket, ("127.0.0.1", self._port))
            self._sockets.append(socket)
            client_id = 1_000 + len(self._sockets)
            head = f"GET /ws/{self._workspace_id} HTTP/1.1\r\nHost: localhost:{self._port}\r\n{HEAD}".encode()
            hello = f'{{"type":"hello","key":"{self._key}"}}'.encode()
            opening = f'{{"type":"open_file","file_id":1,"client_id":{client_id}}}'.encode()
            caret = wire.encode_awareness([wire.Presence(client_id, 1, '{"cursor":null}')])
            frames = [frame(1, hello), frame(1, opening), frame(2, b"\1\0\0\1\0"), frame(2, b"\1\0\1\2\0\0")]
            await loop.sock_sendall(socket, head + b"".join(frames) + frame(2, b"\1" + caret))
            seen = b""
            while b'"type":"saved"' not in seen:
                seen += await loop.sock_recv(socket, 65_536)
        # Until presence has told everybody: with what it still holds, this would be a measure of chance.
        while any(room.delivery._tick for room in self._server.lobby.rooms.values()):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)

    def close(self) -> None:
        for socket in self._sockets:
            socket.close()


@pytest.fixture
async def crowd(server: Running, http: aiohttp.ClientSession) -> AsyncIterator[Crowd]:
    id_, keys = await create_workspace(http, server.address.rstrip("/"), {"a.py": ""})
    crowd = Crowd(server, id_, keys["editor"])
    await crowd.grow(2)  # what is made once is made
    yield crowd
    crowd.close()


async def test_an_idle_member_takes_so_much_memory_and_no_more(crowd: Crowd) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        await crowd.grow(COUNT)
        gc.collect()
        bytes_each = tracemalloc.get_traced_memory()[0] / COUNT
    finally:
        tracemalloc.stop()
    assert bytes_each < BYTES_MAX


async def test_an_idle_member_is_so_few_objects_to_the_garbage_collector_and_two_tasks(crowd: Crowd) -> None:
    gc.collect()
    objects, tasks = len(gc.get_objects()), len(asyncio.all_tasks())
    await crowd.grow(COUNT)
    gc.collect()
    assert (len(gc.get_objects()) - objects) / COUNT < OBJECTS_MAX
    assert len(asyncio.all_tasks()) - tasks == 2 * COUNT, "aiohttp's for the connection and for its request"


async def test_a_member_keeps_nothing_of_the_head_of_its_request(crowd: Crowd, server: Running) -> None:
    lines = list(server.listener.heartbeat.lines)
    assert len(lines) == 2
    for line in lines:
        assert (len(line._request.headers), line._request.raw_headers) == (0, ())
        assert len(line.socket.headers) == 0
