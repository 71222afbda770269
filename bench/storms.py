"""Many who come at once: 500 join one large document within a second, 1,000 come back after a restart.

Owns: the documents, what each member has and lacks, what counts as done. Does not know: sockets (bench/crowd.py).

Join storm: nobody has anything; each gets the whole document, and its bytes are compared with those that the first one
got, which were read and found right. Reconnect storm: the document is automerge-paper; each member has it as it was
some hundred edits ago, no two alike, has typed a word since, and brings that with its whole delete set as its step 2.
It is over when each has the words of all. Figures: seconds from the first connection to that, CPU of the server, and
its peak of memory above what it had with the document loaded (the kernel's own mark, `VmHWM`).
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pycrdt import Doc, Text

from bench.crowd import Crowd, Guest, opening, storm
from bench.dialects import DIALECTS, Joined, join
from bench.line import binary
from bench.pump import BenchFailed
from bench.rows import Row
from bench.targets import SERVERS, Place, Running, Target, pin_generator
from carets.protocol.wire import cut_in_parts, decode_varuint, encode_step_2, encode_update, encode_varuint

TRACE = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "traces" / "automerge-paper.json.gz"
MB = 1_000_000


# -- what the server's process has


def forget_peak(pid: int) -> None:
    """Let the kernel's mark of the most memory begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid: int) -> int:
    """The most memory since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


# -- join storm


@functools.cache
def large_document(units: int) -> tuple[bytes, str]:
    """A text of so many characters that was imported and then edited in 2,000 places: its state, and the text."""
    chance = random.Random(units)
    line = "The quick brown fox jumps over the lazy dog, and does so once more at line {:08}.\n"
    lines = "".join(line.format(number) for number in range(units // len(line.format(0)) + 1))
    doc: Doc[Text] = Doc(client_id=7)
    text = doc.get("text", type=Text)
    text += lines[: units - 4_000]
    for _ in range(2_000):
        at = chance.randrange(units - 8_000)
        text.insert(at, "abcd")
        del text[at + 1 : at + 3]
    return doc.get_update(), str(text)


def bring(running: Running, place: Place, update: bytes) -> Joined:
    """A member that brings a document, and stays; the server has taken it."""
    [author] = join(running, place, [7])
    if running.dialect == "carets":
        for part in cut_in_parts(1, encode_update(update)):
            author.line.sendall(binary(part))
        author.until(lambda opcode, payload: opcode == 1 and payload == b'{"type":"saved","count":2}')
    else:
        head = DIALECTS[running.dialect].head(place)
        author.line.sendall(binary(head + encode_varuint(len(update)) + update))
        wait_for_text(running, place, text_of(update))
    return author


def text_of(update: bytes) -> str:
    """The text of a document from its whole state."""
    doc: Doc[Text] = Doc()
    text = doc.get("text", type=Text)
    doc.apply_update(update)
    return str(text)


def wait_for_text(running: Running, place: Place, text: str) -> None:
    """See that who comes now gets this text, or soon does: a peer does not tell when it has taken everything."""
    until_s = time.monotonic() + _WAIT_S
    while True:
        [reader] = join(running, place, [next(_readers)])
        reader.close()
        if text_of(reader.document) == text:
            return
        see(time.monotonic() < until_s, "it has another text")
        time.sleep(0.05)


_WAIT_S = 55.0
_readers = count(900_000)
"""Client ids of those who look at the text: each is somebody else's."""


def see(is_so: bool, complaint: str) -> None:
    """Raises: BenchFailed."""
    if not is_so:
        raise BenchFailed(complaint)


def see_no_refusal(opcode: int, payload: bytes) -> None:
    """Fail where the server does."""
    see(opcode != 8 and not payload.startswith(b'{"type":"refused"'), repr(payload))


class Newcomer:
    """What both watchers of a member have in common that has come for the document alone."""

    def take_other(self, opcode: int, payload: bytes) -> bytes:
        """Nothing else matters; a browser would answer the server's question, and bring nothing."""
        see_no_refusal(opcode, payload)
        return b""

    def takes_all(self) -> bool:
        """Never: each frame is looked at."""
        return False

    def take_bytes(self, view: memoryview) -> None:
        """Does not come."""


@dataclass
class Arrival(Newcomer):
    """Watches one member get the whole document: its bytes must be those that the first one got."""

    expected: bytes
    got: int = 0
    is_done: bool = False

    def take_document(self, piece: memoryview, *, is_last: bool) -> None:
        """Compare a piece."""
        see(self.expected.startswith(piece, self.got), "another document than the first one got")
        self.got += len(piece)
        if is_last:
            see(self.got == len(self.expected), "the document is shorter than the first one's")
            self.is_done = True


