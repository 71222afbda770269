"""The page: its one HTML document, its assets, its service worker, and the sandbox in which code of a workspace runs.

Owns: which address serves what of the built page, how long browsers may keep it, and what each part may reach.
Does not know: workspaces.

Invariant: a document below ``run/`` has an origin of its own, and reaches nothing of this server but ``run/``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from carets.edges.site import Site
from carets.edges.visitor import visitor_of

PAGE = Path(__file__).parent.parent / "page"
"""Where the build puts the page. Source: hatch_build.py."""

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_BUILT = re.compile(r".+-[0-9a-f]{12}\.[a-z]+")
"""A name that holds a build's id: another content has another name. Source: hatch_build.py."""

_SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src {run} blob: 'unsafe-eval' 'wasm-unsafe-eval'; "
    "worker-src blob:; connect-src {run}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors {ancestors}"
)
"""Code of a workspace may do there what it likes, and reach only what `run` names."""

_HOST_SOURCE = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")
"""A host as a policy can name it. Source: CSP level 3, host-source; an IPv6 literal is none."""

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".zip": "application/zip",
}
"""What the sandbox is made of. Browsers take scripts and WebAssembly by these types only."""


def page_build() -> str:
    """The build id of the page beside this server; ``none`` when it was not built."""
    try:
        return str(json.loads((PAGE / "build.json").read_text())["build"])
    except (OSError, ValueError, KeyError):
        return "none"


class Pages:
    """The routes of the page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        return [
            web.get("/", self.document),
            web.get("/w/{workspace_id}", self.document),
            web.get("/assets/{name}", self.asset),
            web.get("/worker.js", self.service_worker),
            web.get("/run/{name}", self.sandbox),
            web.get("/run/{folder}/{name}", self.sandbox),
        ]

    async def document(self, _: web.Request) -> web.Response:
        """The one HTML document; its base makes relative assets right at every depth."""
        try:
            html = (PAGE / "index.html").read_text()
        except OSError:
            text = "The page is not built. Run 'make serve', or install Carets from its wheel.\n"
            return web.Response(text=text, status=503)
        html = html.replace("<head>", f'<head>\n    <base href="{self._site.base_path}/" />', 1)
        return web.Response(text=html, content_type="text/html", headers={"Cache-Control": _ASK_AGAIN})

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """A built file."""
        return web.FileResponse(_file("assets", request.match_info["name"]), headers={"Cache-Control": _FOR_EVER})

    async def service_worker(self, _: web.Request) -> web.StreamResponse:
        """What opens the page without a network. Its name must stay, so browsers ask whether it changed."""
        headers = {"Cache-Control": _ASK_AGAIN, "Content-Type": "text/javascript; charset=utf-8"}
        return web.FileResponse(_file("worker.js"), headers=headers)

    async def sandbox(self, request: web.Request) -> web.StreamResponse:
        """A file of the sandbox. Its origin is opaque, so that for it all of ours is another site's."""
        folder, name = request.match_info.get("folder"), request.match_info["name"]
        path = _file("run", *([folder] if folder else []), name)
        lasts = folder is not None or _BUILT.fullmatch(name) is not None
        headers = {
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": _FOR_EVER if lasts else _ASK_AGAIN,
            "Content-Security-Policy": self._sandbox_policy(request),
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        if path.suffix in _TYPES:
            headers["Content-Type"] = _TYPES[path.suffix]
        return web.FileResponse(path, headers=headers)

    def _sandbox_policy(self, request: web.Request) -> str:
        """The policy with this server's ``run/`` by name, since ``'self'`` would be the API, too.

        No scheme is named: it is then the document's own, whatever a proxy speaks with us.
        """
        hosts = [visitor_of(request).host, urlsplit(self._site.public_url).netloc]
        sources = [f"{host}{self._site.base_path}/run/" for host in hosts if _HOST_SOURCE.fullmatch(host)]
        # All ancestors count: where our page may be in a frame, so may the frame in it.
        ancestors = " ".join(["'self'", *self._site.frame_ancestors])
        return _SANDBOX.format(run=" ".join(dict.fromkeys(sources)), ancestors=ancestors)


def _file(*parts: str) -> Path:
    """A file that the build made. Raises: HTTPNotFound; for whatever lies elsewhere, too."""
    path = PAGE.joinpath(*parts)
    try:
        # A part of an address can hold an encoded slash or be two dots: then it names no single part.
        is_there = all(Path(part).name == part != ".." for part in parts) and path.is_file()
    except (OSError, ValueError):  # longer than any name can be, or with a NUL in it
        is_there = False
    if not is_there:
        raise web.HTTPNotFound
    return path
