"""Plain HTTP for what is occasional: workspaces, links, the server's own state.

Owns: bodies, bearer tokens and statuses. Does not know: how a workspace is kept.

Source: docs/PROTOCOL.md, "HTTP".
"""

from __future__ import annotations

import hmac
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web

import carets
from carets import limits
from carets.errors import CaretsError, Code, Refused
from carets.protocol import access
from carets.protocol.access import RoleName
from carets.rooms.lobby import Lobby
from carets.rooms.room import Room
from carets.rooms.store import LinkRecord

_Body = TypeVar("_Body")


class NewWorkspace(msgspec.Struct):
    """The body of ``POST /api/workspaces``."""

    title: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    files: dict[str, str] = {}


class NewLinkBody(msgspec.Struct):
    """The body of ``POST /api/workspaces/{id}/links``."""

    role: RoleName
    name: Annotated[str, msgspec.Meta(max_length=1024)] = ""
    expires_at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] | None = None


class Rest:
    """The routes under ``/api`` and ``/healthz``."""

    def __init__(self, lobby: Lobby, public_url: str, create_token: str | None) -> None:
        """`create_token` is None where anybody may create workspaces."""
        self._lobby = lobby
        self._public_url = public_url
        self._create_token = create_token

    def routes(self) -> list[web.RouteDef]:
        """All routes of this edge."""
        return [
            web.get("/healthz", self.health),
            web.get("/api/server", self.server),
            web.post("/api/workspaces", self.create_workspace),
            web.get("/api/workspaces/{workspace_id}/links", self.list_links),
            web.post("/api/workspaces/{workspace_id}/links", self.create_link),
            web.delete("/api/workspaces/{workspace_id}/links/{link_id}", self.revoke_link),
        ]

    async def health(self, _: web.Request) -> web.Response:
        """Whether this process serves."""
        if self._lobby.is_draining:
            return _json({"status": "draining"}, 503)
        if not self._lobby.is_healthy:
            return _json({"status": "unavailable"}, 503)
        return _json({"status": "ok"})

    async def server(self, _: web.Request) -> web.Response:
        """What a page must know before it has a workspace."""
        create = "open" if self._create_token is None else "token"
        return _json({"build": self._lobby.around.build, "version": carets.__version__, "create": create})

    async def create_workspace(self, request: web.Request) -> web.Response:
        """Make a workspace and tell its three links, once."""
        token = self._create_token
        if token is not None and not hmac.compare_digest(access.hash_key(_bearer(request)), access.hash_key(token)):
            raise Refused(Code.CREATE_TOKEN_WRONG)
        body = await _body(request, NewWorkspace)
        record, links = await self._lobby.create(body.title, body.files)
        urls = {role: self._url(request, record.workspace_id, link.key) for role, link in links.items()}
        return _json({"workspace_id": record.workspace_id, "title": record.title, "links": urls}, 201)

    async def list_links(self, request: web.Request) -> web.Response:
        """All links of a workspace, without their keys, which nobody has."""
        room = await self._owned_room(request)
        return _json({"links": [_told(link) for link in room.links.values()]})

    async def create_link(self, request: web.Request) -> web.Response:
        """Make a link and tell its key, once."""
        await self._owned_room(request)
        body = await _body(request, NewLinkBody)
        room = await self._owned_room(request)  # while the body came, it may have left memory and come back
        link = self._lobby.new_link(body.role, body.name, body.expires_at_ms)
        await room.put_link(link.record)
        return _json({**_told(link.record), "url": self._url(request, room.id, link.key)}, 201)

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
        room = await self._lobby.enter(request.match_info["workspace_id"])
        key = _bearer(request)
        if not key:
            raise Refused(Code.KEY_WRONG, "an owner's key as Authorization: Bearer is needed")
        link = room.find_link(key)
        if link is None or link.role != "owner":
            raise Refused(Code.ROLE_TOO_LOW, "only owners see and change links")
        return room

    def _url(self, request: web.Request, workspace_id: str, key: str) -> str:
        base = self._public_url or f"{request.scheme}://{request.host}"
        return f"{base}/w/{workspace_id}#key={key}"


def _told(link: LinkRecord) -> dict[str, object]:
    told = link._asdict()
    del told["key_hash"]
    return told


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _body(request: web.Request, kind: type[_Body]) -> _Body:
    """The request's JSON body. Raises: Refused BODY_TOO_LARGE or BODY_MALFORMED."""
    if request.content_type != "application/json":
        # A form on another site can post text or a form, never this.
        raise Refused(Code.BODY_MALFORMED, "Content-Type must be application/json")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except web.RequestPayloadError as error:
        raise Refused(Code.BODY_MALFORMED, "the body cannot be unpacked, or ended too early") from error
    except web.HTTPRequestEntityTooLarge:
        raise Refused(Code.BODY_TOO_LARGE, f"at most {limits.BODY_BYTES_MAX} bytes") from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Refused(Code.BODY_MALFORMED, str(error)[:200]) from None


def error_response(error: CaretsError) -> web.Response:
    """An error of the table as HTTP tells it."""
    told = {
        "code": int(error.code),
        "name": error.code.name.lower(),
        "text": error.sentence,
        "next_step": error.row.next_step,
    }
    return _json({"error": told}, error.row.http_status)