@dataclass
class Collected(Newcomer):
    """Watches the first member, and keeps what it gets."""

    message: bytearray = field(default_factory=bytearray)
    is_done: bool = False

    def take_document(self, piece: memoryview, *, is_last: bool) -> None:
        """Keep a piece."""
        self.message += piece
        self.is_done = self.is_done or is_last


def join_storm(target: Target, members: int, units: int) -> list[Row]:
    """`members` join a document of so many characters within a second."""
    state, text = large_document(units)
    with tempfile.TemporaryDirectory() as directory, target.start(Path(directory)) as running:
        place = running.room("storm")
        author = bring(running, place, state)
        rss = running.rss_bytes()
        first = Collected()
        crowd = Crowd()
        storm(crowd, lambda _: _joiner(running, place, members, first), 1, 0, lambda: first.is_done)
        expected = bytes(first.message)
        see(text_of(expected[decode_varuint(expected, 2)[1] :]) == text, "the first member did not get the text")
        crowd.close()
        time.sleep(0.5)  # until the first one's leaving is done with
        with _measured(running, f"{members:,} join {units / MB:.0f} MB", "join storm", rss) as measured:
            arrivals = [Arrival(expected) for _ in range(members)]
            left = list(arrivals)

            def is_done() -> bool:
                while left and left[-1].is_done:
                    left.pop()
                return not left

            storm(measured.crowd, lambda n: _joiner(running, place, n, arrivals[n]), members, 1.0, is_done)
        author.close()
    return measured.rows


GROWTH = (1, 2, 5, 10, 20)


def growth(target: Target) -> Iterator[Row]:
    """What 50 who join cost the server, by the size of the document."""
    for size in GROWTH:
        for row in join_storm(target, 50, size * MB):
            if row.figure == "server CPU":
                yield row._replace(workload="growth, size of the document", case=f"{size} MB")


def _joiner(running: Running, place: Place, number: int, watcher: Arrival | Collected) -> Guest:
    return Guest(running, place, number, opening(running, place, 1_000 + number, b"\0"), watcher)


@dataclass
class Measured:
    """A storm that is measured, and then its figures."""

    crowd: Crowd
    rows: list[Row] = field(default_factory=list)


@contextlib.contextmanager
def _measured(running: Running, case: str, workload: str, rss: int) -> Iterator[Measured]:
    measured = Measured(Crowd())
    forget_peak(running.pid)
    cpu_s, began_s = running.cpu_s(), time.perf_counter()
    yield measured
    wall_s = time.perf_counter() - began_s
    figures = (
        ("until the last is done", "s", wall_s),
        ("server CPU", "s", running.cpu_s() - cpu_s),
        ("memory above the document", "MB", (peak_bytes(running.pid) - rss) / MB),
        ("load of the generator", "%", 100 * measured.crowd.busy_s / wall_s),
    )
    measured.crowd.close()
    measured.rows += [Row(workload, case, running.name, *figure) for figure in figures]


# -- reconnect storm

WORD = re.compile(rb"<m(\d{4})>")
EDITS_APART = 10
"""Edits of the trace between one member's document and the next one's."""


@dataclass(frozen=True)
class Memory:
    """What one member has: the document as it was, with a word of its own."""

    state_vector: bytes
    step_2: bytes
    """The word, and the whole delete set."""
    state: bytes
    """The document; of some members only, for the check at the end."""


@functools.cache
def memories(count: int) -> tuple[bytes, list[Memory], str]:
    """The document of the trace, what each of so many members has of it, and its text without their words."""
    edits = json.loads(gzip.decompress(TRACE.read_bytes()))["txns"]
    doc: Doc[Text] = Doc(client_id=7)
    text = doc.get("text", type=Text)
    kept: list[Memory] = []
    first = len(edits) - count * EDITS_APART
    for number, edit in enumerate(edits):
        with doc.transaction():
            for at, deleted, inserted in edit["patches"]:
                if deleted:
                    del text[at : at + deleted]
                if inserted:
                    text.insert(at, inserted)
        if number >= first and (number - first) % EDITS_APART == 0:
            kept.append(_memory(doc, len(kept)))
    return doc.get_update(), kept, str(text)


def _memory(doc: Doc[Text], number: int) -> Memory:
    before = doc.get_state()
    own: Doc[Text] = Doc(client_id=100_000 + number)
    text = own.get("text", type=Text)
    own.apply_update(doc.get_update())
    text.insert(random.Random(number).randrange(len(text)), f"<m{number:04}>")
    return Memory(own.get_state(), own.get_update(before), own.get_update() if number % _CHECKED_EVERY == 0 else b"")


