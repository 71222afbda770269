"""What an operator can set: options of ``carets serve``, each also as ``CARETS_*``.

Owns: names, defaults and checks of the options. Does not know: what is done with them.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from carets import limits
from carets.errors import Misconfigured
from carets.limits import Quotas

DEFAULT_PORT = 8040

_BASE_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
"""Characters that stand for themselves in addresses, HTML and headers; no part begins with a dot."""

_HOST_SOURCE = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?")
"""An origin as a content security policy can name it. Source: CSP level 3, host-source; IPv6 literals are none."""

TOP_NAMES = ("api", "assets", "healthz", "metrics", "readyz", "run", "w", "worker.js", "ws", "yjs")
"""First parts of our own addresses: below one of them, an address could mean two things."""

_Word = TypeVar("_Word", bound=str)

Tls = Literal["off", "self-signed"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_QUOTAS: dict[str, tuple[str, str]] = {
    "members_max": ("N", f"members of one workspace at the same time ({limits.MEMBERS_MAX})"),
    "rooms_max": ("N", f"workspaces open at the same time ({limits.ROOMS_MAX})"),
    "connections_max": ("N", f"connections to this process ({limits.CONNECTIONS_MAX})"),
    "address_connections_max": ("N", f"connections from one address ({limits.ADDRESS_CONNECTIONS_MAX})"),
    "address_workspaces_per_hour": (
        "N",
        f"workspaces that one address may create in an hour ({limits.ADDRESS_WORKSPACES_PER_HOUR})",
    ),
    "workspace_mib_max": (
        "N",
        f"MiB that one workspace may take of the data file ({limits.WORKSPACE_BYTES_MAX // limits.MIB})",
    ),
}
"""Options that take a whole number above 0, by `Quotas`: metavar and help."""


def option_of(limit: str) -> str:
    """The option whose default is this limit of `limits`; empty when there is none."""
    name = "workspace_mib_max" if limit == "WORKSPACE_BYTES_MAX" else limit.lower()
    return f"--{name.replace('_', '-')}" if name in _QUOTAS else ""


@dataclass(frozen=True, slots=True)
class Config:
    """How to serve."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    data: Path = Path("data")
    public_url: str = ""
    """The address by which people reach the server, when it is not the one it listens on: scheme and host."""
    base_path: str = ""
    """The path below which people reach everything, such as ``/carets``; empty for none."""
    create: Literal["token", "open"] = "token"
    """Who may create workspaces beyond loopback: whoever has the create token, or anyone."""
    open: bool = False
    """Whether links work without their keys, as editor: for a trusted network."""
    log: Literal["text", "json"] = "text"
    tls: Tls = "off"
    tls_cert: Path | None = None
    """PEM with the certificate and its chain; its key is in `tls_key`. Both or none."""
    tls_key: Path | None = None
    hsts: bool = False
    """Whether browsers are told to use HTTPS only, for this host and all of its ports."""
    frame_ancestors: tuple[str, ...] = ()
    """Origins whose pages may show ours in a frame."""
    allow_origin: tuple[str, ...] = ()
    """Origins besides our own whose pages may connect."""
    trusted_proxy: tuple[Network, ...] = ()
    """Networks whose ``X-Forwarded-*`` headers are believed."""
    metrics: Literal["token", "open"] = "token"
    """Who may read ``/metrics`` beyond loopback: whoever has the admin token, or anyone."""
    audit_log: Path | None = None
    """A file for the audit log; None: it is in the log."""
    quotas: Quotas = field(default_factory=Quotas)

    @property
    def has_tls(self) -> bool:
        """Whether this process speaks HTTPS itself."""
        return self.tls == "self-signed" or self.tls_cert is not None

    @property
    def is_loopback_only(self) -> bool:
        """Whether nobody but this machine can connect, directly or through a proxy that it is told of."""
        return not self.public_url and _is_loopback(self.host)

    @property
    def needs_create_token(self) -> bool:
        """Whether creating a workspace takes the server's token."""
        return self.create == "token" and not self.is_loopback_only


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``carets serve``. What is not given comes from ``CARETS_*``, then from `Config`."""
    add = parser.add_argument
    add("--host", help="address to listen on (127.0.0.1; 0.0.0.0 for every network of this machine)")
    add("--port", help=f"port to listen on ({DEFAULT_PORT}; 0 for any free one)")
    add("--data", metavar="DIR", help="directory of the data file (./data)")
    add(
        "--public-url", metavar="URL", help="address by which people reach the server, such as https://code.example.org"
    )
    add("--base-path", metavar="PATH", help="path below which everything is, such as /carets, behind a proxy (none)")
    add("--create", choices=("token", "open"), help="who may create workspaces beyond loopback (token)")
    add("--open", action="store_const", const="1", help="let anyone edit who knows a workspace's id, without a key")
    add("--log", choices=("text", "json"), help="how log lines are written (text)")
    add("--tls", choices=("off", "self-signed"), help="speak HTTPS with a certificate of its own making (off)")
    add("--tls-cert", metavar="FILE", help="speak HTTPS with this certificate and its chain, PEM (none)")
    add("--tls-key", metavar="FILE", help="the key of --tls-cert, PEM (none)")
    add(
        "--hsts",
        action="store_const",
        const="1",
        help="tell browsers to use HTTPS only for this host, on all of its ports, for a year",
    )
    add("--frame-ancestors", metavar="ORIGINS", help="sites that may show Carets in a frame, by commas (none)")
    add("--allow-origin", metavar="ORIGINS", help="other sites whose pages may connect, by commas (none)")
    add(
        "--trusted-proxy",
        metavar="NETWORKS",
        help="addresses or networks of proxies whose X-Forwarded-* headers are believed, by commas (none)",
    )
    add(
        "--metrics",
        choices=("token", "open"),
        help="who may read /metrics beyond loopback: who has the admin token, or anyone (token)",
    )
    add("--audit-log", metavar="FILE", help="a file for the audit log, one JSON object a line (in the log)")
    for name, (metavar, help_) in _QUOTAS.items():
        add(f"--{name.replace('_', '-')}", metavar=metavar, help=help_)


def read_config(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration of these options and environment.

    Raises: Misconfigured, with the option's name and what it takes.
    """

    def value(name: str, default: str) -> str:
        given = getattr(options, name, None)
        return str(given if given is not None else environment.get(f"CARETS_{name.upper()}") or default)

    port = value("port", str(DEFAULT_PORT))
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        raise Misconfigured(f"--port takes a number from 0 to 65535, not {port!r}.")
    public_url = value("public_url", "").rstrip("/")
    if public_url and not _is_origin(public_url):
        raise Misconfigured(
            f"--public-url takes an address such as https://code.example.org, not {public_url!r}; "
            "a path below it goes into --base-path."
        )
    base_path = value("base_path", "").rstrip("/")
    if base_path and not _BASE_PATH.fullmatch(base_path):
        raise Misconfigured(f"--base-path takes a path of plain letters such as /carets, not {base_path!r}.")
    if base_path.split("/")[1:2] and base_path.split("/")[1] in TOP_NAMES:
        raise Misconfigured(f"--base-path may not begin with one of Carets' own: {', '.join(TOP_NAMES)}.")
    host = value("host", "127.0.0.1")
    if not host:
        raise Misconfigured("--host takes an address; 0.0.0.0 is every network of this machine.")
    tls_cert, tls_key = value("tls_cert", ""), value("tls_key", "")
    if bool(tls_cert) != bool(tls_key):
        raise Misconfigured("--tls-cert and --tls-key go together: the certificate with its chain, and its key.")
    tls: Tls = _choice("tls", value("tls", "off"), "off", "self-signed")
    if tls_cert and tls != "off":
        raise Misconfigured("--tls self-signed makes a certificate of its own; leave out --tls-cert and --tls-key.")
    hsts = _flag("hsts", value("hsts", "0"))
    if hsts and tls == "self-signed":
        raise Misconfigured("--hsts and --tls self-signed exclude each other: then browsers let nobody in.")
    if hsts and not tls_cert and not public_url.startswith("https:"):
        raise Misconfigured(
            "--hsts needs HTTPS: --tls-cert and --tls-key here, or a proxy and --public-url https://..."
        )
    quotas = {name: _count(name, value(name, "")) for name in _QUOTAS if value(name, "")}
    if "workspace_mib_max" in quotas:
        quotas["workspace_bytes_max"] = quotas.pop("workspace_mib_max") * limits.MIB
    return Config(
        host=host,
        port=int(port),
        data=Path(value("data", "data")),
        public_url=public_url,
        base_path=base_path,
        create=_choice("create", value("create", "token"), "token", "open"),
        open=_flag("open", value("open", "0")),
        log=_choice("log", value("log", "text"), "text", "json"),
        tls=tls,
        tls_cert=Path(tls_cert) if tls_cert else None,
        tls_key=Path(tls_key) if tls_key else None,
        hsts=hsts,
        frame_ancestors=_ancestors(value("frame_ancestors", "")),
        allow_origin=_origins("allow_origin", value("allow_origin", "")),
        trusted_proxy=tuple(_network(text) for text in _listed(value("trusted_proxy", ""))),
        metrics=_choice("metrics", value("metrics", "token"), "token", "open"),
        audit_log=Path(value("audit_log", "")) if value("audit_log", "") else None,
        quotas=Quotas(**quotas),
    )


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Names of variables that look like ours and are none: nobody would notice that they do nothing."""
    parser = argparse.ArgumentParser(add_help=False)
    add_serve_options(parser)
    known = {f"CARETS_{name.upper()}" for name in vars(parser.parse_args([]))}
    return sorted(name for name in environment if name.startswith("CARETS_") and name not in known)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _origins(name: str, text: str) -> tuple[str, ...]:
    for origin in _listed(text):
        if not _is_origin(origin):
            raise Misconfigured(
                f"--{name.replace('_', '-')} takes origins such as https://example.org, not {origin!r}."
            )
    return tuple(_listed(text))


def _ancestors(text: str) -> tuple[str, ...]:
    for origin in _origins("frame_ancestors", text):
        if not _HOST_SOURCE.fullmatch(origin):
            raise Misconfigured(f"--frame-ancestors takes names in plain letters (xn--... for others), not {origin!r}.")
    return tuple(_listed(text))


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise Misconfigured(f"--trusted-proxy takes addresses and networks such as 10.0.0.0/8, not {text!r}.") from None


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise Misconfigured(f"--{name.replace('_', '-')} takes a whole number from 1 to 999999999, not {text!r}.")
    return int(text)


def _is_origin(url: str) -> bool:
    """Whether `url` is a scheme, a host and perhaps a port, and nothing else."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number that a port can have
    except ValueError:
        return False
    rest = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not rest


def _choice(name: str, given: str, *words: _Word) -> _Word:
    for word in words:
        if given == word:
            return word
    raise Misconfigured(f"--{name} takes one of {', '.join(words)}, not {given!r}.")


def _flag(name: str, given: str) -> bool:
    if given.lower() in ("1", "true", "yes", "on"):
        return True
    if given.lower() in ("0", "false", "no", "off", ""):
        return False
    raise Misconfigured(f"CARETS_{name.upper()} takes 1 or 0, not {given!r}.")


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration of ``carets serve`` with these arguments. Raises: Misconfigured."""
    parser = argparse.ArgumentParser(prog="carets serve")
    add_serve_options(parser)
    return read_config(parser.parse_args(arguments), environment)
