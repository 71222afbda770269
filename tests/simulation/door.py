"""The server in the simulation: a lobby, and for each line what the doors in ``carets.edges`` do with a socket.

Owns: the tasks of the server, so that it can crash. Does not know: what a room does with a frame.
The twin of ``edges/websocket.py`` and ``edges/yjs.py``, without aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random

from carets import limits
from carets.errors import CaretsError, Code, WireError
from carets.metrics import Metrics
from carets.protocol import messages
from carets.protocol.dialect import CARETS, STOCK
from carets.rooms.lobby import Lobby
from carets.rooms.member import Member
from carets.rooms.room import Room
from carets.rooms.surroundings import Surroundings
from tests.simulation.checks import Witness
from tests.simulation.clock import VirtualLoop
from tests.simulation.network import Line
from tests.simulation.store import MemoryStore

TEXT, BINARY = 1, 2
_SWEEP_S = 5.0


class Server:
    """One life of the server process, from start to crash."""

    def __init__(self, loop: VirtualLoop, chance: Random, store: MemoryStore, witness: Witness) -> None:
        around = Surroundings(
            store, loop.now_ms, chance.randbytes, b"secret of the simulation", "simulation", Metrics()
        )
        self.lobby = Lobby(around)
        self.lines: dict[Line, Member | None] = {}
        self._witness = witness
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._spawn(self._sweep())

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            before = dict(self.lobby.rooms)
            self.lobby.sweep()
            self._witness.check_sweep(before, self.lobby)

    def is_ours(self, task: asyncio.Task[object]) -> bool:
        """Whether a task belongs to the server's doors."""
        return task in self._tasks

    def accept(self, line: Line, workspace_id: str, file_id: int | None = None, key: str = "") -> None:
        """Serve a new line: the stock door when it names a file."""
        self.lines[line] = None
        if file_id is None:
            self._spawn(self._serve_page(line, workspace_id))
        else:
            self._spawn(self._serve_stock(line, workspace_id, file_id, key))

    async def _hello(self, line: Line) -> messages.Hello:
        try:
            async with asyncio.timeout(limits.HELLO_WAIT_S):
                frame = await line.inbox.get()
        except TimeoutError:
            raise WireError(Code.HELLO_EXPECTED) from None
        if frame is None:
            raise ConnectionResetError
        request = messages.decode_request(frame[1]) if frame[0] == TEXT else None
        if not isinstance(request, messages.Hello):
            raise WireError(Code.HELLO_EXPECTED)
        return request

    async def _serve_page(self, line: Line, workspace_id: str) -> None:
        try:
            hello = await self._hello(line)
            room = await self.lobby.enter(workspace_id)
            member = room.join(hello, CARETS, line)
        except CaretsError as error:
            line.write(CARETS.notice(messages.encode_notice(messages.refusal(error))))
            line.close(error)
            return
        except ConnectionError:
            return
        self._joined(line, room, member)
        try:
            while (frame := await line.inbox.get()) is not None and member.gone is None:
                opcode, payload = frame
                if opcode == BINARY:
                    if not room.type_on(member, [payload]):
                        room.receive(member, payload)
                else:
                    request = messages.decode_request(payload)
                    if isinstance(request, messages.OpenFile):
                        await room.open_file(member, request)
                    else:
                        room.request(member, request)
                if room.is_full:
                    await room.eased()
                await asyncio.sleep(member.allowance.wait_s())
                await line.may_read()
        except CaretsError as error:
            room.expel(member, error)
        except Exception as error:  # noqa: BLE001 - as at the real door
            room.fail(error)
        finally:
            room.leave(member)
            self.lines.pop(line, None)

    async def _serve_stock(self, line: Line, workspace_id: str, file_id: int, key: str) -> None:
        room: Room | None = None
        member: Member | None = None
        try:
            room = await self.lobby.enter(workspace_id)
            room.files.live(file_id)
            member = room.join(messages.Hello(key=key), STOCK, line)
            self._joined(line, room, member)
            await room.open_stock_file(member, file_id)
            while (frame := await line.inbox.get()) is not None and member.gone is None:
                if not room.type_on(member, [frame[1]]):
                    room.receive_stock(member, file_id, frame[1])
                if room.is_full:
                    await room.eased()
                await asyncio.sleep(member.allowance.wait_s())
                await line.may_read()
        except CaretsError as error:
            if room is not None and member is not None:
                room.expel(member, error)
            line.close(error)
        except Exception as error:  # noqa: BLE001 - as at the real door
            if room is not None:
                room.fail(error)
        finally:
            if room is not None and member is not None:
                room.leave(member)
            self.lines.pop(line, None)

    def _joined(self, line: Line, room: Room, member: Member) -> None:
        self.lines[line] = member
        line.room_drained = lambda: room.drained(member)
