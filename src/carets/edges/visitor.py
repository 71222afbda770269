"""Who sent a request, and how they reached us: by themselves, or through a proxy that the operator trusts.

Owns: what of ``X-Forwarded-*`` is believed, and which addresses count as one. Does not know: what visitors may do.

Invariants:
  1. Only what a trusted peer wrote is believed; what anybody else says of themselves is not even read.
  2. Of a list, the nearest proxy's word counts, which stands last: what stands before it, the client may have written.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_IPV6_BITS = 64
"""Bits of an IPv6 address that name one household; the rest its devices choose, and change. Source: RFC 4291, 2.5.4."""

_HOPS_MAX = 16
"""Addresses of ``X-Forwarded-For`` that are looked at: nobody has that many proxies of their own."""

_PORT = re.compile(r"(\[[^\]]*\]|[^:]*):\d{1,5}")
"""An address with a port behind it, as some proxies write it; an IPv6 literal without brackets is none."""


class Visitor(NamedTuple):
    """Who sent a request, as far as we believe it."""

    address: str
    """The client's IP address, for the log; ``unknown`` where there is none."""
    scheme: str
    """What the client spoke: ``http`` or ``https``."""
    host: str
    """The ``Host`` that the client asked for; not checked (`Site.answers_to`)."""
    by_proxy: bool = False
    """Whether a trusted proxy brought the request: its connection is not the visitor's own."""

    @property
    def network(self) -> str:
        """What is counted as one visitor: an IPv4 address, or the /64 of an IPv6 address."""
        return network_of(self.address)


_VISITOR = web.RequestKey("visitor", Visitor)


def meet(request: web.Request, trusted: Sequence[Network]) -> Visitor:
    """Find out who sent `request`, and remember it there for `visitor_of`."""
    address = clean_address(request.remote or "")
    # Not `request.host`, which asks the resolver for a name, and blocks, when the header is missing.
    scheme, host = request.scheme, request.headers.get("Host", "")
    by_proxy = is_within(address, trusted)
    if by_proxy:
        address = _client(address, request.headers.getall("X-Forwarded-For", []), trusted)
        told = _last(request, "X-Forwarded-Proto").lower()
        scheme = told if told in ("http", "https") else scheme
        host = _last(request, "X-Forwarded-Host") or host
    visitor = request[_VISITOR] = Visitor(address, scheme, host, by_proxy)
    return visitor


def is_unnamed_proxy(request: web.Request, visitor: Visitor) -> bool:
    """Whether this looks like a proxy of the operator's that we were not told of: near, and forwarding."""
    near = _parse(visitor.address)
    return not visitor.by_proxy and near is not None and near.is_private and "X-Forwarded-For" in request.headers


def visitor_of(request: web.Request) -> Visitor:
    """Who sent `request`; every request was met at the door (`listener`)."""
    return request[_VISITOR]


def clean_address(text: str) -> str:
    """An IP address in its one form, an IPv4 address inside IPv6 as itself; ``unknown`` for anything else."""
    address = _parse(text)
    return str(address) if address else "unknown"


def network_of(address: str) -> str:
    """`Visitor.network` of a clean address."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, _IPV6_BITS), strict=False))


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether a clean address is in one of `networks`."""
    parsed = _parse(address) if networks else None
    return parsed is not None and any(parsed in network for network in networks)


def _client(peer: str, headers: Sequence[str], trusted: Sequence[Network]) -> str:
    """The nearest address that is no trusted proxy; the farthest that we were told of, if all are."""
    hops = [hop.strip() for hop in ",".join(headers).split(",")]
    for hop in hops[: -_HOPS_MAX - 1 : -1]:
        address = clean_address(hop)
        if address == "unknown":
            return peer  # whoever wrote that is no proxy of ours: the last that we know of has to stand for it
        peer = address
        if not is_within(address, trusted):
            return peer
    return peer


def _last(request: web.Request, name: str) -> str:
    return ",".join(request.headers.getall(name, [])).rpartition(",")[2].strip()


def _parse(text: str) -> _Address | None:
    with_port = _PORT.fullmatch(text)
    bare = (with_port[1] if with_port else text).removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
