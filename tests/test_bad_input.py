"""Whatever a connection sends, it gets one clear error with its number, and nobody else in the room notices.

Each test has a bystander who types before, during and after: it must stay connected, get its edits saved, and see
nothing that is not its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pycrdt import Doc, Text

from carets import limits
from carets.config import Config
from carets.errors import TABLE, Code
from carets.protocol import wire
from carets.server import Running, running
from tests.peer import Peer, Replica, connect, create_workspace, join
from tests.sessions import block, item, update

VECTORS = json.loads((Path(__file__).parent / "vectors" / "hostile_updates.json").read_text())
FINDINGS = ["01010b00000000", "01011601000000", "010200ffffffff0f830b0b041a863a46000100", "01010b05a421150000"]
FINDINGS += ["010100000201046d65746101077b2261223a317d0116016400", "8080808001"]


class Bystander:
    """Somebody who works in peace."""

    def __init__(
        self, peer: Peer, replica: Replica, http: aiohttp.ClientSession, url: str, keys: dict[str, str]
    ) -> None:
        self.peer, self.replica, self.http, self.url, self.keys = peer, replica, http, url, keys
        self.workspace_id = str(peer.welcome["workspace_id"])
        self.member_ids = set(peer.members)
        self._typed = ""

    async def type(self) -> None:
        """Type a word, and see it saved and alone in the file."""
        word = f"word {len(self._typed)}\n"
        self._typed += word
        self.replica.append(word)
        await self.peer.until_saved()
        assert str(self.replica) == self._typed, "something foreign is in the file"

    async def assert_unmoved(self) -> None:
        await self.type()
        assert self.peer.close_code is None
        assert self.peer.refusals == []
        assert [file["path"] for file in self.peer.files.values()] == ["a.py", "b.py"]
        async with connect(self.url, self.workspace_id, self.keys["viewer"]) as witness:
            fresh = await witness.open_file(1)
            assert str(fresh) == self._typed

    async def join(self, role: str = "editor", **hello: str) -> Peer:
        """Somebody who is about to misbehave."""
        await self.type()
        return await join(self.http, self.url, self.workspace_id, self.keys[role], **hello)

    async def socket(self, path: str = "", **more: Any) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket on which nothing was said."""
        path = path or f"/ws/{self.workspace_id}"
        return await self.http.ws_connect(self.url + path, **({"protocols": ("carets.v1",)} | more))


@pytest.fixture
async def bystander(server: Running, http: aiohttp.ClientSession) -> AsyncIterator[Bystander]:
    url = server.address.rstrip("/")
    workspace_id, keys = await create_workspace(http, url, {"a.py": "", "b.py": "other"})
    async with connect(url, workspace_id, keys["editor"]) as peer:
        bystander = Bystander(peer, await peer.open_file(1), http, url, keys)
        await bystander.type()
        yield bystander
        await bystander.assert_unmoved()


async def assert_ended(peer: Peer, code: Code) -> None:
    """One refusal with its number, text and next step, then the close with the same number."""
    assert await peer.until_closed() == code
    (refusal,) = peer.refusals
    assert (refusal["code"], refusal["name"]) == (code, code.name.lower())
    assert refusal["text"].startswith(TABLE[code].text.rstrip("."))
    assert refusal["next_step"] == TABLE[code].next_step
    await peer.close()


async def refusal_of(socket: aiohttp.ClientWebSocketResponse) -> tuple[int, int | None]:
    """The numbers of the refusal, 0 where there is none, and of the close."""
    told = 0
    async with asyncio.timeout(10):
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                notice = json.loads(message.data)
                assert notice["type"] == "refused"
                assert not told, "one error is enough"
                told = notice["code"]
    return told, socket.close_code


# -- before the welcome


@pytest.mark.parametrize(
    "hello,code",
    [
        ({"type": "hello", "key": "wrong"}, Code.KEY_WRONG),
        ({"type": "hello"}, Code.KEY_WRONG),
        ({"type": "hello", "key": "\x00"}, Code.KEY_WRONG),
        ({"type": "hello", "key": "x" * 1025}, Code.MALFORMED_MESSAGE),
        ({"type": "hello", "key": 7}, Code.MALFORMED_MESSAGE),
        ({"type": "ping"}, Code.HELLO_EXPECTED),
        ({"type": "unheard-of"}, Code.MALFORMED_MESSAGE),
        ({}, Code.MALFORMED_MESSAGE),
        ([], Code.MALFORMED_MESSAGE),
    ],
)
async def test_a_bad_hello_is_refused(bystander: Bystander, hello: Any, code: Code) -> None:
    socket = await bystander.socket()
    await socket.send_json(hello)
    assert await refusal_of(socket) == (code, code)


