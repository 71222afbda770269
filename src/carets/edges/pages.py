"""The page: its one HTML document and its assets, with the headers that keep it to itself.

Owns: which address serves what of the built page, and how long browsers may keep it. Does not know: workspaces.
"""

from __future__ import annotations

import json
from pathlib import Path

from aiohttp import web

PAGE = Path(__file__).parent.parent / "page"
"""Where the build puts the page. Source: hatch_build.py."""

_FOR_EVER = "public, max-age=31536000, immutable"
"""Assets carry a hash of their content in their names."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Server": "Carets",
}
"""On every answer. Styles may be inline because CodeMirror's are; `connect-src 'self'` covers WebSockets to
this host (CSP level 3)."""


def page_build() -> str:
    """The build id of the page beside this server; ``none`` when it was not built."""
    try:
        return str(json.loads((PAGE / "build.json").read_text())["build"])
    except (OSError, ValueError, KeyError):
        return "none"


class Pages:
    """The routes of the page."""

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        return [
            web.get("/", self.document),
            web.get("/w/{workspace_id}", self.document),
            web.get("/assets/{name}", self.asset),
        ]

    async def document(self, _: web.Request) -> web.Response:
        """The one HTML document; its base makes relative assets right at every depth."""
        try:
            html = (PAGE / "index.html").read_text()
        except OSError:
            text = "The page is not built. Run 'make serve', or install Carets from its wheel.\n"
            return web.Response(text=text, status=503)
        html = html.replace("<head>", '<head>\n    <base href="/" />', 1)
        return web.Response(text=html, content_type="text/html", headers={"Cache-Control": "no-cache"})

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """A built file; nothing else can be named, since a route's part holds no slash."""
        path = PAGE / "assets" / request.match_info["name"]
        try:
            is_there = path.parent == PAGE / "assets" and path.is_file()
        except OSError:  # longer than any name can be
            is_there = False
        if not is_there:
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": _FOR_EVER})
