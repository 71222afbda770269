"""The whole grammar of Yjs V1 updates, far beyond what a text needs: what a hostile client may write.

Owns: the bytes of structs of every kind, of parents and of values. Does not know: what the gate takes, or a document.
Everything is drawn from one seeded `Random`.

Source: yjs 13.6, src/structs/*.js, src/utils/encoding.js; lib0 encoding.js (`writeAny`); yrs 0.28 (moves, weak links).
"""

from __future__ import annotations

import random

from carets.protocol.wire import encode_varuint as v
from tests.sessions import Id

GC, DELETED, JSON, BINARY, STRING, EMBED, FORMAT, TYPE, ANY, DOC, SKIP, MOVE = range(12)
KINDS = tuple(range(12))
FOREIGN_KINDS = (GC, JSON, BINARY, EMBED, FORMAT, TYPE, ANY, DOC, MOVE, *range(12, 32))
EDGES = (0, 1, 2, 127, 128, 129, 255, 16_383, 16_384, 2**21, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1)
BEYOND = (2**53, 2**56 - 1, 2**63, 2**64 - 1, 2**64)


def var_text(text: str) -> bytes:
    content = text.encode(errors="surrogatepass")
    return v(len(content)) + content


def overlong(value: int) -> bytes:
    """A number with more bytes than it needs."""
    out = bytearray(v(value))
    out[-1] |= 0x80
    return bytes(out) + b"\x80" * (value % 3) + b"\0"


def number(chance: random.Random, usual: int) -> bytes:
    """Nearly always the usual number; else one at an edge, one beyond all bounds, or one in another form."""
    what = chance.random()
    if what < 0.9:
        return v(usual)
    if what < 0.95:
        return v(chance.choice(EDGES))
    return v(chance.choice(BEYOND)) if what < 0.97 else overlong(usual)


def any_value(chance: random.Random, depth: int = 3) -> bytes:
    """One value of lib0's `Any`."""
    kind = chance.choice((127, 126, 125, 124, 123, 122, 121, 120, 119, 118, 117, 116, chance.randrange(256)))
    match kind:
        case 125:
            return b"\x7d" + v(chance.choice(EDGES))
        case 124:
            return b"\x7c" + chance.randbytes(4)
        case 123 | 122:
            return bytes((kind,)) + chance.randbytes(8)
        case 119:
            return b"\x77" + var_text(chance.choice(("", "a", "😀")))
        case 118 | 117 if depth > 0:
            count = chance.randrange(3)
            keys = [var_text("k") if kind == 118 else b"" for _ in range(count)]
            return bytes((kind,)) + v(count) + b"".join(key + any_value(chance, depth - 1) for key in keys)
        case 116:
            return b"\x74" + v(2) + chance.randbytes(2)
    return bytes((kind,))


def content(kind: int, chance: random.Random, units: int = 1) -> bytes:
    """What follows the parent in a struct of this kind, more or less as Yjs writes it."""
    match kind:
        case 0 | 1 | 10:
            return number(chance, units)
        case 2:
            values = [var_text(chance.choice(("1", "undefined", '{"a":1}', "{"))) for _ in range(units)]
            return v(units) + b"".join(values)
        case 3:
            return v(3) + chance.randbytes(3)
        case 4:
            return var_text(chance.choice(("a", "bc", "é", "😀", "", "\ud83d", "\0", "\u202e", "x" * 200)))
        case 5:
            return var_text(chance.choice(("{}", "null", "[" * 20, "1e999")))
        case 6:
            return var_text("bold") + var_text(chance.choice(("true", "null", "{")))
        case 7:
            kind_of_type = chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 9, 15, 200))
            return v(kind_of_type) + (var_text("p") if kind_of_type in (3, 5) else b"")
        case 8:
            return v(units) + b"".join(any_value(chance) for _ in range(units))
        case 9:
            return var_text("guid") + any_value(chance)
        case 11:
            return v(chance.randrange(8)) + v(chance.randrange(4)) + v(chance.randrange(9)) + v(0)
    return chance.randbytes(chance.randrange(4))


def struct(
    kind: int,
    body: bytes,
    origin: Id | None = None,
    right: Id | None = None,
    *,
    parent: bytes = b"\x01\x04text",
    key: str | None = None,
) -> bytes:
    """One struct of any kind. `parent` is written where Yjs would: without origins, and never for GC and Skip."""
    if kind in (GC, SKIP) and origin is None and right is None and key is None:
        return bytes((kind,)) + body
    info = kind | (0x80 if origin else 0) | (0x40 if right else 0) | (0x20 if key is not None else 0)
    out = bytes((info,))
    for id_ in (origin, right):
        if id_ is not None:
            out += v(id_[0]) + v(id_[1])
    if origin is None and right is None:
        out += parent + (var_text(key) if key is not None else b"")
    return out + body


def any_parent(chance: random.Random, client: int) -> bytes:
    """A parent that is not the root text: by another name, by the id of an item, or by neither."""
    name = chance.choice(("", "tex", "text2", "Text", "te\u0301xt", "content", "x" * 200))
    by_id = b"\0" + v(client) + v(chance.choice((0, 0, 1, 5, 2**31)))
    return chance.choice((b"\x01" + var_text(name), by_id, by_id, b"\x02\x04text", b"\x01\x84\0text"))


def nested(chance: random.Random, client: int, clock: int) -> list[bytes]:
    """A type inside the text, and structs that hang under it or under each other."""
    out = [struct(TYPE, content(TYPE, chance))]
    for at in range(chance.randint(1, 4)):
        parent = b"\0" + v(client) + v(clock + chance.randint(0, at))
        kind = chance.choice((TYPE, STRING, ANY, FORMAT))
        out.append(struct(kind, content(kind, chance), parent=parent, key=chance.choice((None, "k", ""))))
    return out


def deep(chance: random.Random) -> bytes:
    """Values in values: an engine that recurses has no stack for them."""
    depth = chance.choice((10, 1_000, 20_000))
    opening = chance.choice((b"\x75\x01", b"\x76\x01\x01a"))
    return b"\x01\x01\x07\0\x08\x01\x04text\x01" + opening * depth + b"\x7f\0"
