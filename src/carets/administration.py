"""What the operator does with workspaces: through the server that runs on the data directory, or without one.

Owns: which of both it is, and how the server is reached. Does not know: what is printed.

Invariants:
  1. Two processes never write to one data file: who holds the lock does it.
  2. The admin token leaves this process only towards the address in the lock of a process that lives.

Source: docs/decisions/0015-admin-by-the-same-api.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from carets import limits
from carets.audit import Audit
from carets.audit_file import AuditFile
from carets.engines.lock import DataDirectory, DirectoryInUseError, Holder
from carets.engines.sqlite import SqliteStore
from carets.engines.sqlite_backup import read_meta, refuse_missing, vacuum
from carets.engines.sqlite_file import DATA_FILE
from carets.engines.sqlite_inventory import SqliteInventory
from carets.errors import CaretsError, Code, Misconfigured
from carets.metrics import Metrics
from carets.rooms.lobby import Lobby
from carets.rooms.steward import Steward, TokenName
from carets.rooms.surroundings import Surroundings

_T = TypeVar("_T")

_ANSWER_WAIT_S = 600.0
"""Seconds for the server's answer: a purge may take minutes."""


_NEXT_STEPS: dict[int, str] = {
    Code.WORKSPACE_UNKNOWN: "`carets admin workspaces` lists them.",
    Code.WORKSPACE_DELETED: f"For {limits.TOMBSTONE_DAYS} days `carets admin restore` takes that back.",
}
"""What to do at the command line, where it is not what people in browsers do."""


class Administration(Protocol):
    """What can be done. Every method raises Misconfigured, with one line, when it cannot be."""

    has_server: bool
    """Whether a server does it, which knows the address that links begin with."""

    def usage(self) -> dict[str, Any]:
        """How much there is."""

    def workspaces(self, after: int) -> list[dict[str, Any]]:
        """Some workspaces with numbers above `after`; none when there are no more."""

    def make_links(self, workspace_id: str, *, revoke_old: bool) -> dict[str, str]:
        """The three links made anew, by role."""

    def delete(self, workspace_id: str) -> None:
        """Delete a workspace, so that it can be restored."""

    def restore(self, workspace_id: str) -> str:
        """Take back the deletion; the title."""

    def token(self, name: TokenName) -> str:
        """A token of the server as it is."""

    def renew_token(self, name: TokenName) -> str:
        """Another one in its place."""

    def purge(self) -> dict[str, Any]:
        """Remove for good what can be restored no more."""


def administer(data: Path, base_url: str, audit_log: Path | None) -> Administration:
    """The way that is open. `base_url` is what links begin with when no server says it. Raises: Misconfigured."""
    refuse_missing(data / DATA_FILE)
    try:
        DataDirectory.lock(data).release()
    except DirectoryInUseError as error:
        if not error.holder.address:
            raise Misconfigured(f"{error.args[0]} (it does not serve at this moment: try again)") from error
        return _Remote(data, error.holder)
    return _Local(data, base_url, audit_log)


