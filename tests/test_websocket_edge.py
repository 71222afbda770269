"""Real sockets that are slow, silent or gone: what the edge does with them, and that nobody else pays."""

from __future__ import annotations

import asyncio
import socket as sockets
import struct
from collections.abc import AsyncIterator

import aiohttp
import pytest
from pycrdt import Doc, Text

from carets import limits
from carets.edges.line import Line
from carets.errors import Code
from carets.metrics import Metrics
from carets.protocol import wire
from carets.protocol.pace import Bucket
from carets.rooms.allowance import Allowance
from carets.server import Running
from tests.lines import Staged, StageRequest, StageSocket, StageTransport, staged_line
from tests.peer import Peer, connect, create_workspace, join
from tests.stage import frames_of, settled


class Workspace:
    def __init__(self, server: Running, http: aiohttp.ClientSession, id_: str, keys: dict[str, str]) -> None:
        self.server, self.http, self.id, self.keys = server, http, id_, keys
        self.url = server.address.rstrip("/")

    async def join(self, role: str = "editor") -> Peer:
        return await join(self.http, self.url, self.id, self.keys[role])


@pytest.fixture
async def workspace(server: Running, http: aiohttp.ClientSession) -> Workspace:
    id_, keys = await create_workspace(http, server.address.rstrip("/"), {"a.py": ""})
    return Workspace(server, http, id_, keys)


class RawPeer:
    """A WebSocket by hand, which reads only when it is told to."""

    def __init__(self) -> None:
        self.data = b""

    async def connect(self, workspace: Workspace, receive_bytes: int = 16_384) -> None:
        """Upgrade and say hello, with a small window, so that little hides in the kernel."""
        raw = sockets.socket()
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_bytes)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", workspace.server.port))
        self.raw = raw
        await self.send_bytes(
            f"GET /ws/{workspace.id} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: carets.v1\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await self.read_until(b"\r\n\r\n")
        self.data = self.data.split(b"\r\n\r\n", 1)[1]
        await self.send(0x81, b'{"type":"hello","key":"%s"}' % workspace.keys["editor"].encode())
        await self.read_until(b'"welcome"')

    async def send(self, first_byte: int, payload: bytes) -> None:
        length = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
        await self.send_bytes(bytes((first_byte,)) + length + b"\0\0\0\0" + payload)

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.raw, data)

    async def read(self) -> bytes:
        async with asyncio.timeout(20):
            more = await asyncio.get_running_loop().sock_recv(self.raw, 1 << 20)
        self.data += more
        return more

    async def read_until(self, what: bytes) -> None:
        while what not in self.data:
            assert await self.read(), f"the line ended before {what!r}: {self.data[-200:]!r}"

    def close(self) -> None:
        self.raw.close()

    def text(self) -> str:
        """The text of file 1 as far as whole messages have come."""
        doc: Doc[Text] = Doc()
        text = doc.get("text", type=Text)
        parts = wire.PartsInbox()
        for opcode, payload in frames_of(self.data):
            if opcode == 2:
                message: wire.Message | None = wire.decode_frame(payload)[1]
                if isinstance(message, wire.Part):
                    message = parts.take(1, message)
                if isinstance(message, wire.Update | wire.Step2):
                    doc.apply_update(message.update)
        return str(text)


def line_of(workspace: Workspace, member_id: int) -> Line:
    """The server's side of a member."""
    member = workspace.server.lobby.rooms[workspace.id].members[member_id]
    line = member.outbox._sink
    assert isinstance(line, Line)
    return line


# -- slow readers


async def test_a_reader_that_stops_costs_the_others_nothing_and_has_the_right_text_once_it_reads(
    workspace: Workspace,
) -> None:
    ann, bob = await workspace.join(), await workspace.join()
    on_ann, on_bob = await ann.open_file(1), await bob.open_file(1)
    slow = RawPeer()
    await slow.connect(workspace)
    await slow.send(0x81, b'{"type":"open_file","file_id":1,"client_id":77}')
    await slow.send(0x82, b"\x01" + wire.encode_step_1(b"\0"))
    await slow.read_until(b"\x01\x00\x01")
    member = max(workspace.server.lobby.rooms[workspace.id].members)
    line, most = line_of(workspace, member), 0
    for number in range(80):
        on_ann.append(f"{number} " + "x" * 20_000)
        await ann.until_saved()
        most = max(most, line._transport.get_write_buffer_size())
    assert workspace.server.lobby.rooms[workspace.id].members[member].outbox.lagging
    assert most < limits.OUTBOX_BYTES_LAGGING + 2 * limits.PART_BYTES_MAX, "more than a megabyte was typed"
    await bob.until(lambda: str(on_bob) == str(on_ann))
    slow.raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 1 << 20)
    while len(slow.data) < len(str(on_ann)):
        assert await slow.read(), "the line ended before it was up to date"
    while (on_slow := slow.text()) != str(on_ann):
        assert len(on_slow) < len(str(on_ann)), "it has something else"
        assert await slow.read(), "the line ended before it was up to date"
    slow.close()
    await ann.close()
    await bob.close()


