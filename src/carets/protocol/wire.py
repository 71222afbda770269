"""The binary frames: y-protocols messages behind a file id, whole or in parts.

Owns: their bytes, both ways. Does not know: JSON messages, what an update means, who sent it.
The twin of ``web/src/wire.ts``; both are tested against ``tests/vectors/wire.json``.

Invariants:
  1. A decoder returns a frame or raises `WireError`, for any bytes whatever, in time linear in their number.
  2. What an encoder writes, the decoder reads back.

Source: y-protocols 1.0.7 (sync, awareness, auth); docs/PROTOCOL.md, "Binary frames".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from carets import limits
from carets.errors import Code, WireError

SYNC, AWARENESS, AUTH, QUERY_AWARENESS = 0, 1, 2, 3
STEP_1, STEP_2, UPDATE = 0, 1, 2
PART = 100
"""Carets' own kind of message, far from what y-protocols may yet number."""

UPDATE_HEAD = bytes((SYNC, UPDATE))
"""What stands before the length of an edit."""

VARUINT_BYTES_MAX = 8
"""Eight bytes of seven bits hold 53 bits."""


class Step1(NamedTuple):
    """A question: what is there beyond this state vector?"""

    state_vector: bytes


class Step2(NamedTuple):
    """The answer to a step 1."""

    update: bytes


class Update(NamedTuple):
    """An edit as it happens."""

    update: bytes


class Awareness(NamedTuple):
    """Presence: an awareness update, still to be read by `decode_awareness`."""

    payload: bytes


class QueryAwareness(NamedTuple):
    """A stock client asks for everybody's presence."""


class Part(NamedTuple):
    """A piece of a message; `bytes_left` of it follow in later parts of the same file."""

    bytes_left: int
    chunk: bytes


Message = Step1 | Step2 | Update | Awareness | QueryAwareness | Part


class Presence(NamedTuple):
    """One entry of an awareness update; `state` is JSON text, ``null`` for gone."""

    id: int
    clock: int
    state: str


def encode_varuint(value: int) -> bytes:
    """lib0's variable-length unsigned integer: seven bits a byte, lowest first."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varuint(data: bytes, at: int) -> tuple[int, int]:
    """The integer at `at` and the place after it.

    Raises: WireError when it is cut off, longer than 53 bits or longer than it need be.
    """
    value = shift = 0
    for length in range(VARUINT_BYTES_MAX):
        if at >= len(data):
            raise WireError(Code.MALFORMED_MESSAGE, "the message ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and length:
                raise WireError(Code.MALFORMED_MESSAGE, "a number is longer than it need be")
            if value > limits.CLIENT_ID_MAX:
                break
            return value, at
        shift += 7
    raise WireError(Code.MALFORMED_MESSAGE, "a number is above 53 bits")


def _payload(data: bytes, at: int) -> bytes:
    """The length-prefixed bytes at `at`, which must be the last of the message."""
    length, at = decode_varuint(data, at)
    if at + length != len(data):
        raise WireError(Code.MALFORMED_MESSAGE, "the message is longer or shorter than it says")
    return data[at:]


def decode_message(data: bytes, at: int = 0) -> Message:
    """Read one y-protocols message, or a part of one, from `at` to the end.

    Raises: WireError.
    """
    kind, at = decode_varuint(data, at)
    if kind == SYNC:
        step, at = decode_varuint(data, at)
        if step == UPDATE:
            return Update(_payload(data, at))
        if step == STEP_2:
            return Step2(_payload(data, at))
        if step == STEP_1:
            return Step1(_payload(data, at))
        raise WireError(Code.MALFORMED_MESSAGE, f"sync has no step {step}")
    if kind == AWARENESS:
        return Awareness(_payload(data, at))
    if kind == QUERY_AWARENESS and at == len(data):
        return QueryAwareness()
    if kind == PART:
        bytes_left, at = decode_varuint(data, at)
        return Part(bytes_left, data[at:])
    raise WireError(Code.MALFORMED_MESSAGE, f"there is no message of kind {kind}")


def decode_frame(data: bytes) -> tuple[int, Message]:
    """Read one binary frame of ``carets.v1``: the file id and the message.

    Raises: WireError.
    """
    file_id, at = decode_varuint(data, 0)
    if not 1 <= file_id <= limits.FILE_ID_MAX:
        raise WireError(Code.MALFORMED_MESSAGE, "no file has this id")
    return file_id, decode_message(data, at)


def encode_step_1(state_vector: bytes) -> bytes:
    """A y-protocols sync step 1."""
    return b"\x00\x00" + encode_varuint(len(state_vector)) + state_vector


def encode_head(step: int, update_bytes: int) -> bytes:
    """What stands before an update of so many bytes in a y-protocols message: `STEP_2` or `UPDATE`."""
    return bytes((SYNC, step)) + encode_varuint(update_bytes)


def encode_step_2(update: bytes) -> bytes:
    """A y-protocols sync step 2."""
    return encode_head(STEP_2, len(update)) + update


def encode_update(update: bytes) -> bytes:
    """A y-protocols update."""
    return UPDATE_HEAD + encode_varuint(len(update)) + update


def encode_permission_denied(reason: str) -> bytes:
    """y-protocols' word for an edit that was not taken. Source: y-protocols, auth.js."""
    text = reason.encode()
    return b"\x02\x00" + encode_varuint(len(text)) + text


