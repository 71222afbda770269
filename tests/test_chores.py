"""What the server does for ever beside serving: a mistake in it is told, and ends neither the server nor the chore."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from carets import limits
from carets.config import Config
from carets.server import Running, running

CHORES: dict[str, Callable[[Running], tuple[object, str]]] = {
    "lobby": lambda server: (server.lobby, "expel_expired"),
    "heartbeat": lambda server: (server.listener.heartbeat, "_due"),
    "pulse": lambda server: (server.listener.pulse, "beat"),
    "tls": lambda server: (server.tls, "look"),
    "audit": lambda server: (server.audit_file.flow, "ended"),  # type: ignore[union-attr]
}


class FailsOnce:
    """Fails when it is first called or looked through; from then on it is as good as empty."""

    def __init__(self) -> None:
        self.calls = 0
        self.came_again = asyncio.Event()

    def __call__(self, **_: object) -> list[object]:
        self.calls += 1
        if self.calls == 1:
            raise OSError("a mistake in one turn")
        self.came_again.set()
        return []

    def __iter__(self) -> object:
        return iter(self())


@pytest.mark.parametrize("name", CHORES)
async def test_a_mistake_in_a_chore_ends_neither_the_server_nor_the_chore(
    name: str, tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One exception in any of them closed everybody's connection, and the process ended."""
    monkeypatch.setattr(limits, "LINK_LOOK_S", 0.01)
    for place in ("server._CHORE_PAUSE_S", "edges.line._LOOK_EVERY_S", "tls._LOOK_EVERY_S", "logs._LOOK_EVERY_S"):
        monkeypatch.setattr(f"carets.{place}", 0.01)
    config = Config(port=0, data=tmp_path / "data", tls="self-signed", audit_log=tmp_path / "audit.log")
    fails = FailsOnce()
    with capture_logs() as logs:
        async with running(config) as server:
            owner, what = CHORES[name](server)
            with monkeypatch.context() as patched:
                patched.setattr(owner, what, fails)
                async with asyncio.timeout(10):
                    await fails.came_again.wait()
            async with http.get(f"https://localhost:{server.port}/healthz", ssl=False) as response:
                assert response.status == 200
            assert "carets-pulse" in [thread.name for thread in threading.enumerate()], "holds are still looked at"
    assert [line["log_level"] for line in logs if line["event"] == "chore_failed"] == ["error"]
