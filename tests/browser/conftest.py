"""What the browser tests begin with: a browser and a server for a module, people and a workspace for a test.

All of it lives in one event loop per module, since a browser does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests import peer
from tests.browser.chromium import People, chromium
from tests.browser.line import Line, line_to
from tests.peer import Peer, Replica
from tests.serving import ServerProcess, serving


@dataclass
class Workspace:
    """A new workspace on the module's server."""

    server: ServerProcess
    http: aiohttp.ClientSession
    workspace_id: str
    keys: dict[str, str]
    peers: list[Peer] = field(default_factory=list)

    def link(self, role: str = "editor", line: Line | None = None) -> str:
        """The link of a role, over a line where one is given."""
        base = self.server.url if line is None else line.url
        return f"{base}/w/{self.workspace_id}#key={self.keys[role]}"

    async def peer(self, role: str = "editor") -> Peer:
        """A member in Python, straight at the server; it sees what the server says."""
        witness = await peer.join(self.http, self.server.url, self.workspace_id, self.keys[role], name="Witness")
        self.peers.append(witness)
        return witness

    async def witness(self, path: str) -> tuple[Peer, Replica]:
        """A member in Python, and what the server has of a file."""
        witness = await self.peer()
        return witness, await witness.open_file(witness.file_id(path))

    async def leave(self) -> None:
        """The peers go."""
        for each in self.peers:
            await each.close()


class Workspaces:
    """Makes them."""

    def __init__(self, server: ServerProcess, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http
        self._made: list[Workspace] = []

    async def make(self, files: dict[str, str] | None = None, title: str = "Tests") -> Workspace:
        """A workspace with these files."""
        workspace_id, keys = await peer.create_workspace(self._http, self._server.url, files, title)
        self._made.append(Workspace(self._server, self._http, workspace_id, keys))
        return self._made[-1]

    async def leave(self) -> None:
        """All peers go."""
        for workspace in self._made:
            await workspace.leave()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the module."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """One server for the module: a process of its own. Tests that stop it start it again."""
    folder: Path = tmp_path_factory.mktemp("server")
    async with serving(folder / "data") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def people(browser: Browser) -> AsyncIterator[People]:
    """Whoever takes part in the test."""
    people = People(browser)
    yield people
    await people.leave()


@pytest_asyncio.fixture(loop_scope="module")
async def line(server: ServerProcess) -> AsyncIterator[Line]:
    """A line to the server that can be cut."""
    async with line_to(server.port) as line:
        yield line


@pytest_asyncio.fixture(loop_scope="module")
async def workspaces(server: ServerProcess) -> AsyncIterator[Workspaces]:
    """Makes workspaces on the module's server."""
    async with aiohttp.ClientSession() as http:
        workspaces = Workspaces(server, http)
        yield workspaces
        await workspaces.leave()


@pytest_asyncio.fixture(loop_scope="module")
async def workspace(workspaces: Workspaces) -> Workspace:
    """A workspace with one file, ``notes.txt``, which reads ``begin ``."""
    return await workspaces.make({"notes.txt": "begin "})
