"""The operator's API: all workspaces, by the admin token.

Owns: what is asked and answered there. Does not know: how a workspace is kept.

Invariant: nothing here is answered, or looked at, before the token was checked.

Source: docs/PROTOCOL.md, "HTTP"; docs/decisions/0015-admin-by-the-same-api.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from carets.edges.call import answer, body, number
from carets.edges.site import Site
from carets.edges.tokens import Tokens
from carets.errors import Code, Refused
from carets.rooms.steward import LISTED_MAX, Steward

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class NewLinks(msgspec.Struct):
    """The body of ``POST /api/admin/workspaces/{id}/links``."""

    revoke_old: bool = False


class Admin:
    """The routes under ``/api/admin``."""

    def __init__(self, steward: Steward, site: Site, tokens: Tokens) -> None:
        self._steward = steward
        self._site = site
        self._tokens = tokens

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        workspace = "/api/admin/workspaces/{workspace_id}"
        return [
            web.get("/api/admin/usage", self._checked(self.usage)),
            web.get("/api/admin/workspaces", self._checked(self.list_workspaces)),
            web.delete(workspace, self._checked(self.delete_workspace)),
            web.post(workspace + "/restore", self._checked(self.restore_workspace)),
            web.post(workspace + "/links", self._checked(self.make_links)),
            web.post("/api/admin/purge", self._checked(self.purge)),
            web.post("/api/admin/tokens/{name}", self._checked(self.renew_token)),
        ]

    def _checked(self, handler: _Handler) -> _Handler:
        async def handle(request: web.Request) -> web.Response:
            self._tokens.admin.check(request)
            return await handler(request)

        return handle

    async def usage(self, _: web.Request) -> web.Response:
        """How much there is, and how much of it is open."""
        return answer(await self._steward.usage())

    async def list_workspaces(self, request: web.Request) -> web.Response:
        """Some workspaces by the order of their making, and after which number to go on."""
        found = await self._steward.workspaces(number(request, "after", 0))
        return answer({"workspaces": found, "next": found[-1]["number"] if len(found) == LISTED_MAX else None})

    async def delete_workspace(self, request: web.Request) -> web.Response:
        """Delete a workspace, so that it can be restored, and close whoever is in it."""
        await self._steward.delete(request.match_info["workspace_id"])
        return web.Response(status=204)

    async def restore_workspace(self, request: web.Request) -> web.Response:
        """Take back the deletion of a workspace."""
        workspace_id = request.match_info["workspace_id"]
        return answer({"workspace_id": workspace_id, "title": await self._steward.restore(workspace_id)})

    async def make_links(self, request: web.Request) -> web.Response:
        """Make the three links of a workspace anew and tell them, once."""
        asked = await body(request, NewLinks)
        workspace_id = request.match_info["workspace_id"]
        links = await self._steward.new_links(workspace_id, revoke_old=asked.revoke_old)
        urls = {role: self._site.url(request, f"/w/{workspace_id}#key={link.key}") for role, link in links.items()}
        return answer({"workspace_id": workspace_id, "links": urls}, 201)

    async def purge(self, _: web.Request) -> web.Response:
        """Remove for good what can be restored no more."""
        return answer((await self._steward.purge())._asdict())

    async def renew_token(self, request: web.Request) -> web.Response:
        """Make a token of the server anew: the one before opens nothing from now on."""
        match request.match_info["name"]:
            case "admin":
                value = self._tokens.admin.value = await self._steward.renew_token("admin")
            case "create":
                value = await self._steward.renew_token("create")
                if self._tokens.create is not None:
                    self._tokens.create.value = value
            case _:
                raise Refused(Code.BODY_MALFORMED, "the tokens are admin and create")
        return answer({"token": value}, 201)
