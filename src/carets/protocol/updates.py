"""The Yjs V1 update format as far as a text needs it: bounded, canonical, pure.

Owns: the bytes of updates and state vectors, both ways. Does not know: what a document holds, or who sent them.

Invariants:
  1. A reader returns or raises `WireError`, for any bytes whatever, in linear time and without recursion.
  2. What reads is a canonical update of one text: strings, deletions and skips under the root `text`, and no more.
  3. Nothing is built in proportion to a number that a peer wrote, only to the bytes that it sent.

Source: yjs 13.6, src/utils/encoding.js, src/structs/Item.js, src/utils/DeleteSet.js; lib0 encoding.js (varuint).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from carets.errors import Code, WireError
from carets.limits import CLIENT_ID_MAX, CLOCK_MAX, STATE_VECTOR_ENTRIES_MAX
from carets.protocol.intervals import Range
from carets.protocol.repetition import Repetition
from carets.protocol.wire import encode_varuint

NONE = -1
"""In place of a client id: no such origin."""

Struct = tuple[int, int, int, int, int, int, int, int, list[int] | None]
"""One run of one client: `clock, units, origin, origin_clock, right, right_clock, text_at, end_at, highs`.

`origin` and `right` are client ids. `text_at` is where the string's bytes begin in the update, 0 for a run that is
deleted already; `end_at` is the byte after the struct. `highs` are the clocks of its high surrogates, ascending; None
where it has none. A plain tuple: one is made for every struct of every update.
"""

_DELETED, _STRING, _SKIP = 1, 4, 10
_KINDS = frozenset((_DELETED, _STRING, _SKIP))
_HAS_PARENT_SUB, _HAS_RIGHT, _HAS_ORIGIN = 0x20, 0x40, 0x80
_ROOT = b"\x01\x04text"
"""Parent info of an item without origins: by name, four bytes, the one root of a file."""

_HIGH = re.compile(b"[\xd8-\xdb]")
"""The upper byte of a high surrogate."""


class Block(NamedTuple):
    """The structs of one client in one update, in unbroken order of their clocks from `clock` to before `end`."""

    client: int
    clock: int
    end: int
    structs: list[Struct]
    structs_at: int


Deletions = list[tuple[int, list[Range]]]
"""A delete set: each client once, its ranges ascending and disjoint."""


def _malformed(detail: str) -> WireError:
    return WireError(Code.MALFORMED_UPDATE, detail)


def _illegal(detail: str) -> WireError:
    return WireError(Code.ILLEGAL_UPDATE, detail)


def _varuint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and the place after it; IndexError where the data ends inside.

    The twin of `wire.decode_varuint`, unrolled: an update is mostly numbers of up to three bytes, and ids of five.
    """
    value = data[at]
    if value < 0x80:
        return value, at + 1
    byte = data[at + 1]
    if byte < 0x80:
        if byte == 0:
            raise _malformed("a number is longer than it need be")
        return value & 0x7F | byte << 7, at + 2
    value = value & 0x7F | (byte & 0x7F) << 7
    at += 2
    shift = 14
    while True:
        byte = data[at]
        at += 1
        if byte < 0x80:
            break
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 49:
            raise _malformed("a number is above 53 bits")
    value |= byte << shift
    if byte == 0 or value > CLIENT_ID_MAX:
        raise _malformed("a number is longer than it need be, or above 53 bits")
    return value, at


def read_structs(data: bytes, structs_max: int = CLOCK_MAX) -> tuple[list[Block], int, bool]:
    """Read the structs of an update, if there are no more than so many.

    Returns:
        The blocks, the place where the delete set begins (see `read_deletions`), and whether there are skips in the
        blocks: holes in the clocks of one who waits for something itself.

    Raises:
        WireError: MALFORMED_UPDATE, ILLEGAL_UPDATE for what is no text of this file, or MESSAGE_TOO_LARGE.
    """
    try:
        count, at = _varuint(data, 0)
        if count > len(data) - at:
            raise _malformed("more blocks than bytes")
        blocks: list[Block] = []
        has_skips = False
        for _ in range(count):
            block, at, skips = _read_block(data, at, structs_max)
            structs_max -= len(block.structs)
            blocks.append(block)
            has_skips = has_skips or skips
    except IndexError:
        raise _malformed("the update ends inside its structs") from None
    if count > 1 and len({block.client for block in blocks}) != count:
        raise _malformed("a client has two blocks")
    return blocks, at, has_skips


