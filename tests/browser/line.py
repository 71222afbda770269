"""A line between a browser and a server that tests can cut, silence, slow down and thin out.

Owns: a TCP proxy in the test's process, and its bounds. Does not know: WebSockets beyond how their request begins.

Invariants:
  1. It holds one chunk per connection and direction, beside small socket buffers: a slow line is felt by who writes.
  2. All connections of a direction share its bits, as on a real line.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

CHUNK_BYTES = 4096
"""A chunk takes 33 ms at 1 Mbit/s: small enough that connections take turns."""
BUFFER_BYTES = 32 * 1024
"""Socket buffers of the proxy's side."""
SEGMENT_BYTES = 1_448
"""Ethernet's. With loopback's 64 KiB the kernel gives senders buffers of megabytes, which hide a slow line."""
SOCKET_DOOR = b"GET /ws/"


@dataclass
class Direction:
    """One way of the line."""

    bits_per_s: float | None = None
    delay_s: float = 0.0
    carried_bytes: int = 0
    """How many have passed."""
    _free_at_s: float = 0.0

    async def carry(self, chunk: bytes) -> None:
        """Take as long as the chunk takes."""
        self.carried_bytes += len(chunk)
        now_s = asyncio.get_running_loop().time()
        arrives_s = now_s
        if self.bits_per_s is not None:
            self._free_at_s = max(now_s, self._free_at_s) + len(chunk) * 8 / self.bits_per_s
            arrives_s = self._free_at_s
        await asyncio.sleep(arrives_s + self.delay_s - now_s)


class Line:
    """A proxy on a port of its own. `url` is the server's, seen through it."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.up = Direction()
        self.down = Direction()
        self.sockets = 0
        """How many WebSockets were let through so far."""
        self.refused = 0
        """How many connections were turned away so far."""
        self._listener: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], bool] = {}
        self._is_cut = self._is_socketless = False
        self._heard = asyncio.Event()
        self._heard.set()
        self._turned = asyncio.Condition()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def through(self, url: str) -> str:
        """An address of the server, as it reads through this line."""
        return url.replace(f":{self._server_port}/", f":{self.port}/", 1)

    # -- what tests do to it

    def cut(self) -> None:
        """End every connection, and turn new ones away, until `mend`."""
        self._is_cut = True
        self._drop(sockets_only=False)

    def cut_sockets(self) -> None:
        """The same with WebSockets only: the page itself can still be loaded."""
        self._is_socketless = True
        self._drop(sockets_only=True)

    def silence(self) -> None:
        """Let nothing through, and say nothing of it: connections stay open, new ones too."""
        self._heard.clear()

    def mend(self) -> None:
        """All is well again."""
        self._is_cut = self._is_socketless = False
        self._heard.set()

    def slow_down(self, bits_per_s: float) -> None:
        """So many bits a second, in each direction."""
        self.up.bits_per_s = self.down.bits_per_s = bits_per_s

    async def until_refused(self, count: int = 1) -> None:
        """Wait until so many more connections were turned away: somebody tries in vain."""
        wanted = self.refused + count
        async with asyncio.timeout(30), self._turned:
            await self._turned.wait_for(lambda: self.refused >= wanted)

    # -- its work

    async def open(self) -> None:
        """Listen."""
        listening = thin_socket()
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._listener = await asyncio.start_server(self._accept, sock=listening, limit=CHUNK_BYTES)

    async def close(self) -> None:
        """End it."""
        if self._listener is not None:
            self._listener.close()
        tasks = list(self._connections)
        self._drop(sockets_only=False)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop(self, *, sockets_only: bool) -> None:
        for task, is_socket in list(self._connections.items()):
            if is_socket or not sockets_only:
                task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = False
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                first = b"" if self._is_cut else await reader.read(CHUNK_BYTES)
                is_socket = self._connections[task] = first.startswith(SOCKET_DOOR)
                if self._is_cut or (is_socket and self._is_socketless):
                    await self._turn_away()
                elif first:
                    self.sockets += is_socket
                    await self._serve(first, reader, writer)
        finally:
            del self._connections[task]
            writer.transport.abort()

    async def _turn_away(self) -> None:
        self.refused += 1
        async with self._turned:
            self._turned.notify_all()

    async def _serve(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = thin_socket()
        upstream.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(upstream, ("127.0.0.1", self._server_port))
        except OSError:
            upstream.close()
            raise
        server_reader, server_writer = await asyncio.open_connection(sock=upstream, limit=CHUNK_BYTES)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pump(reader, server_writer, self.up, first))
                ways.create_task(self._pump(server_reader, writer, self.down))
        except* OSError:
            pass
        finally:
            server_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction, first: bytes = b""
    ) -> None:
        writer.transport.set_write_buffer_limits(high=CHUNK_BYTES)
        chunk = first or await reader.read(CHUNK_BYTES)
        while chunk:
            await self._heard.wait()
            await way.carry(chunk)
            writer.write(chunk)
            await writer.drain()
            chunk = await reader.read(CHUNK_BYTES)
        # One half is done: what it says is whole, and the other may still answer.
        if writer.can_write_eof():
            writer.write_eof()


def thin_socket() -> socket.socket:
    """A socket whose peer feels at once when nobody reads."""
    thin = socket.socket()
    thin.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    thin.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    thin.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    return thin


@contextlib.asynccontextmanager
async def line_to(server_port: int) -> AsyncIterator[Line]:
    """A line for the time of a test."""
    line = Line(server_port)
    await line.open()
    try:
        yield line
    finally:
        await line.close()
