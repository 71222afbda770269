"""Updates for the tests of the gate: made by hand, byte by byte, or by real documents in honest sessions.

Owns: a builder of raw Yjs V1 updates, and a model of a server with members who type, leave, come back and send twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from pycrdt import Doc, Text

from carets.protocol.admission import Author, Gate
from carets.protocol.updates import decode_state_vector, encode_state_vector
from carets.protocol.wire import encode_varuint as v

Id = tuple[int, int]
PIECES = ("a", "b\n", "xyz", "é", "漢字", "😀", "a😀b", "🏳️‍🌈", "\ufffd")


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def item(content: str | int, origin: Id | None = None, right: Id | None = None) -> bytes:
    """One struct: a string, or so many deleted units. Without origins it hangs under the root text."""
    info = (4 if isinstance(content, str) else 1) | (0x80 if origin else 0) | (0x40 if right else 0)
    out = bytes((info,))
    for id_ in (origin, right):
        if id_ is not None:
            out += v(id_[0]) + v(id_[1])
    if origin is None and right is None:
        out += b"\x01\x04text"
    if isinstance(content, int):
        return out + v(content)
    return out + v(len(content.encode())) + content.encode()


def skip(units: int) -> bytes:
    return b"\x0a" + v(units)


def block(client: int, clock: int, *structs: bytes) -> bytes:
    return v(len(structs)) + v(client) + v(clock) + b"".join(structs)


def deletions(ranges: Mapping[int, Sequence[tuple[int, int]]]) -> bytes:
    """A delete set of `(start, end)` ranges."""
    out = v(len(ranges))
    for client, pairs in ranges.items():
        out += v(client) + v(len(pairs)) + b"".join(v(start) + v(end - start) for start, end in pairs)
    return out


def update(*blocks: bytes, gone: Mapping[int, Sequence[tuple[int, int]]] | None = None) -> bytes:
    return v(len(blocks)) + b"".join(blocks) + deletions(gone or {})


def new_doc(client_id: int | None = None) -> Doc[Text]:
    doc: Doc[Text] = Doc() if client_id is None else Doc(client_id=client_id)
    doc["text"] = Text()
    return doc


def text_of(doc: Doc[Text]) -> str:
    return str(doc["text"])


class State(NamedTuple):
    """All that a gate knows of a document."""

    clocks: dict[int, int]
    deletions: dict[int, list[tuple[int, int]]]
    units: int


def state_of(gate: Gate) -> State:
    return State(gate.known_clocks(), gate.known_deletions(), gate.units)


class Replica:
    """One editor: a real document, the person at it, and the updates that it has not sent."""

    def __init__(self, person: str, client_id: int, state: bytes = b"\0\0") -> None:
        self.author = Author(person)
        self.doc = new_doc(client_id)
        self.doc.apply_update(state)
        self.unsent: list[bytes] = []
        self._is_local = False
        self._subscription = self.doc.observe(self._note)

    def _note(self, event: object) -> None:
        if self._is_local:
            self.unsent.append(event.update)  # type: ignore[attr-defined]

    def edit(self, chance: random.Random) -> None:
        """Type, delete or replace at a place between two characters, in one transaction."""
        text = self.doc["text"]
        characters = str(text)
        start = chance.choice((len(characters), chance.randint(0, len(characters))))
        end = min(len(characters), start + chance.choice((0, 0, 0, 1, 4)))
        first, last = (len(characters[:at].encode()) for at in (start, end))
        self._is_local = True
        with self.doc.transaction():
            if first < last:
                del text[first:last]
            if first == last or chance.random() < 0.3:
                piece = chance.choice(PIECES)
                text.insert(first, piece)
                if chance.random() < 0.1:
                    del text[first : first + len(piece.encode())]
        self._is_local = False

    def learn(self, update: bytes) -> None:
        self.doc.apply_update(update)

    def since(self, clocks: dict[int, int]) -> bytes:
        """Its step 2 for one who has these clocks."""
        return self.doc.get_update(encode_state_vector(clocks))


class Server:
    """A gate before a document, and every update that it was given. `fresh_authors` takes the fast path away."""

    def __init__(self, *, fresh_authors: bool = False) -> None:
        self.gate = Gate()
        self.doc = new_doc()
        self.received: list[tuple[bytes, str]] = []
        self._fresh_authors = fresh_authors

    def receive(self, update: bytes, author: Author) -> bytes | None:
        self.received.append((update, author.person))
        admitted = self.gate.admit(update, Author(author.person, 10**6) if self._fresh_authors else author)
        if admitted:
            self.doc.apply_update(admitted)
        return admitted

    @property
    def clocks(self) -> dict[int, int]:
        return decode_state_vector(self.doc.get_state())


def honest_session(seed: int, steps: int, look: Callable[[Server], None] | None = None) -> tuple[Server, list[Replica]]:
    """People with one or two tabs who type online and offline, reload, send twice, too early, and too much.

    Every update must be admitted, or be a gap that the next step 2 closes. Afterwards all are in sync.
    """
    chance = random.Random(seed)
    server = Server()
    ids = iter(chance.sample(range(2**32), 200))
    online: list[Replica] = []
    offline: list[Replica] = []
    stale: list[dict[int, int]] = [{}]

    def send(replica: Replica, updates: Iterable[bytes]) -> None:
        for sent in updates:
            admitted = server.receive(sent, replica.author)
            if admitted is None:
                admitted = server.receive(replica.since(server.clocks), replica.author)
                assert admitted is not None, "a step 2 has no gap"
            for other in online:
                if other is not replica and admitted:
                    other.learn(admitted)

    def come_back(replica: Replica) -> None:
        offline.remove(replica)
        known = chance.choice((server.clocks, server.clocks, chance.choice(stale)))
        replica.learn(server.doc.get_update(replica.doc.get_state()))
        send(replica, [replica.since(known)])
        replica.unsent.clear()
        online.append(replica)

    for _ in range(steps):
        replica = chance.choice(online + offline) if online or offline else None
        what = chance.random()
        if replica is None or (what < 0.05 and len(online) + len(offline) < 6):
            person = chance.choice(("person:ann", "person:bob", "link:c"))
            online.append(Replica(person, next(ids), server.doc.get_update()))
        elif what < 0.12:
            stale.append(server.clocks)
            if replica in offline:
                come_back(replica)
            else:
                online.remove(replica)
                offline.append(replica)
        elif what < 0.18 and replica in offline:
            # Two tabs of one browser talk to each other while there is no server.
            for other in offline:
                if other is not replica and other.author.person == replica.author.person:
                    other.learn(replica.since({}))
        elif what < 0.2 and replica in online:
            send(replica, [chance.choice([u for u, p in server.received if p == replica.author.person] or [b"\0\0"])])
        else:
            replica.edit(chance)
            if replica in online and (len(replica.unsent) > 2 or chance.random() < 0.8):
                if chance.random() < 0.05:
                    chance.shuffle(replica.unsent)
                send(replica, replica.unsent)
                replica.unsent.clear()
        if look is not None:
            look(server)
    while offline:
        come_back(offline[0])
    for replica in online:
        send(replica, replica.unsent)
        replica.unsent.clear()
    return server, online


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with a few bytes changed, taken out, put in or said twice."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(out) + 1)
        what = chance.randrange(4)
        if what == 0 and at < len(out):
            out[at] = chance.choice((0, 1, out[at] ^ 1 << chance.randrange(8), 0x7F, 0x80, 0xFF))
        elif what == 1:
            del out[at : at + chance.randint(1, 4)]
        elif what == 2:
            out[at:at] = bytes(chance.choices((0, 1, 4, 0x84, 0xC4, 0x80, 0xFF, 0x61), k=chance.randint(1, 3)))
        else:
            out[at:at] = out[at : at + chance.randint(1, 12)]
    return bytes(out)