def _read_block(data: bytes, at: int, structs_max: int) -> tuple[Block, int, bool]:
    """One block, the place after it, and whether it has skips. Numbers of one byte are read in place: most are."""
    count, at = _varuint(data, at)
    if count == 0 or count > len(data) - at:
        raise _malformed("a block without structs, or with more than bytes")
    if count > structs_max:
        raise WireError(Code.MESSAGE_TOO_LARGE, "more pieces of text than are read at once")
    client_at = at
    client, at = _varuint(data, at)
    own = data[client_at:at]
    begin, at = _varuint(data, at)
    clock = begin
    structs_at = at
    structs: list[Struct] = []
    has_skips = False
    for _ in range(count):
        info = data[at]
        at += 1
        kind = info & 0x1F
        if info & _HAS_PARENT_SUB or kind not in _KINDS or (kind == _SKIP and info != _SKIP):
            raise _illegal(f"a struct of kind {info & 0x3F}")
        origin = origin_clock = right = right_clock = NONE
        if info & _HAS_ORIGIN:
            if data.startswith(own, at):
                origin = client
                at += len(own)
            else:
                origin, at = _varuint(data, at)
            origin_clock, at = _varuint(data, at)
        if info & _HAS_RIGHT:
            if data.startswith(own, at):
                right = client
                at += len(own)
            else:
                right, at = _varuint(data, at)
            right_clock, at = _varuint(data, at)
        elif info < _HAS_RIGHT and kind != _SKIP:
            if not data.startswith(_ROOT, at):
                if _ROOT.startswith(data[at:]):
                    raise IndexError
                raise _illegal("another parent than the root text")
            at += len(_ROOT)
        units, at = _varuint(data, at)
        if units == 0:
            raise _malformed("an empty struct")
        text_at = 0
        highs = None
        if kind == _STRING:
            # Where this ends beyond the data, the next number does not exist: a delete set always follows.
            text_at = at
            at += units
            content = data[text_at:at]
            if not content.isascii():
                units, highs = _measure(content, clock)
        if kind == _SKIP:
            has_skips = True
        else:
            structs.append((clock, units, origin, origin_clock, right, right_clock, text_at, at, highs))
        clock += units
    if clock > CLOCK_MAX:
        raise _illegal("a clock above the limit")
    return Block(client, begin, clock, structs, structs_at), at, has_skips


Unit = tuple[int, int]
"""One UTF-16 unit of a document: client id and clock."""


def read_insertion(data: bytes, at: int) -> tuple[int, Unit | None, Unit | None] | None:
    """Read an update from its one struct on, if that is up to 127 characters of ASCII and nothing is deleted.

    `at` is behind the struct's clock. Returns how many units, and the units left and right of them, of which one at
    least is there; None for any other update, and for what is none.
    """
    left = right = None
    try:
        info = data[at]
        at += 1
        if info & ~(_HAS_ORIGIN | _HAS_RIGHT) != _STRING or info == _STRING:
            return None
        if info & _HAS_ORIGIN:
            origin, at = _varuint(data, at)
            clock, at = _varuint(data, at)
            left = origin, clock
        if info & _HAS_RIGHT:
            origin, at = _varuint(data, at)
            clock, at = _varuint(data, at)
            right = origin, clock
        units = data[at]
    except (IndexError, WireError):
        return None
    content = data[at + 1 : -1]
    if not 0 < units < 0x80 or len(content) != units or data[-1] or not content.isascii():
        return None
    return units, left, right


