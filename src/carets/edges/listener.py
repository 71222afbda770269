"""The one port: all edges together, behind the checks that every request passes.

Owns: routes, the ``Host`` rule, the headers and errors of every answer.
Does not know: what the edges do.

Invariant: an error of ours leaves as its row of the table; any other leaves as 500 and is logged whole.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from carets import limits
from carets.edges import trace
from carets.edges.admin import Admin
from carets.edges.call import error_response
from carets.edges.doorman import Doorman
from carets.edges.exposition import Exposition
from carets.edges.headers import Headers
from carets.edges.line import Heartbeat
from carets.edges.monitor import PROBES, Monitor
from carets.edges.origin import Origins, told_of
from carets.edges.pages import Pages
from carets.edges.port import Port, visiting
from carets.edges.pulse import Pulse
from carets.edges.rates import RATES, Rates
from carets.edges.rest import Rest
from carets.edges.site import Site
from carets.edges.tokens import Tokens
from carets.edges.transfer import Transfer
from carets.edges.upload import UPLOADS, Uploads
from carets.edges.visitor import is_unnamed_proxy, meet
from carets.edges.websocket import WebSocketDoor
from carets.edges.yjs import StockDoor
from carets.errors import CaretsError, Code, Refused
from carets.rooms.lobby import Lobby
from carets.rooms.steward import Steward

_log = structlog.get_logger("carets.http")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """The HTTP server of this process."""

    def __init__(
        self, lobby: Lobby, site: Site, steward: Steward, tokens: Tokens, *, metrics_open: bool = False
    ) -> None:
        self.heartbeat = Heartbeat(lobby.around.metrics)
        self.pulse = Pulse(lobby.around.metrics)
        self._site = site
        self._lobby = lobby
        self._origins = Origins(site)
        self._told_of_proxy = False
        self._headers = Headers(site)
        self.doorman = Doorman(lobby.around.quotas, site.trusted_proxy)
        self._port = Port(self.doorman, lobby.around.metrics.refusals)
        app = web.Application(middlewares=[self._guard], client_max_size=limits.BODY_BYTES_MAX)
        app[RATES] = self.rates = Rates(lobby.around.quotas, time.monotonic)
        app[UPLOADS] = self.uploads = Uploads()
        app.on_response_prepare.append(self._add_headers)
        exposition = Exposition(lobby, self.heartbeat, self.pulse, self.doorman, self.rates, self.uploads)
        routes = [
            *Rest(lobby, site, tokens.create).routes(),
            *Admin(steward, site, tokens).routes(),
            *Transfer(lobby).routes(),
            *Pages(site).routes(),
            *Monitor(lobby, exposition, tokens.admin, metrics_open=metrics_open).routes(),
            web.get("/ws/{workspace_id}", WebSocketDoor(lobby, self.heartbeat).handle),
            web.get("/yjs/{workspace_id}/{path:.+}", StockDoor(lobby, self.heartbeat).handle),
        ]
        app.add_routes(routes)
        if site.base_path:
            # A proxy may strip the prefix or leave it: both ways lead to the same.
            app.add_routes([_below(site.base_path, route) for route in routes])
            app.router.add_get(site.base_path, self._add_slash)
        # aiohttp's own words hold what clients sent, keys among it: offered subprotocols, lines of requests that it
        # cannot read. What matters of them is told here, and by `_guard`.
        for name in ("aiohttp.websocket", "aiohttp.server"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # What it passes on to aiohttp's connections does not reach ours (`port`).
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen; port 0 takes any free one. Returns the port. Raises: Misconfigured."""
        await self._runner.setup()
        assert self._runner.server is not None
        return await self._port.open(self._runner.server, host, port, tls)

    async def close(self) -> None:
        """Stop listening and end what is still open."""
        self._port.stop()
        await self._runner.cleanup()

    async def _add_slash(self, request: web.Request) -> web.Response:
        """The base path without its slash, which people type."""
        raise web.HTTPPermanentRedirect(request.rel_url.with_path(f"{self._site.base_path}/", keep_query=False))

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        visitor = meet(request, self._site.trusted_proxy)
        trace.begin(request, visitor.address)
        if not self._told_of_proxy and is_unnamed_proxy(request, visitor):
            self._told_of_proxy = True
            _log.warning("proxy_not_named", address=visitor.address, see="--trusted-proxy")
        try:
            if not (self._site.answers_to(visitor.host) or self._is_probe(request)):
                raise Refused(Code.HOST_UNKNOWN, "see --public-url")
            self._origins.check(request, visitor)
            preflight = self._origins.preflight(request)
            with visiting(self.doorman, request, visitor):
                return await handler(request) if preflight is None else preflight
        except CaretsError as refused:
            self._lobby.note(refused, **told_of(refused, request, visitor))
            return self._answer(request, self.rates.judge(visitor.network, refused))
        except web.HTTPNotFound:
            return self._answer(request, Refused(Code.ADDRESS_UNKNOWN))
        except web.HTTPMethodNotAllowed as error:
            response = self._answer(request, Refused(Code.METHOD_UNKNOWN))
            response.headers["Allow"] = error.headers["Allow"]
            return response
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - around one request; logged whole
            _log.error("request_failed", exc_info=error)
            return self._answer(request, CaretsError(Code.INTERNAL))

    def _is_probe(self, request: web.Request) -> bool:
        resource = request.match_info.route.resource
        return resource is not None and resource.canonical.removeprefix(self._site.base_path) in PROBES

    def _answer(self, request: web.Request, error: CaretsError) -> web.Response:
        self._lobby.around.metrics.refusals[error.code] += 1
        response = error_response(error)
        if not request.content.is_eof():
            response.force_close()  # what still comes of the body has no reader
        return response

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        self._headers.add(request, response)
        self._origins.share(request, response)


def _below(base_path: str, route: web.RouteDef) -> web.RouteDef:
    return web.RouteDef(route.method, base_path + route.path, route.handler, route.kwargs)
