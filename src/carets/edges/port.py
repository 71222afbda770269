"""The one port: connections as the kernel hands them over, each asked about at the doorman before anything is read.

Owns: listening, TLS handshakes, the first words of a connection and the last of one that is refused, files that the
process may have open. Does not know: who may connect (`doorman`), what requests mean (aiohttp reads them).

Invariants:
  1. A connection is in the doorman's book from its acceptance to its end, a TLS handshake that stalls included.
  2. A connection without a whole head in `HEAD_WAIT_S`, or between requests in `KEEP_ALIVE_S`, is closed.
  3. Who is refused for want of room is told so, `REFUSALS_OPEN_MAX` at a time.

Source: docs/decisions/0011-who-may-connect.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket as sockets
from collections import Counter
from collections.abc import Coroutine, Iterator
from ssl import SSLContext
from typing import Any, cast

import structlog
from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from multidict import CIMultiDict, CIMultiDictProxy

from carets import limits
from carets.edges.call import error_response
from carets.edges.doorman import Doorman, Guest, Visit
from carets.edges.headers import HEADERS
from carets.edges.visitor import Visitor, clean_address
from carets.errors import CaretsError, Code, Misconfigured, Refused, Unavailable

_log = structlog.get_logger("carets.port")

_BACKLOG = 1024
"""Connections that the kernel holds until they are accepted: all members of a large room that come back at once."""

_FILES_SPARE = 128
"""Files that the process opens besides connections: data, logs, files of the page on their way."""

_ACCEPT_RETRY_S = 0.5
"""Seconds until accepting is tried again when the system has no room for one more."""

_TELL_EVERY_S = 10.0
"""Seconds between two lines of the log that count refused connections: a flood must not fill the disk."""


class _Heads(list[tuple[object, object]]):
    """Heads of requests that wait for their turn, as aiohttp's connection keeps them in a deque.

    aiohttp holds the head of an upgraded request for as long as the WebSocket lives, 5 KB of what a browser sends. Here
    it is in the hands of the connection, which can let go of it.
    """

    __slots__ = ("headers",)

    def __init__(self) -> None:
        super().__init__()
        self.headers: CIMultiDict[str] = CIMultiDict()

    def append(self, request: tuple[object, object]) -> None:
        """One more was read."""
        message, body = request
        if isinstance(message, RawRequestMessage):
            self.headers = CIMultiDict(message.headers)
            message = message._replace(headers=CIMultiDictProxy(self.headers), raw_headers=())
        super().append((message, body))

    def popleft(self) -> tuple[object, object]:
        """The next."""
        return self.pop(0)


class Connection(web.RequestHandler):
    """A connection as aiohttp serves it, and as the doorman knows it."""

    __slots__ = ("_doorman", "_head_due", "_heads", "guest")

    def __init__(self, server: web.Server, doorman: Doorman, guest: Guest) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner takes it
            keepalive_timeout=limits.KEEP_ALIVE_S,
            lingering_time=limits.LINGER_S,
            max_line_size=limits.HEAD_LINE_BYTES_MAX,
            max_field_size=limits.HEAD_LINE_BYTES_MAX,
            max_headers=limits.HEAD_FIELDS_MAX,
            # aiohttp would unpack a body as it comes, before anyone has asked for it: 1 MB became 300 MB in memory.
            auto_decompress=False,
        )
        self._heads = _Heads()
        self._messages = cast("Any", self._heads)
        self.guest = guest
        guest.give_way = self.force_close
        self._doorman = doorman
        self._head_due = loop.call_later(limits.HEAD_WAIT_S, self._give_up)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended, by whomever."""
        self._head_due.cancel()
        self._doorman.leave(self.guest)
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer to its end; the connection then waits for the next request."""
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = error_response(Refused(Code.BODY_MALFORMED, "Expect takes 100-continue only"))  # aiohttp quotes it
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._doorman.waits(self.guest)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read as a request, in our words: aiohttp's would quote it."""
        if status != 400:
            return super().handle_error(request, status, exc, message)
        error = Refused(Code.BODY_MALFORMED)
        if isinstance(exc, LineTooLong):
            error = Refused(Code.BODY_TOO_LARGE, f"a field of the head has at most {limits.HEAD_LINE_BYTES_MAX} bytes")
        response = _closing(error)
        response.force_close()
        return response

    def forget_head(self) -> None:
        """The connection is a WebSocket for good: nobody reads the head any more, nor parses another one."""
        self._heads.headers.clear()
        self._parser = None

    def _give_up(self) -> None:
        if self.guest.kind == "new" and self.transport is not None:
            self.close()
            self._head_due = _part(self.transport, Unavailable(Code.SILENT, "no request came"))


_VISIT = web.RequestKey("visit", Visit)


@contextlib.contextmanager
def visiting(doorman: Doorman, request: web.Request, visitor: Visitor) -> Iterator[None]:
    """Serve a request inside. Raises: Unavailable CONNECTIONS_TOO_MANY."""
    guest = request.protocol.guest if isinstance(request.protocol, Connection) else None
    visit = request[_VISIT] = doorman.visit(guest, visitor, upgrades="Upgrade" in request.headers)
    try:
        yield
    finally:
        visit.end()


def welcome(request: web.Request) -> None:
    """Whoever came by this request has shown a key that opens: it is no stranger's any more. Its head is forgotten."""
    request[_VISIT].welcome()
    if isinstance(request.protocol, Connection):
        request.protocol.forget_head()