def _measure(content: bytes, clock: int) -> tuple[int, list[int] | None]:
    """The UTF-16 units of a string that is not ASCII, and the clocks of its high surrogates if it begins at `clock`."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _malformed("a string is no UTF-8") from None
    if max(text) <= "\uffff":
        return len(text), None
    upper = text.encode("utf-16-le")[1::2]
    return len(upper), [clock + high.start() for high in _HIGH.finditer(upper)]


class Told(NamedTuple):
    """What one delete set says of one client: `ranges_count` ranges, in the bytes from `begin` to `end`.

    `ranges` are those that are not repeated, ascending and disjoint; maybe none.
    """

    client: int
    ranges: list[Range]
    ranges_count: int
    begin: int
    end: int


def read_deletions(data: bytes, at: int) -> Deletions:
    """Read the delete set at `at`, which must be the last of the update.

    Raises: WireError MALFORMED_UPDATE.
    """
    return [(told.client, told.ranges) for told in read_told(data, at, {})]


def read_told(data: bytes, at: int, before: Mapping[int, Repetition]) -> list[Told]:
    """As `read_deletions`, less the ranges that stand alike in what was read `before` of their client.

    Raises: WireError MALFORMED_UPDATE.
    """
    try:
        count, at = _varuint(data, at)
        if count > len(data) - at:
            raise _malformed("more clients than bytes")
        found: list[Told] = []
        for _ in range(count):
            client, at = _varuint(data, at)
            ranges_count, begin = _varuint(data, at)
            if ranges_count == 0 or ranges_count > len(data) - begin:
                raise _malformed("no ranges, or more than bytes")
            ranges, at = _read_ranges(data, begin, ranges_count, before.get(client))
            found.append(Told(client, ranges, ranges_count, begin, at))
    except IndexError:
        raise _malformed("the update ends inside its delete set") from None
    if at != len(data):
        raise _malformed("something follows the update")
    if count > 1 and len({told.client for told in found}) != count:
        raise _malformed("a client is twice in the delete set")
    return found


def ranges_of(data: bytes, told: Told) -> list[Range]:
    """All ranges of what was told, repeated or not."""
    return (
        told.ranges
        if len(told.ranges) == told.ranges_count
        else _read_ranges(data, told.begin, told.ranges_count, None)[0]
    )


def _read_ranges(data: bytes, at: int, count: int, before: Repetition | None) -> tuple[list[Range], int]:
    """So many ranges, less those that are repeated, and the place after them."""
    ranges: list[Range] = []
    last = 0
    left = count
    while left:
        range_at = at
        start = data[at]
        at += 1
        if start >= 0x80:
            start, at = _varuint(data, at - 1)
        if before is not None and start >= last:
            again, after, end = before.again(data, range_at, start, left)
            if again:
                left -= again
                at, last = after, end
                continue
        end = data[at]
        at += 1
        if end >= 0x80:
            end, at = _varuint(data, at - 1)
        if start < last or end == 0:
            raise _malformed("ranges out of order, overlapping or empty")
        last = start + end
        ranges.append((start, last))
        left -= 1
    if last > CLOCK_MAX:
        raise _illegal("a deletion above the limit")
    return ranges, at


def encode_block(data: bytes, block: Block, first: int, known: int) -> bytes:
    """The block from clock `known` on, which lies in its struct `first`: as Yjs writes it to one who has the rest.

    A struct that loses its head gets the unit before as origin and keeps its right origin. `known` must not lie inside
    a character.
    """
    structs = block.structs
    struct = structs[first]
    clock, units, _, _, right, right_clock, text_at, end_at, _ = struct
    head = encode_varuint(len(structs) - first) + encode_varuint(block.client) + encode_varuint(known)
    if known == clock:
        return head + data[structs[first - 1][7] if first else block.structs_at : structs[-1][7]]
    info = _HAS_ORIGIN | (_STRING if text_at else _DELETED) | (_HAS_RIGHT if right != NONE else 0)
    head += bytes((info,)) + encode_varuint(block.client) + encode_varuint(known - 1)
    if right != NONE:
        head += encode_varuint(right) + encode_varuint(right_clock)
    if text_at:
        text = data[text_at:end_at].decode().encode("utf-16-le")[2 * (known - clock) :].decode("utf-16-le").encode()
        content = encode_varuint(len(text)) + text
    else:
        content = encode_varuint(clock + units - known)
    return head + content + data[end_at : structs[-1][7]]


def join_block(data: bytes, block: Block) -> bytes:
    """The block with every run of structs that were typed one behind the other written as one struct.

    That is what Yjs itself makes of them when it encodes a document; an update that was merged from single keystrokes
    holds a struct for each, and yrs joins these in time and memory that grow with the square of their number.
    """
    out: list[bytes] = []
    structs, begin, count, at = block.structs, block.structs_at, 0, 0
    while at < len(structs):
        last = at
        while last + 1 < len(structs) and _continues(block.client, structs[last], structs[last + 1]):
            last += 1
        _, units, _, _, _, _, text_at, end_at, _ = structs[at]
        if last == at:
            out.append(data[begin:end_at])
        elif text_at:
            content = b"".join(data[struct[6] : struct[7]] for struct in structs[at : last + 1])
            head_end = text_at - len(encode_varuint(end_at - text_at))
            out += (data[begin:head_end], encode_varuint(len(content)), content)
        else:
            head_end = end_at - len(encode_varuint(units))
            out += (data[begin:head_end], encode_varuint(structs[last][0] + structs[last][1] - structs[at][0]))
        count += 1
        begin = structs[last][7]
        at = last + 1
    return encode_varuint(count) + encode_varuint(block.client) + encode_varuint(block.clock) + b"".join(out)


def _continues(client: int, before: Struct, after: Struct) -> bool:
    """Whether one struct and the next are what Yjs would write as one."""
    return (
        (after[2], after[3]) == (client, after[0] - 1)
        and after[4:6] == before[4:6]
        and bool(after[6]) == bool(before[6])
    )


def join_structs(update: bytes) -> bytes:
    """A canonical update with its structs joined; the same object where none can be. Raises: WireError."""
    blocks, at, _ = read_structs(update)
    joined = encode_varuint(len(blocks)) + b"".join(join_block(update, block) for block in blocks) + update[at:]
    return joined if len(joined) < len(update) else update


def encode_update(blocks: list[bytes], deletions: Deletions) -> bytes:
    """An update of blocks from `encode_block` and a delete set."""
    out = [encode_varuint(len(blocks)), *blocks, encode_varuint(len(deletions))]
    for client, ranges in deletions:
        out += (encode_varuint(client), encode_varuint(len(ranges)))
        for start, end in ranges:
            out += (encode_varuint(start), encode_varuint(end - start))
    return b"".join(out)


def decode_state_vector(data: bytes, *, entries_max: int = STATE_VECTOR_ENTRIES_MAX) -> dict[int, int]:
    """The clocks that a peer says it has: next clock by client id.

    Raises: WireError MALFORMED_STATE_VECTOR.
    """
    clocks: dict[int, int] = {}
    try:
        count, at = _varuint(data, 0)
        if count > entries_max or 2 * count > len(data) - at:
            raise _malformed("more entries than bytes, or than are allowed")
        for _ in range(count):
            client, at = _varuint(data, at)
            clocks[client], at = _varuint(data, at)
    except (IndexError, WireError) as error:
        detail = error.detail if isinstance(error, WireError) else "it ends too early"
        raise WireError(Code.MALFORMED_STATE_VECTOR, detail) from None
    if at != len(data) or len(clocks) != count or max(clocks.values(), default=0) > CLOCK_MAX:
        raise WireError(Code.MALFORMED_STATE_VECTOR, "something follows, a client is twice in it, or a clock too large")
    return clocks


def encode_state_vector(clocks: Mapping[int, int]) -> bytes:
    """The bytes of a state vector, highest client id first, as Yjs writes it."""
    out = [encode_varuint(len(clocks))]
    for client, clock in sorted(clocks.items(), reverse=True):
        out += (encode_varuint(client), encode_varuint(clock))
    return b"".join(out)
