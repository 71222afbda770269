"""Seeded lines between members and the server: late, narrow, stalled, cut at any byte. Nothing overtakes (TCP).

Owns: bytes on their way, and when each side learns that the line is dead. Does not know: what the bytes mean.

Invariants:
  1. What arrives in one direction is a prefix of what was written there, torn and cut at any byte.
  2. After a write that left more than `OUTBOX_BYTES_FULL` waiting, `on_drained` comes once it has left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from random import Random

from carets import limits
from carets.errors import CaretsError

_WINDOWS_BYTES = (300, 300, 2_000, 50_000)
"""Bytes that may be on their way at once: with the delay, how fast a line is."""
_DELAYS_S = (0.0005, 0.02, 0.02, 0.2)
_CLOSE_WAIT_S = 2.0


class Stream:
    """One direction of a line."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chance: Random, deliver: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._window = chance.choice(_WINDOWS_BYTES)
        self._chance = chance
        self._delay_s = chance.choice(_DELAYS_S) * chance.uniform(0.5, 1.5)
        slowest = 20_000 + 4 * limits.PART_BYTES_MAX  # bytes a second: everything fits into a silence
        self._window = max(self._window, int(slowest * self._delay_s) + 1)
        self._buffer = bytearray()
        self._flight: deque[tuple[float, bytes]] = deque()
        self._flight_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._was_full = False
        self.is_stalled = False
        self.is_cut = False
        self.on_drained: Callable[[], None] = lambda: None
        self.waiting_max = self.write_max = 0

    @property
    def waiting(self) -> int:
        """Bytes that were written and have not left."""
        return len(self._buffer)

    def write(self, data: bytes) -> int:
        """Take bytes; returns how many wait."""
        if self.is_cut:
            return len(self._buffer)
        self.write_max = max(self.write_max, len(data))
        self._buffer += data
        self._move()
        waiting = len(self._buffer)
        self.waiting_max = max(self.waiting_max, waiting)
        if waiting > limits.OUTBOX_BYTES_FULL:
            self._was_full = True
        return waiting

    def set_stalled(self, is_stalled: bool) -> None:
        """The reader stops reading, or goes on."""
        self.is_stalled = is_stalled
        if not is_stalled:
            self._wait_for_head()

    def cut(self, bytes_left: int) -> None:
        """The line dies; at most `bytes_left` of what is on its way still arrive."""
        if self.is_cut:
            return
        self.is_cut = True
        if self._timer is not None:
            self._timer.cancel()
        rest = b"".join(piece for _, piece in self._flight) + bytes(self._buffer)
        self._flight.clear()
        if rest[:bytes_left]:
            self._deliver(rest[:bytes_left])

    def _move(self) -> None:
        while self._buffer and self._flight_bytes < self._window:
            room = self._window - self._flight_bytes
            piece = bytes(self._buffer[:room])
            del self._buffer[:room]
            self._flight.append((self._loop.time() + self._delay_s, piece))
            self._flight_bytes += len(piece)
        self._wait_for_head()
        if self._was_full and len(self._buffer) <= limits.OUTBOX_BYTES_FULL // 4:
            self._was_full = False
            self._loop.call_soon(self._tell_drained)

    def _tell_drained(self) -> None:
        if not self.is_cut:
            self.on_drained()

    def _wait_for_head(self) -> None:
        if self._timer is None and self._flight and not self.is_stalled and not self.is_cut:
            self._timer = self._loop.call_at(max(self._flight[0][0], self._loop.time()), self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        if self.is_stalled or self.is_cut:
            return
        arrived = bytearray()
        while self._flight and self._flight[0][0] <= self._loop.time() + 1e-9:
            arrived += self._flight.popleft()[1]
        self._flight_bytes -= len(arrived)
        torn_at = self._chance.randrange(len(arrived) + 1)
        self._deliver(bytes(arrived[:torn_at]))
        self._deliver(bytes(arrived[torn_at:]))
        self._move()


class Reassembly:
    """Frames of RFC 6455 out of bytes that come torn."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each frame that is whole now."""
        self._held += data
        while len(self._held) >= 2:
            length, at = self._held[1], 2
            if length == 126:
                length, at = int.from_bytes(self._held[2:4], "big"), 4
            elif length == 127:
                length, at = int.from_bytes(self._held[2:10], "big"), 10
            if len(self._held) < at or len(self._held) < at + length:
                return
            frame = self._held[0] & 0xF, bytes(self._held[at : at + length])
            del self._held[: at + length]
            yield frame


class Line:
    """A connection: two streams, and the server's end of it as a room's `Sink`.

    The client sets `on_frame` and `on_lost`; the server reads `inbox`, where None is the end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, chance: Random) -> None:
        self._loop = loop
        self._chance = chance
        self.inbox: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self.down = Stream(loop, chance, self._to_client)
        self.up = Stream(loop, chance, self._to_server)
        self.on_frame: Callable[[int, bytes], None] = lambda opcode, payload: None
        self.on_lost: Callable[[int], None] = lambda code: None
        self.closed_with: CaretsError | None = None
        self.is_dead = False
        self.is_known_dead = False
        """Whether the client knows it."""
        self._down_frames, self._up_frames = Reassembly(), Reassembly()
        self._drained = asyncio.Event()
        self.down.on_drained = self._line_drained
        self.room_drained: Callable[[], None] = lambda: None

    # -- the server's end

    def write(self, data: bytes) -> int:
        """Take bytes towards the client; returns how many wait."""
        return self.down.write(data)

    def close(self, error: CaretsError) -> None:
        """Close with the error's number, after all that was written."""
        if self.closed_with is not None:
            return
        self.closed_with = error
        self.down.write(b"\x88\x02" + int(error.code).to_bytes(2, "big"))
        self.inbox.put_nowait(None)
        self._loop.call_later(_CLOSE_WAIT_S, self.cut)

    async def may_read(self) -> None:
        """Wait while so much waits that answers would pile up."""
        while self.down.waiting > limits.OUTBOX_BYTES_HARD and not self.is_dead:
            self._drained.clear()
            await self._drained.wait()

    def _line_drained(self) -> None:
        self._drained.set()
        self.room_drained()

    def _to_server(self, data: bytes) -> None:
        for frame in self._up_frames.feed(data):
            self.inbox.put_nowait(frame)

    # -- the client's end

    def _to_client(self, data: bytes) -> None:
        for opcode, payload in self._down_frames.feed(data):
            if self.is_known_dead:
                return
            if opcode == 8:
                self._lose(int.from_bytes(payload[:2], "big"))
            else:
                self.on_frame(opcode, payload)

    def _lose(self, code: int) -> None:
        if not self.is_known_dead:
            self.is_known_dead = True
            self.on_lost(code)

    # -- fate

    def cut(self) -> None:
        """The line dies. Each side learns of it later, in its own time; until then the server writes into nothing."""
        if self.is_dead:
            return
        self.is_dead = True
        for stream in (self.up, self.down):
            stream.cut(self._chance.choice((0, self._chance.randrange(200), 1_000_000)))
        self._loop.call_later(self._chance.choice((0.0, 0.5, 8.0)), self._lose, 1006)
        self._loop.call_later(self._chance.choice((0.0, 0.5, 8.0)), self._end)

    def hang_up(self) -> None:
        """The client leaves."""
        self._lose(1000)
        self.cut()

    def _end(self) -> None:
        self._drained.set()
        self.inbox.put_nowait(None)
