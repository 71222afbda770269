"""How a message becomes bytes on a member's socket: ``carets.v1``, or the plain y-protocols of the stock door.

Owns: the head that RFC 6455 puts before a server's data frame, and the file id before a message.
Does not know: sockets, rooms. The frames of a broadcast are built once here and shared by all members of a dialect,
which no library's send offers; handshake, masking, fragments, pongs and close stay aiohttp's.

Source: RFC 6455, 5.2 (a server's frame is not masked); docs/decisions/0006-frames-built-once.md.
"""

from __future__ import annotations

from carets.protocol import wire

_TEXT, _BINARY = 0x81, 0x82
PING = b"\x89\x00"
"""A whole ping frame. Source: RFC 6455, 5.5.2."""


def _head(first_byte: int, length: int) -> bytes:
    if length < 126:
        return bytes((first_byte, length))
    if length < 1 << 16:
        return bytes((first_byte, 126)) + length.to_bytes(2, "big")
    return bytes((first_byte, 127)) + length.to_bytes(8, "big")


def _frame(first_byte: int, payload: bytes) -> bytes:
    return _head(first_byte, len(payload)) + payload


class Dialect:
    """`carets.v1`: every message names its file, JSON notices travel too, large messages go in parts."""

    name = "carets.v1"
    has_notices = True
    has_parts = True

    def message(self, file_id: int, message: bytes) -> bytes:
        """The socket bytes of one y-protocols message of a file."""
        return _frame(_BINARY, wire.encode_varuint(file_id) + message)

    def update_head(self, file_id: int) -> bytes:
        """What stands in an edit of a file before the length of its update, in a frame's payload."""
        return wire.encode_varuint(file_id) + wire.UPDATE_HEAD

    def part(self, *pieces: bytes | memoryview) -> bytes:
        """The socket bytes of one frame from `wire.cut_in_parts`, whole or in pieces: these are copied once."""
        return b"".join((_head(_BINARY, sum(map(len, pieces))), *pieces))

    def notice(self, text: bytes) -> bytes:
        """The socket bytes of one JSON notice."""
        return _frame(_TEXT, text)


class StockDialect(Dialect):
    """The stock door: one file a connection, nothing but y-protocols messages, whole."""

    name = "yjs"
    has_notices = False
    has_parts = False

    def message(self, file_id: int, message: bytes) -> bytes:  # noqa: ARG002 - the other dialect names the file
        """The socket bytes of one y-protocols message; the address has named the file already."""
        return _frame(_BINARY, message)

    def update_head(self, file_id: int) -> bytes:  # noqa: ARG002 - the other dialect names the file
        """What stands in an edit before the length of its update."""
        return wire.UPDATE_HEAD


CARETS = Dialect()
STOCK = StockDialect()
