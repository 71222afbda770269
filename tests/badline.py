"""A TCP line between a member and the server on which everything goes wrong that goes wrong on lines.

Owns: one listening port for one member, and what the line is like at the moment. Does not know: WebSockets, Carets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

CHUNK_BYTES = 16 * 1024
SPLIT_BYTES_MAX = 4_000
"""Bytes of one chunk that go one by one; the rest follows whole: each byte costs a turn of two event loops."""


@dataclass(frozen=True)
class Mood:
    """How a line treats what passes."""

    name: str
    delay_s: float = 0.0
    """Each chunk waits up to so many seconds."""
    bytes_per_s: float | None = None
    is_split: bool = False
    """Whether each byte is a write of its own."""
    is_black_hole: bool = False
    """Whether nothing passes, and nobody is told."""


CALM = Mood("calm")
MOODS = (
    CALM,
    Mood("late", delay_s=0.15),
    Mood("narrow", bytes_per_s=20_000),
    Mood("split", is_split=True),
    Mood("hole", is_black_hole=True),
)


class BadLine:
    """One member's way to the server."""

    def __init__(self, server_port: int, chance: Random) -> None:
        self.mood = CALM
        self.is_closed = False
        """Whether nobody is let through."""
        self.url = ""
        self._server_port = server_port
        self._chance = chance
        self._passes = asyncio.Event()
        self._passes.set()
        self._open: set[asyncio.StreamWriter] = set()

    def become(self, mood: Mood) -> None:
        """From here on."""
        self.mood = mood
        if mood.is_black_hole:
            self._passes.clear()
        else:
            self._passes.set()

    def cut(self) -> None:
        """End all connections as if both ends had hung up."""
        for writer in list(self._open):
            writer.close()

    def reset(self) -> None:
        """End all connections by RST: what was on its way is thrown away."""
        for writer in list(self._open):
            end = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on until either end is gone."""
        if self.is_closed:
            writer.transport.abort()
            return
        try:
            inner_reader, inner = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, inner}
        self._open |= ends
        ways = [
            asyncio.ensure_future(self._pass(reader, inner)),
            asyncio.ensure_future(self._pass(inner_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._open -= ends
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in ends:
                end.close()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            await self._passes.wait()
            mood = self.mood
            wait_s = self._chance.uniform(0, mood.delay_s) if mood.delay_s else 0.0
            if mood.bytes_per_s is not None:
                wait_s += len(chunk) / mood.bytes_per_s
            if wait_s:
                await asyncio.sleep(wait_s)
            split = chunk[:SPLIT_BYTES_MAX] if mood.is_split else b""
            for at in range(len(split)):
                target.write(split[at : at + 1])
                await asyncio.sleep(0)
            target.write(chunk[len(split) :])
            await target.drain()


@contextlib.asynccontextmanager
async def bad_line(server_port: int, chance: Random) -> AsyncIterator[BadLine]:
    """A line for the time of a test."""
    line = BadLine(server_port, chance)
    listener = await asyncio.start_server(line.serve, "127.0.0.1", 0, limit=CHUNK_BYTES)
    line.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield line
    finally:
        listener.close()
        line.reset()