class Port:
    """A listening port."""

    def __init__(self, doorman: Doorman, refusals: Counter[int]) -> None:
        """`refusals` counts those that are told here, by number."""
        self._doorman = doorman
        self._refusals = refusals
        self._tls: SSLContext | None = None
        self._listening: list[sockets.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing: set[_Refusal] = set()
        self._told_at_s = float("-inf")

    async def open(self, server: web.Server, host: str, port: int, tls: SSLContext | None = None) -> int:
        """Listen, and let `server` serve; port 0 takes any free one. Returns the port. Raises: Misconfigured."""
        self._tls = tls
        self._doorman.connections_max = _connections_max(self._doorman.connections_max)
        try:
            await self._listen(host, port)
        except OSError as error:
            self.stop()
            raise Misconfigured(why_not(error, host, port)) from error
        for listening in self._listening:
            self._begin(self._accept(listening, server))
        return int(self._listening[0].getsockname()[1])

    def stop(self) -> None:
        """Take no more connections; those that are being served stay."""
        for task in self._tasks:
            task.cancel()
        for listening in self._listening:
            listening.close()
        self._listening.clear()

    async def _listen(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=sockets.SOCK_STREAM, flags=sockets.AI_PASSIVE)
        missing: OSError | None = None
        for family, kind, protocol, _, address in dict.fromkeys(found):
            # A name with two addresses is one port, also where any free one was asked for.
            at = self._listening[0].getsockname()[1] if port == 0 and self._listening else address[1]
            try:
                self._listening.append(_bound(family, kind, protocol, (address[0], at, *address[2:])))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error  # ``localhost`` is ::1, too, where there is no IPv6
        if not self._listening:
            raise missing or OSError(errno.EADDRNOTAVAIL, "the name has no address")

    async def _accept(self, listening: sockets.socket, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except ConnectionError:
                continue  # gone again before it was accepted
            except OSError as error:
                _log.error("accept_failed", error=str(error))
                await asyncio.sleep(_ACCEPT_RETRY_S)
                continue
            self._begin(self._take(accepted, str(peer[0]), server))
            await asyncio.sleep(0)  # however many there are, everybody else has their turn between two

    async def _take(self, accepted: sockets.socket, peer: str, server: web.Server) -> None:
        try:
            guest = self._doorman.admit(clean_address(peer), lambda: None)
        except Unavailable as error:
            await self._refuse(accepted, error)
            return
        connection = Connection(server, self._doorman, guest)
        if not await self._hand_over(accepted, connection):
            connection.connection_lost(None)

    async def _refuse(self, accepted: sockets.socket, error: Unavailable) -> None:
        self._refusals[error.code] += 1
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_at_s >= _TELL_EVERY_S:
            self._told_at_s = now_s
            _log.warning("connections_refused", since_start=self._doorman.refused.total(), error=str(error))
        if len(self._refusing) >= limits.REFUSALS_OPEN_MAX:
            accepted.close()
            return
        refusal = _Refusal(error, self._refusing)
        if not await self._hand_over(accepted, refusal):
            refusal.connection_lost(None)

    async def _hand_over(self, accepted: sockets.socket, protocol: asyncio.Protocol) -> bool:
        """Let `protocol` have the connection, behind its TLS handshake; False when it ended before."""
        wait_s = limits.TLS_WAIT_S if self._tls is not None else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._tls, ssl_handshake_timeout=wait_s
            )
        except OSError:  # TimeoutError, ConnectionError and ssl.SSLError are all of this kind
            accepted.close()
            return False
        except BaseException:
            accepted.close()
            raise
        return True

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _part(transport: asyncio.Transport, error: CaretsError) -> asyncio.TimerHandle:
    """Tell why, and end the connection once the peer has ended its side, or at last by the timer that is returned.

    What it sends meanwhile is for the protocol to throw away: a close upon unread bytes is a reset, which can overtake
    the answer.
    """
    transport.write(_in_bytes(error))
    if transport.can_write_eof():
        transport.write_eof()
    return asyncio.get_running_loop().call_later(limits.LINGER_S, transport.abort)


class _Refusal(asyncio.Protocol):
    """A connection that is told why it is refused."""

    def __init__(self, error: CaretsError, told: set[_Refusal]) -> None:
        self._error = error
        self._told = told
        self._due: asyncio.TimerHandle | None = None
        told.add(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._due = _part(cast("asyncio.Transport", transport), self._error)

    def connection_lost(self, _: BaseException | None) -> None:
        if self._due is not None:
            self._due.cancel()
        self._told.discard(self)


def _closing(error: CaretsError) -> web.Response:
    response = error_response(error)
    response.headers.update(HEADERS | {"Connection": "close"})
    return response


def _in_bytes(error: CaretsError) -> bytes:
    """An answer for a connection on which no request was read."""
    response = _closing(error)
    body = response.body
    assert isinstance(body, bytes)
    head = [f"HTTP/1.1 {response.status} {response.reason}", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in response.headers.items() if name != "Content-Length"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _connections_max(wanted: int) -> int:
    """As many connections as were asked for, or as the system lets us have files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _FILES_SPARE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    granted = max(1, soft - _FILES_SPARE)
    _log.warning("files_too_few", open_files=soft, connections_max=granted, wanted=wanted)
    return granted


def _bound(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> sockets.socket:
    """A socket that listens at `address`."""
    listening = sockets.socket(family, kind, protocol)
    try:
        listening.setblocking(False)
        listening.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        if family == sockets.AF_INET6:
            listening.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY, 1)
        if hasattr(sockets, "TCP_USER_TIMEOUT"):  # of Linux; accepted connections inherit it
            listening.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_USER_TIMEOUT, int(limits.ANSWER_STALL_S * 1000))
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def why_not(error: OSError, host: str, port: int) -> str:
    """Why it is not possible to listen there, and what to change."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken: stop what listens there, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user: choose one above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {error.strerror or error}. Check --host."
