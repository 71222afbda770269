"""The door of ``carets.v1``: one WebSocket per workspace.

Owns: the way of a connection from upgrade to close. Does not know: what frames mean to a room.

Invariant: whatever a connection sends or however it ends, only this connection is closed.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog
from aiohttp import web

from carets import limits
from carets.edges import trace
from carets.edges.intake import rest, take_in
from carets.edges.line import Heartbeat, Line, open_line
from carets.edges.port import welcome
from carets.edges.rates import judged
from carets.edges.visitor import visitor_of
from carets.errors import CaretsError, Code, Refused, Unavailable, WireError
from carets.protocol import access, messages
from carets.protocol.dialect import CARETS
from carets.rooms.lobby import Lobby
from carets.rooms.member import Member
from carets.rooms.room import Room

_log = structlog.get_logger("carets.websocket")


class WebSocketDoor:
    """``GET /ws/{workspace_id}``."""

    def __init__(self, lobby: Lobby, heartbeat: Heartbeat) -> None:
        self._lobby = lobby
        self._heartbeat = heartbeat

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if CARETS.name not in [word.strip() for word in offered.split(",")]:
            raise Refused(Code.BODY_MALFORMED, f"this door speaks the WebSocket subprotocol {CARETS.name} only")
        async with open_line(request, self._heartbeat, CARETS.name, limits.FRAME_BYTES_MAX) as line:
            try:
                hello = await _hello(line)
                trace.keep_out(hello.key)
                trace.keep_out(hello.person)
                room = await self._lobby.enter(request.match_info["workspace_id"], visitor_of(request).network)
                member = room.join(hello, CARETS, line)
                welcome(request)
            except CaretsError as refused:
                self._lobby.note(refused)
                error = judged(request, refused)
                line.write(CARETS.notice(messages.encode_notice(messages.refusal(error))))
                line.close(error)
                return line.socket
            except Exception:  # noqa: BLE001 - around one connection, which has no part in any room yet
                _log.exception("connection_failed")
                line.close(Unavailable(Code.INTERNAL))
                return line.socket
            line.on_drained = lambda: room.drained(member)
            around = self._lobby.around
            trace.joined(around.audit, member)
            if hello.person and access.read_person(around.secret, room.id, hello.person) is None:
                around.audit.note("token_forged")
            try:
                await self._serve(room, member, line)
            finally:
                room.leave(member)
                trace.left(around.audit, line)
        return line.socket

    async def _serve(self, room: Room, member: Member, line: Line) -> None:
        try:
            while (frames := await line.frames()) is not None and member.gone is None:
                if isinstance(frames, list):
                    await take_in(room, member, frames, partial(room.receive, member))
                    continue
                with member.allowance.measured(len(frames)):
                    request = messages.decode_request(frames)
                if isinstance(request, messages.OpenFile):
                    await room.open_file(member, request)
                else:
                    room.request(member, request)
                # Frames that are here already come without a turn of the loop, and one of these may cost by the
                # files or the members that there are.
                await asyncio.sleep(0)
                await rest(room, member)
        except CaretsError as error:
            self._lobby.note(error)
            room.expel(member, error)
        except ConnectionError:
            return
        except Exception as error:  # noqa: BLE001 - around one room, which is dropped; logged whole
            room.fail(error)


async def _hello(line: Line) -> messages.Hello:
    """The first frame. Raises: WireError when it is none, or does not come in time."""
    try:
        async with asyncio.timeout(limits.HELLO_WAIT_S):
            frame = await line.frame()
            if isinstance(frame, str):
                request = messages.decode_request(frame)
                if isinstance(request, messages.Hello):
                    return request
    except TimeoutError:
        pass
    raise WireError(Code.HELLO_EXPECTED)
