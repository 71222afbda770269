"""Plain HTTP for what is occasional: workspaces, links, earlier chat, the server's own state.

Owns: what is asked and answered there. Does not know: how a workspace is kept, how a call is read (`call`).

Source: docs/PROTOCOL.md, "HTTP".
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

import carets
from carets import limits
from carets.edges.call import AFTER_ALL, answer, bearer, body, enter, number
from carets.edges.rates import RATES
from carets.edges.site import Site
from carets.edges.tokens import Token
from carets.edges.visitor import visitor_of
from carets.errors import Code, Refused
from carets.protocol import access
from carets.protocol.access import Role, RoleName
from carets.rooms.lobby import Lobby
from carets.rooms.room import Room
from carets.rooms.store import LinkRecord


class NewWorkspace(msgspec.Struct):
    """The body of ``POST /api/workspaces``."""

    title: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    files: dict[str, str] = {}


class NewLinkBody(msgspec.Struct):
    """The body of ``POST /api/workspaces/{id}/links``."""

    role: RoleName
    name: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    expires_at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None = None


class NewTitle(msgspec.Struct):
    """The body of ``PATCH /api/workspaces/{id}``."""

    title: Annotated[str, msgspec.Meta(max_length=1024)]


class Rest:
    """The routes under ``/api``."""

    def __init__(self, lobby: Lobby, site: Site, create_token: Token | None) -> None:
        """`create_token` is None where anybody may create workspaces."""
        self._lobby = lobby
        self._site = site
        self._create_token = create_token

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        return [
            web.get("/api/server", self.server),
            web.post("/api/workspaces", self.create_workspace),
            web.patch("/api/workspaces/{workspace_id}", self.rename_workspace),
            web.delete("/api/workspaces/{workspace_id}", self.delete_workspace),
            web.post("/api/workspaces/{workspace_id}/restore", self.restore_workspace),
            web.get("/api/workspaces/{workspace_id}/chat", self.read_chat),
            web.get("/api/workspaces/{workspace_id}/links", self.list_links),
            web.post("/api/workspaces/{workspace_id}/links", self.create_link),
            web.delete("/api/workspaces/{workspace_id}/links/{link_id}", self.revoke_link),
        ]

    async def server(self, _: web.Request) -> web.Response:
        """What a page must know before it has a workspace."""
        create = "open" if self._create_token is None else "token"
        return answer({"build": self._lobby.around.build, "version": carets.__version__, "create": create})

    async def create_workspace(self, request: web.Request) -> web.Response:
        """Make a workspace and tell its three links, once."""
        if self._create_token is not None:
            self._create_token.check(request)
        request.config_dict[RATES].create(visitor_of(request).network)
        asked = await body(request, NewWorkspace)
        record, links = await self._lobby.create(asked.title, asked.files)
        urls = {role: self._url(request, record.workspace_id, link.key) for role, link in links.items()}
        return answer({"workspace_id": record.workspace_id, "title": record.title, "links": urls}, 201)

    async def rename_workspace(self, request: web.Request) -> web.Response:
        """Give a workspace another title."""
        await self._owned_room(request)
        asked = await body(request, NewTitle)
        title = access.clean_label(asked.title, limits.TITLE_UNITS_MAX, "")
        if not title:
            raise Refused(Code.TEXT_INVALID, "a title has at least one character that can be seen")
        room = await self._owned_room(request)  # while the body came, it may have left memory and come back
        await room.rename(title)
        return answer({"workspace_id": room.id, "title": title})

    async def delete_workspace(self, request: web.Request) -> web.Response:
        """Delete a workspace, so that it can be restored, and close whoever is in it."""
        await (await self._owned_room(request)).delete()
        return web.Response(status=204)

    async def restore_workspace(self, request: web.Request) -> web.Response:
        """Take back the deletion of a workspace."""
        workspace_id = request.match_info["workspace_id"]
        title = await self._lobby.restore(workspace_id, bearer(request))
        return answer({"workspace_id": workspace_id, "title": title})

    async def read_chat(self, request: web.Request) -> web.Response:
        """Earlier entries of the chat, oldest first."""
        room = (await enter(self._lobby, request, Role.VIEWER, "")).room
        before_id = number(request, "before", AFTER_ALL)
        count = min(number(request, "count", limits.CHAT_PAGE_ENTRIES), limits.CHAT_PAGE_ENTRIES)
        entries = await self._lobby.storage.read_chat(room.id, before_id, count)
        return answer({"entries": [entry.record for entry in entries]})

    async def list_links(self, request: web.Request) -> web.Response:
        """All links of a workspace, without their keys, which nobody has, and who is on each."""
        room = await self._owned_room(request)
        on_link: dict[str, list[dict[str, object]]] = {}
        for member in room.members.values():
            told = {"member_id": member.id, "name": member.name, "color": member.color}
            on_link.setdefault(member.link_id, []).append(told)
        return answer({"links": [{**_told(link), "members": on_link.get(id_, [])} for id_, link in room.links.items()]})

    async def create_link(self, request: web.Request) -> web.Response:
        """Make a link and tell its key, once."""
        await self._owned_room(request)
        asked = await body(request, NewLinkBody)
        room = await self._owned_room(request)  # while the body came, it may have left memory and come back
        link = self._lobby.new_link(asked.role, asked.name, asked.expires_at_ms)
        await room.put_link(link.record)
        return answer({**_told(link.record), "url": self._url(request, room.id, link.key)}, 201)

    async def revoke_link(self, request: web.Request) -> web.Response:
        """Revoke a link and close whoever is on it."""
        room = await self._owned_room(request)
        link = room.links.get(request.match_info["link_id"])
        if link is None:
            raise Refused(Code.LINK_UNKNOWN)
        if link.revoked_at_ms is None:
            await room.put_link(link._replace(revoked_at_ms=self._lobby.around.now_ms()))
        return web.Response(status=204)

    async def _owned_room(self, request: web.Request) -> Room:
        """The room whose owner's key the request bears. Raises: Refused."""
        return (await enter(self._lobby, request, Role.OWNER, "only owners may do that")).room

    def _url(self, request: web.Request, workspace_id: str, key: str) -> str:
        return self._site.url(request, f"/w/{workspace_id}#key={key}")


def _told(link: LinkRecord) -> dict[str, object]:
    told = link._asdict()
    del told["key_hash"]
    return told
