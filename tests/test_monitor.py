"""What a monitor asks: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from carets.config import Config
from carets.errors import Code
from carets.rooms.storage import Storage
from carets.server import Running, running


@pytest.fixture
def url(server: Running) -> str:
    return server.address.rstrip("/")


async def told(http: aiohttp.ClientSession, url: str) -> tuple[int, object]:
    async with http.get(url) as response:
        return response.status, await response.json()


async def test_a_server_that_serves_is_healthy_and_ready(url: str, http: aiohttp.ClientSession) -> None:
    assert await told(http, url + "/healthz") == (200, {"status": "ok"})
    assert await told(http, url + "/readyz") == (200, {"status": "ready", "reasons": []})


async def test_a_server_that_drains_is_not_ready_but_lives(
    server: Running, url: str, http: aiohttp.ClientSession
) -> None:
    server.lobby.is_draining = True
    assert await told(http, url + "/readyz") == (503, {"status": "unready", "reasons": ["draining"]})
    assert await told(http, url + "/healthz") == (200, {"status": "ok"})


async def test_a_server_whose_commits_fail_is_not_ready_but_lives(
    url: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Storage, "fault", "full")
    reasons = ["cannot save: its disk is full"]
    assert await told(http, url + "/readyz") == (503, {"status": "unready", "reasons": reasons})
    assert await told(http, url + "/healthz") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "config,status",
    [
        (Config(), 200),
        (Config(metrics="open", public_url="http://code.example.org"), 200),
        (Config(public_url="http://code.example.org"), 401),
    ],
)
async def test_the_numbers_are_for_this_machine_unless_they_are_open(
    config: Config, status: int, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    config = Config(port=0, data=tmp_path / "data", metrics=config.metrics, public_url=config.public_url)
    async with running(config) as server, http.get(f"http://127.0.0.1:{server.port}/metrics") as response:
        assert response.status == status
        text = await response.text()
    assert ("process_open_fds" in text) == (status == 200)
    assert (str(int(Code.ADMIN_TOKEN_WRONG)) in text) == (status == 401)
