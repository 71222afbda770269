"""Many members who come at once, on one thread: what storms are made of.

Owns: the sockets, each member's steps from connecting to its answer, reading frames without holding large ones.
Does not know: what a storm is, servers' processes.

Each member connects, upgrades, and says all that it has to say in one write. `Watcher`s look at what comes.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from typing import Protocol

from bench.dialects import DIALECTS, string, upgrade
from bench.line import binary, text
from bench.targets import HOST, Place, Running
from carets.protocol.wire import decode_varuint, encode_step_1

_SOURCES = 40
"""Addresses of loopback that members come from, as from 40 offices: one address may bring 200 strangers at a time."""

_BUFFER = memoryview(bytearray(1 << 20))
_RECEIVE_BYTES = 1 << 20
"""Of a socket's receive buffer: a browser's line takes as much, and the generator is called less often."""


class Watcher(Protocol):
    """Who looks at what one member gets."""

    def take_document(self, piece: memoryview, *, is_last: bool) -> None:
        """A piece of a message with an update or an answer, in order; the last one when the message ends."""

    def take_other(self, opcode: int, payload: bytes) -> bytes:
        """Any other frame, whole; what is answered, as bytes for the socket."""

    def takes_all(self) -> bool:
        """Asked after each frame: whether from now on bytes are told as they come, to be read later."""

    def take_bytes(self, view: memoryview) -> None:
        """Whatever came, in order."""


def opening(running: Running, place: Place, client_id: int, state_vector: bytes) -> bytes:
    """All that a member says of itself, up to its step 1, as bytes for the socket."""
    step_1 = encode_step_1(state_vector)
    if running.dialect == "carets":
        told = text(type="hello", key=place.key, name="bench") + text(type="open_file", file_id=1, client_id=client_id)
        return told + binary(b"\x01" + step_1)
    if running.dialect == "hocuspocus":
        told = binary(string(place.room) + b"\x02\x00" + string("") + string("4.7.0"))
        return told + binary(string(place.room) + step_1)
    return binary(step_1)


class Guest:
    """One member: its socket, and its frames as they come.

    A message of the document is told piece by piece, so that 5 MB for each of 500 are never held. A part of
    ``carets.v1`` and a whole message are told the same way.
    """

    def __init__(self, running: Running, place: Place, number: int, opening_bytes: bytes, watcher: Watcher) -> None:
        self.began_s = time.perf_counter()
        self.watcher = watcher
        dialect = DIALECTS[running.dialect]
        self._file = dialect.head(place)[:-2]
        self._part = dialect.part_head(place)
        self._opening = opening_bytes
        self._is_upgraded = self._takes_all = self._is_over = False
        self._held = bytearray()
        """The beginning of a frame, or a whole small one."""
        self._left = 0
        """Bytes of the document's message that this frame still holds."""
        self._is_last = True
        self.line = socket.socket()
        self.line.setblocking(False)
        self.line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.line.bind((f"127.0.0.{1 + number % _SOURCES}", 0))
        self.line.connect_ex((HOST, running.port))
        self._outgoing = bytearray(upgrade(running, place))

    def write(self, data: bytes) -> None:
        """Send, now or when the line takes it."""
        self._outgoing += data
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the line takes it."""
        while self._outgoing:
            try:
                sent = self.line.send(self._outgoing)
            except BlockingIOError:
                return
            del self._outgoing[:sent]

    @property
    def has_outgoing(self) -> bool:
        """Whether anything waits to be sent."""
        return bool(self._outgoing)

    def read(self) -> None:
        """Take what has come. Raises: ConnectionError."""
        try:
            count = self.line.recv_into(_BUFFER)
        except BlockingIOError:
            return
        if not count:
            raise ConnectionError(f"the server closed: {bytes(self._held[-300:])!r}")
        if self._is_upgraded:
            self._feed(_BUFFER[:count])
            return
        self._held += _BUFFER[:count]
        end = self._held.find(b"\r\n\r\n")
        if end >= 0:
            if not self._held.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(bytes(self._held[:300]).decode())
            self._is_upgraded = True
            rest = bytes(self._held[end + 4 :])
            self._held.clear()
            self.write(self._opening)
            self._feed(memoryview(rest))

    def read_again(self, data: bytearray) -> None:
        """Tell the frames of what was told as bytes."""
        self._is_over = True
        self._feed(memoryview(data))

    def _feed(self, view: memoryview) -> None:
        at, end = 0, len(view)
        while at < end:
            if self._takes_all and not self._is_over:
                self.watcher.take_bytes(view[at:])
                return
            if self._left:
                until = min(end, at + self._left)
                self._tell(view[at:until])
            else:
                until = min(end, at + self._missing())
                self._held += view[at:until]
                if not self._missing():
                    self._begin()
            at = until
            if not self._left and not self._held:
                self._takes_all = self.watcher.takes_all()

    def _missing(self) -> int:
        """Bytes without which nothing can be done with the frame that has begun."""
        held = self._held
        head, size = _head(held)
        needed = head + min(size, len(self._file) + _PART_HEAD_BYTES)
        if len(held) >= needed and not self._is_document(head):
            needed = head + size
        return max(0, needed - len(held))

    def _is_document(self, head: int) -> bool:
        """Whether the frame is a step 2 or an update, or a part of one."""
        held, at = self._held, head + len(self._file)
        is_part = bool(self._part) and held.startswith(self._part, head)
        return is_part or (held.startswith(self._file, head) and bytes(held[at : at + 2]) in _DOCUMENTS)

    def _begin(self) -> None:
        """Do what is to be done with the frame whose beginning is held."""
        head, size = _head(self._held)
        is_document = self._is_document(head)
        held, self._held = self._held, bytearray()
        if not is_document:
            if answer := self.watcher.take_other(held[0] & 0x0F, bytes(held[head:])):
                self.write(answer)
            return
        at, self._is_last = head + len(self._file), True
        if self._part and held.startswith(self._part, head):
            bytes_left, at = decode_varuint(bytes(held[: head + 32]), head + len(self._part))
            self._is_last = bytes_left == 0
        self._left = head + size - at
        self._tell(memoryview(held)[at:])

    def _tell(self, piece: memoryview) -> None:
        self._left -= len(piece)
        self.watcher.take_document(piece, is_last=self._is_last and not self._left)


_PART_HEAD_BYTES = 12
"""Bytes behind the file's name in which the head of a message or of a part ends."""

