"""Where an attack takes place: a workspace on a real server, its bystander, and every way in that an attacker has.

Owns: how the bystander is watched, and what attackers do again and again. Does not know: any one attack.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp

from carets.errors import TABLE, Code
from carets.server import Running
from tests.peer import Peer, Replica, join
from tests.test_bad_input import Bystander

ANSWER_S = 10.0
"""How long a test waits for an answer that must come at once; it bounds a failure, not a success."""


class Scene(Bystander):
    """The bystander, with what attackers need besides."""

    def __init__(
        self,
        peer: Peer,
        replica: Replica,
        http: aiohttp.ClientSession,
        url: str,
        keys: dict[str, str],
        server: Running,
    ) -> None:
        super().__init__(peer, replica, http, url, keys)
        self.server = server

    @property
    def api(self) -> str:
        """Where the workspace's own calls are."""
        return f"{self.url}/api/workspaces/{self.workspace_id}"

    def bearing(self, role: str) -> dict[str, str]:
        """The header with a role's key."""
        return {"Authorization": f"Bearer {self.keys[role]}"}

    async def call(self, method: str, url: str, role: str = "", **more: Any) -> tuple[int, int]:
        """Call with a role's key: the status, and the number of the error or 0."""
        headers = self.bearing(role) if role else {}
        async with self.http.request(method, url, headers=headers | more.pop("headers", {}), **more) as response:
            return response.status, await error_of(response)

    async def newcomer(self, key: str, **hello: str) -> Peer:
        """A member by any key."""
        return await join(self.http, self.url, self.workspace_id, key, **hello)

    async def stock(self, role: str = "editor", path: str = "a.py") -> aiohttp.ClientWebSocketResponse:
        """A connection at the stock door."""
        return await self.socket(f"/yjs/{self.workspace_id}/{path}", protocols=("yjs", self.keys[role]))

    async def raw(self, data: bytes, answer_bytes_max: int = 65_536) -> bytes:
        """Bytes to the port as they are; all that comes back until the server ends it, or has nothing more to say."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            writer.write(data)
            answer = b""
            async with asyncio.timeout(ANSWER_S):
                while len(answer) < answer_bytes_max and (piece := await reader.read(65_536)):
                    answer += piece
            return answer
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def error_of(response: aiohttp.ClientResponse) -> int:
    """The number of an error of the table, 0 where there is none."""
    if response.content_type != "application/json":
        return 0
    told = await response.json()
    return int(told["error"]["code"]) if "error" in told else 0


def http_answer(code: Code) -> tuple[int, int]:
    """What `Scene.call` returns for an error of the table."""
    return TABLE[code].http_status, int(code)


async def close_code_of(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read to the end of a connection; its close code."""
    async with asyncio.timeout(ANSWER_S):
        async for _ in socket:
            pass
    return socket.close_code


async def settled(peer: Peer) -> None:
    """Wait until the server has dealt with all that the peer sent."""
    pongs = sum(notice["type"] == "pong" for notice in peer.notices)
    peer.send_json(type="ping")
    await peer.until(lambda: sum(notice["type"] == "pong" for notice in peer.notices) > pongs, "for pong")
