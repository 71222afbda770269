"""Too many and too slow: connections, strangers, rooms, carets, and requests that never end.

The server of these tests has small bounds, so that a flood is small, too. Whoever floods comes from addresses of
loopback that are their own; the bystander must be served all the while.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from carets import limits
from carets.config import Config
from carets.errors import Code
from carets.limits import Quotas
from carets.protocol import wire
from carets.protocol.wire import Presence
from carets.server import Running, running
from tests.attacks.scene import ANSWER_S, Scene, http_answer, settled
from tests.test_bad_input import refusal_of
from tests.test_port import until

QUOTAS = Quotas(
    connections_max=60, address_connections_max=20, rooms_max=6, members_max=10, address_workspaces_per_hour=5
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    """A server for a few."""
    async with running(Config(port=0, data=tmp_path / "data", quotas=QUOTAS)) as server:
        yield server


class Line:
    """A TCP connection of an attacker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def until_ended(self) -> bytes:
        """All that the server says until it ends the connection."""
        told = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(ANSWER_S):
                while piece := await self.reader.read(65_536):
                    told += piece
        return told


@contextlib.asynccontextmanager
async def lines(scene: Scene, count: int, address: str = "127.0.0.9", sends: bytes = b"") -> AsyncIterator[list[Line]]:
    """So many connections from one address, each of which has sent something."""
    made: list[Line] = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.server.port, local_addr=(address, 0))
            made.append(Line(reader, writer))
            writer.write(sends)
        yield made
    finally:
        for line in made:
            line.writer.close()
        for line in made:
            with contextlib.suppress(ConnectionError):
                await line.writer.wait_closed()


# -- slow


@pytest.mark.parametrize(
    "sends", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"], ids=repr
)
async def test_a_head_that_never_ends_is_cut(scene: Scene, monkeypatch: pytest.MonkeyPatch, sends: bytes) -> None:
    """Slow-loris: Mallory opens connections and sends a head byte by byte, or nothing at all.

    Each holds a place of a real visitor for as long as she likes, at no cost. A whole head must be there in time,
    whatever trickles in; then the connection ends.
    """
    monkeypatch.setattr(limits, "HEAD_WAIT_S", 0.5)
    async with lines(scene, 3, sends=sends) as slow:

        async def trickle() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    for line in slow:
                        line.writer.write(b"x")
                        await line.writer.drain()
                    await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        await scene.type()
        for line in slow:
            assert b" 200 " not in await line.until_ended()
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)


