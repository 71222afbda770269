"""One WebSocket as a room sees it, and the heartbeat that finds the dead ones.

Owns: raw writes, what waits in the transport, when it has drained, silence. Does not know: messages, rooms.
Frames of a broadcast, and pings, are written as they are (``protocol.dialect``); pong and close are aiohttp's.

Invariants:
  1. After a write that leaves more than `OUTBOX_BYTES_FULL` waiting, `on_drained` is called once when it has left.
  2. A line that still drains counts as alive, whatever it does not say.
  3. A line that is quiet costs the heartbeat two looks in `PING_EVERY_S`, however many there are.

Source: RFC 6455, 5.5.2; docs/PROTOCOL.md, "Heartbeat".
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket as sockets
from collections.abc import AsyncIterator, Callable
from functools import cached_property

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from carets import limits
from carets.errors import CaretsError, Code, Unavailable
from carets.metrics import Metrics
from carets.protocol.dialect import PING
from carets.protocol.pace import Bucket

_CLOSE_WAIT_S = 2.0
"""Seconds for the peer to answer a close frame, and for the last bytes to leave."""

_LOOK_EVERY_S = 1.0
"""Seconds between two beats, with each of which the heartbeat looks at the lines that are due."""

_LOOKS_PER_TURN = 100
"""Lines looked at before everybody else has their turn: all members of a restarted server are due with one beat."""

_FRAMES_AT_ONCE = 128
"""Frames that are given out together: keystrokes that wait are taken in one go, and what else there is one by one."""

_LATE_S = 2.0
"""Seconds by which a look may come late: after more, what members sent waits behind it."""


def _nothing(*_: object) -> None:
    pass


class Line:
    """A member's way out, over a WebSocket that was upgraded."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, door: str, metrics: Metrics) -> None:
        """`door` is the subprotocol that is spoken here."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        self.socket = socket
        self.door = door
        self.on_drained: Callable[[], None] = _nothing
        self.on_waiting: Callable[[Line], None] = _nothing
        """Called when a write leaves bytes waiting."""
        self.due_beat = 0
        """With which beat the heartbeat looks at it."""
        self.heard_at_s = asyncio.get_running_loop().time()
        self.was_pinged = False
        self.is_read = True
        """Whether its silence is its own: not while we work at its last frame, or read it later for its rate."""
        self.closed_with: CaretsError | None = None
        self._metrics = metrics
        self._request = request
        self._transport = transport
        self._draining: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._held: WSMessage | None = None
        """What came behind binary frames and was not given out with them."""
        self._written = 0
        self._waiting_before = self._left_before = 0
        transport.set_write_buffer_limits(high=limits.OUTBOX_BYTES_FULL)
        raw = transport.get_extra_info("socket")
        if raw is not None and hasattr(sockets, "TCP_NOTSENT_LOWAT"):
            # Otherwise the kernel would hold megabytes of a large file before other files' edits on a slow line.
            with contextlib.suppress(OSError):
                raw.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NOTSENT_LOWAT, limits.OUTBOX_BYTES_FULL)

    @cached_property
    def _controls(self) -> Bucket:
        return Bucket(limits.CONTROL_FRAMES_PER_S, limits.CONTROL_FRAMES_BURST)

    def write(self, data: bytes) -> int:
        """Take bytes; returns how many wait."""
        if self._transport.is_closing() or self.closed_with is not None or self.socket.closed:
            return 0
        self._transport.write(data)
        self._written += len(data)
        self._metrics.written_bytes += len(data)
        waiting = self._transport.get_write_buffer_size()
        if waiting:
            self.on_waiting(self)
            if waiting > limits.OUTBOX_BYTES_FULL and self._draining is None:
                self._draining = asyncio.create_task(self._drain())
        return waiting

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were written and have not left."""
        return self._transport.get_write_buffer_size()

    async def _drain(self) -> None:
        try:
            await self._request.writer.drain()
        except ConnectionError:
            return
        finally:
            self._draining = None
        self.on_drained()

    def close(self, error: CaretsError) -> None:
        """Send the close frame after all that was written, and end the connection."""
        if self.closed_with is None:
            self.closed_with = error
            self._metrics.refusals[error.code] += 1
            self._closing = asyncio.create_task(self._close(error))

    async def _close(self, error: CaretsError) -> None:
        try:
            async with asyncio.timeout(_CLOSE_WAIT_S):
                await self.socket.close(code=int(error.code), message=error.row.text.encode())
        except (TimeoutError, ConnectionError):
            self._transport.abort()

    async def finish(self) -> None:
        """Wait for a close that is under way, and stop waiting for a drain."""
        if self._draining is not None:
            self._draining.cancel()
        if self._closing is not None:
            await self._closing

    async def frame(self) -> bytes | str | None:
        """The next data frame, binary as bytes and text as str; None when the connection has ended."""
        while True:
            while self._transport.get_write_buffer_size() > limits.OUTBOX_BYTES_HARD:
                # Its answers pile up: what it says next can wait until it has read them.
                await self._request.writer.drain()
            self.is_read = True
            message, self._held = self._held or await self.socket.receive(), None
            self.heard_at_s = now_s = asyncio.get_running_loop().time()
            was_pinged, self.was_pinged = self.was_pinged, False
            if message.type is WSMsgType.BINARY or message.type is WSMsgType.TEXT:
                self.is_read = False
                data: bytes | str = message.data
                return data
            if message.type is WSMsgType.PING or message.type is WSMsgType.PONG:
                # A read brings thousands of them, and nothing else here would give the others their turn. The pong that
                # we asked for is not counted: it comes once, and most lines hear of no other.
                is_asked_for = was_pinged and message.type is WSMsgType.PONG
                if not is_asked_for and (wait_s := self._controls.take(1, now_s)):
                    await asyncio.sleep(wait_s)
                if message.type is WSMsgType.PING:
                    await self.socket.pong(message.data)
            else:
                return None

    async def frames(self) -> list[bytes] | str | None:
        """The next text frame; or the next binary one and those that are here behind it; None at the end."""
        first = await self.frame()
        if not isinstance(first, bytes):
            return first
        frames = [first]
        while self._has_more() and len(frames) < _FRAMES_AT_ONCE:
            message = await self.socket.receive()
            if message.type is not WSMsgType.BINARY:
                self._held = message
                break
            frames.append(message.data)
        return frames

    def _has_more(self) -> bool:
        """Whether `receive` would return without waiting. Where aiohttp's queue is another one, frames come singly."""
        return bool(getattr(getattr(self.socket, "_reader", None), "_buffer", None))

    def look(self, now_s: float) -> float:
        """The heartbeat's look: ping a silent line, close a dead one. Returns in how many seconds to look again."""
        waiting = self._transport.get_write_buffer_size()
        left = self._written - waiting
        if self._waiting_before and left > self._left_before:
            # Bytes left while others waited: the peer reads, and its answers to pings wait behind what it reads.
            self.heard_at_s = now_s
            self.was_pinged = False
        self._waiting_before, self._left_before = waiting, left
        if not self.is_read:
            self.heard_at_s = now_s
        silence_s = now_s - self.heard_at_s
        if silence_s >= limits.PING_EVERY_S + limits.PONG_WAIT_S:
            self.close(Unavailable(Code.SILENT))
        elif silence_s >= limits.PING_EVERY_S and not self.was_pinged and waiting <= limits.OUTBOX_BYTES_FULL:
            self.was_pinged = True
            self.write(PING)
        is_quiet = self.is_read and not (waiting or self.was_pinged) and silence_s < limits.PING_EVERY_S
        return limits.PING_EVERY_S - silence_s if is_quiet else _LOOK_EVERY_S