@pytest.mark.parametrize(
    "text", ["", "{", "nul", '{"type":"hello","key":"\\ud800"}', "[" * 30_000, '{"type":"hello"} x']
)
async def test_a_hello_that_is_no_json_is_refused(bystander: Bystander, text: str) -> None:
    socket = await bystander.socket()
    await socket.send_str(text)
    assert await refusal_of(socket) == (Code.MALFORMED_MESSAGE, Code.MALFORMED_MESSAGE)


async def test_a_binary_frame_is_no_hello(bystander: Bystander) -> None:
    socket = await bystander.socket()
    await socket.send_bytes(b"\x01\x00\x00\x01\x00")
    assert await refusal_of(socket) == (Code.HELLO_EXPECTED, Code.HELLO_EXPECTED)


async def test_silence_is_no_hello(bystander: Bystander, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELLO_WAIT_S", 0.05)
    socket = await bystander.socket()
    assert await refusal_of(socket) == (Code.HELLO_EXPECTED, Code.HELLO_EXPECTED)
    pinger = await bystander.socket()
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            await pinger.ping()
    assert await refusal_of(pinger) == (Code.HELLO_EXPECTED, Code.HELLO_EXPECTED)


@pytest.mark.parametrize(
    "workspace_id", ["AAAAAAAAAAAAAAAA", "x", "a" * 300, "..%2f..%2fetc", "%00%00%00%00%00%00%00%00"]
)
async def test_an_unknown_workspace_is_refused_at_both_doors(bystander: Bystander, workspace_id: str) -> None:
    socket = await bystander.socket(f"/ws/{workspace_id}")
    await socket.send_json({"type": "hello", "key": bystander.keys["editor"]})
    assert await refusal_of(socket) == (Code.WORKSPACE_UNKNOWN, Code.WORKSPACE_UNKNOWN)
    stock = await bystander.socket(f"/yjs/{workspace_id}/a.py?key=x", protocols=())
    assert await refusal_of(stock) == (0, Code.WORKSPACE_UNKNOWN)


async def test_a_revoked_and_an_expired_link_let_nobody_in(server: Running, bystander: Bystander) -> None:
    room = server.lobby.rooms[bystander.workspace_id]
    viewer = next(link for link in room.links.values() if link.role == "viewer")
    expired = server.lobby.new_link("editor", "", 1)
    revoked = server.lobby.new_link("editor", "", None)
    await room.put_link(expired.record)
    await room.put_link(revoked.record._replace(revoked_at_ms=1))
    for key, code in ((expired.key, Code.LINK_EXPIRED), (revoked.key, Code.LINK_REVOKED)):
        socket = await bystander.socket()
        await socket.send_json({"type": "hello", "key": key})
        assert await refusal_of(socket) == (code, code)
        stock = await bystander.socket(f"/yjs/{bystander.workspace_id}/a.py", protocols=("yjs", key))
        assert await refusal_of(stock) == (0, code)
    assert viewer.revoked_at_ms is None


async def test_a_link_that_is_revoked_ends_its_members_at_once(server: Running, bystander: Bystander) -> None:
    room = server.lobby.rooms[bystander.workspace_id]
    link = server.lobby.new_link("editor", "guests", None)
    await room.put_link(link.record)
    guest = await join(bystander.http, bystander.url, bystander.workspace_id, link.key)
    owner = {"Authorization": f"Bearer {bystander.keys['owner']}"}
    url = f"{bystander.url}/api/workspaces/{bystander.workspace_id}/links/{link.record.link_id}"
    async with bystander.http.delete(url, headers=owner) as response:
        assert response.status == 204
    await assert_ended(guest, Code.LINK_REVOKED)


# -- at the stock door


@pytest.mark.parametrize(
    "path,code",
    [
        ("nowhere.py", Code.FILE_UNKNOWN),
        ("~9", Code.FILE_UNKNOWN),
        ("~99999999999999999999", Code.FILE_UNKNOWN),
        ("~x", Code.FILE_UNKNOWN),
        ("a/..%2Fb", Code.PATH_INVALID),
        ("a%00b", Code.PATH_INVALID),
        ("%E2%80%AEyp.a", Code.PATH_INVALID),
        ("a" * 5000, Code.PATH_INVALID),
    ],
)
async def test_a_bad_path_at_the_stock_door_is_refused(bystander: Bystander, path: str, code: Code) -> None:
    socket = await bystander.socket(f"/yjs/{bystander.workspace_id}/{path}", params={"key": bystander.keys["editor"]})
    assert await refusal_of(socket) == (0, code)


async def test_an_owners_key_does_not_travel_in_a_query(bystander: Bystander) -> None:
    socket = await bystander.socket(f"/yjs/{bystander.workspace_id}/a.py?key={bystander.keys['owner']}")
    assert await refusal_of(socket) == (0, Code.OWNER_KEY_IN_QUERY)


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x64\x01a", b"\x07", b"\x00\x02\x05a", "text", b"\x01\x03abc"])
async def test_a_broken_message_at_the_stock_door_ends_that_connection(bystander: Bystander, sent: bytes | str) -> None:
    socket = await bystander.socket(f"/yjs/{bystander.workspace_id}/a.py", protocols=("yjs", bystander.keys["editor"]))
    await (socket.send_str(sent) if isinstance(sent, str) else socket.send_bytes(sent))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while not socket.closed:
                await socket.receive()
    assert socket.close_code in (Code.MALFORMED_MESSAGE, Code.MALFORMED_PRESENCE)


@pytest.mark.parametrize("where", ["yjs", "links"])
async def test_a_key_that_is_no_text_is_a_wrong_key(server: Running, bystander: Bystander, where: str) -> None:
    # It once was a mistake of ours, and at the stock door closed the room for everybody, without any key.
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"GET /yjs/{bystander.workspace_id}/a.py HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    head += "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    data = head.encode() + b"Sec-WebSocket-Protocol: yjs, \xff\xfe\r\n\r\n"
    if where == "links":
        head = f"GET /api/workspaces/{bystander.workspace_id}/links HTTP/1.1\r\nHost: localhost\r\n"
        data = head.encode() + b"Authorization: Bearer \xff\xfe\r\n\r\n"
    writer.write(data)
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"\r\n\r\n")
        answer += await reader.read(200)
    writer.close()
    expected = b"HTTP/1.1 403" if where == "links" else Code.KEY_WRONG.to_bytes(2, "big")
    assert expected in answer


