"""What bytes are thrown at: each target takes any bytes and raises only where something is wrong.

Owns: the targets by name, and the inputs that each begins with. Does not know: who makes the bytes.
Hypothesis calls them in ``make test``, for a short time and always the same; atheris in ``make fuzz``, at length.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import unicodedata
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import structlog

from carets import limits
from carets.config import Config
from carets.errors import Refused, WireError
from carets.protocol import access, messages, wire
from carets.protocol.admission import Author, Gate
from carets.protocol.updates import (
    decode_state_vector,
    encode_state_vector,
    join_structs,
    read_deletions,
    read_structs,
)
from carets.rooms.document import Document
from carets.rooms.presence import decode_page_state, decode_stock_state
from carets.server import Running, running
from tests.fuzz.hostile import SEEDS
from tests.sessions import block, item, state_of, update

WIRE_VECTORS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "vectors" / "wire.json").read_text())
ANSWER_S_MAX = 10.0
SECRET = b"s" * 32


def take_wire(data: bytes) -> None:
    """Frames, parts and presence: what is read is written back as it was."""
    try:
        file_id, message = wire.decode_frame(data)
    except WireError:
        return
    inbox = wire.PartsInbox()
    if isinstance(message, wire.Part):
        for _ in range(2):
            try:
                inbox.take(file_id, message)
            except WireError:
                return
    elif isinstance(message, wire.Awareness):
        try:
            entries = wire.decode_awareness(message.payload, limits.PRESENCE_ENTRIES_MAX)
        except WireError:
            return
        assert wire.encode_varuint(file_id) + wire.encode_awareness(entries) == data
    elif not isinstance(message, wire.QueryAwareness):
        name = type(message).__name__.lower().replace("step", "step_")
        encode: Callable[[bytes], bytes] = getattr(wire, f"encode_{name}")
        assert wire.encode_varuint(file_id) + encode(message[0]) == data


def take_update(data: bytes) -> None:
    """Updates and state vectors: what is read is canonical."""
    try:
        clocks = decode_state_vector(data)
    except WireError:
        pass
    else:
        assert decode_state_vector(encode_state_vector(clocks)) == clocks
    try:
        blocks, at, has_skips = read_structs(data)
        read_deletions(data, at)
    except WireError:
        return
    if has_skips:
        return
    joined = join_structs(data)
    assert len(joined) <= len(data)
    assert [(each.client, each.clock, each.end) for each in read_structs(joined)[0]] == [
        (each.client, each.clock, each.end) for each in blocks
    ]


BEFORE = update(block(1, 0, item("a😀bc")), block(300, 0, item("xyz", (1, 2))), gone={1: [(3, 4)]})


def take_admission(data: bytes) -> None:
    """Some updates one after the other, through the gate into a document; the first byte says how long each is."""
    document = Document([BEFORE])
    gate = Gate.of(document.encode(), {1: "person:ann", 300: "person:eve"})
    author, size = Author("person:eve"), 1 + (data[0] if data else 0)
    for at in range(1, len(data), size):
        before = state_of(gate)
        try:
            admitted = gate.admit(data[at : at + size], author)
        except (WireError, Refused):
            admitted = None
        if admitted:
            document.apply([admitted])
        else:
            assert state_of(gate) == before
    loaded = Document([document.encode()])
    assert loaded.text() == document.text()
    assert loaded.clocks() == document.clocks() == gate.known_clocks()
    assert state_of(Gate.of(document.encode(), {})) == state_of(gate)


def take_message(data: bytes) -> None:
    """JSON messages."""
    for text in (data, data.decode(errors="replace")):
        try:
            messages.decode_request(text)
        except WireError:
            continue


def take_presence(data: bytes) -> None:
    """The states of pages and of stock clients."""
    text = data.decode(errors="replace")
    for decode in (decode_page_state, decode_stock_state):
        try:
            decode(text)
        except WireError:
            continue


def take_hello(data: bytes) -> None:
    """What hello says of a person, a key, a name and a colour, each of it any text."""
    text = data.decode(errors="surrogateescape")
    assert access.read_person(SECRET, "w", text) is None
    assert not access.key_matches(text, access.hash_key("another" + text))
    name = access.clean_label(text, limits.NAME_UNITS_MAX, "Guest")
    assert 1 <= len(name) <= limits.NAME_UNITS_MAX
    assert unicodedata.is_normalized("NFC", name)
    assert access.clean_label(name, limits.NAME_UNITS_MAX, "Guest") == name
    color = access.clean_color(text, len(text))
    assert access.clean_color(color, 0) == color
    for clean in (access.clean_path, access.clean_message, access.clean_text):
        try:
            cleaned = clean(text)
        except Refused:
            continue
        assert clean(cleaned) == cleaned, "what is clean stays as it is"


class Listener:
    """Our whole server in this process, and raw connections to it. Its log goes nowhere, but mistakes are counted."""

    def __init__(self) -> None:
        self.mistakes: list[object] = []
        structlog.configure(processors=[self._hear])
        self._loop = asyncio.new_event_loop()
        self._folder = tempfile.TemporaryDirectory()
        self._serving = running(Config(port=0, data=Path(self._folder.name) / "data", create="open"))
        server: Running = self._loop.run_until_complete(self._serving.__aenter__())
        self.port = int(server.address.rstrip("/").rpartition(":")[2])

    def _hear(self, _: object, level: str, event: MutableMapping[str, Any]) -> NoReturn:
        if level in {"error", "critical"}:
            self.mistakes.append(event)
        raise structlog.DropEvent

    def close(self) -> None:
        self._loop.run_until_complete(self._serving.__aexit__(None, None, None))
        self._loop.close()
        self._folder.cleanup()

    def send(self, data: bytes) -> bytes:
        """Send bytes, say that no more will come, and read all that comes back."""
        return self._loop.run_until_complete(self._send(data))

    async def _send(self, data: bytes) -> bytes:
        async with asyncio.timeout(ANSWER_S_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(data)
                writer.write_eof()
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()


_listeners: list[Listener] = []


def take_http(data: bytes) -> None:
    """Raw bytes to the port: an answer that is none of 500, or none, and soon."""
    if not _listeners:
        _listeners.append(Listener())
    answer = _listeners[0].send(data.replace(b"$PORT", str(_listeners[0].port).encode()))
    assert not answer or answer.startswith(b"HTTP/"), answer[:200]
    assert b"HTTP/1.1 500" not in answer, answer[:1000]
    assert not _listeners[0].mistakes, _listeners[0].mistakes


def _request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join((line, "Host: 127.0.0.1:$PORT", *headers, "", "")).encode() + body


_JSON = "Content-Type: application/json"
_TEXTS = (
    "",
    "#AABBCC",
    "a/b.txt",
    "../x",
    "a\r\nb\rc",
    "Zoë\u0301 \u202e ",
    "~1/a",
    "\ud83d",
    "👩‍👩‍👧",
    "a\u0301" * 40,
)

TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "wire": (
        take_wire,
        [bytes.fromhex(each["bytes"]) for each in [*WIRE_VECTORS["frames"], *WIRE_VECTORS["frames_refused"]]],
    ),
    "update": (take_update, [BEFORE, *(data for data in SEEDS if len(data) < 1000)]),
    "admission": (
        take_admission,
        [b"\xff" + data for data in SEEDS if len(data) < 250]
        + [b"\xff" + update(block(300, 3, item("q", (300, 2), (1, 3)), item("😀")), gone={300: [(0, 2)]})],
    ),
    "message": (
        take_message,
        [
            b'{"type":"hello","key":"k","person":"","name":"Zo\\u00eb","color":"#112233"}',
            b'{"type":"open_file","file_id":1,"client_id":7}',
            b'{"type":"signal","kind":"run","data":{"a":[1,2.5e9,null]},"to":3}',
            b'{"type":"create_file","path":"a","eol":"crlf","request":1}',
            b'{"type":"chat","text":"\\ud83d\\ude00","nonce":"n"}',
        ],
    ),
    "presence": (
        take_presence,
        [
            b'{"cursor":{"anchor":{"type":null,"tname":"text","item":null,"assoc":0},"head":null}}',
            b'{"user":{"name":"a","color":"#123456"},"cursor":null}',
            b"null",
        ],
    ),
    "hello": (take_hello, [text.encode(errors="surrogatepass") for text in _TEXTS]),
    "http": (
        take_http,
        [
            _request("GET /healthz HTTP/1.1"),
            _request("POST /api/workspaces HTTP/1.1", _JSON, "Content-Length: 2", body=b"{}"),
            _request(
                "POST /api/workspaces HTTP/1.1", _JSON, "Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"
            ),
            _request("GET /ws/abcdefgh HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"),
            _request("GET /api/workspaces/abcdefgh/chat?before=1&count=2 HTTP/1.1", "Authorization: Bearer k"),
        ],
    ),
}
"""By name: what is called, and the inputs that it begins with."""
