"""Which sites' pages may act here: against pages elsewhere that use somebody's browser to reach this server.

Owns: the ``Origin`` rule, and the CORS headers for origins that are allowed. Does not know: keys, roles, what is asked.

Invariants:
  1. No page of an origin that is neither ours nor allowed upgrades to a WebSocket or changes anything.
  2. No answer may be read by such a page, but files of the sandbox, which say so themselves (`pages`).
  3. Who sends no ``Origin`` is no page, and passes: browsers send it with all of these requests.

Source: RFC 6455, 10.2; the Fetch standard, 3.2 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

from carets.edges.site import Site
from carets.edges.visitor import Visitor
from carets.errors import CaretsError, Code, Refused

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")

_PORTS = {"http": 80, "https": 443}

_READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing. Source: RFC 9110, 9.2.1."""

_SHARED = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}
"""What an allowed page may ask; there are no cookies, so it is never asked with credentials."""


def told_of(error: CaretsError, request: web.Request, visitor: Visitor) -> dict[str, str]:
    """For the log: which ``Host`` or ``Origin`` was refused, if it looks as browsers send them; no key looks so."""
    if error.code == Code.HOST_UNKNOWN and _HOST.fullmatch(visitor.host):
        return {"host": visitor.host}
    told = request.headers.get("Origin", "")
    if error.code == Code.ORIGIN_FOREIGN and (told == "null" or _ORIGIN.fullmatch(told)):
        return {"origin": told}
    return {}


class _Place(NamedTuple):
    scheme: str
    host: str
    port: int


class Origins:
    """The origins whose pages may act."""

    def __init__(self, site: Site) -> None:
        self._allowed = frozenset(filter(None, map(_place, site.allow_origin)))
        self._ours = frozenset(filter(None, [_place(site.public_url)]))

    def check(self, request: web.Request, visitor: Visitor) -> None:
        """Let the request pass. Raises: Refused ORIGIN_FOREIGN."""
        if request.method in _READING and "Upgrade" not in request.headers:
            return
        told = request.headers.getall("Origin", [])
        if told and not self._may_act(told, visitor):
            raise Refused(Code.ORIGIN_FOREIGN, "see --allow-origin, or --public-url behind a proxy that changes Host")

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks for an allowed page whether it may; None for all else."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        return web.Response(status=204, headers=_SHARED) if self._is_allowed(request) else None

    def share(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let an allowed page read this answer."""
        if self._allowed and "Access-Control-Allow-Origin" not in response.headers:
            response.headers.add("Vary", "Origin")
            if self._is_allowed(request):
                response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
                response.headers["Access-Control-Expose-Headers"] = "Content-Disposition, Retry-After"

    def _is_allowed(self, request: web.Request) -> bool:
        told = request.headers.getall("Origin", [])
        return len(told) == 1 and _place(told[0]) in self._allowed

    def _may_act(self, told: Sequence[str], visitor: Visitor) -> bool:
        place = _place(told[0]) if len(told) == 1 else None
        if place is None:  # "null" among them: a sandbox, a file, a page that was sent on
            return False
        return place in self._allowed or place in self._ours or _is_at(place, visitor)


def _is_at(place: _Place, visitor: Visitor) -> bool:
    """Whether a page of `place` came from the host and port that this request goes to."""
    found = _HOST.fullmatch(visitor.host.lower())
    if found is None or found[1] != place.host:
        return False
    if visitor.scheme == "https" != place.scheme:
        return False
    # Over HTTP the page may be of https all the same: a proxy that we were not told of speaks it for us.
    return int(found[2] or _PORTS[place.scheme]) == place.port


def _place(origin: str) -> _Place | None:
    found = _ORIGIN.fullmatch(origin.lower())
    return _Place(found[1], found[2], int(found[3] or _PORTS[found[1]])) if found else None