async def test_a_client_that_asks_and_does_not_read_is_read_no_further(workspace: Workspace) -> None:
    ann = await workspace.join()
    slow = RawPeer()
    await slow.connect(workspace)
    line = line_of(workspace, max(workspace.server.lobby.rooms[workspace.id].members))
    ping = b'{"type":"ping","pad":"' + b"x" * 90 + b'"}'
    frame = bytes((0x81, 0x80 | len(ping))) + b"\0\0\0\0" + ping
    flood = asyncio.create_task(slow.send_bytes(frame * 300_000))
    for _ in range(50):
        ann.send_json(type="ping")
        before = len(ann.notices)
        await ann.until(lambda before=before: len(ann.notices) > before)  # type: ignore[misc]
    assert line._transport.get_write_buffer_size() < limits.OUTBOX_BYTES_HARD + 4096
    flood.cancel()
    await asyncio.gather(flood, return_exceptions=True)
    slow.close()
    await ann.close()


async def test_a_member_that_vanishes_is_gone_for_the_others(workspace: Workspace) -> None:
    ann, bob = await workspace.join(), await workspace.join()
    gone = bob.welcome["member_id"]
    await ann.until(lambda: gone in ann.members)
    assert bob.socket._response is not None
    connection = bob.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()
    await ann.until(lambda: gone not in ann.members)
    await ann.close()
    await bob.close()


# -- silence


async def test_who_sends_too_much_is_read_later_loses_nothing_and_is_not_taken_for_dead(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PING_EVERY_S", 0.5)
    monkeypatch.setattr(limits, "PONG_WAIT_S", 0.25)
    monkeypatch.setattr("carets.edges.line._LOOK_EVERY_S", 0.05)
    ann = await workspace.join()
    bob = await workspace.join()
    on_ann, on_bob = await ann.open_file(1), await bob.open_file(1)
    flooder = max(workspace.server.lobby.rooms[workspace.id].members.values(), key=lambda member: -member.id)
    flooder.allowance._bytes = Bucket(50_000, 1, debt_max=1_000_000)
    began_s = asyncio.get_running_loop().time()
    for number in range(4):
        on_ann.append(f"{number}" + "x" * 60_000)
    rounds = 0
    while ann.saved < ann.count:
        on_bob.insert(0, "b")
        await bob.until_saved()
        rounds += 1
    assert rounds > 10, "nobody else waits"
    await bob.until(lambda: str(on_bob) == str(on_ann))
    assert asyncio.get_running_loop().time() - began_s > 2 * 0.75, "a wait was longer than a silent line would live"
    assert (ann.close_code, ann.refusals) == (None, [])
    await ann.close()
    await bob.close()


async def test_the_server_pings_a_silent_socket_and_drops_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PING_EVERY_S", 1.5)
    monkeypatch.setattr(limits, "PONG_WAIT_S", 0.5)
    monkeypatch.setattr("carets.edges.line._LOOK_EVERY_S", 0.05)
    async with connect(workspace.url, workspace.id, workspace.keys["editor"]) as lively:
        silent = RawPeer()
        await silent.connect(workspace)
        await silent.read_until(b"\x89\x00")
        await silent.read_until(Code.SILENT.to_bytes(2, "big"))
        silent.close()
        assert lively.close_code is None, "its socket answers pings by itself"


# -- what waits in a line


@pytest.fixture
async def staged() -> AsyncIterator[Staged]:
    async with staged_line() as staged:
        yield staged


async def test_a_line_tells_of_drains_only_where_more_waits_than_fills_it(staged: Staged) -> None:
    line, transport, _ = staged
    assert transport.high == limits.OUTBOX_BYTES_FULL
    assert line.write(b"x" * limits.OUTBOX_BYTES_FULL) == limits.OUTBOX_BYTES_FULL
    assert line._draining is None
    line.write(b"x")
    assert line._draining is not None


async def test_no_more_than_fills_a_line_hides_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(sockets, "TCP_NOTSENT_LOWAT"):
        pytest.skip("this system has no such option")
    transport = StageTransport()
    with sockets.socket() as raw:
        monkeypatch.setattr(transport, "get_extra_info", {"socket": raw}.get)
        Line(StageRequest(transport), StageSocket(), "carets.v1", Metrics())  # type: ignore[arg-type]
        assert raw.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_NOTSENT_LOWAT) == limits.OUTBOX_BYTES_FULL


