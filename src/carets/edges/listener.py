"""The one port: all edges together, behind the checks that every request passes.

Owns: routes, the ``Host`` rule, the headers and errors of every answer, opening and closing the port.
Does not know: what the edges do.

Invariant: an error of ours leaves as its row of the table; any other leaves as 500 and is logged whole.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from carets import limits
from carets.edges.line import Heartbeat
from carets.edges.pages import HEADERS, Pages
from carets.edges.rest import Rest, error_response
from carets.edges.websocket import WebSocketDoor
from carets.edges.yjs import StockDoor
from carets.errors import CaretsError, Code, Misconfigured, Refused
from carets.rooms.lobby import Lobby

_log = structlog.get_logger("carets.http")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """The HTTP server of this process."""

    def __init__(self, lobby: Lobby, public_url: str, create_token: str | None) -> None:
        self.heartbeat = Heartbeat()
        self._public_host = urlsplit(public_url).hostname or ""
        self._lobby = lobby
        app = web.Application(middlewares=[self._guard], client_max_size=limits.BODY_BYTES_MAX)
        app.on_response_prepare.append(_add_headers)
        app.add_routes(Rest(lobby, public_url, create_token).routes())
        app.add_routes(Pages().routes())
        app.router.add_get("/ws/{workspace_id}", WebSocketDoor(lobby, self.heartbeat).handle)
        app.router.add_get("/yjs/{workspace_id}/{path:.+}", StockDoor(lobby, self.heartbeat).handle)
        # aiohttp's own words hold what clients sent, keys among it: offered subprotocols, lines of requests that it
        # cannot read. What matters of them is told here, and by `_guard`.
        for name in ("aiohttp.websocket", "aiohttp.server"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)

    async def open(self, host: str, port: int) -> int:
        """Listen; port 0 takes any free one. Returns the port. Raises: Misconfigured."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=1024).start()
        except OSError as error:
            raise Misconfigured(_why_not(error, host, port)) from error
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening and end what is still open."""
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            # Not `request.host`, which asks the resolver for a name, and blocks, when the header is missing.
            if not self._is_host_known(request.headers.get("Host", "")):
                raise Refused(Code.HOST_UNKNOWN, "see --public-url")
            return await handler(request)
        except CaretsError as error:
            self._lobby.note(error)
            _log.info("refused", method=request.method, path=request.path, error=str(error))
            return error_response(error)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - around one request; logged whole
            _log.error("request_failed", method=request.method, path=request.path, exc_info=error)
            return error_response(CaretsError(Code.INTERNAL))

    def _is_host_known(self, host: str) -> bool:
        """Whether a browser may talk to us that believes to be at `host`: other names are how DNS rebinding works."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name == "localhost" or (name and name == self._public_host):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken: stop what listens there, or choose another with --port."
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user: choose one above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {error.strerror or error}. Check --host."