def encode_awareness(entries: Iterable[Presence]) -> bytes:
    """A y-protocols awareness message of these entries."""
    return join_awareness([encode_presence(entry.id, entry.clock, entry.state.encode()) for entry in entries])


def encode_presence(id_: int, clock: int, state: bytes) -> bytes:
    """One entry of an awareness message; `state` is JSON in UTF-8."""
    return encode_varuint(id_) + encode_varuint(clock) + encode_varuint(len(state)) + state


def join_awareness(entries: Sequence[bytes]) -> bytes:
    """A y-protocols awareness message of entries that `encode_presence` made."""
    payload = encode_varuint(len(entries)) + b"".join(entries)
    return b"\x01" + encode_varuint(len(payload)) + payload


def decode_awareness(payload: bytes, entries_max: int) -> list[Presence]:
    """Read the entries of an awareness message.

    Raises: WireError MALFORMED_PRESENCE when there are more than `entries_max`, or anything is cut off or left over.
    """
    try:
        count, at = decode_varuint(payload, 0)
        if count > entries_max:
            raise WireError(Code.MALFORMED_PRESENCE, f"more than {entries_max} entries")
        entries = []
        for _ in range(count):
            id_, at = decode_varuint(payload, at)
            clock, at = decode_varuint(payload, at)
            length, at = decode_varuint(payload, at)
            state = payload[at : at + length]
            if len(state) != length:
                raise WireError(Code.MALFORMED_PRESENCE, "an entry is cut off")
            at += length
            entries.append(Presence(id_, clock, state.decode()))
    except (WireError, UnicodeDecodeError) as error:
        raise WireError(Code.MALFORMED_PRESENCE, getattr(error, "detail", "not UTF-8")) from None
    if at != len(payload):
        raise WireError(Code.MALFORMED_PRESENCE, "bytes after the last entry")
    return entries


def encode_part_head(file_id: int, bytes_left: int) -> bytes:
    """What stands before a part in its frame; so many bytes of the message follow after the part."""
    return encode_varuint(file_id) + encode_varuint(PART) + encode_varuint(bytes_left)


def cut_in_parts(file_id: int, message: bytes) -> Iterator[bytes]:
    """The frames that carry `message` in parts of at most `PART_BYTES_MAX`, in order. The whole is never copied."""
    for at in range(0, len(message), limits.PART_BYTES_MAX):
        chunk = message[at : at + limits.PART_BYTES_MAX]
        yield encode_part_head(file_id, len(message) - at - len(chunk)) + chunk


def abandon_parts(file_id: int) -> bytes:
    """The frame that says that the rest of a message in parts will not come."""
    return encode_varuint(file_id) + encode_varuint(PART) + b"\x00"


class PartsInbox:
    """What one peer has sent of messages in parts.

    Invariant: at most `open_max` messages are begun, each of at most `bytes_max` bytes and a little. A server
    bounds what members may begin; it answers itself in as many files as a member has opened.
    """

    __slots__ = ("_begun", "_bytes_max", "_open_max", "held_bytes")

    def __init__(self, open_max: int = limits.PARTS_OPEN_MAX, bytes_max: int = limits.UPDATE_BYTES_MAX) -> None:
        self._open_max = open_max
        self._bytes_max = bytes_max
        self.held_bytes = 0
        """Of all messages that are begun."""
        self._begun: dict[int, tuple[bytearray, int]] = {}

    def take(self, file_id: int, part: Part) -> Message | None:
        """Add a part; the whole message when it was the last. An empty last part abandons what was begun.

        Raises: WireError when parts do not fit together, or are too many or too large.
        """
        held, expected_left = self._begun.pop(file_id, (bytearray(), -1))
        self.held_bytes -= len(held)
        if not part.chunk:
            if part.bytes_left:
                raise WireError(Code.MALFORMED_MESSAGE, "an empty part")
            return None
        if expected_left == -1:
            if len(self._begun) >= self._open_max:
                raise WireError(Code.MESSAGE_TOO_LARGE, "too many messages in parts at once")
            if len(part.chunk) + part.bytes_left > self._bytes_max + 16:
                raise WireError(Code.MESSAGE_TOO_LARGE, f"above {self._bytes_max} bytes")
        elif len(part.chunk) + part.bytes_left != expected_left:
            raise WireError(Code.MALFORMED_MESSAGE, "parts do not fit together")
        held += part.chunk
        if part.bytes_left:
            self._begun[file_id] = (held, part.bytes_left)
            self.held_bytes += len(held)
            return None
        message = decode_message(bytes(held))
        if isinstance(message, Part):
            raise WireError(Code.MALFORMED_MESSAGE, "a part inside a part")
        return message

    def is_open(self, file_id: int) -> bool:
        """Whether a message of this file is begun and not finished."""
        return file_id in self._begun

    def forget(self, file_id: int) -> None:
        """Drop what was begun for a file that is closed."""
        self.held_bytes -= len(self._begun.pop(file_id, (b"", 0))[0])
