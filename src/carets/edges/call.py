"""One HTTP call of the API: the key that it bears, the body that it brings, the answer that it gets.

Owns: bearer keys, numbers of the query, JSON bodies and answers, errors as HTTP tells them.
Does not know: what is called.

Source: docs/PROTOCOL.md, "HTTP".
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import msgspec
from aiohttp import web

from carets import limits
from carets.edges import trace
from carets.edges.upload import UPLOADS
from carets.edges.visitor import visitor_of
from carets.errors import CaretsError, Code, Refused
from carets.protocol import access, messages
from carets.protocol.access import Role
from carets.rooms.lobby import Lobby
from carets.rooms.room import Room

_Body = TypeVar("_Body")


class Caller(NamedTuple):
    """Who calls, and the workspace that they may enter."""

    room: Room
    role: Role
    person: str
    """The author of what they do when they bring no person token: their link."""


async def enter(lobby: Lobby, request: web.Request, lowest: Role, otherwise: str) -> Caller:
    """The workspace that the request names, by the key that it bears.

    `otherwise` tells a lower role what it lacks. Raises: Refused, Unavailable.
    """
    room = await lobby.enter(request.match_info["workspace_id"], visitor_of(request).network)
    key = bearer(request)
    if not key and (lowest is Role.OWNER or not lobby.around.is_open):
        raise Refused(Code.KEY_WRONG, "a link's key as Authorization: Bearer is needed")
    link = room.find_link(key)
    link_id, role = (link.link_id, Role.of(link.role)) if link else ("open", Role.EDITOR)
    trace.came_by(link_id)
    if role < lowest:
        raise Refused(Code.ROLE_TOO_LOW, otherwise)
    return Caller(room, role, access.link_person(link_id))


def bearer(request: web.Request) -> str:
    """The key or token of the Authorization header; empty when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return trace.keep_out(token.strip()) if scheme.lower() == "bearer" else ""


async def body(request: web.Request, kind: type[_Body]) -> _Body:
    """The request's JSON body. Raises: Refused BODY_MALFORMED or FILES_TOO_MANY, and what `Uploads.read` does."""
    if request.content_type != "application/json":
        # A form on another site can post text or a form, never this.
        raise Refused(Code.BODY_MALFORMED, "Content-Type must be application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused(Code.BODY_MALFORMED, "a body must come as it is, not compressed")
    try:
        read = await request.config_dict[UPLOADS].read(request)
        # Each string that begins or ends has a quote that is not escaped; a backslash before it hides one of the two.
        if read.count(b'"') - read.count(b'\\"') > 2 * limits.BODY_STRINGS_MAX:
            raise Refused(Code.FILES_TOO_MANY, f"a body names at most {limits.FILES_MAX} files")
        return msgspec.json.decode(read, type=kind)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Refused(Code.BODY_MALFORMED, "the body ended too early") from error
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Refused(Code.BODY_MALFORMED, messages.why(error)) from None


AFTER_ALL = 2**53 - 1
"""Above every number that there is."""


def number(request: web.Request, name: str, otherwise: int) -> int:
    """A whole number of the query. Raises: Refused BODY_MALFORMED."""
    text = request.query.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(AFTER_ALL))):
        raise Refused(Code.BODY_MALFORMED, f"{name} must be a whole number")
    return min(int(text), AFTER_ALL)


def answer(value: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def error_response(error: CaretsError) -> web.Response:
    """An error of the table as HTTP tells it."""
    told = {
        "code": int(error.code),
        "name": error.code.name.lower(),
        "text": error.sentence,
        "next_step": error.row.next_step,
    }
    response = answer({"error": told}, error.row.http_status)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    return response