async def test_a_hello_that_never_comes_is_cut(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mallory upgrades, and says no hello; or pings to seem alive.

    Upgraded connections are no longer under the eyes of HTTP. A hello is there in time (4406), whatever else is.
    """
    monkeypatch.setattr(limits, "HELLO_WAIT_S", 0.3)
    silent, pinging = await scene.socket(), await scene.socket()

    async def ping() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await pinging.ping()
                await asyncio.sleep(0.02)

    pings = asyncio.create_task(ping())
    for socket in (silent, pinging):
        assert await refusal_of(socket) == (Code.HELLO_EXPECTED, Code.HELLO_EXPECTED)
    pings.cancel()
    await asyncio.gather(pings, return_exceptions=True)


async def test_a_flood_of_pings_before_a_hello_is_answered_at_the_pace_of_a_person(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mallory has no key. She upgrades, and sends empty pings as fast as her line takes them.

    One read brings 40,000 of them; answering all at once held the event loop for seconds, and the end of her time for
    a hello with it. They are answered as slowly as anybody sends them, and her time ends.
    """
    monkeypatch.setattr(limits, "HELLO_WAIT_S", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.server.port)
    upgrade = [f"GET /ws/{scene.workspace_id} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
    upgrade += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    writer.write("\r\n".join([*upgrade, "Sec-WebSocket-Protocol: carets.v1", "", ""]).encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x89\x80\0\0\0\0" * 40_000)
    await scene.type()
    told = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(ANSWER_S):
            while piece := await reader.read(65_536):
                told += piece
    assert Code.HELLO_EXPECTED.to_bytes(2, "big") in told
    assert 0 < told.count(b"\x8a\0") <= limits.CONTROL_FRAMES_BURST + 10 * limits.CONTROL_FRAMES_PER_S
    writer.close()


# -- many


async def test_a_flood_of_connections_from_one_address_costs_the_others_nothing(scene: Scene) -> None:
    """Mallory opens as many connections as she can from one address.

    With all places taken nobody else could come in. One address has its bound; whoever is beyond it is told (4506), and
    when to come again.
    """
    async with lines(scene, QUOTAS.address_connections_max + 5, sends=b"GET / HTTP/1.1\r\n") as flood:
        for line in flood[-5:]:
            told = await line.until_ended()
            assert b"503" in told.split(b"\r\n", 1)[0], told
            assert str(int(Code.CONNECTIONS_TOO_MANY)).encode() in told
            assert b"retry-after" in told.lower()
        await scene.type()
        assert (await scene.call("GET", f"{scene.url}/api/server"))[0] == 200
        newcomer = await scene.join()
        await newcomer.close()


async def test_a_flood_of_connections_from_everywhere_ends_nobody_who_is_here(scene: Scene) -> None:
    """Mallory has many addresses and takes every place that the process has.

    Nobody new comes in then, which is for the proxy in front; but whoever is here stays and goes on.
    """
    async with contextlib.AsyncExitStack() as stack:
        for place in range(20, 24):
            await stack.enter_async_context(lines(scene, 18, f"127.0.0.{place}", b"GET / HTTP/1.1\r\n"))
        for _ in range(3):
            await scene.type()
    await until(lambda: scene.server.listener.doorman.connections < 10)


async def test_a_room_has_its_bound_and_goes_on(scene: Scene) -> None:
    """Mallory joins one workspace again and again, by a link that was posted in public.

    Each member is told of each; a room without a bound is slow for all. The room is full (4502), who is in it works on,
    and who leaves makes room.
    """
    crowd = [await scene.join("viewer") for _ in range(QUOTAS.members_max - 1)]
    socket = await scene.socket()
    await socket.send_json({"type": "hello", "key": scene.keys["editor"]})
    assert await refusal_of(socket) == (Code.ROOM_FULL, Code.ROOM_FULL)
    await scene.type()
    for each in crowd:
        await each.close()
    later = await scene.join()
    await later.close()


async def test_a_flood_of_rooms_leaves_those_that_are_in_use(scene: Scene) -> None:
    """Mallory creates workspaces, or opens all that she knows, one after the other, and stays nowhere.

    Each takes memory for a while. There are as many as the operator allows: empty ones give way, rooms with somebody in
    them stay, and when all are in use the next is told to wait (4507).
    """
    made = []
    for _ in range(QUOTAS.rooms_max + 4):
        record, links = await scene.server.lobby.create("", {"a": "x"})
        made.append((record.workspace_id, links["viewer"].key))
    inside, codes = [], []
    for workspace_id, key in made:
        socket = await scene.socket(f"/ws/{workspace_id}")
        await socket.send_json({"type": "hello", "key": key})
        async with asyncio.timeout(ANSWER_S):
            notice = json.loads((await socket.receive()).data)
        if notice["type"] == "welcome":
            inside.append(socket)
        else:
            codes.append(notice["code"])
            await socket.close()
    assert len(scene.server.lobby.rooms) <= QUOTAS.rooms_max
    assert len(inside) == QUOTAS.rooms_max - 1, "the bystander has one"
    assert set(codes) == {Code.ROOMS_TOO_MANY}
    await scene.type()
    for socket in inside:
        await socket.close()


async def test_a_flood_of_carets_is_told_in_ticks(scene: Scene) -> None:
    """Mallory moves her caret ten thousand times as fast as she can.

    Told to each member at once, one caret would take the line of all. The others get the latest at each tick: as many
    frames as there were ticks, however many she sent, and the last one is true.
    """
    mallory = await scene.join()
    await mallory.open_file(1)
    mine = mallory.welcome["member_id"]
    loop = asyncio.get_running_loop()
    seen: list[Any] = []
    take = scene.peer._take_frame

    def counting(data: bytes) -> None:
        seen.append(data)
        take(data)

    scene.peer._take_frame = counting  # type: ignore[method-assign]
    began = loop.time()
    for clock in range(3_000):
        anchor = {"type": None, "tname": "text", "item": None, "assoc": -1 if clock % 2 else 0}
        state = json.dumps({"cursor": {"anchor": anchor, "head": anchor}})
        mallory.send_frame(1, wire.encode_awareness([Presence(mine, clock, state)]))
    await settled(mallory)
    await scene.peer.until(lambda: mine in scene.replica.presence)
    ticks = (loop.time() - began) / limits.PRESENCE_TICK_S
    assert len(seen) <= ticks + 2, (len(seen), ticks)
    await scene.type()
    await mallory.close()


async def test_a_flood_of_small_requests_slows_the_one_who_sends_it(scene: Scene) -> None:
    """Mallory sends thousands of requests: profiles, places, files that are not there, files to open and close.

    Each is cheap, and told to everybody or looked up; thousands a second are the server's whole time. She is asked to
    wait (4505), or her line is; the bystander types on.
    """
    mallory = await scene.join()
    for count in range(2_000):
        mallory.send_json(type="profile", name=f"M{count}", color="")
        mallory.send_json(type="delete_file", file_id=999)
    for _ in range(3):
        await scene.type()
    assert await mallory.until_closed() == Code.RATE_LIMITED
    assert 0 < len(mallory.refusals) <= limits.MEMBER_REQUESTS_BURST + 2 * limits.MEMBER_REFUSALS_BURST
    assert mallory.refusals[-1]["retry_after_ms"] > 0
    await mallory.close()


# -- what an address may do in a while


async def test_a_flood_of_creations_from_one_address_ends(scene: Scene) -> None:
    """Mallory creates workspaces without end where anybody may: each is kept on disk for ever.

    One address may create so many in an hour; then it is told when the next will be (4505). Another address creates on.
    """
    answers = [await scene.call("POST", f"{scene.url}/api/workspaces", json={}) for _ in range(9)]
    assert set(answers) == {(201, 0), http_answer(Code.RATE_LIMITED)}
    assert answers.count((201, 0)) == QUOTAS.address_workspaces_per_hour - 1, "the bystander's was one, too"
    async with scene.http.post(f"{scene.url}/api/workspaces", json={}) as response:
        assert int(response.headers["Retry-After"]) > 60
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.9", 0))
    async with (
        aiohttp.ClientSession(connector=connector) as elsewhere,
        elsewhere.post(f"{scene.url}/api/workspaces", json={}) as response,
    ):
        assert response.status == 201


async def test_guessing_keys_takes_longer_with_each(scene: Scene) -> None:
    """Mallory tries keys at every door, as fast as she can: of links, of the operator, ids of workspaces.

    128 bits cannot be guessed, but each guess costs a look at the disk and a line of the audit log. After some tens she
    is told to wait, longer with each; whoever has a right key on the same address passes.
    """
    answers = set()
    for count in range(limits.ADDRESS_GUESSES_BURST + 10):
        headers = {"Authorization": f"Bearer guess{count}"}
        url = scene.api if count % 2 else f"{scene.url}/api/workspaces/{'A' * 15}{count % 10}"
        answers.add(await scene.call("GET", f"{url}/links", headers=headers))
    wrong, unknown = http_answer(Code.KEY_WRONG), http_answer(Code.WORKSPACE_UNKNOWN)
    assert answers == {wrong, unknown, http_answer(Code.RATE_LIMITED)}
    for hello in ({"key": "guess"}, {"key": scene.keys["owner"][:-1] + "!"}):
        socket = await scene.socket()
        await socket.send_json({"type": "hello", **hello})
        assert (await refusal_of(socket))[0] == Code.RATE_LIMITED
    assert (await scene.call("GET", f"{scene.api}/links", "owner"))[0] == 200
    right = await scene.join()
    await right.close()


async def test_a_body_that_trickles_is_cut(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow-loris with a body: Mallory announces 30 MiB and sends a byte now and then.

    The head was whole, so that no bound of heads helps; each holds what it has sent so far. A body comes at a least
    speed, or ends.
    """
    monkeypatch.setattr(limits, "BODY_WAIT_S", 0.5)
    head = (
        b"POST /api/workspaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 30000000\r\n\r\n{"
    )
    async with lines(scene, 2, sends=head) as slow:
        await scene.type()
        for line in slow:
            told = await line.until_ended()
            assert b" 408 " in told.split(b"\r\n", 1)[0], told
