"""What an operator can set: options of ``carets serve``, each also as ``CARETS_*``.

Owns: names, defaults and checks of the options. Does not know: what is done with them.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from carets.errors import Misconfigured

DEFAULT_PORT = 8040

_BASE_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
"""Characters that stand for themselves in addresses, HTML and headers; no part begins with a dot."""

TOP_NAMES = ("api", "assets", "healthz", "run", "w", "worker.js", "ws", "yjs")
"""First parts of our own addresses: below one of them, an address could mean two things."""

_Word = TypeVar("_Word", bound=str)


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
    add("--open", action="store_const", const="1", help="let anyone edit who has a workspace's address, without a key")
    add("--log", choices=("text", "json"), help="how log lines are written (text)")


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
    return Config(
        host=host,
        port=int(port),
        data=Path(value("data", "data")),
        public_url=public_url,
        base_path=base_path,
        create=_choice("create", value("create", "token"), "token", "open"),
        open=_flag("open", value("open", "0")),
        log=_choice("log", value("log", "text"), "text", "json"),
    )


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
