"""How members join at each kind of server, many at once: the handshake up to the first answer, over blocking sockets.

Owns: the upgrade, the first messages, the bytes around an update. Does not know: what is measured.

All members take each step together, so that a thousand join in a second or two: written to all, then read from all.
Source: docs/PROTOCOL.md; y-protocols 1.0.7; @hocuspocus/server 4.7 (MessageReceiver, ClientConnection).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.line import binary, frame, text
from bench.targets import HOST, Place, Running
from carets.protocol.wire import Step1, Step2, decode_message, decode_varuint, encode_step_1, encode_step_2
from carets.protocol.wire import encode_varuint as varuint

WAIT_S = 60.0
_SOURCES = 40
"""Addresses of loopback that members come from: a port range is not enough for tens of thousands."""


def string(value: str) -> bytes:
    """lib0's string: its bytes behind their number."""
    data = value.encode()
    return varuint(len(data)) + data


def awareness(entry_id: int, clock: int, state: str) -> bytes:
    """A y-protocols awareness message with one entry."""
    payload = b"\x01" + varuint(entry_id) + varuint(clock) + string(state)
    return b"\x01" + varuint(len(payload)) + payload


@dataclass
class Joined:
    """A member that has had its first answer."""

    line: socket.socket
    place: Place
    client_id: int
    presence_id: int = 0
    document: bytes = b""
    """The update that answered its step 1."""
    early: bytearray = field(default_factory=bytearray)
    """Bytes that came and are not read yet."""

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Frames as they come: opcode and payload. Raises: TimeoutError."""
        data = self.early
        while True:
            head = 2
            if len(data) >= 2:
                size = data[1] & 0x7F
                head = {126: 4, 127: 10}.get(size, 2)
                if len(data) >= head:
                    if head > 2:
                        size = int.from_bytes(data[2:head], "big")
                    if len(data) >= head + size:
                        opcode, payload = data[0] & 0x0F, bytes(data[head : head + size])
                        del data[: head + size]
                        yield opcode, payload
                        continue
            self.read()

    def read(self) -> None:
        """Wait for more bytes."""
        data = self.line.recv(1 << 18)
        if not data:
            raise ConnectionError(f"the server closed: {bytes(self.early[-200:])!r}")
        self.early += data

    def until(self, is_it: Callable[[int, bytes], bool]) -> bytes:
        """The payload of the first frame that `is_it`; what came before is dropped."""
        return next(payload for opcode, payload in self.frames() if is_it(opcode, payload))

    def close(self) -> None:
        """Cut the connection."""
        self.line.close()


class Dialect(Protocol):
    """How one kind of server is spoken to."""

    name: str
    subprotocol: str

    def greet(self, members: Sequence[Joined], state_vectors: Sequence[bytes]) -> None:
        """All steps from the upgrade to the first answer, and the answer to the server's own question."""

    def head(self, place: Place) -> bytes:
        """The bytes in front of the length of an update."""

    def part_head(self, place: Place) -> bytes:
        """The bytes in front of a part's number of bytes left; empty where there are no parts."""

    def presence(self, member: Joined, clock: int, column: int) -> bytes:
        """The frame by which a member says that its caret is at a character of its own."""


class Carets:
    """``carets.v1``; a room is a workspace whose file 1 is the document."""

    name, subprotocol = "carets", "carets.v1"

    def greet(self, members: Sequence[Joined], state_vectors: Sequence[bytes]) -> None:
        for member in members:
            member.line.sendall(text(type="hello", key=member.place.key, name="bench"))
        for member in members:
            welcome = member.until(lambda opcode, payload: opcode == 1 and b'"welcome"' in payload)
            member.presence_id = json.loads(welcome)["member_id"]
        for member, state_vector in zip(members, state_vectors, strict=True):
            step_1 = binary(b"\x01" + encode_step_1(state_vector))
            member.line.sendall(text(type="open_file", file_id=1, client_id=member.client_id) + step_1)
        for member in members:
            _take_answers(member, b"\x01", self.part_head(member.place))
        for member in members:
            member.line.sendall(binary(b"\x01" + encode_step_2(b"\0\0")))

    def head(self, place: Place) -> bytes:
        return b"\x01\x00\x02"

    def part_head(self, place: Place) -> bytes:
        return b"\x01\x64"

    def presence(self, member: Joined, clock: int, column: int) -> bytes:
        at = _caret(member.client_id, column)
        return binary(b"\x01" + awareness(member.presence_id, clock, f'{{"cursor":{{"anchor":{at},"head":{at}}}}}'))


class YWebSocket:
    """What ``y-websocket`` speaks, and the servers that were made for it."""

    name, subprotocol = "y-websocket", ""

    def greet(self, members: Sequence[Joined], state_vectors: Sequence[bytes]) -> None:
        for member, state_vector in zip(members, state_vectors, strict=True):
            member.line.sendall(binary(encode_step_1(state_vector)))
        for member in members:
            _take_answers(member, b"", b"")
        for member in members:
            member.line.sendall(binary(encode_step_2(b"\0\0")))

    def head(self, place: Place) -> bytes:
        return b"\x00\x02"

    def part_head(self, place: Place) -> bytes:
        return b""

    def presence(self, member: Joined, clock: int, column: int) -> bytes:
        return binary(awareness(member.client_id, clock, _stock_state(member.client_id, column)))


