"""A raw WebSocket client for benchmarks: it masks with zeros and reads without unpacking, and so costs little.

Owns: the upgrade, the head of frames, counting what comes. Does not know: what a message means, beyond its first bytes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable, Iterator

_UNMASKED = b"\0\0\0\0"


def frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame. A mask of zeros is legal, and leaves the payload as it is."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, 0x80 | length)) + _UNMASKED + payload
    if length < 1 << 16:
        return bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2, "big") + _UNMASKED + payload
    return bytes((0x80 | opcode, 0x80 | 127)) + length.to_bytes(8, "big") + _UNMASKED + payload


def text(**message: object) -> bytes:
    """A text frame of JSON."""
    return frame(1, json.dumps(message).encode())


def binary(payload: bytes) -> bytes:
    """A binary frame."""
    return frame(2, payload)


def frames_of(data: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the whole frames out of a buffer: opcode and payload of each."""
    at = 0
    while len(data) - at >= 2:
        length, head = data[at + 1] & 0x7F, 2
        if length == 126:
            length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        if len(data) - at < head + length or len(data) - at < head:
            break
        yield data[at] & 0x0F, bytes(data[at + head : at + head + length])
        at += head + length
    del data[:at]


class BenchLine(asyncio.Protocol):
    """One connection. `on_frames` gets whole frames; without it, bytes are only counted."""

    def __init__(self) -> None:
        self.bytes_in = 0
        self.person = ""
        self.on_frames: Callable[[Iterator[tuple[int, bytes]]], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._upgraded = asyncio.get_running_loop().create_future()
        self._seen: list[tuple[int, bytes]] = []
        self._changed = asyncio.Event()

    @classmethod
    async def connect(cls, port: int, path: str, protocol: str = "carets.v1") -> BenchLine:
        """Connect to a server on loopback and upgrade."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(cls, "127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        line.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {protocol}\r\n\r\n".encode()
        )
        await line._upgraded
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.bytes_in += len(data)
        if self._upgraded.done() and self.on_frames is None:
            self._changed.set()
            return
        self._data += data
        if not self._upgraded.done():
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return
            assert self._data.startswith(b"HTTP/1.1 101"), bytes(self._data[:200])
            del self._data[: end + 4]
            self.on_frames = self._collect
            self._upgraded.set_result(None)
        if self.on_frames is not None:
            self.on_frames(frames_of(self._data))

    def _collect(self, frames: Iterator[tuple[int, bytes]]) -> None:
        self._seen.extend(frames)
        self._changed.set()

    async def until(self, is_it: Callable[[int, bytes], bool]) -> bytes:
        """Wait for a frame that `is_it`; its payload. Earlier ones are dropped."""
        async with asyncio.timeout(120):
            while True:
                while self._seen:
                    opcode, payload = self._seen.pop(0)
                    if is_it(opcode, payload):
                        return payload
                self._changed.clear()
                await self._changed.wait()

    async def until_bytes(self, count: int) -> None:
        """Wait until so many bytes came since `bytes_in` was set to 0."""
        async with asyncio.timeout(120):
            while self.bytes_in < count:
                self._changed.clear()
                await self._changed.wait()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        assert self._transport is not None
        self._transport.write(data)

    def close(self) -> None:
        """Cut the connection."""
        assert self._transport is not None
        self._transport.abort()


async def open_member(
    port: int, workspace_id: str, key: str, client_id: int, state_vector: bytes = b"\0", person: str = ""
) -> BenchLine:
    """A member that has file 1 open and has had its first answer."""
    line = await BenchLine.connect(port, f"/ws/{workspace_id}")
    line.write(text(type="hello", key=key, name="bench", person=person))
    welcome = await line.until(lambda opcode, payload: opcode == 1 and b'"welcome"' in payload)
    line.person = json.loads(welcome)["person"]
    line.write(text(type="open_file", file_id=1, client_id=client_id))
    line.write(binary(b"\x01\x00\x00" + bytes((len(state_vector),)) + state_vector))
    await line.until(lambda opcode, payload: opcode == 2 and payload[:3] == b"\x01\x00\x01")
    return line