_CHECKED_EVERY = 40


class Return:
    """Watches one member come back: it brings its step 2 when it is asked, and waits for the words of all.

    Once it has its answer, what comes is only searched for words, and read after the storm: a million small frames
    would keep the generator busier than the server.
    """

    def __init__(self, running: Running, place: Place, memory: Memory, number: int, count: int) -> None:
        self.words = {number}
        self.updates: list[bytes] = []
        self.rest = bytearray()
        self.is_saved = running.dialect != "carets"
        self._is_answered = False
        self._count = count
        self._file = DIALECTS[running.dialect].head(place)[:-2]
        self._answer = binary(self._file + encode_step_2(memory.step_2))
        self._message = bytearray()

    @property
    def is_done(self) -> bool:
        """Whether it has all words, and knows that its own is safe, where that is told."""
        return self._is_answered and self.is_saved and len(self.words) == self._count

    def take_document(self, piece: memoryview, *, is_last: bool) -> None:
        """Take an update, or the answer."""
        self._message += piece
        if not is_last:
            return
        message, self._message = bytes(self._message), bytearray()
        self._is_answered = self._is_answered or message[1] == 1
        self.words.update(map(int, WORD.findall(message)))
        self.updates.append(message)

    def take_other(self, opcode: int, payload: bytes) -> bytes:
        """Answer the server's question, once."""
        see_no_refusal(opcode, payload)
        at = len(self._file)
        if opcode == 2 and payload.startswith(self._file) and payload[at] in {0, 4} and payload[at + 1] == 0:
            answer, self._answer = self._answer, b""
            return answer
        self.is_saved = self.is_saved or payload.startswith(_SAVED)
        return b""

    def takes_all(self) -> bool:
        """From when it has its answer and has given its own."""
        return self._is_answered and not self._answer

    def take_bytes(self, view: memoryview) -> None:
        """Search for words; one may have begun before."""
        at = max(0, len(self.rest) - _WORD_BYTES)
        self.rest += view
        self.words.update(map(int, WORD.findall(self.rest, at)))
        self.is_saved = self.is_saved or self.rest.find(_SAVED, at) >= 0


_SAVED = b'{"type":"saved","count":1'
_WORD_BYTES = len(_SAVED)


def reconnect_storm(target: Target, members: int) -> list[Row]:
    """`members` come back to the document of the trace; Carets has been started anew, and has it on disk only."""
    state, kept, before = memories(members)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(target.start(directory))
        place = running.room("storm")
        author = bring(running, place, state)
        rss = running.rss_bytes()
        if target.dialect == "carets":
            author.close()
            running.stop()
            running = stack.enter_context(target.start(directory, port=running.port))
        returns = [Return(running, place, memory, number, members) for number, memory in enumerate(kept)]
        with _measured(running, f"{members:,} on automerge-paper", "reconnect storm", rss) as measured:
            left = list(returns)

            def is_done() -> bool:
                while left and left[-1].is_done:
                    left.pop()
                return not left

            def comer(number: int) -> Guest:
                words = opening(running, place, 100_000 + number, kept[number].state_vector)
                return Guest(running, place, number, words, returns[number])

            storm(measured.crowd, comer, members, 0.5, is_done)
            guests = measured.crowd.guests
        _check(kept, guests, returns, before)
    return measured.rows


def _check(kept: list[Memory], guests: list[Guest], returns: list[Return], before: str) -> None:
    """See that members have the same text, and that it is the one before with all words."""
    texts = set()
    for memory, guest, came in zip(kept, guests, returns, strict=True):
        if memory.state:
            guest.read_again(came.rest)
            doc: Doc[Text] = Doc()
            text = doc.get("text", type=Text)
            doc.apply_update(memory.state)
            for message in came.updates:
                doc.apply_update(message[decode_varuint(message, 2)[1] :])
            texts.add(str(text))
    see(len(texts) == 1, "members have different texts")
    see(WORD.sub(b"", texts.pop().encode()).decode() == before, "the text is another one")


def main() -> None:
    """Print what storms cost at the servers that are named, or at Carets."""
    pin_generator()
    for target in SERVERS:
        if target.name in (sys.argv[1:] or ["carets"]):
            for measured in (
                join_storm(target, 500, 5 * MB),
                join_storm(target, 150, 20 * MB),
                reconnect_storm(target, 1_000),
            ):
                for row in measured:
                    print(f"{row.case:30} {row.target:20} {row.figure:30} {row.value:10.3f} {row.unit}", flush=True)


if __name__ == "__main__":
    main()