class Hocuspocus:
    """@hocuspocus/server: y-protocols behind the document's name, after an authentication."""

    name, subprotocol = "hocuspocus", ""

    def greet(self, members: Sequence[Joined], state_vectors: Sequence[bytes]) -> None:
        for member in members:
            member.line.sendall(binary(string(member.place.room) + b"\x02\x00" + string("") + string("4.7.0")))
        for member in members:
            authenticated = string(member.place.room) + b"\x02\x02"
            member.until(lambda opcode, payload, head=authenticated: payload.startswith(head))  # type: ignore[misc]
        for member, state_vector in zip(members, state_vectors, strict=True):
            member.line.sendall(binary(string(member.place.room) + encode_step_1(state_vector)))
        for member in members:
            _take_answers(member, string(member.place.room), b"")
        for member in members:
            member.line.sendall(binary(string(member.place.room) + encode_step_2(b"\0\0")))

    def head(self, place: Place) -> bytes:
        return string(place.room) + b"\x00\x02"

    def part_head(self, place: Place) -> bytes:
        return b""

    def presence(self, member: Joined, clock: int, column: int) -> bytes:
        state = _stock_state(member.client_id, column)
        return binary(string(member.place.room) + awareness(member.client_id, clock, state))


DIALECTS: dict[str, Dialect] = {each.name: each for each in (Carets(), YWebSocket(), Hocuspocus())}


def _caret(client_id: int, column: int) -> str:
    """A relative position, as Yjs writes it into an awareness."""
    item = f'{{"client":{client_id},"clock":{column}}}'
    return f'{{"type":null,"tname":"text","item":{item},"assoc":0}}'


def _stock_state(client_id: int, column: int) -> str:
    at = _caret(client_id, column)
    return f'{{"user":{{"name":"bench","color":"#30bced"}},"cursor":{{"anchor":{at},"head":{at}}}}}'


def _take_answers(member: Joined, head: bytes, part_head: bytes) -> None:
    """Read until the member has had its step 2, whole or in parts, and the server's step 1."""
    asked = answered = False
    parts = bytearray()
    for opcode, payload in member.frames():
        if opcode != 2:
            continue
        if part_head and payload.startswith(part_head):
            left, at = decode_varuint(payload, len(part_head))
            parts += payload[at:]
            message = decode_message(bytes(parts)) if left == 0 else None
        elif payload.startswith(head):
            at = len(head)
            # Hocuspocus numbers the question that comes with an answer 4; what follows is the same.
            message = decode_message(b"\0" + payload[at + 1 :]) if payload[at] in {0, 4} else None
        else:
            continue
        if isinstance(message, Step2):
            member.document, answered = message.update, True
        asked = asked or isinstance(message, Step1)
        if asked and answered:
            return


def join(
    running: Running,
    place: Place,
    client_ids: Sequence[int],
    state_vectors: Sequence[bytes] = (),
    first_source: int = 0,
) -> list[Joined]:
    """Join so many members to a document; each has had its first answer.

    One opens the room before the others come: pycrdt-websocket fails when many open one at once.
    """
    members: list[Joined] = []
    vectors = list(state_vectors) or [b"\0"] * len(client_ids)
    for some in (slice(0, 1), slice(1, None)):
        joining = connect(running, place, client_ids[some], first_source)
        DIALECTS[running.dialect].greet(joining, vectors[some])
        members += joining
    return members


def upgrade(running: Running, place: Place) -> bytes:
    """The request that opens a WebSocket to a document."""
    words = [
        f"GET {place.path} HTTP/1.1",
        f"Host: {HOST}:{running.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocol := DIALECTS[running.dialect].subprotocol:
        words.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*words, "", ""]).encode()


def connect(running: Running, place: Place, client_ids: Sequence[int], first_source: int = 0) -> list[Joined]:
    """Upgrade so many connections to a document, and say nothing yet."""
    members = []
    for number, client_id in enumerate(client_ids):
        source = f"127.0.0.{1 + (first_source + number) % _SOURCES}"
        line = socket.create_connection((HOST, running.port), WAIT_S, (source, 0))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        members.append(Joined(line, place, client_id))
        line.sendall(upgrade(running, place))
    for member in members:
        while (end := member.early.find(b"\r\n\r\n")) < 0:
            member.read()
        if not member.early.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(bytes(member.early[:300]).decode())
        del member.early[: end + 4]
    return members


_GOING = frame(8, (1001).to_bytes(2, "big"))


def close_all(rooms: Sequence[Sequence[Joined]]) -> None:
    """Say good-bye for everybody, and cut the connections."""
    for room in rooms:
        for member in room:
            with contextlib.suppress(OSError):
                member.line.sendall(_GOING)
    for room in rooms:
        for member in room:
            member.close()
