"""A reverse proxy as operators put one in front: everything of one server below a path, other paths its own.

Owns: passing requests, answers and WebSockets on. Does not know: Carets.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

_OWN = {"connection", "transfer-encoding", "content-length", "keep-alive", "upgrade", "te"}
"""Headers of one connection, which a proxy does not pass on. Source: RFC 9110, 7.6.1."""


@contextlib.asynccontextmanager
async def proxied(port: int, base_path: str, *, strips: bool) -> AsyncIterator[str]:
    """Serve the server at `port` below `base_path`; `strips` takes it out of the paths. Yields the outside origin."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        proxy = _Proxy(http, f"http://127.0.0.1:{port}", base_path, strips=strips)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", base_path + "/{path:.*}", proxy.pass_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class _Proxy:
    def __init__(self, http: aiohttp.ClientSession, origin: str, base_path: str, *, strips: bool) -> None:
        self._http = http
        self._origin = origin
        self._cut = len(base_path) if strips else 0

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """One request, or one WebSocket."""
        url = self._origin + request.raw_path[self._cut :]
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._connect(request, url, headers)
        body = await request.read()
        async with self._http.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as told:
            kept = [(name, value) for name, value in told.headers.items() if name.lower() not in _OWN]
            response = web.StreamResponse(status=told.status, headers=dict(kept))
            await response.prepare(request)
            async for piece in told.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    async def _connect(self, request: web.Request, url: str, headers: dict[str, str]) -> web.StreamResponse:
        offered = [word.strip() for word in headers.pop("Sec-WebSocket-Protocol", "").split(",") if word.strip()]
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket")}
        async with self._http.ws_connect(url, headers=headers, protocols=offered, max_msg_size=0) as inner:
            outer = web.WebSocketResponse(protocols=offered, max_msg_size=0)
            await outer.prepare(request)
            ways = [asyncio.ensure_future(_pour(*way)) for way in ((inner, outer), (outer, inner))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await outer.close(code=inner.close_code or 1001)
            return outer


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pour(source: _Socket, target: _Socket) -> None:
    async for frame in source:
        if frame.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(frame.data)
        elif frame.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(frame.data)
