"""The body of a request as it comes in: within its size, at a least speed, and few large ones at a time.

Owns: how a body is waited for, and how much of all bodies is in memory. Does not know: what is in it.

Invariants:
  1. More than `BODY_BYTES_SMALL` of a body is read only by those that have a place: `UPLOADS_OPEN_MAX` of all, and
     `ADDRESS_UPLOADS_OPEN_MAX` of one network. Others wait for theirs unread.
  2. Who holds a place sends: `BODY_BYTES_PER_S_MIN` on average, after `BODY_WAIT_S`.
  3. While others wait for a place, who has had one longest gives way, after `UPLOAD_HELD_S`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal
from weakref import WeakValueDictionary

from aiohttp import web

from carets import limits
from carets.edges.visitor import visitor_of
from carets.errors import Code, Refused, Unavailable


class _Places(asyncio.Semaphore):
    """So many places, who has them, and how many wait for one."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.waiting = 0
        self._since_s: dict[object, float] = {}
        """Since when each holder has its place; who has it longest is first."""

    async def acquire(self) -> Literal[True]:
        """Wait for a place."""
        self.waiting += 1
        try:
            return await super().acquire()
        finally:
            self.waiting -= 1

    @asynccontextmanager
    async def held(self, holder: object) -> AsyncIterator[None]:
        """Wait for a place and have it."""
        async with self:
            self._since_s[holder] = asyncio.get_running_loop().time()
            try:
                yield
            finally:
                del self._since_s[holder]

    def must_go(self, holder: object) -> bool:
        """Whether others wait, and this one has had its place for longest, and for long."""
        longest, since_s = next(iter(self._since_s.items()))
        is_late = asyncio.get_running_loop().time() - since_s > limits.UPLOAD_HELD_S
        return self.waiting > 0 and longest is holder and is_late


class Uploads:
    """All bodies that are coming in."""

    def __init__(self) -> None:
        self._places = _Places(limits.UPLOADS_OPEN_MAX)
        self._by_network: WeakValueDictionary[str, _Places] = WeakValueDictionary()
        """While somebody there uploads, or waits for it."""
        self.open = 0
        """How many have a place."""

    async def read(self, request: web.Request) -> bytes:
        """The whole body. Raises: Refused BODY_TOO_LARGE, Unavailable SILENT or RATE_LIMITED, RequestPayloadError."""
        if (request.content_length or 0) > limits.BODY_BYTES_MAX:
            raise _too_large()
        body = bytearray()
        await _fill(request, body, limits.BODY_BYTES_SMALL)
        if not request.content.at_eof():
            async with self._place(visitor_of(request).network) as must_go:
                await _fill(request, body, limits.BODY_BYTES_MAX, must_go)
        if not request.content.at_eof():
            raise _too_large()
        return bytes(body)

    @asynccontextmanager
    async def _place(self, network: str) -> AsyncIterator[Callable[[], bool]]:
        """A place, and whether its holder must give way by now."""
        theirs = self._by_network.setdefault(network, _Places(limits.ADDRESS_UPLOADS_OPEN_MAX))
        holder = object()
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(limits.UPLOAD_WAIT_S):
                    # Theirs first: who waits for it takes no place from others.
                    await held.enter_async_context(theirs.held(holder))
                    await held.enter_async_context(self._places.held(holder))
            except TimeoutError:
                what = f"at most {limits.UPLOADS_OPEN_MAX} uploads, {limits.ADDRESS_UPLOADS_OPEN_MAX} from one address"
                raise Unavailable(Code.RATE_LIMITED, what, retry_after_s=limits.UPLOAD_WAIT_S) from None
            self.open += 1
            try:
                yield lambda: theirs.must_go(holder) or self._places.must_go(holder)
            finally:
                self.open -= 1


UPLOADS = web.AppKey("uploads", Uploads)
"""Where the application keeps them."""


async def _fill(
    request: web.Request, body: bytearray, bytes_max: int, must_go: Callable[[], bool] = lambda: False
) -> None:
    """Read on until the body ends or is longer than `bytes_max`. Raises: Unavailable SILENT."""
    loop = asyncio.get_running_loop()
    had, began_s = len(body), loop.time()
    while len(body) <= bytes_max and not request.content.at_eof():
        if must_go():
            what = f"while others wait for a place, a body comes within {limits.UPLOAD_HELD_S:g} seconds"
            raise Unavailable(Code.SILENT, what)
        due_s = began_s + limits.BODY_WAIT_S + (len(body) - had) / limits.BODY_BYTES_PER_S_MIN
        try:
            async with asyncio.timeout_at(due_s):
                body += await request.content.read(bytes_max + 1 - len(body))
        except TimeoutError:
            what = f"a body comes at {limits.BODY_BYTES_PER_S_MIN} bytes a second at least"
            raise Unavailable(Code.SILENT, what) from None


def _too_large() -> Refused:
    return Refused(Code.BODY_TOO_LARGE, f"at most {limits.BODY_BYTES_MAX} bytes")
