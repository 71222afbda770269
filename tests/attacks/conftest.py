"""What the attacks begin with: a server, somebody who works in peace in one of its workspaces, and raw sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from carets.server import Running
from tests.attacks.scene import Scene
from tests.peer import connect, create_workspace


@pytest.fixture
async def scene(server: Running, http: aiohttp.ClientSession) -> AsyncIterator[Scene]:
    """A workspace with ``a.py`` and ``b.py``, and its bystander, who must not notice anything."""
    url = f"http://127.0.0.1:{server.port}"
    workspace_id, keys = await create_workspace(http, url, {"a.py": "", "b.py": "other"})
    async with connect(url, workspace_id, keys["editor"], name="Ada") as peer:
        scene = Scene(peer, await peer.open_file(1), http, url, keys, server)
        await scene.type()
        yield scene
        await scene.assert_unmoved()
