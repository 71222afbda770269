"""Too much at once: frames, messages, names, heads, bodies, depth, numbers, and what grows when it is unpacked."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from carets import limits
from carets.edges.line import Line
from carets.errors import Code
from carets.protocol import wire
from tests import rfc6455
from tests.attacks.scene import ANSWER_S, Scene, close_code_of, http_answer, settled
from tests.serving import serving
from tests.test_bad_input import assert_ended, refusal_of

MEMORY_KIB_MAX = 48 * limits.KIB
"""How much the server's memory may grow by one attack: less than its largest body, and much less than what unpacks."""


class RawSocket:
    """A WebSocket whose bytes the attacker writes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def close_code(self) -> int:
        """Read to the end; the code of the server's close frame, 0 for none."""
        data = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(ANSWER_S):
                while piece := await self.reader.read(65_536):
                    data += piece
        at = 0
        while (head := rfc6455.read_head(data, at)) is not None:
            if head.opcode == rfc6455.CLOSE:
                return int.from_bytes(head.payload(data)[:2])
            at = head.end
        return 0


@contextlib.asynccontextmanager
async def upgraded(scene: Scene, **headers: str) -> AsyncIterator[tuple[RawSocket, str]]:
    """A connection that was upgraded and said hello; with the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.server.port)
    lines = [
        f"GET /ws/{scene.workspace_id} HTTP/1.1",
        f"Host: 127.0.0.1:{scene.server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: carets.v1",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.write(rfc6455.frame(rfc6455.TEXT, json.dumps({"type": "hello", "key": scene.keys["editor"]}).encode()))
    try:
        yield RawSocket(reader, writer), answer
    finally:
        writer.transport.abort()  # what the server did not read is not waited for
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


# -- frames


@pytest.mark.parametrize("length", [2**16, 2**31, 2**62, 2**63 + 1, 2**64 - 1])
async def test_a_frame_is_refused_by_the_length_that_it_claims(scene: Scene, length: int) -> None:
    """Mallory begins a frame of 4 EiB and sends nothing of it.

    A server that makes room first, or waits for the end, gives its memory to whoever claims the most. The head alone
    is enough for 1009, or 1002 where the length is none that the RFC allows.
    """
    async with upgraded(scene) as (socket, _):
        claimed = length + 64 if length == 2**16 else length
        socket.writer.write(b"\x82\xff" + claimed.to_bytes(8) + b"\0\0\0\0")
        assert await socket.close_code() in (1002, 1009)


async def test_a_message_is_refused_by_the_sum_of_its_fragments(scene: Scene) -> None:
    """Mallory sends one message as fragments, each below the limit, and never the last.

    The limit of a frame would be none for a message. The sum counts: 1009.
    """
    async with upgraded(scene) as (socket, _):
        fragment = bytearray(rfc6455.frame(rfc6455.BINARY, b"x" * 30_000))
        fragment[0] = rfc6455.BINARY
        socket.writer.write(fragment)
        fragment[0] = rfc6455.CONTINUATION
        for _ in range(3):
            socket.writer.write(fragment)
        assert await socket.close_code() == 1009


async def test_a_flood_of_frames_that_are_no_messages_costs_nobody_anything(scene: Scene) -> None:
    """Mallory sends 300,000 empty fragments, which no sum of bytes counts, then 100,000 pings, which ask for answers.

    Fragments would pile up as entries of a list, pongs as bytes that she does not read, and a server that serves her
    first serves nobody else. Nothing piles up; the bystander types meanwhile, and is not kept waiting.
    """
    async with upgraded(scene) as (socket, _):
        begin, more = bytearray(rfc6455.frame(rfc6455.BINARY, b"")), rfc6455.frame(rfc6455.CONTINUATION, b"")
        begin[0] = rfc6455.BINARY
        socket.writer.write(begin)
        pings = rfc6455.frame(rfc6455.PING, b"x" * 100) * 1000
        empty = (bytes((rfc6455.CONTINUATION,)) + more[1:]) * 3000
        room = scene.server.lobby.rooms[scene.workspace_id]
        await scene.peer.until(lambda: len(room.members) == 2)
        line = room.members[max(room.members)].outbox._sink
        assert isinstance(line, Line)
        for flood in (empty, pings):
            # Once she is no longer read, the rest of her flood waits on her side.
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(1):
                    for _ in range(100):
                        socket.writer.write(flood)
                        await socket.writer.drain()
            await scene.type()
        assert line._transport.get_write_buffer_size() <= 2 * limits.OUTBOX_BYTES_HARD


async def test_parts_are_refused_by_the_sum_that_they_announce(scene: Scene) -> None:
    """Mallory begins a message in parts and announces 4 GB to come; then as many messages as she likes.

    Room would be kept for what never comes. A part says how much is left: above a whole update's size it is refused
    with the first, and so is a fifth message begun.
    """
    mallory = await scene.join()
    mallory.send_raw(b"\x01\x64" + wire.encode_varuint(4 * 10**9) + b"x")
    await assert_ended(mallory, Code.MESSAGE_TOO_LARGE)
    mallory = await scene.join()
    for file_id in range(1, limits.PARTS_OPEN_MAX + 2):
        mallory.send_raw(wire.encode_varuint(file_id) + b"\x64" + wire.encode_varuint(10**7) + b"x")
    await assert_ended(mallory, Code.MESSAGE_TOO_LARGE)


async def test_a_stock_message_above_its_bound_ends_its_connection(scene: Scene) -> None:
    """Mallory sends 17 MiB in one message at the stock door, where nothing comes in parts.

    1009, or the line is cut while she still sends.
    """
    socket = await scene.stock()
    with contextlib.suppress(ConnectionError):
        await socket.send_bytes(b"\0" * (limits.STOCK_FRAME_BYTES_MAX + 1))
    assert await close_code_of(socket) in (1006, 1009)


# -- compression


async def test_no_compression_is_agreed_to_for_a_websocket(scene: Scene) -> None:
    """Mallory offers permessage-deflate, to send kilobytes that unpack to gigabytes.

    It is not agreed to, at either door. A frame that claims to be compressed all the same breaks the protocol: 1002.
    """
    for path, protocols in ((f"/ws/{scene.workspace_id}", ("carets.v1",)), (f"/yjs/{scene.workspace_id}/a.py", ())):
        async with scene.http.ws_connect(
            scene.url + path, protocols=protocols, params={"key": scene.keys["editor"]}, compress=15
        ) as offered:
            assert offered.compress == 0
    async with upgraded(scene, Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits") as (
        socket,
        answer,
    ):
        assert "extensions" not in answer.lower()
        packed = zlib.compressobj(9, wbits=-15)
        bomb = packed.compress(b"x" * 10_000_000) + packed.flush(zlib.Z_SYNC_FLUSH)
        frame = bytearray(rfc6455.frame(rfc6455.TEXT, bomb[:30_000]))
        frame[0] |= 0x40
        socket.writer.write(frame)
        assert await socket.close_code() == 1002


def memory_kib(pid: int) -> int:
    """The most memory that a process ever had. Source: proc(5), VmHWM."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


