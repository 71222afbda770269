"""What a malicious client sends: every kind of update that the grammar allows, about a document that it knows.

Owns: the kinds by name, and how often each comes. Does not know: the gate, the engine, what becomes of an update.
A kind is a function from what the attacker knows to bytes; all chance is the seeded `Random` in it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from pycrdt import merge_updates

from carets.errors import WireError
from carets.protocol.updates import Block, read_deletions, read_structs
from carets.protocol.wire import encode_varuint as v
from tests import sessions
from tests.fuzz import grammar
from tests.fuzz.grammar import ANY, DELETED, FOREIGN_KINDS, GC, KINDS, SKIP, STRING, number, struct
from tests.sessions import PIECES, Id, block, item, skip, update, utf16

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "hostile_updates.json").read_text())
SEEDS = [b"".join(bytes.fromhex(piece) * times for piece, times in each["hex"]) for each in VECTORS]
SEEDS += [bytes.fromhex(h) for h in ("01010103840100016400", "01010101440100016200", "01010102440101016300")]
SEEN_MAX = 200


Gap = tuple[Id | None, Id | None]


class Attacker:
    """What somebody knows who has the file open: all clocks, the latest updates, and which ids are its own."""

    def __init__(self, chance: random.Random, ids: Sequence[int]) -> None:
        self.chance = chance
        self.ids = list(ids)
        self.clocks: dict[int, int] = {}
        self.seen: list[bytes] = [b"\0\0"]
        self.gaps: list[Gap] = [(None, None)]
        """Places between two units that were neighbours at some time."""
        self.offered: list[Gap] = []
        """Those that there will be if the update that was made last is taken."""

    def note(self, data: bytes) -> None:
        """Keep an update that the server took: only such ones come by."""
        if len(self.seen) < SEEN_MAX:
            self.seen.append(data)
        else:
            self.seen[self.chance.randrange(SEEN_MAX)] = data

    def taken(self) -> None:
        """The update that was made last was admitted."""
        for gap in self.offered:
            if len(self.gaps) < SEEN_MAX:
                self.gaps.append(gap)
            else:
                self.gaps[self.chance.randrange(SEEN_MAX)] = gap
        self.offered = []

    def forget(self, clocks: dict[int, int]) -> None:
        """A commit failed: only this is there."""
        self.clocks, self.gaps, self.offered = clocks, [(None, None)], []

    def any_seen(self) -> bytes:
        return self.chance.choice(self.seen)

    def client(self) -> int:
        """Mostly an id of its own."""
        what = self.chance.random()
        if what < 0.85 or not self.clocks:
            return self.chance.choice(self.ids)
        if what < 0.97:
            return self.chance.choice(list(self.clocks))
        return self.chance.choice((0, 1, 2**32 - 1, 2**53 - 1, self.chance.randrange(2**53)))

    def unit(self, own: int, clock: int) -> Id | None:
        """A unit that exists, anywhere; `own` has typed up to `clock`."""
        client = self.chance.choice([own, *self.clocks])
        end = clock if client == own else self.clocks[client]
        return (client, self.chance.randrange(end)) if end else None

    def next(self, client: int) -> int:
        return self.clocks.get(client, 0)


def units_of(content: str | int) -> int:
    return content if isinstance(content, int) else utf16(content)


def lawful(a: Attacker) -> bytes:
    """Legal struct by struct: everything exists and is in order, and no honest client would ever write it."""
    chance, blocks, ends = a.chance, [], dict(a.clocks)
    for client in chance.sample(a.ids, 1 if chance.random() < 0.7 else 2):
        begin = clock = a.next(client)
        structs = []
        for _ in range(chance.randint(1, 3)):
            content = chance.choice(PIECES) if chance.random() < 0.85 else chance.randint(1, 5)
            origin = a.unit(client, clock) if chance.random() < 0.8 else None
            right = a.unit(client, clock) if chance.random() < 0.6 else None
            structs.append(item(content, origin, right))
            clock += units_of(content)
        blocks.append(block(client, begin, *structs))
        ends[client] = clock
    return update(*blocks, gone=cuts(chance, ends) if chance.random() < 0.3 else None)


def neighbours(a: Attacker) -> bytes:
    """What an honest client might write, all of it at the same few places, knowing little or much of the others."""
    chance, client = a.chance, a.chance.choice(a.ids)
    begin = clock = a.next(client)
    structs, offered = [], []
    for _ in range(chance.choice((1, 1, 3))):
        left, right = chance.choice(a.gaps)
        content = chance.choice(("a", "bc", "def", "é", 1, 3))
        structs.append(item(content, left, right))
        end = clock + units_of(content)
        offered += [(left, (client, clock)), ((client, end - 1), right)]
        if end - clock > 1:
            offered.append(((client, clock), (client, clock + 1)))
        clock = end
    a.offered = offered
    return update(block(client, begin, *structs))


def cuts(chance: random.Random, ends: dict[int, int], *, ranges_max: int = 4) -> dict[int, list[tuple[int, int]]]:
    """Ordered deletions of what exists."""
    gone = {}
    for client in chance.sample(list(ends), min(len(ends), chance.randint(1, 2))):
        end = ends[client]
        if end:
            size = min(end + 1, 2 * chance.randint(1, ranges_max)) // 2 * 2
            places = sorted(chance.sample(range(end + 1), size))
            gone[client] = list(zip(places[::2], places[1::2], strict=True))
    return gone


def typing(a: Attacker) -> bytes:
    """A keystroke after one's own last unit, or something that begins like one."""
    client = a.ids[0]
    clock = a.next(client)
    if not clock:
        return update(block(client, 0, item("a")))
    data = update(block(client, clock, item(a.chance.choice(PIECES), (client, clock - 1))))
    return data if a.chance.random() < 0.8 else data[: -a.chance.randint(1, 3)] + a.chance.randbytes(2)


