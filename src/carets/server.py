"""One Carets process: builds everything, serves until told to stop, and ends without losing a word.

Owns: which engine and which edges there are, logging, signals, the order of starting and stopping.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import NamedTuple

import structlog
import uvloop

import carets
from carets import garbage, limits, logs
from carets.audit import Audit
from carets.audit_file import AuditFile
from carets.certificate import names_of
from carets.config import Config, unknown_variables
from carets.edges.listener import Listener
from carets.edges.pages import page_build
from carets.edges.site import Site
from carets.edges.tokens import Token, Tokens
from carets.engines.lock import DataDirectory
from carets.engines.sqlite import SqliteStore
from carets.engines.sqlite_backup import CARRY_UNTIL, LINEAGE, LINEAGE_BYTES
from carets.engines.sqlite_file import DATA_FILE, MIGRATIONS
from carets.engines.sqlite_inventory import SqliteInventory
from carets.errors import Code, Misconfigured
from carets.metrics import Metrics
from carets.protocol import access
from carets.rooms.lobby import Lobby
from carets.rooms.steward import Steward
from carets.rooms.store import StoreFailed
from carets.rooms.surroundings import Surroundings
from carets.tls import Tls

_log = structlog.get_logger("carets.server")

_CHORE_PAUSE_S = 1.0
"""Seconds before a chore that failed begins anew: one that fails in every turn must not fill the log."""

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


class Running(NamedTuple):
    """A server that serves."""

    lobby: Lobby
    tokens: Tokens
    address: str
    """Where a browser finds it, with the create token in the fragment when one is needed."""
    port: int
    listener: Listener
    tls: Tls | None = None
    audit_file: AuditFile | None = None

    def reload(self) -> None:
        """Read anew what others may have replaced, and drop nobody."""
        if self.tls is not None:
            self.tls.reload()
        if self.audit_file is not None:
            self.audit_file.reopen()


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[Running]:
    """Serve while the caller waits inside; leave it to drain and stop. Raises: Misconfigured."""
    directory = DataDirectory.lock(config.data)
    try:
        store = SqliteStore.open(config.data / DATA_FILE)
        try:
            with _auditing(config) as audit_file:
                async with _serving(config, store, audit_file) as server:
                    directory.tell(_local_address(config, server.port))
                    yield server
        finally:
            await store.close()
    finally:
        directory.release()


@contextlib.contextmanager
def _auditing(config: Config) -> Iterator[AuditFile | None]:
    file = AuditFile.open(config.audit_log) if config.audit_log is not None else None
    try:
        yield file
    finally:
        if file is not None:
            file.close()


@contextlib.asynccontextmanager
async def _serving(config: Config, store: SqliteStore, audit_file: AuditFile | None) -> AsyncIterator[Running]:
    tls = Tls.of(config)
    try:
        secret = await store.get_or_create_secret("person_secret", lambda: secrets.token_bytes(32))
        admin_token = await store.get_or_create_secret("admin_token", _new_token)
        create_token = await store.get_or_create_secret("create_token", _new_token)
        await store.get_or_create_secret(LINEAGE, lambda: secrets.token_bytes(LINEAGE_BYTES))
        carry_until_ms = int(await store.read_meta(CARRY_UNTIL) or 0)
    except StoreFailed as error:
        raise Misconfigured(f"{config.data / DATA_FILE} cannot be used: {error.detail}") from error
    tokens = Tokens(Token(admin_token.decode(), Code.ADMIN_TOKEN_WRONG))
    if config.needs_create_token:
        tokens = tokens._replace(create=Token(create_token.decode(), Code.CREATE_TOKEN_WRONG))
    around = Surroundings(
        store=store,
        now_ms=lambda: time.time_ns() // 1_000_000,
        entropy=secrets.token_bytes,
        secret=secret,
        build=page_build(),
        metrics=Metrics(),
        is_open=config.open,
        quotas=config.quotas,
        audit=Audit() if audit_file is None else Audit(audit_file.take),
        carry_until_ms=carry_until_ms,
        data_file=config.data / DATA_FILE,
        clock_s=time.perf_counter,
    )
    if around.is_carrying():
        _log.warning("carry_window_open", until_ms=carry_until_ms)
    lobby = Lobby(around)
    listener = Listener(
        lobby,
        _site(config),
        Steward(lobby, SqliteInventory(store)),
        tokens,
        metrics_open=config.metrics == "open" or config.is_loopback_only,
    )
    try:
        port = await listener.open(config.host, config.port, tls.context if tls else None)
        async with asyncio.TaskGroup() as tasks:
            works = [lobby.run, listener.heartbeat.run, listener.pulse.run, _garbage(around, listener).run]
            if tls is not None:
                works.append(tls.run)
            if audit_file is not None:
                works.append(partial(logs.tell_left_out, audit_file.flow, audit_file.tell))
            chores = [tasks.create_task(_without_end(work)) for work in works]
            try:
                address = _address(config, port, create_token.decode())
                yield Running(lobby, tokens, address, port, listener, tls, audit_file)
            finally:
                await lobby.drain()
                for chore in chores:
                    chore.cancel()
    finally:
        await listener.close()


def _garbage(around: Surroundings, listener: Listener) -> garbage.Garbage:
    opened, lines, doorman = around.metrics.connections_opened, listener.heartbeat.lines, listener.doorman

    def ended() -> int:
        members = opened.total() - len(lines)
        return members + max(0, doorman.left - members) // garbage.REQUESTS_PER_MEMBER

    return garbage.Garbage(ended, lambda: len(lines), around.clock_s)


async def _without_end(work: Callable[[], Awaitable[None]]) -> None:
    """Do a chore that has no end. A mistake in it ends neither the server nor, for more than a moment, the chore."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - around one chore, beside which all others go on; logged whole
            _log.exception("chore_failed")
        await asyncio.sleep(_CHORE_PAUSE_S)