@pytest.mark.parametrize("encoding,wbits", [("gzip", 31), ("deflate", 15)])
async def test_a_compressed_body_is_not_unpacked(tmp_path: Path, encoding: str, wbits: int) -> None:
    """Somebody without any link posts 130 KB that unpack to 128 MiB.

    aiohttp unpacked it as it came, before anybody had asked for it: a megabyte cost 300 MB of memory, and half a second
    in which nobody else was served. Bodies come as they are; one that says otherwise is refused (4440), unread.
    """
    packing = zlib.compressobj(9, wbits=wbits)
    bomb = b"".join(packing.compress(b"x" * limits.MIB) for _ in range(128)) + packing.flush()
    async with serving(tmp_path / "data") as server, aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/healthz") as response:
            assert response.status == 200
        before = memory_kib(server.pid)
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        for path in ("/api/workspaces", "/api/workspaces/AAAAAAAAAAAAAAAA/files", "/nowhere", "/"):
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.post(server.url + path, data=bomb, headers=headers) as response:
                    assert response.status in (400, 403, 404, 405)
        assert memory_kib(server.pid) - before < MEMORY_KIB_MAX


# -- messages


NAMES: list[dict[str, Any]] = [
    {"type": "hello", "key": "x" * 1025},
    {"type": "hello", "key": "", "name": "x" * 1025},
    {"type": "hello", "key": "", "color": "x" * 1025},
    {"type": "hello", "key": "", "person": "x" * 1025},
    {"type": "hello", "key": "", "page": "x" * 1025},
]