class Heartbeat:
    """All lines of this process, each looked at when it is due, by one task.

    A quiet line is due when it has to be pinged; one that was pinged, that has bytes waiting or that is not read, with
    each beat.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.lines: set[Line] = set()
        self.metrics = metrics
        self._beat = 0
        """The last one, counted from the beginning of the loop's time."""
        self._due: dict[int, set[Line]] = {}
        """By beat, whom to look at."""

    def add(self, line: Line) -> None:
        """Watch over a line from now on."""
        self.lines.add(line)
        line.on_waiting = self._watch
        self._plan(line, _beat_of(line.heard_at_s + limits.PING_EVERY_S))

    def discard(self, line: Line) -> None:
        """The line has ended."""
        self.lines.discard(line)
        self._due.get(line.due_beat, set()).discard(line)

    async def run(self) -> None:
        """Look at lines, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + _LOOK_EVERY_S
            await asyncio.sleep(_LOOK_EVERY_S)
            late_s = loop.time() - due_s
            if late_s > _LATE_S:
                # The silence was ours: this process stood still, and what came meanwhile is not read yet.
                for line in self.lines:
                    line.heard_at_s += late_s
            else:
                await self.beat(loop.time)

    async def beat(self, clock_s: Callable[[], float]) -> None:
        """Look at the lines that are due."""
        self._beat = math.floor(clock_s() / _LOOK_EVERY_S)
        for beat in sorted(beat for beat in self._due if beat <= self._beat):
            due = self._due[beat]
            while due:
                self._look_at_some(due, clock_s())
                if due:
                    await asyncio.sleep(0)
            del self._due[beat]

    def _look_at_some(self, due: set[Line], now_s: float) -> None:
        next_beat = self._beat + 1
        for _ in range(min(len(due), _LOOKS_PER_TURN)):
            line = due.pop()
            line.due_beat = next_beat  # also should this look fail
            try:
                line.due_beat = max(next_beat, _beat_of(now_s + line.look(now_s)))
            finally:
                self._due.setdefault(line.due_beat, set()).add(line)

    def _plan(self, line: Line, beat: int) -> None:
        self._due.get(line.due_beat, set()).discard(line)
        line.due_beat = beat
        self._due.setdefault(beat, set()).add(line)

    def _watch(self, line: Line) -> None:
        """Something waits in this line: it is looked at with every beat until it has left."""
        if line.due_beat > self._beat + 1:
            self._plan(line, self._beat + 1)


def _beat_of(due_s: float) -> int:
    """The first beat that is not before `due_s`."""
    return math.ceil(due_s / _LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def open_line(
    request: web.Request, heartbeat: Heartbeat, protocol: str, frame_bytes_max: int
) -> AsyncIterator[Line]:
    """Upgrade a request, and watch over the line while the caller uses it.

    A message above `frame_bytes_max` bytes is closed by aiohttp with 1009 before it is held in memory.
    """
    socket = web.WebSocketResponse(
        protocols=(protocol,),
        compress=False,
        autoping=False,
        max_msg_size=frame_bytes_max,
        timeout=_CLOSE_WAIT_S,
    )
    await socket.prepare(request)
    socket.headers.clear()  # sent; and a connection lives for hours
    line = Line(request, socket, protocol, heartbeat.metrics)
    heartbeat.add(line)
    heartbeat.metrics.connections_opened[protocol] += 1
    try:
        yield line
    finally:
        heartbeat.discard(line)
        await line.finish()
        if not socket.closed:
            with contextlib.suppress(ConnectionError):
                await socket.close(code=WSCloseCode.OK)
