"""A WebSocket client that speaks no Carets, spliced onto a door of Carets.

Owns: the rewritten upgrade, the hello said in the client's name, and the record of what went either way.
Does not know: what is tested. Behind the upgrade every byte of the client reaches the server as it was sent, and of the
server's frames only those are kept back that the client could not understand: what a room tells of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests import rfc6455


class Door(NamedTuple):
    """Where a connection goes: path, subprotocols, and what is said first, if anything."""

    path: str
    protocols: str
    hello: str = ""


@dataclass
class Talk:
    """One connection: the client's bytes behind the upgrade, and the server's frames by opcode and payload."""

    sent: bytearray = field(default_factory=bytearray)
    told: list[tuple[int, bytes]] = field(default_factory=list)
    has_left: bool = False
    """Whether the client ended the connection."""

    @property
    def close_code(self) -> int | None:
        """The code of the server's close frame."""
        closes = [payload for opcode, payload in self.told if opcode == rfc6455.CLOSE]
        return int.from_bytes(closes[0][:2]) if closes else None

    def payloads(self, opcode: int) -> list[bytes]:
        """What the server sent in frames of this kind."""
        return [payload for each, payload in self.told if each == opcode]


class Splice:
    """Takes connections and passes them on; `door` chooses by the number of the connection."""

    def __init__(self, port: int, door: Callable[[int], Door], passes: Callable[[int, bytes], bool]) -> None:
        """`passes` says of a server's frame, by opcode and payload, whether the client is to see it."""
        self.talks: list[Talk] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._server_port = port
        self._door = door
        self._passes = passes

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, until the server ends it or the splice goes."""
        self._tasks.add(asyncio.create_task(self._pass_on(reader, writer)))

    async def end(self) -> None:
        """End what is still open. Raises what went wrong in one of them."""
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.talks)
        talk = Talk()
        self.talks.append(talk)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        try:
            door = self._door(number)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            inner_writer.write(_rewritten(head, door, self._server_port))
            answer = (await inner_reader.readuntil(b"\r\n\r\n")).decode()
            assert answer.startswith("HTTP/1.1 101"), answer
            lines = [line for line in answer.split("\r\n") if not line.lower().startswith("sec-websocket-protocol")]
            # The client did not ask for a subprotocol, so it must not see one; it repeats its number in its report.
            lines.insert(1, f"Splice: {number}")
            writer.write("\r\n".join(lines).encode())
            if door.hello:
                inner_writer.write(rfc6455.frame(rfc6455.TEXT, door.hello.encode()))
            up = asyncio.create_task(self._up(reader, inner_writer, talk))
            try:
                await self._down(inner_reader, writer, talk)
            finally:
                up.cancel()
        finally:
            # Both at once, and by tasks of their own: an end in between must leave neither open.
            for each in (writer, inner_writer):
                each.transport.abort() if each.transport.is_closing() else each.close()
                self._closing.add(asyncio.create_task(each.wait_closed()))

    @staticmethod
    async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: Talk) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                talk.sent += data
                writer.write(data)
                await writer.drain()
            talk.has_left = True
            writer.write_eof()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: Talk) -> None:
        waiting = bytearray()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                waiting += data
                while (head := rfc6455.read_head(waiting, 0)) is not None and head.end <= len(waiting):
                    payload = head.payload(waiting)
                    talk.told.append((head.opcode, payload))
                    if self._passes(head.opcode, payload):
                        writer.write(waiting[: head.end])
                    del waiting[: head.end]
                await writer.drain()


def _rewritten(head: str, door: Door, port: int) -> bytes:
    kept = [line for line in head.split("\r\n")[1:] if line and not line.lower().startswith("host:")]
    lines = [f"GET {door.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *kept, f"Sec-WebSocket-Protocol: {door.protocols}"]
    return "\r\n".join([*lines, "", ""]).encode()


@contextlib.asynccontextmanager
async def spliced(
    port: int, door: Callable[[int], Door], passes: Callable[[int, bytes], bool]
) -> AsyncIterator[Splice]:
    """A splice in front of the server at `port`, for the time of a test."""
    splice = Splice(port, door, passes)
    server = await asyncio.start_server(splice.take, "127.0.0.1", 0)
    splice.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield splice
        finally:
            await splice.end()
