"""Where people reach this server: its origin, the path that it lives under, the names that it answers to.

Owns: told addresses and the ``Host`` rule. Does not know: what is served where.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from carets.edges.visitor import Network, visitor_of

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
"""A ``Host`` as browsers send it. Others can be written (user names, IPv6 zones), and parsers differ about them."""


class Site(NamedTuple):
    """The server as others see it; both parts as `Config` checked them."""

    public_url: str = ""
    """Scheme and host that are told to people; empty: whatever the request came by."""
    base_path: str = ""
    """The path before all others, such as ``/carets``; empty for none."""
    allow_origin: tuple[str, ...] = ()
    """Other sites whose pages may connect."""
    trusted_proxy: tuple[Network, ...] = ()
    """Whose ``X-Forwarded-*`` is believed."""
    frame_ancestors: tuple[str, ...] = ()
    """Origins whose pages may show ours in a frame."""
    hsts: bool = False
    """Whether browsers are told to use HTTPS only."""

    def url(self, request: web.Request, path: str) -> str:
        """The address of `path`, which begins with a slash, for whoever sent this request."""
        visitor = visitor_of(request)
        origin = self.public_url or f"{visitor.scheme}://{visitor.host}"
        return f"{origin}{self.base_path}{path}"

    def answers_to(self, host: str) -> bool:
        """Whether a browser may talk to us that believes to be at `host`: other names are how DNS rebinding works."""
        found = _HOST.fullmatch(host)
        name = found[1].strip("[]").lower() if found else ""
        if name == "localhost" or (name and name == urlsplit(self.public_url).hostname):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
