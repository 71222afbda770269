"""``carets serve`` with tokens that a test knows, and mistakes of ours that quote what a client sent.

``python -m tests.faulty_server CREATE_TOKEN ADMIN_TOKEN --port 0 --data DIR``. A member named "crash" cannot join;
nothing can be restored; a workspace whose title begins with "loose" leaves a task behind that nobody waits for.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Any

from carets import config, server
from carets.protocol import messages
from carets.rooms import lobby
from carets.rooms.lobby import Lobby
from carets.rooms.room import Room


class FaultyRoom(Room):
    def join(self, hello: messages.Hello, *rest: Any) -> Any:
        if hello.name == "crash":
            raise KeyError(hello.key, hello.person)
        return super().join(hello, *rest)


class FaultyLobby(Lobby):
    async def restore(self, workspace_id: str, key: str | None) -> str:
        raise ValueError(f"no {key}\n2026-01-01T00:00:00Z [info] forged {key}")

    async def create(self, title: str, files: dict[str, str]) -> Any:
        if title.startswith("loose"):
            await asyncio.wait({asyncio.create_task(_fail(title))})
            gc.collect()
        return await super().create(title, files)


async def _fail(title: str) -> None:
    raise RuntimeError(title)


if __name__ == "__main__":
    tokens = iter([sys.argv[2], sys.argv[1]])
    server._new_token = lambda: next(tokens).encode()
    server.Lobby = FaultyLobby  # type: ignore[attr-defined]
    lobby.Room = FaultyRoom  # type: ignore[attr-defined]
    sys.exit(server.serve(config.parse(sys.argv[3:])))
