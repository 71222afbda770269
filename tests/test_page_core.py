"""The page's core (`web/src/session.ts`) against this server: ``web/tests/server.test.ts``, run by Node."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from carets.server import Running
from tests.stock_browser import find_node

WEB = Path(__file__).parent.parent / "web"
VITEST = WEB / "node_modules" / "vitest" / "vitest.mjs"

pytestmark = pytest.mark.skipif(
    not VITEST.is_file() or find_node() is None, reason="there is no Node 22 or newer, or no vitest: make modules"
)


async def test_page_and_server_mean_the_same_by_chat_signals_places_folders_imports_and_deletion(
    server: Running,
) -> None:
    node = find_node()
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        *(node, str(VITEST), "run", "tests/server.test.ts"),
        cwd=WEB,
        env={**os.environ, "CARETS_URL": f"http://127.0.0.1:{server.port}/", "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = said.decode()
    assert process.returncode == 0, text
    assert "5 passed" in text, text