async def test_frames_are_read_up_to_the_hard_bound_and_then_not_before_the_line_drained(
    staged: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, transport, socket = staged
    asked, drained = 0, asyncio.Event()

    async def receive() -> aiohttp.WSMessage:
        nonlocal asked
        asked += 1
        return aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, b"", None)

    monkeypatch.setattr(socket, "receive", receive, raising=False)
    monkeypatch.setattr(line._request, "drain", drained.wait)
    await line.frame()
    transport.waiting = limits.OUTBOX_BYTES_HARD
    await line.frame()
    transport.waiting += 1
    third = asyncio.ensure_future(line.frame())
    await settled()
    assert (asked, third.done()) == (2, False)
    transport.waiting = limits.OUTBOX_BYTES_HARD
    drained.set()
    assert (await third, asked) == (b"", 3)


async def test_pings_are_answered_so_many_at_once_and_then_at_their_rate(staged: Staged) -> None:
    line, _, _ = staged
    for _ in range(limits.CONTROL_FRAMES_BURST):
        assert line._controls.take(1, 0.0) == 0
    assert line._controls.take(1, 0.0) == pytest.approx(1 / limits.CONTROL_FRAMES_PER_S)


# -- the upgrade


async def test_without_the_subprotocol_there_is_no_upgrade(workspace: Workspace) -> None:
    url = f"{workspace.url}/ws/{workspace.id}"
    async with workspace.http.get(url) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == Code.BODY_MALFORMED
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await workspace.http.ws_connect(url, protocols=("carets.v2",))


async def test_a_stock_message_over_its_limit_ends_its_connection_before_it_is_held(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STOCK_FRAME_BYTES_MAX", 100_000)
    url = f"{workspace.url}/yjs/{workspace.id}/a.py?key={workspace.keys['editor']}"
    async with workspace.http.ws_connect(url) as socket:
        await socket.send_bytes(b"x" * 100_001)
        async with asyncio.timeout(20):
            async for _ in socket:
                pass
        assert socket.close_code == 1009


async def test_the_upgrade_offers_no_compression(workspace: Workspace) -> None:
    url = f"{workspace.url}/ws/{workspace.id}"
    async with workspace.http.ws_connect(url, protocols=("carets.v1",), compress=15) as socket:
        assert (socket.protocol, socket.compress) == ("carets.v1", 0)


# -- floods


async def test_text_frames_are_counted_by_their_bytes_too(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await workspace.join()
    (member,) = workspace.server.lobby.rooms[workspace.id].members.values()
    counted: list[int] = []
    measured = member.allowance.measured

    def counting(bytes_in: int = 0) -> Allowance:
        counted.append(bytes_in)
        return measured(bytes_in)

    monkeypatch.setattr(member.allowance, "measured", counting)
    ann.send_json(type="ping", pad="x" * 60_000)
    await ann.until(lambda: any(notice["type"] == "pong" for notice in ann.notices))
    assert 60_000 < sum(counted) < 61_000
    await ann.close()


async def test_who_floods_with_requests_is_refused_then_closed_and_nobody_else_notices(workspace: Workspace) -> None:
    ann, bob = await workspace.join(), await workspace.join()
    on_bob = await bob.open_file(1)
    for _ in range(limits.MEMBER_REQUESTS_BURST + 3 * limits.MEMBER_REFUSALS_BURST):
        ann.send_json(type="place", file_id=1)
    assert await ann.until_closed() == Code.RATE_LIMITED
    assert {each["code"] for each in ann.refusals} == {Code.RATE_LIMITED}
    assert len(ann.refusals) > limits.MEMBER_REFUSALS_BURST
    assert all(each["retry_after_ms"] > 0 for each in ann.refusals)
    on_bob.append("goes on")
    await bob.until_saved()
    assert (bob.close_code, bob.refusals) == (None, [])
    async with connect(workspace.url, workspace.id, workspace.keys["editor"]) as again:
        assert str(await again.open_file(1)) == "goes on"
    await ann.close()
    await bob.close()
