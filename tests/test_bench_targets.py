"""The servers that benchmarks compare: each is started, serves two members, and ends.

The peers are there after `make bench` only; without them, their cases are skipped.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import aiohttp
import pytest
from pycrdt import Doc, Text

from bench.build import build
from bench.targets import CARETS, HOST, PEERS, RELAY, SERVER_CORE, TARGETS, Place, Running, Target
from carets.protocol import wire
from tests.peer import join

HAS_COMPILER = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
NEEDS = {
    "carets": (),
    "relay in C": (HAS_COMPILER,),
}
HAS_PEERS = pytest.mark.skipif(not PEERS.exists(), reason="peers are not installed: make bench")
BROKEN = Target("broken", "carets", lambda _directory, _port: ["sh", "-c", "echo no such luck; exit 3"])


class StockMember:
    """A member of a peer's room: y-protocols messages, and in Hocuspocus the room's name before each."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, head: bytes) -> None:
        self.doc: Doc[Text] = Doc()
        self.text = self.doc.get("text", type=Text)
        self._socket = socket
        self._head = head

    async def send(self, message: bytes) -> None:
        await self._socket.send_bytes(self._head + message)

    async def type(self, content: str) -> None:
        before = self.doc.get_state()
        self.text += content
        await self.send(wire.encode_update(self.doc.get_update(before)))

    async def until(self, content: str) -> None:
        """Take in what comes until the text is this one, and answer each step 1."""
        while str(self.text) != content:
            data = await self._socket.receive_bytes(timeout=20)
            assert data.startswith(self._head)
            message = data[len(self._head) :]
            if message[0] != 0:
                continue  # presence, and what Hocuspocus says besides
            _, decoded = wire.decode_frame(b"\x01" + message)
            if isinstance(decoded, wire.Step1):
                await self.send(wire.encode_step_2(self.doc.get_update(decoded.state_vector)))
            elif isinstance(decoded, wire.Step2 | wire.Update):
                self.doc.apply_update(decoded.update)


async def join_stock(http: aiohttp.ClientSession, running: Running, place: Place) -> StockMember:
    socket = await http.ws_connect(f"http://{HOST}:{running.port}{place.path}")
    name = place.room.encode()
    head = bytes((len(name),)) + name if running.dialect == "hocuspocus" else b""
    member = StockMember(socket, head)
    if head:
        await member.send(b"\x02\x00\x00")  # a token, which is empty
    await member.send(wire.encode_step_1(member.doc.get_state()))
    return member


@pytest.mark.parametrize(
    "target", [pytest.param(target, marks=NEEDS.get(target.name, HAS_PEERS), id=target.name) for target in TARGETS]
)
async def test_two_members_see_each_others_edits(target: Target, tmp_path: Path) -> None:
    with target.start(tmp_path) as running:
        place = running.room("hall")
        assert os.sched_getaffinity(running.pid) == {SERVER_CORE}
        assert running.rss_bytes() > 1 << 20
        before_s = running.cpu_s()
        async with aiohttp.ClientSession() as http:
            if target is CARETS:
                peers = [await join(http, f"http://{HOST}:{running.port}", place.room, place.key) for _ in range(2)]
                first, second = [await peer.open_file(place.file_id) for peer in peers]
                first.append("one ")
                await peers[1].until(lambda: str(second) == "one ")
                second.append("two")
                await peers[0].until(lambda: str(first) == "one two")
                for peer in peers:
                    await peer.close()
            else:
                one, two = [await join_stock(http, running, place) for _ in range(2)]
                # Nobody says when a member is in; from its first answer on it is.
                await two.type("")
                await one.type("one ")
                await two.until("one ")
                await two.type("two")
                await one.until("one two")
        assert running.cpu_s() > before_s
    assert running.process.returncode is not None


def test_a_restart_finds_its_port_and_its_rooms(tmp_path: Path) -> None:
    with CARETS.start(tmp_path) as running:
        running.room("hall", "kept")
        running.stop()
        assert running.process.returncode == 0
    with CARETS.start(tmp_path, port=running.port) as again:
        assert (again.port, again.pid) != (running.port, running.pid)


@HAS_COMPILER
def test_a_slow_disk_is_slow(tmp_path: Path) -> None:
    with CARETS.start(tmp_path, slow_sync_us=200_000) as running:
        before_s = time.monotonic()
        running.room("hall")
        assert time.monotonic() - before_s > 0.2


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken did not start:\nno such luck"), BROKEN.start(tmp_path):
        pass


@HAS_COMPILER
def test_one_send_has_its_price() -> None:
    said = subprocess.run([build("floor"), "sends", "0.05", "10", "0", "0"], check=True, capture_output=True, text=True)
    wall_us, cpu_us = map(float, said.stdout.split())
    assert 0 < cpu_us <= wall_us * 1.1


@HAS_COMPILER
async def test_the_relay_loses_nothing_of_a_slow_reader(tmp_path: Path) -> None:
    with RELAY.start(tmp_path) as running:
        async with aiohttp.ClientSession() as http:
            url = f"http://{HOST}:{running.port}/hall"
            slow, writer, other = [await http.ws_connect(url, max_msg_size=0) for _ in range(3)]
            for socket in (slow, writer, other):
                assert await socket.receive_bytes() == b"\0\0\1\0"
            large = [bytes((0, 2, number)) + bytes(300_000 + number) for number in range(60)]
            for number, payload in enumerate(large):
                await writer.send_bytes(payload)
                await writer.send_bytes(bytes((0, 2, 200, number)))
                await other.send_bytes(bytes((0, 2, 201, number)))
            seen = [await slow.receive_bytes() for _ in range(3 * len(large))]
            assert [payload for payload in seen if payload[2] < 200] == large
            for kind in (200, 201):
                assert [payload[3] for payload in seen if payload[2] == kind] == list(range(len(large)))
            await writer.ping(b"still there?")
            told = [await other.receive_bytes() for _ in range(2 * len(large))]
            assert [payload for payload in told if payload[2] < 200] == large, "and nothing of its own"
