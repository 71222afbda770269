"""``carets serve`` whose rooms give back each data frame, for a conformance suite that must hear its own words.

``python -m tests.echo_server --port 0 --data DIR``. Listener, doors, hello, keys, `Line`, heartbeat, limits and
dialects are the real ones; only what a door does with a frame is another: it is written to the line again, as a room
writes.
"""

from __future__ import annotations

import sys

from carets import config, server
from carets.edges import yjs
from carets.edges.line import Line
from carets.edges.websocket import WebSocketDoor
from carets.protocol.dialect import CARETS
from carets.rooms.member import Member
from carets.rooms.room import Room


async def _echo(line: Line) -> None:
    while (frames := await line.frames()) is not None:
        # The frames of the dialect: a notice is text, a part is binary as it is.
        if isinstance(frames, str):
            line.write(CARETS.notice(frames.encode()))
        else:
            line.write(b"".join(map(CARETS.part, frames)))


async def _serve_page(self: WebSocketDoor, room: Room, member: Member, line: Line) -> None:
    await _echo(line)


async def _serve_stock(room: Room, member: Member, line: Line, file_id: int) -> None:
    await _echo(line)


if __name__ == "__main__":
    WebSocketDoor._serve = _serve_page  # type: ignore[method-assign]
    yjs._serve = _serve_stock
    sys.exit(server.serve(config.parse(sys.argv[1:])))