class _Remote:
    """Through the server's API."""

    has_server = True

    def __init__(self, data: Path, holder: Holder) -> None:
        self._data = data
        self._holder = holder
        # The server listens on this very machine, so the connection never leaves it, and the name in the certificate
        # is that by which others know it.
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    def _call(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the address is the server's own
            f"{self._holder.address}/api/admin{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token('admin')}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )
        try:
            with opener.open(request, timeout=_ANSWER_WAIT_S) as response:
                told: dict[str, Any] = json.loads(response.read() or b"{}")
                return told
        except urllib.error.HTTPError as error:
            raise Misconfigured(_said(error)) from error
        except (OSError, ValueError) as error:
            raise Misconfigured(
                f"process {self._holder.pid} does not answer at {self._holder.address} ({error}):"
                " run this where the server runs"
            ) from error

    def usage(self) -> dict[str, Any]:
        return self._call("GET", "/usage")

    def workspaces(self, after: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", f"/workspaces?after={after}")["workspaces"]
        return found

    def make_links(self, workspace_id: str, *, revoke_old: bool) -> dict[str, str]:
        path = f"/workspaces/{_safe(workspace_id)}/links"
        links: dict[str, str] = self._call("POST", path, {"revoke_old": revoke_old})["links"]
        return links

    def delete(self, workspace_id: str) -> None:
        self._call("DELETE", f"/workspaces/{_safe(workspace_id)}")

    def restore(self, workspace_id: str) -> str:
        return str(self._call("POST", f"/workspaces/{_safe(workspace_id)}/restore")["title"])

    def token(self, name: TokenName) -> str:
        return _kept_token(self._data, name)

    def renew_token(self, name: TokenName) -> str:
        return str(self._call("POST", f"/tokens/{name}")["token"])

    def purge(self) -> dict[str, Any]:
        return self._call("POST", "/purge")


class _Local:
    """With the data file itself, for as long as each thing takes."""

    has_server = False

    def __init__(self, data: Path, base_url: str, audit_log: Path | None) -> None:
        self._data = data
        self._base_url = base_url
        self._audit_log = audit_log

    def _run(self, work: Callable[[Steward], Awaitable[_T]]) -> _T:
        async def run() -> _T:
            directory = DataDirectory.lock(self._data)
            audit_file = AuditFile.open(self._audit_log) if self._audit_log else None
            try:
                store = SqliteStore.open(self._data / DATA_FILE)
                try:
                    lobby = Lobby(
                        Surroundings(
                            store=store,
                            now_ms=lambda: time.time_ns() // 1_000_000,
                            entropy=secrets.token_bytes,
                            secret=b"",
                            build="",
                            metrics=Metrics(),
                            audit=Audit(audit_file.take) if audit_file else Audit(lambda _, __: None),
                        )
                    )
                    try:
                        return await work(Steward(lobby, SqliteInventory(store)))
                    finally:
                        await lobby.drain()
                finally:
                    await store.close()
            finally:
                directory.release()
                if audit_file is not None:
                    audit_file.close()

        try:
            with _quietly():
                return asyncio.run(run())
        except CaretsError as error:
            raise Misconfigured(f"{error.sentence} {_NEXT_STEPS.get(error.code, error.row.next_step)}") from error

    def usage(self) -> dict[str, Any]:
        return self._run(lambda steward: steward.usage())

    def workspaces(self, after: int) -> list[dict[str, Any]]:
        return self._run(lambda steward: steward.workspaces(after))

    def make_links(self, workspace_id: str, *, revoke_old: bool) -> dict[str, str]:
        links = self._run(lambda steward: steward.new_links(workspace_id, revoke_old=revoke_old))
        return {role: f"{self._base_url}/w/{workspace_id}#key={link.key}" for role, link in links.items()}

    def delete(self, workspace_id: str) -> None:
        self._run(lambda steward: steward.delete(workspace_id))

    def restore(self, workspace_id: str) -> str:
        return self._run(lambda steward: steward.restore(workspace_id))

    def token(self, name: TokenName) -> str:
        return _kept_token(self._data, name)

    def renew_token(self, name: TokenName) -> str:
        return self._run(lambda steward: steward.renew_token(name))

    def purge(self) -> dict[str, Any]:
        purged = self._run(lambda steward: steward.purge())
        directory = DataDirectory.lock(self._data)
        try:
            vacuum(self._data / DATA_FILE)
        finally:
            directory.release()
        return purged._asdict()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """What rooms log at ordinary times is not what the operator asked for; what is wrong goes to standard error."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _kept_token(data: Path, name: TokenName) -> str:
    token = read_meta(data / DATA_FILE, f"{name}_token")
    if token is None:
        raise Misconfigured(f"there is no {name} token yet: start the server once, or add --new")
    return token.decode()


def _safe(workspace_id: str) -> str:
    """The id as a part of an address."""
    return urllib.parse.quote(workspace_id, safe="")


def _said(error: urllib.error.HTTPError) -> str:
    """What the server says of a refusal."""
    try:
        told = json.loads(error.read())["error"]
        return f"{told['text']} {_NEXT_STEPS.get(told['code'], told['next_step'])}"
    except (ValueError, KeyError, TypeError):
        return f"the server answers {error.code} {error.reason}"