def _site(config: Config) -> Site:
    return Site(
        config.public_url,
        config.base_path,
        config.allow_origin,
        config.trusted_proxy,
        config.frame_ancestors,
        config.hsts,
    )


def _new_token() -> bytes:
    return access.encode_token(secrets.token_bytes(16)).encode()


def _address(config: Config, port: int, token: str) -> str:
    shown = f"[{config.host}]" if ":" in config.host else config.host
    scheme = "https" if config.has_tls else "http"
    base = config.public_url or f"{scheme}://{'localhost' if config.host in _EVERYWHERE else shown}:{port}"
    base += config.base_path
    return f"{base}/#create={token}" if config.needs_create_token else f"{base}/"


def _network_addresses(config: Config, address: str) -> list[str]:
    """The same address as others in this machine's networks write it, where it is not told by `address` itself."""
    if config.public_url or config.host not in _EVERYWHERE:
        return []
    names = [name for name in names_of(config.host, "") if not isinstance(name, str) and not name.is_loopback]
    version = 6 if config.host == "::" else 4
    hosts = [f"[{name}]" if version == 6 else str(name) for name in names if name.version == version]
    return [address.replace("//localhost:", f"//{host}:", 1) for host in hosts]


def _local_address(config: Config, port: int) -> str:
    """Where this machine reaches the server, whatever others call it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104 - compared with
    return f"{'https' if config.has_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _what_serves(config: Config, server: Running) -> dict[str, object]:
    """What an operator wants to know of a process whose log they read, and no token."""
    return {
        "version": carets.__version__,
        "schema": len(MIGRATIONS),
        "host": config.host,
        "port": server.port,
        "public_url": config.public_url,
        "tls": config.has_tls,
        "data": str(config.data.resolve()),
        "pid": os.getpid(),
    }


async def _serve(config: Config, flow: logs.Flow) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as server:
        print(f"Carets is at {server.address}", flush=True)
        for address in _network_addresses(config, server.address):
            print(f"For others in the network: {address}", flush=True)
        if server.tls is not None and server.tls.is_self_made:
            print(f"Its certificate's SHA-256 is {server.tls.fingerprint}", flush=True)
        if server.tls is not None or server.audit_file is not None:
            # Not otherwise: a terminal that is closed sends it, too.
            loop.add_signal_handler(signal.SIGHUP, server.reload)
        telling = asyncio.create_task(logs.tell_left_out(flow))
        if unknown := unknown_variables(os.environ):
            _log.warning("variables_unknown", names=unknown, next_step="see `carets serve --help`")
        _log.info("serving", **_what_serves(config, server))
        await stop.wait()
        _log.info("draining", rooms=len(server.lobby.rooms))
    telling.cancel()
    await asyncio.wait({telling})
    _log.info("stopped")


def serve(config: Config) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    flow = logs.set_up(config.log)
    try:
        sys.setswitchinterval(limits.THREAD_SWITCH_S)
        garbage.set_up()
        uvloop.run(_serve(config, flow))
    except Misconfigured as error:
        print(f"carets: {error}", file=sys.stderr)
        return 2
    return 0