def forged(a: Attacker) -> bytes:
    """Origins that do not exist: in the future, in a circle, in oneself, of nobody."""
    chance, client = a.chance, a.client()
    clock = a.next(client)
    other = chance.choice(a.ids)
    there = a.next(other)
    places = [(client, clock), (client, clock + 1), (other, there), (other, there + 7), (2**40, 0), (other, 2**31)]
    origin, right = chance.choice([*places, None]), chance.choice([*places, None])
    if other != client and chance.random() < 0.4:
        # Two parts, each of which comes after the other.
        ring = block(other, there, item("cd", (client, clock + 1)))
        return update(block(client, clock, item("ab", (other, there))), ring)
    return update(block(client, clock, item("ab", origin, right)))


def clocks_off(a: Attacker) -> bytes:
    """Clocks that are off by one, overlap, or lie far ahead."""
    chance, client = a.chance, a.client()
    know = a.next(client)
    begin = max(0, know + chance.choice((-40, -7, -3, -2, -1, -1, 1, 2, 100)))
    if chance.random() < 0.15:
        begin = chance.choice(grammar.EDGES)
    content = chance.choice((*PIECES, "x" * 50, 1, 60))
    return update(block(client, begin, item(content, a.unit(client, know), a.unit(client, know)), item("y")))


def foreign_kind(a: Attacker) -> bytes:
    """Structs that are no text: garbage, embeds, formats, types, values, documents, moves."""
    chance, client = a.chance, a.client()
    clock = a.next(client)
    structs = []
    for at in range(chance.randint(1, 3)):
        kind = chance.choice(FOREIGN_KINDS) if at == 0 else chance.choice(KINDS)
        origin = a.unit(client, clock) if chance.random() < 0.5 else None
        body = grammar.content(kind, chance, chance.randint(1, 3))
        structs.append(struct(kind, body, origin, key=chance.choice((None, None, None, "k"))))
    chance.shuffle(structs)
    return update(block(client, clock, *structs))


