"""A stock client that nobody is with for two minutes, behind the back of all other tests.

Owns: when it begins to be alone, and for how long. Does not know: what is asked of it then.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import aiohttp

from tests.peer import create_workspace
from tests.serving import serving
from tests.stock_browser import Tab, stock_browser

ALONE_S = 120.0
"""Four times the silence after which y-websocket hangs up."""


class Lonely(NamedTuple):
    """A tab that nobody else is with, and when it was synced."""

    tab: Tab
    since_s: float

    @property
    def left_s(self) -> float:
        """Seconds that it must still be alone."""
        return ALONE_S - (time.monotonic() - self.since_s)


@contextlib.asynccontextmanager
async def left_alone(data: Path) -> AsyncIterator[Lonely]:
    """A tab in a file of a server of its own."""
    async with serving(data) as server, stock_browser() as browser, aiohttp.ClientSession() as http:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": "alone"})
        tab = browser.open("lonely", server.url, workspace_id, "a.py", keys["editor"])
        await tab.until_synced()
        yield Lonely(tab, time.monotonic())