@pytest.mark.parametrize("path", ["ws", "yjs"])
async def test_a_mistake_of_ours_at_the_door_is_nobody_elses(
    server: Running, bystander: Bystander, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr(server.lobby.rooms[bystander.workspace_id], "join", fail)
        file = f"/a.py?key={bystander.keys['editor']}" if path == "yjs" else ""
        socket = await bystander.socket(f"/{path}/{bystander.workspace_id}{file}")
        if path == "ws":
            await socket.send_json({"type": "hello", "key": bystander.keys["editor"]})
        assert await refusal_of(socket) == (0, Code.INTERNAL)


# -- frames


@pytest.mark.parametrize(
    "data,code",
    [
        (b"", Code.MALFORMED_MESSAGE),
        (b"\x00\x00\x00\x01\x00", Code.MALFORMED_MESSAGE),
        (b"\x01", Code.MALFORMED_MESSAGE),
        (b"\x01\x63", Code.MALFORMED_MESSAGE),
        (b"\x01\x00\x09", Code.MALFORMED_MESSAGE),
        (b"\x01\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff", Code.MALFORMED_MESSAGE),
        (b"\x01\x00\x02\x80\x00", Code.MALFORMED_MESSAGE),
        (b"\x01\x64\x01", Code.MALFORMED_MESSAGE),
        (b"\x01\x64\xff\xff\xff\xff\x7fabc", Code.MESSAGE_TOO_LARGE),
        (b"\x01\x00\x00\x05\x80\x80\x80\x80\x01", Code.MALFORMED_STATE_VECTOR),
        (b"\x01\x01\x02\x01\x01", Code.MALFORMED_PRESENCE),
    ],
)
async def test_a_broken_frame_ends_its_connection(bystander: Bystander, data: bytes, code: Code) -> None:
    peer = await bystander.join()
    await peer.open_file(1)
    peer.send_raw(data)
    await assert_ended(peer, code)


async def test_parts_that_do_not_fit_together_end_the_connection(bystander: Bystander) -> None:
    for second in (wire.encode_varuint(9) + b"more", b"\x00" + b"no" * 50, b"\x01"):
        peer = await bystander.join()
        await peer.open_file(1)
        peer.send_raw(b"\x01\x64\x0aabcd")
        peer.send_raw(b"\x01\x64" + second)
        await assert_ended(peer, Code.MALFORMED_MESSAGE)
    peer = await bystander.join()
    for file_id in range(1, limits.PARTS_OPEN_MAX + 2):
        peer.send_raw(wire.encode_varuint(file_id) + b"\x64\x0aabcd")
    await assert_ended(peer, Code.MESSAGE_TOO_LARGE)


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_frame_over_the_limit_ends_its_connection_before_it_is_held(
    bystander: Bystander, as_text: bool
) -> None:
    # RFC 6455 has a number of its own for this, 1009, and aiohttp closes with it.
    peer = await bystander.join()
    await bystander.type()
    await (peer.socket.send_str("x" * 100_000) if as_text else peer.socket.send_bytes(b"x" * 100_000))
    assert await peer.until_closed() == 1009
    await peer.close()


@pytest.mark.parametrize(
    "text", ["", "{", "\x00", '{"type":"open_file","file_id":0,"client_id":1}', '{"type":"ping"', '"' * 60_000]
)
async def test_a_message_that_is_no_json_of_ours_ends_its_connection(bystander: Bystander, text: str) -> None:
    peer = await bystander.join()
    await peer.socket.send_str(text)
    await assert_ended(peer, Code.MALFORMED_MESSAGE)


async def test_a_second_hello_ends_its_connection(bystander: Bystander) -> None:
    peer = await bystander.join()
    peer.send_json(type="hello", key=bystander.keys["editor"])
    await assert_ended(peer, Code.MALFORMED_MESSAGE)


# -- updates


def bytes_of(vector: dict[str, Any]) -> bytes:
    return b"".join(bytes.fromhex(piece) * count for piece, count in vector["hex"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("step", [wire.encode_update, wire.encode_step_2])
async def test_a_hostile_update_ends_its_connection_or_is_a_gap(
    bystander: Bystander, vector: dict[str, Any], step: Callable[[bytes], bytes]
) -> None:
    await bystander.type()
    peer = await bystander.join()
    peer.answers_step_1 = False
    await peer.open_file(2, client_id=11)
    if vector["before"]:
        peer.send_frame(2, wire.encode_update(bytes.fromhex(vector["before"])))
    began = time.monotonic()
    peer.send_frame(2, step(bytes_of(vector)))
    if vector["verdict"] == "gap":
        peer.send_json(type="ping")
        await peer.until(lambda: any(notice["type"] == "pong" for notice in peer.notices))
        assert peer.refusals == []
        await peer.close()
    else:
        await assert_ended(peer, Code[vector["verdict"]])
    assert time.monotonic() - began < 5, "it costs no more than an honest update"
    await bystander.type()


@pytest.mark.parametrize("data", FINDINGS)
async def test_what_broke_the_engine_does_not_reach_it(bystander: Bystander, data: str) -> None:
    peer = await bystander.join()
    peer.answers_step_1 = False
    await peer.open_file(2, client_id=11)
    peer.send_frame(2, wire.encode_update(bytes.fromhex("01010b0004010474657874016100")))
    peer.send_frame(2, wire.encode_update(bytes.fromhex(data)))
    assert await peer.until_closed() in (Code.ILLEGAL_UPDATE, Code.MALFORMED_UPDATE)
    await peer.close()


async def test_somebody_elses_client_id_is_refused_by_declaration_and_by_use(bystander: Bystander) -> None:
    peer = await bystander.join()
    taken = bystander.replica.client_id
    peer.start_opening(1, client_id=taken)
    await peer.until(lambda: bool(peer.refusals))
    assert [each["code"] for each in peer.refusals] == [Code.CLIENT_ID_TAKEN]
    own = await peer.open_file(1)
    clock = len(str(own))
    await bystander.type()
    peer.send_update(1, update(block(taken, clock + len(f"word {clock}\n"), item("forged"))))
    await peer.until(lambda: len(peer.refusals) == 2)
    assert [(each["code"], each["file_id"]) for each in peer.refusals] == [(Code.CLIENT_ID_TAKEN, 1)] * 2
    await peer.close()


async def test_an_update_for_a_file_that_is_not_open_is_refused_and_the_connection_stays(bystander: Bystander) -> None:
    peer = await bystander.join()
    peer.send_update(1, b"\x00\x00")
    peer.send_update(999, b"\x00\x00")
    await peer.until_saved()
    assert [(each["code"], each["frame"]) for each in peer.refusals] == [
        (Code.FILE_NOT_OPEN, 1),
        (Code.FILE_NOT_OPEN, 2),
    ]
    await peer.close()


async def test_a_viewer_writes_by_no_road(bystander: Bystander) -> None:
    viewer = await bystander.join("viewer")
    replica = await viewer.open_file(1)
    replica.append("an update")
    await viewer.until(lambda: len(viewer.refusals) == 1)
    for request in (
        {"type": "create_file", "path": "c.py"},
        {"type": "rename_file", "file_id": 1, "path": "c.py"},
        {"type": "delete_file", "file_id": 1},
        {"type": "restore_file", "file_id": 1},
    ):
        assert (await viewer.ask(**request))["code"] == Code.ROLE_TOO_LOW
    await viewer.close()
    second = await bystander.join("viewer")
    await second.open_file(1)
    doc: Doc[Text] = Doc()
    doc["text"] = Text("a step 2")
    second.send_frame(1, wire.encode_step_2(doc.get_update()))
    await second.until(lambda: bool(second.refusals))
    assert [each["code"] for each in [*viewer.refusals, *second.refusals]] == [Code.ROLE_TOO_LOW] * 6
    assert second.close_code is None
    await second.close()


async def test_a_stock_viewer_writes_by_no_road(bystander: Bystander) -> None:
    path = f"/yjs/{bystander.workspace_id}/a.py?key={bystander.keys['viewer']}"
    socket = await bystander.socket(path, protocols=())
    for message in (wire.encode_update, wire.encode_step_2):
        await socket.send_bytes(message(update(block(9, 0, item("forged")))))
        async with asyncio.timeout(5):
            assert (await socket.receive_bytes()).startswith(b"\x02\x00")
    await socket.close()


# -- paths and presence


PLAIN_PATHS = ["../etc/passwd", "a/../../b", "/a", "a//b", "", ".", "a\\b", " a", "a ", "a.", "~1", "x" * 513]
HIDING_PATHS = ["a\nb", "a\x1b[31m", "a\x7f", "txt.\u202eyp", "a\u2066b", "a\u061cb", "x" * 5_000, "ü" * 128]


@pytest.mark.parametrize("path", [*PLAIN_PATHS, *HIDING_PATHS])
async def test_a_path_that_deceives_or_escapes_is_refused(bystander: Bystander, path: str) -> None:
    peer = await bystander.join()
    for request in ({"type": "create_file"}, {"type": "rename_file", "file_id": 1}):
        assert (await peer.ask(**request, path=path))["code"] == Code.PATH_INVALID
    await peer.close()


async def test_a_path_of_lone_halves_of_characters_is_no_message(bystander: Bystander) -> None:
    peer = await bystander.join()
    await peer.socket.send_str('{"type":"create_file","path":"\\ud800"}')
    await assert_ended(peer, Code.MALFORMED_MESSAGE)


@pytest.mark.parametrize(
    "state",
    [
        '{"cursor":{"anchor":1,"head":2}}',
        '{"cursor":{"anchor":{"tname":"text","assoc":9},"head":{}}}',
        "[]",
        "{",
        '{"cursor":null,"pad":"' + "x" * limits.PRESENCE_BYTES_MAX + '"}',
        "[" * 4000,
    ],
)
async def test_presence_that_is_malformed_or_too_large_ends_its_connection(bystander: Bystander, state: str) -> None:
    peer = await bystander.join()
    await peer.open_file(1)
    peer.send_frame(1, wire.encode_awareness([wire.Presence(1, 1, state)]))
    await assert_ended(peer, Code.MALFORMED_PRESENCE)


async def test_presence_cannot_speak_for_somebody_else(bystander: Bystander) -> None:
    victim = bystander.peer.welcome["member_id"]
    peer = await bystander.join(name="Mallory\u202e")
    mine = peer.welcome["member_id"]
    await peer.open_file(1)
    forged = json.dumps({"user": {"id": victim, "name": "Boss", "role": "owner"}, "cursor": None})
    peer.send_frame(1, wire.encode_awareness([wire.Presence(victim, 2**31 - 1, forged)]))
    await bystander.peer.until(lambda: mine in bystander.replica.presence)
    state = bystander.replica.presence[mine]
    assert state is not None
    assert state["user"] == {"id": mine, "name": "Mallory", "color": peer.welcome["color"], "role": "editor"}
    assert victim not in bystander.replica.presence
    await peer.close()


# -- HTTP


async def assert_http(response: aiohttp.ClientResponse, code: Code) -> None:
    assert response.status == TABLE[code].http_status
    error = (await response.json())["error"]
    assert (error["code"], error["name"], error["next_step"]) == (code, code.name.lower(), TABLE[code].next_step)
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example", "a b", "", "[::1"])
async def test_a_wrong_host_is_refused_everywhere(bystander: Bystander, host: str) -> None:
    for path in ("/", "/metrics", "/api/server", f"/ws/{bystander.workspace_id}"):
        async with bystander.http.get(bystander.url + path, headers={"Host": host}) as response:
            if response.status != 400:  # what is no host at all stops at the parser
                await assert_http(response, Code.HOST_UNKNOWN)


async def test_any_address_of_this_machine_is_a_host(bystander: Bystander) -> None:
    for host in ("localhost", "LOCALHOST:8040", "127.0.0.1", "[::1]:8040", "192.168.1.5:80"):
        async with bystander.http.get(bystander.url + "/api/server", headers={"Host": host}) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    "body,content_type,code",
    [
        (b"{}", "text/plain", Code.BODY_MALFORMED),
        (b"title=x", "application/x-www-form-urlencoded", Code.BODY_MALFORMED),
        (b"{", "application/json", Code.BODY_MALFORMED),
        (b"\xff", "application/json", Code.BODY_MALFORMED),
        (b"[" * 100_000, "application/json", Code.BODY_MALFORMED),
        (b'{"files":[]}', "application/json", Code.BODY_MALFORMED),
        (b'{"files":{"..":""}}', "application/json", Code.PATH_INVALID),
        (b'{"files":{"a":"","a/b":""}}', "application/json", Code.PATH_TAKEN),
        (b'{"title":"' + b"x" * 2000 + b'"}', "application/json", Code.BODY_MALFORMED),
    ],
)
async def test_a_bad_body_is_refused(bystander: Bystander, body: bytes, content_type: str, code: Code) -> None:
    headers = {"Content-Type": content_type}
    async with bystander.http.post(f"{bystander.url}/api/workspaces", data=body, headers=headers) as response:
        await assert_http(response, code)


async def test_a_body_over_the_limit_is_refused(
    tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_BYTES_MAX", 1000)
    async with running(Config(port=0, data=tmp_path / "data")) as server:
        body = {"files": {"a": "x" * 2000}}
        async with http.post(f"{server.address}api/workspaces", json=body) as response:
            await assert_http(response, Code.BODY_TOO_LARGE)


async def test_beyond_loopback_creating_takes_the_create_token(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    config = Config(port=0, data=tmp_path / "data", public_url="https://code.example.org")
    async with running(config) as server:
        base, token = server.address.split("/#create=")
        assert base == "https://code.example.org"
        url = f"http://127.0.0.1:{server.port}/api/workspaces"
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token}"}):
            async with http.post(url, json={}, headers=headers) as response:
                await assert_http(response, Code.CREATE_TOKEN_WRONG)
        async with http.post(url, json={}, headers={"Authorization": f"Bearer {token}"}) as response:
            assert response.status == 201
            links = (await response.json())["links"]
            assert links["owner"].startswith("https://code.example.org/w/")
        async with http.get(
            f"http://127.0.0.1:{server.port}/api/server", headers={"Host": "code.example.org"}
        ) as response:
            assert response.status == 200


async def test_links_are_the_owners_alone(bystander: Bystander) -> None:
    url = f"{bystander.url}/api/workspaces/{bystander.workspace_id}/links"
    for key, code in (("", Code.KEY_WRONG), ("x", Code.KEY_WRONG), (bystander.keys["editor"], Code.ROLE_TOO_LOW)):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        for call in (bystander.http.get(url, headers=headers), bystander.http.post(url, json={}, headers=headers)):
            async with call as response:
                await assert_http(response, code)
    owner = {"Authorization": f"Bearer {bystander.keys['owner']}"}
    async with bystander.http.delete(f"{url}/nowhere", headers=owner) as response:
        await assert_http(response, Code.LINK_UNKNOWN)
    for body in ({"role": "god"}, {"role": "viewer", "expires_at_ms": -1}, {"role": "viewer", "expires_at_ms": 2**60}):
        async with bystander.http.post(url, json=body, headers=owner) as response:
            await assert_http(response, Code.BODY_MALFORMED)


async def test_odd_addresses_find_nothing(bystander: Bystander) -> None:
    for path in ("/assets/..%2findex.html", "/assets/" + "a" * 300, "/assets/%00", "/nowhere"):
        async with bystander.http.get(bystander.url + path) as response:
            assert response.status == 404, path