def parent(a: Attacker) -> bytes:
    """Other roots, parents by id, keys of maps, types inside the text."""
    chance, client = a.chance, a.client()
    clock = a.next(client)
    if chance.random() < 0.4:
        return update(block(client, clock, *grammar.nested(chance, client, clock)))
    kind = chance.choice((STRING, STRING, DELETED, ANY, GC, SKIP))
    key = chance.choice((None, "k", "", "text"))
    place = grammar.any_parent(chance, client) if chance.random() < 0.7 or key is None else b"\x01\x04text"
    return update(block(client, clock, struct(kind, grammar.content(kind, chance), parent=place, key=key)))


def numbers(a: Attacker) -> bytes:
    """Any number of an update at an edge, beyond all bounds, or longer than it need be."""
    chance, client = a.chance, a.client()

    def n(usual: int) -> bytes:
        return number(chance, usual)

    body = chance.choice((b"\x04\x01\x04text" + n(1) + b"a", b"\x84" + n(client) + n(0) + n(1) + b"a", b"\x0a" + n(3)))
    head = n(1) + n(1) + n(client) + n(a.next(client)) + body
    return head + (n(0) if chance.random() < 0.5 else n(1) + n(client) + n(1) + n(0) + n(1))


def halves(a: Attacker) -> bytes:
    """Between the halves of a character: origins, deletions, the end of an overlap."""
    chance, client = a.chance, a.chance.choice(a.ids)
    clock = a.next(client)
    wide = item("😀😀" if chance.random() < 0.7 else "a😀", a.unit(client, clock))
    at = chance.randrange(4)
    match chance.randrange(5):
        case 0:
            return update(block(client, clock, wide, item("x", (client, clock + at))))
        case 1:
            return update(block(client, clock, wide, item("x", None, (client, clock + at))))
        case 2:
            return update(block(client, clock, wide), gone={client: [(clock + at, clock + at + chance.randint(1, 3))]})
        case 3:
            return update(block(client, max(0, clock - chance.randint(1, 3)), wide))
    lone = struct(STRING, grammar.var_text(chance.choice(("\ud83d", "a\ude00", "\ud83dx"))), a.unit(client, clock))
    return update(block(client, clock, lone))


def delete_lawful(a: Attacker) -> bytes:
    """Ordered deletions of what exists, known ones among them."""
    return update(gone=cuts(a.chance, a.clocks, ranges_max=12)) if a.clocks else b"\0\0"


def delete_wild(a: Attacker) -> bytes:
    """Deletions that overlap, descend, are empty or huge, are of nobody, or come twice."""
    chance = a.chance
    out = bytearray()
    count = chance.randint(1, 3)
    for _ in range(count):
        client = a.client()
        end = a.next(client)
        size = chance.randint(1, 4)
        out += number(chance, client) + number(chance, size)
        for _ in range(size):
            start = chance.randrange(end + 2)
            length = chance.choice((0, 1, 2, max(0, end - start), end + 1, 2**31))
            out += number(chance, start) + number(chance, length)
    return b"\0" + number(chance, count) + bytes(out)


def mutated(a: Attacker) -> bytes:
    """An honest update with a few bytes changed, taken out, put in or said twice."""
    return sessions.mutated(a.any_seen(), a.chance)


def truncated(a: Attacker) -> bytes:
    data = a.any_seen()
    return data[: a.chance.randrange(len(data) + 1)]


def extended(a: Attacker) -> bytes:
    """An update with something behind it, or two in one."""
    tail = a.chance.choice((b"\0", b"\0\0", b"\xff", a.chance.randbytes(3), a.any_seen()))
    return a.any_seen() + tail


def spliced(a: Attacker) -> bytes:
    """Structs of two honest updates, cut apart and put together again, with the deletions of either."""
    chance, blocks, gone = a.chance, [], b"\0"
    for data in (a.any_seen(), a.any_seen()):
        try:
            read, at, _ = read_structs(data)
            read_deletions(data, at)
        except WireError:
            continue
        blocks += [recut(chance, data, each) for each in read if chance.random() < 0.8]
        gone = data[at:]
    chance.shuffle(blocks)
    return v(len(blocks)) + b"".join(blocks) + gone


