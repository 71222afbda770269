"""The operator's API: all workspaces, by the admin token.

Owns: what is asked and answered there. Does not know: how a workspace is kept.

Invariant: nothing here is answered, or looked at, before the token was checked.

Source: docs/PROTOCOL.md, "HTTP".
"""

from __future__ import annotations

from aiohttp import web

from carets.edges.call import answer, number
from carets.edges.tokens import Token
from carets.rooms.steward import LISTED_MAX, Steward


class Admin:
    """The routes under ``/api/admin``."""

    def __init__(self, steward: Steward, token: Token) -> None:
        self._steward = steward
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        return [
            web.get("/api/admin/usage", self.usage),
            web.get("/api/admin/workspaces", self.list_workspaces),
        ]

    async def usage(self, request: web.Request) -> web.Response:
        """How much there is, and how much of it is open."""
        self._token.check(request)
        return answer(await self._steward.usage())

    async def list_workspaces(self, request: web.Request) -> web.Response:
        """Some workspaces by the order of their making, and after which number to go on."""
        self._token.check(request)
        found = await self._steward.workspaces(number(request, "after", 0))
        return answer({"workspaces": found, "next": found[-1]["number"] if len(found) == LISTED_MAX else None})
