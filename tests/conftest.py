"""What most tests of the running server begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from carets.config import Config
from carets.server import Running, running
from tests.lonely import Lonely, left_alone
from tests.stock_browser import why_no_browser

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


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def lonely(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lonely | None]:
    """A stock client that is alone from the run's first test on, if one of the tests will ask how it is."""
    if why_no_browser() or not any(item.name.endswith("while_it_is_alone") for item in request.session.items):
        yield None
        return
    async with left_alone(tmp_path_factory.mktemp("lonely") / "data") as lonely:
        yield lonely