_DOCUMENTS = {b"\x00\x01", b"\x00\x02"}
"""How a step 2 and an update begin."""


def _head(held: bytearray) -> tuple[int, int]:
    """The bytes of a frame's head, and of what follows it; what is not there yet follows nothing."""
    if len(held) < 2:
        return 2, 0
    size = held[1] & 0x7F
    head = {126: 4, 127: 10}.get(size, 2)
    if len(held) < head:
        return head, 0
    return head, int.from_bytes(held[2:head], "big") if head > 2 else size


class Crowd:
    """All members of a storm, and the loop that serves them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.guests: list[Guest] = []
        self.busy_s = 0.0
        """Seconds for which the generator did not wait."""

    def come(self, guest: Guest) -> None:
        """Serve one more."""
        self.guests.append(guest)
        self._selector.register(guest.line, selectors.EVENT_READ | selectors.EVENT_WRITE, guest)

    def serve(self, wait_s: float) -> None:
        """Read and write what can be, or wait for it so long."""
        events = self._selector.select(wait_s)
        began_s = time.perf_counter()
        for key, mask in events:
            guest: Guest = key.data
            if mask & selectors.EVENT_WRITE:
                guest.flush()
            if mask & selectors.EVENT_READ:
                guest.read()
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if guest.has_outgoing else 0)
            if key.events != wanted:
                self._selector.modify(guest.line, wanted, guest)
        self.busy_s += time.perf_counter() - began_s

    def close(self) -> None:
        """Cut all connections."""
        self._selector.close()
        for guest in self.guests:
            guest.line.close()


def storm(crowd: Crowd, make: Callable[[int], Guest], count: int, within_s: float, is_done: Callable[[], bool]) -> None:
    """Let `count` members come in equal distances, and serve them until it is done. Raises: TimeoutError."""
    began_s = time.perf_counter()
    come = 0
    while not is_done():
        now_s = time.perf_counter() - began_s
        while come < count and now_s * count >= come * within_s:
            crowd.come(make(come))
            come += 1
        crowd.serve(0.0005 if come < count else 0.05)
        if now_s > _STORM_S_MAX:
            raise TimeoutError(f"{come} came, and it is not over after {_STORM_S_MAX} s")


_STORM_S_MAX = 50.0
