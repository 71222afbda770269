"""What a WebSocket server has to answer to the bytes of a client, read off RFC 6455 alone.

Owns: frames, and the rules by which one is a violation, a pong or a close. Does not know: aiohttp, Carets, what
messages mean. It is a second reading of the RFC, apart from the library under test, and says what must come back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PROTOCOL_ERROR, INVALID_PAYLOAD, TOO_BIG, NORMAL = 1002, 1007, 1009, 1000


class Head(NamedTuple):
    """The head of a frame, and where its payload begins and ends in the bytes that it was read of."""

    first_byte: int
    mask: bytes
    begin: int
    end: int

    @property
    def opcode(self) -> int:
        return self.first_byte & 15

    @property
    def is_final(self) -> bool:
        return self.first_byte & 0x80 != 0

    def payload(self, data: bytes | bytearray) -> bytes:
        """The payload, unmasked. What has not come yet is missing at its end."""
        masked = bytes(data[self.begin : self.end])
        if not self.mask or not masked:
            return masked
        key = int.from_bytes((self.mask * (len(masked) // 4 + 1))[: len(masked)])
        return (int.from_bytes(masked) ^ key).to_bytes(len(masked))


def read_head(data: bytes | bytearray, at: int) -> Head | None:
    """The head of the frame that begins at `at`; None when it is not all there. Source: RFC 6455, 5.2."""
    if len(data) < at + 2:
        return None
    length, begin = data[at + 1] & 127, at + 2
    if length > 125:
        width = 2 if length == 126 else 8
        length = int.from_bytes(data[begin : begin + width])
        begin += width
    mask = bytes(data[begin : begin + 4]) if data[at + 1] & 128 else b""
    begin += len(mask) if data[at + 1] & 128 else 0
    return Head(data[at], mask, begin, begin + length) if len(data) >= begin else None


def frame(opcode: int, payload: bytes, mask: bytes = b"\x37\xfa\x21\x3d") -> bytes:
    """One whole frame of a client."""
    head = bytes((0x80 | opcode,))
    if len(payload) < 126:
        head += bytes((0x80 | len(payload),))
    else:
        head += bytes((0x80 | 126,)) + len(payload).to_bytes(2)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return head + mask + masked


class Duty(NamedTuple):
    """What a server owes: a pong for each of these, in order, then a close with one of these codes, if any."""

    pongs: list[bytes]
    codes: frozenset[int]
    why: str
    has_messages: bool


def duty(sent: bytes, message_bytes_max: int, judge: Callable[[int, bytes], int | None]) -> Duty:
    """What `sent` asks of a server. `judge` says with which number a message ends the connection, None for none."""
    reading = _Reading(message_bytes_max, judge)
    at = 0
    while (head := read_head(sent, at)) is not None:
        ending = reading.take(head, sent)
        if ending is not None:
            return Duty(reading.pongs, *ending, reading.has_messages)
        if head.end > len(sent):
            break
        at = head.end
    return Duty(reading.pongs, frozenset(), "nothing to close for", reading.has_messages)


_Ending = tuple[frozenset[int], str]


class _Reading:
    def __init__(self, message_bytes_max: int, judge: Callable[[int, bytes], int | None]) -> None:
        self.pongs: list[bytes] = []
        self.has_messages = False
        self._bytes_max = message_bytes_max
        self._judge = judge
        self._opcode = 0
        self._pieces: list[bytes] | None = None
        self._size = 0

    def take(self, head: Head, sent: bytes) -> _Ending | None:
        """Read one frame; whatever ends the connection is returned."""
        if fault := self._fault(head):
            return frozenset((PROTOCOL_ERROR,)), fault
        if head.opcode < CLOSE and self._size + head.end - head.begin > self._bytes_max:
            return frozenset((TOO_BIG,)), "too large"
        if head.end > len(sent):
            return None
        payload = head.payload(sent)
        if head.opcode == PING:
            self.pongs.append(payload)
        elif head.opcode == CLOSE:
            return _close(payload)
        elif head.opcode != PONG:
            return self._data(head, payload)
        return None

    def _fault(self, head: Head) -> str:
        if head.first_byte & 0x70:
            return "reserved bit"
        if head.opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            return "reserved opcode"
        if head.opcode >= CLOSE:
            return "control frame in fragments or too long" if not head.is_final or head.end - head.begin > 125 else ""
        if head.opcode == CONTINUATION:
            return "" if self._pieces is not None else "nothing to continue"
        return "" if self._pieces is None else "a message inside of a message"

    def _data(self, head: Head, payload: bytes) -> _Ending | None:
        self.has_messages = True
        if self._pieces is None:
            self._opcode, self._pieces, self._size = head.opcode, [], 0
        self._pieces.append(payload)
        self._size += len(payload)
        if not head.is_final:
            return None
        message, self._pieces, self._size = b"".join(self._pieces), None, 0
        if self._opcode == TEXT:
            try:
                message.decode()
            except UnicodeDecodeError:
                return frozenset((INVALID_PAYLOAD,)), "text that is no UTF-8"
        number = self._judge(self._opcode, message)
        return None if number is None else (frozenset((number,)), "a message that means nothing")


def _close(payload: bytes) -> _Ending:
    """What a close frame is answered with. Source: RFC 6455, 5.5.1 and 7.4."""
    if not payload:
        return frozenset((NORMAL,)), "a close"
    if len(payload) == 1:
        return frozenset((PROTOCOL_ERROR,)), "half of a close code"
    code = int.from_bytes(payload[:2])
    if code >= 5000:
        return frozenset((NORMAL, PROTOCOL_ERROR, code)), "a close code that the RFC says nothing of"
    if code not in (1000, 1001, 1002, 1003, *range(1007, 1015)) and code < 3000:
        return frozenset((PROTOCOL_ERROR,)), "a close code that may not travel"
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return frozenset((PROTOCOL_ERROR, INVALID_PAYLOAD)), "a close whose reason is no UTF-8"
    return frozenset((NORMAL, code)), "a close"
