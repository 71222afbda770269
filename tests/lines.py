"""A line of an edge on a stage: doubles of what aiohttp gives it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from carets.edges.line import Line
from carets.metrics import Metrics
from carets.protocol.dialect import PING


class StageTransport:
    """A transport whose buffer a test fills and empties."""

    def __init__(self) -> None:
        self.waiting = 0
        self.pings = 0

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_extra_info(self, name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        if data == PING:
            self.pings += 1  # has left at once
        else:
            self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.waiting = 0


class StageSocket:
    def __init__(self) -> None:
        self.closed = False
        self.close_code: int | None = None

    async def close(self, code: int, message: bytes) -> None:
        self.closed, self.close_code = True, code


class StageRequest:
    def __init__(self, transport: StageTransport) -> None:
        self.transport = transport
        self.writer = self

    async def drain(self) -> None:
        await asyncio.Event().wait()


Staged = tuple[Line, StageTransport, StageSocket]


@contextlib.asynccontextmanager
async def staged_line() -> AsyncIterator[Staged]:
    """A line that was last heard at 0, and what it stands on."""
    transport, socket = StageTransport(), StageSocket()
    line = Line(StageRequest(transport), socket, "carets.v1", Metrics())  # type: ignore[arg-type]
    line.heard_at_s = 0.0
    yield line, transport, socket
    await line.finish()


async def look(line: Line, seconds: float) -> None:
    """The heartbeat's look, and what comes of it."""
    line.look(seconds)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