def recut(chance: random.Random, data: bytes, whole: Block) -> bytes:
    """A block with structs left out, doubled or exchanged."""
    begin, pieces = whole.structs_at, []
    for each in whole.structs:
        pieces.append(data[begin : each[7]])
        begin = each[7]
    what = chance.randrange(4)
    if what == 0:
        del pieces[chance.randrange(len(pieces))]
    elif what == 1:
        pieces.insert(0, chance.choice(pieces))
    elif what == 2:
        chance.shuffle(pieces)
    return block(whole.client, whole.clock, *pieces) if pieces else b""


def merged(a: Attacker) -> bytes:
    """What Yjs itself makes of some updates: merged in any order, with holes where something is missing."""
    return merge_updates(*(a.any_seen() for _ in range(a.chance.randint(2, 4))))


def skips(a: Attacker) -> bytes:
    chance, client = a.chance, a.client()
    clock = a.next(client)
    hole = skip(chance.choice((1, 2, max(1, clock), 2**31 - 1)))
    structs = chance.choice(([hole], [hole, item("a", a.unit(client, clock))], [item("a"), hole, item("b")]))
    return update(block(client, chance.choice((0, clock)), *structs))


def many_clients(a: Attacker) -> bytes:
    """Blocks of many clients, which wait for each other in a chain, in a ring, or for nobody."""
    chance, count = a.chance, a.chance.choice((3, 7, 9, 60))
    first = chance.choice((2**20, chance.randrange(2**32)))
    chain = chance.random() < 0.6
    blocks = [block(first + at, 0, item("z", (first + at + 1, 0) if chain else None)) for at in range(count)]
    last = item("z", (first, 0)) if chance.random() < 0.2 else item("z")
    return update(*blocks, block(first + count, 0, last))


def long_run(a: Attacker) -> bytes:
    """Long strings, long deleted runs, many structs: at the limits and beyond."""
    chance, client = a.chance, a.chance.choice(a.ids)
    clock = a.next(client)
    at = a.unit(client, clock)
    match chance.randrange(5):
        case 0:
            text = chance.choice(("x", "é", "😀")) * chance.choice((130, 800, 3000))
            return update(block(client, clock, item(text, at)))
        case 1:
            return update(block(client, clock, item(chance.choice((2**31 - 1 - clock, 2**31 - clock, 2**20, 500)), at)))
        case 2:
            keys = [item("k", (client, clock + each - 1) if clock + each else None) for each in range(100)]
            return update(block(client, clock, *keys))
        case 3:
            ranges = [(2 * each, 2 * each + 1) for each in range(300)]
            return update(gone={client: [pair for pair in ranges if pair[1] <= clock] or [(0, 1)]})
    return update(block(client, clock, *(item(1, at) for _ in range(70))))


def seed(a: Attacker) -> bytes:
    """Bytes that once harmed an engine, whole or with something changed."""
    chance = a.chance
    data = chance.choice(SEEDS)
    if len(data) > 1000 and chance.random() < 0.99:
        data = data[:400]
    if chance.random() < 0.5:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]


def deep(a: Attacker) -> bytes:
    return grammar.deep(a.chance)


def garbage(a: Attacker) -> bytes:
    return a.chance.choice((b"", b"\x01\x01", b"\0", b"\x01\x01\x01\0\x04\x01\x04text")) + a.chance.randbytes(
        a.chance.randrange(40)
    )


def duplicate(a: Attacker) -> bytes:
    return a.any_seen()


KINDS_OF_UPDATE: dict[Callable[[Attacker], bytes], int] = {
    lawful: 100,
    neighbours: 200,
    typing: 50,
    forged: 70,
    clocks_off: 70,
    foreign_kind: 80,
    parent: 60,
    numbers: 70,
    halves: 60,
    delete_lawful: 40,
    delete_wild: 60,
    mutated: 120,
    truncated: 30,
    extended: 20,
    spliced: 80,
    merged: 30,
    skips: 20,
    many_clients: 5,
    long_run: 10,
    seed: 15,
    deep: 5,
    garbage: 30,
    duplicate: 30,
}
"""How often each comes, of their sum."""
