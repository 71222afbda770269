"""What most tests of the running server begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from carets.config import Config
from carets.server import Running, running

TRACES = Path(__file__).parent.parent.parent / "shared" / "data" / "traces"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    """A whole server in this process, on a free port of loopback, with its data in the test's directory."""
    async with running(Config(port=0, data=tmp_path / "data")) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session
