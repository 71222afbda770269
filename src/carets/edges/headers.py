"""What every answer tells a browser that it may do with it.

Owns: the headers of all answers, those of errors too. Does not know: what is answered; the sandbox's own (`pages`).

Source: CSP level 3; the HTML and Fetch standards; RFC 6797.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from carets.edges.site import Site
from carets.edges.visitor import visitor_of

_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; worker-src 'self'; frame-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'none'; frame-ancestors {ancestors}"
)
"""Styles may be inline because CodeMirror's are: it writes rules for themes and positions into the document, and cannot
be told a nonce by a page that is the same for everybody.
`connect-src 'self'` covers WebSockets to this host (CSP level 3)."""

_FEATURES = ("accelerometer", "camera", "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "usb")
"""What the page has no use for, and so nothing that runs in it, or in a frame of it, can ask for."""

HEADERS = {
    "Content-Security-Policy": _POLICY.format(ancestors="'none'"),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
    "Cache-Control": "no-store",
    "Server": "Carets",
}
"""On every answer that does not say otherwise itself. Answers of the API hold keys and texts: nothing keeps them."""

_HSTS = "max-age=31536000"
"""A year, as browsers' own lists want it at least. Other names below this host are not ours to speak for."""


class Headers:
    """The headers of this server's answers."""

    def __init__(self, site: Site) -> None:
        self._always = dict(HEADERS)
        if site.frame_ancestors:
            ancestors = " ".join(site.frame_ancestors)
            self._always["Content-Security-Policy"] = _POLICY.format(ancestors=ancestors)
        self._hsts = site.hsts
        self._public = urlsplit(site.public_url)

    def add(self, request: web.Request, response: web.StreamResponse) -> None:
        """Put in what the answer does not say itself."""
        for name, value in self._always.items():
            response.headers.setdefault(name, value)
        response.headers["Server"] = HEADERS["Server"]  # aiohttp has put its own
        if self._hsts and self._came_by_https(request):
            response.headers["Strict-Transport-Security"] = _HSTS

    def _came_by_https(self, request: web.Request) -> bool:
        """Whether the visitor spoke HTTPS, with us or with a proxy at the public address. Source: RFC 6797, 7.2."""
        try:
            visitor = visitor_of(request)
        except KeyError:  # aiohttp refused it before the door
            return request.secure
        by_public_name = visitor.host.lower() == self._public.netloc.lower()
        return visitor.scheme == "https" or (self._public.scheme == "https" and by_public_name)