@pytest.mark.parametrize("hello", NAMES, ids=lambda hello: next(name for name in hello if len(hello[name]) > 1024))
async def test_a_hello_with_a_field_above_its_bound_is_no_message(scene: Scene, hello: dict[str, Any]) -> None:
    """Mallory, without any key, sends 64 KB in one field of the first message.

    What comes before a key is judged has bounds of its own: 4400.
    """
    socket = await scene.socket()
    await socket.send_json(hello)
    assert await refusal_of(socket) == (Code.MALFORMED_MESSAGE, Code.MALFORMED_MESSAGE)


REQUESTS: list[tuple[dict[str, Any], Code]] = [
    ({"type": "profile", "name": "x" * 1025, "color": ""}, Code.MALFORMED_MESSAGE),
    ({"type": "create_file", "path": "x/" * 9_000}, Code.MALFORMED_MESSAGE),
    ({"type": "open_file", "file_id": 1, "client_id": 1, "epoch": "x" * 1025}, Code.MALFORMED_MESSAGE),
    ({"type": "chat", "text": "x", "nonce": "x" * 65}, Code.MALFORMED_MESSAGE),
    ({"type": "signal", "kind": "x" * 33, "data": 1}, Code.MALFORMED_MESSAGE),
    ({"type": "ping", "request": "x" * 66_000}, Code.MALFORMED_MESSAGE),
]


@pytest.mark.parametrize("request_,code", REQUESTS, ids=lambda each: each["type"] if isinstance(each, dict) else "")
async def test_a_request_with_a_field_above_its_bound_is_no_message(
    scene: Scene, request_: dict[str, Any], code: Code
) -> None:
    """Mallory, an editor, sends names, paths, epochs, nonces and kinds of tens of kilobytes.

    Each would be kept, told to everybody, or searched for. They are no messages: her connection ends.
    """
    mallory = await scene.join()
    mallory.send_json(**request_)
    assert await mallory.until_closed() in (code, 1009)
    await mallory.close()


async def test_what_is_a_little_too_large_is_refused_and_the_connection_stays(scene: Scene) -> None:
    """Mallory tries the edges: a message of 4,001 characters, a path of 513, a signal of 16 KiB and one byte.

    Whoever pastes too much is not an attacker: each is refused by its number, and she goes on.
    """
    mallory = await scene.join()
    chat = await mallory.ask(type="chat", text="x" * (limits.CHAT_UNITS_MAX + 1), nonce="n")
    path = await mallory.ask(type="create_file", path="x/" * 256 + "x")
    mallory.send_json(type="signal", kind="x", data="x" * limits.SIGNAL_BYTES_MAX)
    await settled(mallory)
    told = [chat["code"], path["code"], mallory.refusals[-1]["code"]]
    assert told == [Code.TEXT_INVALID, Code.PATH_INVALID, Code.MESSAGE_TOO_LARGE]
    await mallory.close()


async def test_a_name_is_cut_and_a_title_is_too(scene: Scene) -> None:
    """Mallory takes a name of 1,000 characters, and an owner of another workspace such a title.

    It would push everybody else out of the list of people. They are cut.
    """
    mallory = await scene.join(name="M" * 1000)
    assert mallory.welcome["name"] == "M" * limits.NAME_UNITS_MAX
    mallory.send_json(type="profile", name="W" * 1000, color="")
    mine = mallory.welcome["member_id"]
    await scene.peer.until(lambda: scene.peer.members.get(mine, {}).get("name") == "W" * limits.NAME_UNITS_MAX)
    async with scene.http.post(f"{scene.url}/api/workspaces", json={"title": "T" * 1000}) as response:
        assert (await response.json())["title"] == "T" * limits.TITLE_UNITS_MAX
    await mallory.close()


# -- HTTP


