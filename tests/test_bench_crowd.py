"""The generator of storms: what it tells its watchers of frames that come in pieces of any length."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench import storms
from bench.crowd import Guest
from bench.pump import BenchFailed
from bench.targets import Place, Running
from carets.protocol import wire
from carets.protocol.dialect import CARETS

PLACE = Place("/ws/abc", "key", "abc")
LARGE = bytes(range(256)) * 600
PARTS = [CARETS.part(part) for part in wire.cut_in_parts(1, wire.encode_step_2(LARGE))]
STREAM = b"".join(
    (
        CARETS.notice(b'{"type":"welcome"}'),
        *PARTS[:1],
        CARETS.message(1, wire.encode_awareness(())),
        *PARTS[1:],
        CARETS.message(1, wire.encode_step_1(b"\0")),
        CARETS.message(1, wire.encode_update(b"small")),
    )
)


class Noting:
    """A watcher that notes messages and other frames."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.others: list[bytes] = []
        self.raw = b""
        self.takes_all_after = 10**9
        self._message = b""

    def take_document(self, piece: memoryview, *, is_last: bool) -> None:
        self._message += piece
        if is_last:
            self.messages.append(self._message)
            self._message = b""

    def take_other(self, opcode: int, payload: bytes) -> bytes:
        self.others.append(payload)
        return b""

    def takes_all(self) -> bool:
        return len(self.others) >= self.takes_all_after

    def take_bytes(self, view: memoryview) -> None:
        self.raw += view


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def upgraded(listening: socket.socket, watcher: Any) -> tuple[Guest, socket.socket]:
    """A guest whose connection was upgraded, and the server's end of it."""
    running = cast(Running, SimpleNamespace(dialect="carets", port=listening.getsockname()[1]))
    guest = Guest(running, PLACE, 0, b"opening", watcher)
    line, _ = listening.accept()
    guest.line.setblocking(True)
    guest.flush()
    assert line.recv(10_000).startswith(b"GET /ws/abc HTTP/1.1\r\n")
    line.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    guest.read()
    assert line.recv(100) == b"opening"
    return guest, line


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1_000, 65_541, len(STREAM)])
def test_frames_are_told_alike_however_they_are_cut(listening: socket.socket, piece: int) -> None:
    watcher = Noting()
    guest, line = upgraded(listening, watcher)
    for at in range(0, len(STREAM), piece):
        guest._feed(memoryview(STREAM[at : at + piece]))
    assert watcher.messages == [wire.encode_step_2(LARGE), wire.encode_update(b"small")]
    assert [payload[:3] for payload in watcher.others] == [b'{"t', b"\x01\x01\x01", b"\x01\x00\x00"]
    for end in (guest.line, line):
        end.close()


def test_what_is_told_as_bytes_can_be_read_again(listening: socket.socket) -> None:
    watcher = Noting()
    watcher.takes_all_after = 3
    guest, line = upgraded(listening, watcher)
    for at in range(0, len(STREAM), 1_000):
        guest._feed(memoryview(STREAM[at : at + 1_000]))
    assert len(watcher.messages) == 1
    guest.read_again(bytearray(watcher.raw))
    assert watcher.messages == [wire.encode_step_2(LARGE), wire.encode_update(b"small")]
    for end in (guest.line, line):
        end.close()


def test_another_document_than_the_first_one_got_is_seen() -> None:
    arrival = storms.Arrival(b"expected")
    arrival.take_document(memoryview(b"expe"), is_last=False)
    with pytest.raises(BenchFailed):
        arrival.take_document(memoryview(b"cteD"), is_last=True)
    with pytest.raises(BenchFailed):
        storms.Arrival(b"expected").take_document(memoryview(b"expect"), is_last=True)
