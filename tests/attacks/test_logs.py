"""Deceiving whoever reads the log: lines that were never written, and screens that are repainted."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from tests.attacks.scene import ANSWER_S
from tests.peer import create_workspace, join
from tests.serving import ServerProcess

FORGED = "\n2026-01-01T00:00:00Z [info     ] member_joined role=owner forged\r\n\x1b[2J\x1b[31m\u202e\u2028"


async def mallory_was_here(server: ServerProcess) -> None:
    """Each road by which words of hers might reach the log."""
    async with aiohttp.ClientSession() as http:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": ""}, title=FORGED)
        peer = await join(http, server.url, workspace_id, keys["editor"], name=FORGED, color=FORGED, page=FORGED)
        await peer.ask(type="create_file", path=f"a{FORGED}")
        await peer.ask(type="rename_folder", path="a", to=f"b{FORGED}")
        peer.send_json(type="chat", text=FORGED, nonce=FORGED[:60])
        peer.send_json(type=FORGED)
        await peer.until_closed()
        await peer.close()
        for body in ({"files": {FORGED: ""}}, {"title": 7, FORGED: 7}):
            async with http.post(f"{server.url}/api/workspaces", json=body) as response:
                assert response.status == 400
    for head in (
        f"GET /ws/a%0a%0d{'%1b'}[2J HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /\x1b[31m\xe2\x80\xae HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil\x1b[31m\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: \x1b[31m\r\nConnection: close\r\n\r\n",
        "\x1b[31mGET / HTTP/1.1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.encode("latin-1"))
        async with asyncio.timeout(ANSWER_S):
            await reader.read()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("form", ["text", "json"])
async def test_nothing_that_a_client_sends_is_a_line_of_the_log(tmp_path: Path, form: str) -> None:
    """Mallory puts line ends, escape sequences and reordering characters into every field that a log might repeat.

    The operator would read that an owner joined, or see the screen cleared, in the terminal or wherever logs are
    searched. One event is one line, and what a client sent is written out in it.
    """
    server = ServerProcess(tmp_path / "data", "--log", form)
    await server.start()
    try:
        await mallory_was_here(server)
    finally:
        await server.stop()
    log = server.log
    assert "refused" in log
    for character in "\x1b\r\u202e\u2028":
        assert character not in log, repr(character)
    for line in log.splitlines():
        if form == "json":
            assert json.loads(line)["event"] != "forged"
        else:
            assert "forged" not in line or line.index("[info") < line.index("forged"), line
            assert not line.startswith("2026-01-01"), line