HEADS = {
    "a long line": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long query": b"GET /api/server?" + b"a=b&" * 50_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "a long name": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a" * 100_000 + b": x\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
    "a long method": b"A" * 100_000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long host": b"GET / HTTP/1.1\r\nHost: " + b"a" * 100_000 + b"\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n" + b" b\r\n" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_head_of_a_request_is_bounded(scene: Scene, name: str) -> None:
    """Somebody sends a request whose head never seems to end, before any check of ours can see it.

    It is the one thing that every server must hold in memory for a stranger. It ends with 4xx within some kilobytes.
    """
    try:
        answer = await scene.raw(HEADS[name], 12)
    except ConnectionError:
        return  # cut while it was still sent
    assert answer.startswith((b"HTTP/1.0 4", b"HTTP/1.1 4")) or answer == b"", answer


async def test_a_body_is_bounded_whether_it_says_its_size_or_not(scene: Scene) -> None:
    """Somebody posts 33 MiB: announced, and in chunks without any announcement.

    413 (4439), or the line is cut while it is still sent.
    """
    size = limits.BODY_BYTES_MAX + limits.MIB

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"title":"'
        for _ in range(size // limits.MIB):
            yield b"x" * limits.MIB

    headers = {"Content-Type": "application/json"}
    bodies: list[Any] = [io.BytesIO(b"x" * size), chunks()]
    for body in bodies:
        try:
            answer = await scene.call("POST", f"{scene.url}/api/workspaces", data=body, headers=headers)
        except aiohttp.ClientConnectionError:
            continue  # cut while it was still sent
        assert answer == http_answer(Code.BODY_TOO_LARGE)


async def test_a_body_that_lies_about_its_end_starts_no_second_request(scene: Scene) -> None:
    """Request smuggling: two lengths, a length and chunks, a sign or a space in the length, a bare line feed.

    Behind a proxy that reads them the other way, one visitor's body would be another's request. Each is 400, and what
    follows is not answered.
    """
    smuggled = b"GET /api/server HTTP/1.1\r\nHost: localhost\r\n\r\n"
    tricks = [
        b"Content-Length: 0\r\nContent-Length: 46\r\n",
        b"Content-Length: 46\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: +0\r\n",
        b"Content-Length: 0x0\r\n",
        b"Content-Length: 0 0\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
    ]
    for trick in tricks:
        head = b"POST /api/workspaces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + trick
        answer = await scene.raw(head + b"\r\n" + smuggled)
        assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")), (trick, answer[:200])
        assert answer.count(b"Content-Type:") == 1, trick


# -- depth


DEEP = ["[" * 30_000, '{"a":' * 9_000, "[" * 30_000 + "]" * 30_000, '{"type":"ping","x":' + "[" * 30_000]


@pytest.mark.parametrize("text", DEEP, ids=["open", "objects", "closed", "a field"])
async def test_json_that_is_nested_without_end_is_no_message(scene: Scene, text: str) -> None:
    """Mallory sends JSON of 30,000 brackets, as a message, as presence and as a body.

    Readers that recurse crash the process or take long. Every one of ours gives up in time: 4400, 4407, 4440.
    """
    mallory = await scene.join()
    await mallory.socket.send_str(text)
    await assert_ended(mallory, Code.MALFORMED_MESSAGE)
    mallory = await scene.join()
    await mallory.open_file(1)
    mallory.send_frame(1, wire.encode_awareness([wire.Presence(1, 1, text[: limits.PRESENCE_BYTES_MAX])]))
    await assert_ended(mallory, Code.MALFORMED_PRESENCE)
    headers = {"Content-Type": "application/json"}
    answer = await scene.call("POST", f"{scene.url}/api/workspaces", data=text, headers=headers)
    assert answer in (http_answer(Code.BODY_MALFORMED), http_answer(Code.FILES_TOO_MANY))


async def test_json_that_is_nested_without_end_is_no_signal_either(scene: Scene) -> None:
    """Mallory sends it as the data of a signal, which the server passes on and only the others read.

    What the server need not read could end each of their pages. It is measured before it is told: 4405, to nobody, and
    numbers that no reader can hold are, too.
    """
    mallory = await scene.join()
    deep = limits.SIGNAL_DEPTH_MAX + 1
    for data in ("[" * deep + "]" * deep, '{"a":' * deep + "1" + "}" * deep, "9" * 10_000, "1e" + "9" * 5_000):
        await mallory.socket.send_str(f'{{"type":"signal","kind":"x","data":{data}}}')
    await mallory.until(lambda: len(mallory.refusals) == 4)
    assert {refusal["code"] for refusal in mallory.refusals} == {Code.MESSAGE_TOO_LARGE}
    await mallory.socket.send_str('{"type":"signal","kind":"x","data":' + "[" * 6_000 + "]" * 6_000 + "}")
    assert await mallory.until_closed() == Code.MALFORMED_MESSAGE
    await settled(scene.peer)
    assert not [notice for notice in scene.peer.notices if notice["type"] == "signal"]
    await mallory.close()


# -- numbers


WRAPPING = ["-1", "9007199254740992", "18446744073709551616", "1e400", "1.5", "NaN"]
NUMBERS = [*WRAPPING, "0", "2147483648", "Infinity", '"1"']


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_number_out_of_its_bounds_is_no_message(scene: Scene, number: str) -> None:
    """Mallory puts numbers that wrap, round or are none into every field that takes one.

    -1 may be the last of a list, 2^53 another number in the browser, 1e400 infinite. They are no messages: 4400.
    """
    for message in (
        '{"type":"open_file","file_id":%s,"client_id":1}',
        '{"type":"delete_file","file_id":%s}',
        '{"type":"place","file_id":%s}',
    ):
        mallory = await scene.join()
        await mallory.socket.send_str(message % number)
        await assert_ended(mallory, Code.MALFORMED_MESSAGE)


@pytest.mark.parametrize("number", WRAPPING)
async def test_a_number_of_a_client_that_no_browser_can_hold_is_no_message(scene: Scene, number: str) -> None:
    """The same for Yjs client ids and numbers of requests, which are repeated to browsers, and for a link's end.

    A link that never ends because its end wrapped would be worth an attack. 4400, and 4440 over HTTP.
    """
    for message in (
        '{"type":"open_file","file_id":1,"client_id":%s}',
        '{"type":"create_file","path":"x","request":%s}',
        '{"type":"chat","text":"x","nonce":"n","request":%s}',
    ):
        mallory = await scene.join()
        await mallory.socket.send_str(message % number)
        await assert_ended(mallory, Code.MALFORMED_MESSAGE)
    body = f'{{"role":"viewer","expires_at_ms":{number}}}'
    headers = {"Content-Type": "application/json"}
    answer = await scene.call("POST", f"{scene.api}/links", "owner", data=body, headers=headers)
    assert answer == http_answer(Code.BODY_MALFORMED)
    is_one = number.isdigit() and len(number) <= 16
    answer = await scene.call("GET", f"{scene.api}/chat?before={number}&count={number}", "owner")
    assert answer == ((200, 0) if is_one else http_answer(Code.BODY_MALFORMED))


VARUINTS = {
    "above 53 bits": b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    "without end": b"\xff" * 100,
    "overlong": b"\x81\x80\x80\x00",
    "nothing": b"",
}


@pytest.mark.parametrize("name", VARUINTS)
async def test_a_number_on_the_wire_that_is_none_ends_the_connection(scene: Scene, name: str) -> None:
    """Mallory writes file ids, lengths, clocks and counts that are too large, too long or not there.

    Each place where one is read might be the one that trusts it. All end her connection with a number of the table.
    """
    number = VARUINTS[name]
    places = [number, b"\x01\x00\x02" + number, b"\x01\x00\x00" + number, b"\x01\x01" + number, b"\x01\x64" + number]
    places += [b"\x01\x00\x02\x20" + number.ljust(32, b"\0"), b"\x01\x00\x00\x20" + number.ljust(32, b"\0")]
    for data in places:
        mallory = await scene.join()
        await mallory.open_file(1)
        mallory.send_raw(data)
        code = await mallory.until_closed()
        assert code in (
            Code.MALFORMED_MESSAGE,
            Code.MALFORMED_UPDATE,
            Code.ILLEGAL_UPDATE,
            Code.MALFORMED_STATE_VECTOR,
            Code.MALFORMED_PRESENCE,
            Code.MESSAGE_TOO_LARGE,
        ), (data, code)
        await mallory.close()


@pytest.mark.parametrize("clock", [2**31 - 1, 2**31, 2**32, 2**53 - 1, 2**53])
async def test_a_clock_at_an_edge_moves_nothing(scene: Scene, clock: int) -> None:
    """Mallory begins her text at a clock near 2^31, 2^32 or 2^53, where yrs, Yjs and JavaScript part ways.

    A gap or a refusal: never text that some see and others do not. The bystander's file is as it was.
    """
    mallory = await scene.join()
    mallory.answers_step_1 = False
    await mallory.open_file(1, client_id=77)
    head = b"\x01\x01" + wire.encode_varuint(77)
    mallory.send_update(1, head + wire.encode_varuint(clock) + b"\x04\x01\x04text\x01x\x00")
    mallory.send_json(type="ping")
    await mallory.until(lambda: any(notice["type"] == "pong" for notice in mallory.notices) or bool(mallory.refusals))
    assert mallory.saved == 0
    await mallory.close()
