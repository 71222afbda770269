"""Readers that stop in a busy room, by a real server's sockets: what they cost, and what they have once they read.

Twenty writers replace their lines as fast as they are saved. One reader stops for twenty seconds and goes on by the
same connection; eight stop for good, and are dropped. Rates and memory are printed; what is asserted is generous.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
import pytest

from bench.line import BenchLine, binary, text
from bench.targets import cpu_s
from carets import limits
from carets.errors import Code
from carets.protocol import wire
from tests.peer import connect, create_workspace
from tests.serving import ServerProcess, serving
from tests.sessions import block, item, update
from tests.test_websocket_edge import RawPeer

WRITERS = 20
WINDOW = 64
"""Edits that a writer has on their way."""
UNITS = 200
ALONE_S = 12.0
STOPPED_S = 20.0
SILENT_S = limits.PING_EVERY_S + limits.PONG_WAIT_S + 6.0
GONE = 8
"""Readers that stop for good: without a bound each would hold what all write in half a minute."""

_SAVED = b'{"type":"saved","count":'


class Writer(BenchLine):
    """Writes a line of its own, and then another in its place, and so on, by updates made here."""

    client = 0
    saved = sent = 0

    async def start(self, key: str) -> None:
        """Say hello and open file 1."""
        self.write(text(type="hello", key=key))
        await self.until(lambda opcode, payload: opcode == 1 and b'"welcome"' in payload)
        self.write(text(type="open_file", file_id=1, client_id=self.client))
        self.write(binary(b"\x01" + wire.encode_step_1(b"\0")))
        await self.until(lambda opcode, payload: opcode == 2 and payload[:3] == b"\x01\x00\x01")
        self.on_frames = None
        self.is_writing = True
        self.pump()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        at = data.rfind(_SAVED)
        end = data.find(b"}", at)
        if self.on_frames is None and at >= 0 and end >= 0:
            self.saved = max(self.saved, int(data[at + len(_SAVED) : end]))
            self.pump()

    async def until_saved(self) -> None:
        """Wait until all that was sent is on disk."""
        while self.saved < self.sent:
            self._changed.clear()
            await self._changed.wait()

    def pump(self) -> None:
        """Fill the window."""
        if self.is_writing and self.sent - self.saved <= WINDOW // 2:
            self.write(b"".join(self.edit() for _ in range(WINDOW)))

    def edit(self) -> bytes:
        """The frame of the next line in place of the one before."""
        clock = self.sent * UNITS
        self.sent += 1
        origin, gone = ((self.client, clock - 1), {self.client: [(clock - UNITS, clock)]}) if clock else (None, None)
        content = f"{self.client}:{self.sent}:".ljust(UNITS - 1, "x") + "\n"
        edit = update(block(self.client, clock, item(content, origin)), gone=gone)
        return binary(b"\x01" + wire.encode_update(edit))


class Reader(RawPeer):
    """Opens file 1, and reads or does not."""

    async def start(self, place: Any, client_id: int) -> None:
        await self.connect(place)
        await self.send(0x81, b'{"type":"open_file","file_id":1,"client_id":%d}' % client_id)
        await self.send(0x82, b"\x01" + wire.encode_step_1(b"\0"))
        await self.read_until(b"\x01\x00\x01")

    async def go_on(self) -> None:
        """Read all that comes, and answer pings, until cancelled or cut."""
        with suppress(ConnectionError):
            while more := await self.read():
                if b"\x89\x00" in more:
                    await self.send(0x8A, b"")  # a pong too many, where that was text, does nothing

    async def read_to_the_end(self) -> None:
        """Read until nothing has come for some seconds."""
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(4):
                    self.data += await asyncio.get_running_loop().sock_recv(self.raw, 1 << 20)


async def resident_mib(server: ServerProcess) -> float:
    """The server's memory."""
    status = await asyncio.to_thread(Path(f"/proc/{server.pid}/status").read_text)
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


class Phase(NamedTuple):
    """What a stretch of time was like."""

    edits_per_s: float
    cpu_us: float
    """The server's, for each edit: it does not depend on what else this machine does."""
    sizes_mib: list[float]


async def measure(server: ServerProcess, writers: list[Writer], seconds: float) -> Phase:
    """Look at the server once a second."""
    began_s, began_cpu_s, before = time.monotonic(), cpu_s(server.pid), sum(each.saved for each in writers)
    sizes = []
    while time.monotonic() - began_s < seconds:
        sizes.append(await resident_mib(server))
        await asyncio.sleep(1)
    edits = sum(each.saved for each in writers) - before
    return Phase(edits / (time.monotonic() - began_s), (cpu_s(server.pid) - began_cpu_s) / edits * 1e6, sizes)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_readers_that_stop_in_a_busy_room_cost_little_and_have_the_right_text_once_they_read(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with serving(tmp_path / "data") as server:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": ""})
        place = SimpleNamespace(server=server, id=workspace_id, keys=keys)
        writers = []
        for client in range(1, WRITERS + 1):
            writer = await Writer.connect(server.port, f"/ws/{workspace_id}")
            assert isinstance(writer, Writer)
            writer.client = 1_000 + client
            await writer.start(keys["editor"])
            writers.append(writer)
        alone = await measure(server, writers, ALONE_S)

        resumed, gone = Reader(), [Reader() for _ in range(GONE)]
        for number, reader in enumerate([resumed, *gone]):
            await reader.start(place, 2_000 + number)
        stopped = await measure(server, writers, STOPPED_S)
        reading = asyncio.create_task(resumed.go_on())
        dropped = await measure(server, writers, SILENT_S - STOPPED_S)
        for writer in writers:
            writer.is_writing = False
        await asyncio.gather(*(writer.until_saved() for writer in writers))
        after = await resident_mib(server)

        left = [json.loads(line) for line in server.log.splitlines() if "member_left" in line]
        assert [each["reason"][:4] for each in left] == [str(int(Code.SILENT))] * GONE, "the one that resumed is here"
        async with connect(server.url, workspace_id, keys["viewer"]) as peer:
            right = str(await peer.open_file(1))
        assert right.count("\n") == WRITERS
        assert not reading.done(), "by the same connection"
        reading.cancel()
        await resumed.read_to_the_end()
        assert resumed.text() == right
        for reader in [resumed, *gone]:
            reader.close()
        for writer in writers:
            writer.close()

        written_mib = alone.edits_per_s * (UNITS + 40) * SILENT_S / limits.MIB
        for name, phase in (("alone", alone), (f"{GONE + 1} readers stopped", stopped), ("and dropped", dropped)):
            print(
                f"\n{name:18} {phase.edits_per_s:7,.0f} edits/s, {phase.cpu_us:4.0f} us of CPU each,"
                f" {phase.sizes_mib[0]:.0f} to {max(phase.sizes_mib):.0f} MiB",
                end="",
            )
        print(f"\nafter              {after:.0f} MiB; {written_mib:.0f} MiB were written for each reader")
        most = max(stopped.sizes_mib + dropped.sizes_mib)
        assert most - alone.sizes_mib[-1] < 48 + (GONE + 1) * 2, "what waits for a reader does not grow"
        assert stopped.cpu_us < 1.5 * alone.cpu_us, "the writers hardly pay for them"
