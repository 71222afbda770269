"""The stock door: plain y-protocols for one file, as ``y-websocket`` and every other Yjs provider speak it.

Owns: the key in the address or the subprotocol, and which errors end such a connection.
Does not know: the room's rules.

Source: y-websocket 3.1.0, src/y-websocket.js; docs/PROTOCOL.md, "The stock door".
"""

from __future__ import annotations

from functools import partial

import structlog
from aiohttp import web

from carets import limits
from carets.edges import trace
from carets.edges.intake import take_in
from carets.edges.line import Heartbeat, Line, open_line
from carets.edges.port import welcome
from carets.edges.rates import judged
from carets.edges.visitor import visitor_of
from carets.errors import CaretsError, Code, Refused, Unavailable, WireError
from carets.protocol import messages
from carets.protocol.dialect import STOCK
from carets.rooms.lobby import Lobby
from carets.rooms.member import Member
from carets.rooms.room import Room

_log = structlog.get_logger("carets.yjs")


class StockDoor:
    """``GET /yjs/{workspace_id}/{path}``."""

    def __init__(self, lobby: Lobby, heartbeat: Heartbeat) -> None:
        self._lobby = lobby
        self._heartbeat = heartbeat

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until it ends."""
        async with open_line(request, self._heartbeat, STOCK.name, limits.STOCK_FRAME_BYTES_MAX) as line:
            room = member = None
            try:
                room = await self._lobby.enter(request.match_info["workspace_id"], visitor_of(request).network)
                key = _key(request, room)
                file_id = room.files.at_path(request.match_info["path"]).file_id
                member = room.join(messages.Hello(key=key), STOCK, line)
                welcome(request)
                line.on_drained = lambda: room.drained(member)
                await room.open_stock_file(member, file_id)
                trace.joined(self._lobby.around.audit, member)
                await _serve(room, member, line, file_id)
            except CaretsError as refused:
                self._lobby.note(refused)
                error = judged(request, refused)
                if room is not None and member is not None:
                    room.expel(member, error)
                line.close(error)
            except ConnectionError:
                pass
            except Exception as error:  # noqa: BLE001 - around one connection, or its room, which is dropped
                if room is None or member is None:
                    _log.exception("connection_failed")
                    line.close(Unavailable(Code.INTERNAL))
                else:
                    room.fail(error)
            finally:
                if room is not None and member is not None:
                    room.leave(member)
                    trace.left(self._lobby.around.audit, line)
        return line.socket


async def _serve(room: Room, member: Member, line: Line, file_id: int) -> None:
    while (frames := await line.frames()) is not None and member.gone is None:
        if isinstance(frames, str):
            raise WireError(Code.MALFORMED_MESSAGE, "the stock door takes binary frames only")
        await take_in(room, member, frames, partial(room.receive_stock, member, file_id))


def _key(request: web.Request, room: Room) -> str:
    """The key in the query or after ``yjs`` among the subprotocols. It opens: nobody else hears which files there are.

    Raises: Refused, OWNER_KEY_IN_QUERY among others.
    """
    if key := trace.keep_out(request.query.get("key", "")):
        link = room.find_link(key)
        if link is not None and link.role == "owner":
            raise Refused(Code.OWNER_KEY_IN_QUERY)
        return key
    offered = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    key = trace.keep_out(next((word for word in offered if word and word != STOCK.name), ""))
    room.find_link(key)
    return key
