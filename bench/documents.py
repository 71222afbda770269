"""Large documents with a long history, and a whole session of two people: what they take to open, to keep and to edit.

Owns: the documents and their edits, and what counts as done. Does not know: sockets (bench/crowd.py).

Cold open: automerge-paper is typed edit by edit, 259,778 times, into Carets, which is then started anew, so that the
file is on disk only; measured is one member, from its `open_file` to the end of its answer. The peers keep nothing and
have no such figure. Memory: what one more room with this document takes, as the mean of ten, each brought as one
update (the peers' best case) by a member who stays, and read whole by another. 1 MB in pieces: a text with 30,000
deletions is edited at random places, 32 edits ahead of its reader. Trace: friendsforever, both people at once, each
edit sent when its author has what it was typed upon; it is over when both have all.
"""

from __future__ import annotations

import functools
import gzip
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pycrdt import Doc, Text

from bench.crowd import Crowd, Guest, opening
from bench.dialects import DIALECTS
from bench.line import binary
from bench.rows import Row
from bench.storms import MB, TRACE, bring, see, see_no_refusal, text_of, wait_for_text
from bench.targets import CARETS, SERVERS, Place, Running, Target, pin_generator
from carets.protocol.updates import encode_update, read_structs
from carets.protocol.wire import decode_varuint, encode_step_2, encode_varuint
from tests.traces import read_trace

WORKLOAD = "big documents"
FRIENDS = TRACE.with_name("friendsforever.json.gz")
ROOMS = 10
WAIT_S = 55.0


def typed(transactions: list[dict[str, list[tuple[int, int, str]]]], client_id: int) -> tuple[list[bytes], Doc[Text]]:
    """The updates of one person's transactions, and the document that they make."""
    doc: Doc[Text] = Doc(client_id=client_id)
    text = doc.get("text", type=Text)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for each in transactions:
        with doc.transaction():
            for at, deleted, inserted in each["patches"]:
                if deleted:
                    del text[at : at + deleted]
                if inserted:
                    text.insert(at, inserted)
    doc.unobserve(subscription)
    return updates, doc


@functools.cache
def paper() -> tuple[list[bytes], bytes, str]:
    """automerge-paper: its updates, the state that they make, and the text."""
    transactions = json.loads(gzip.decompress(TRACE.read_bytes()))["txns"]
    updates, doc = typed(transactions, 7)
    return updates, doc.get_update(), str(doc["text"])


class Member:
    """Watches one member: what comes is given to `take`, and a question of the server's is answered with nothing."""

    def __init__(self, running: Running, place: Place, take: Callable[[bytes], None]) -> None:
        self.is_answered = False
        self.saved = 0
        self._take = take
        self._file = DIALECTS[running.dialect].head(place)[:-2]
        self._message = bytearray()

    def take_document(self, piece: memoryview, *, is_last: bool) -> None:
        """Take an update, or the answer."""
        self._message += piece
        if is_last:
            message, self._message = bytes(self._message), bytearray()
            self.is_answered = self.is_answered or message[1] == 1
            self._take(message[decode_varuint(message, 2)[1] :])

    def take_other(self, opcode: int, payload: bytes) -> bytes:
        """Note `saved`, and answer a question."""
        see_no_refusal(opcode, payload)
        if payload.startswith(b'{"type":"saved"'):
            self.saved = json.loads(payload)["count"]
        at = len(self._file)
        if opcode == 2 and payload.startswith(self._file) and payload[at] in {0, 4} and payload[at + 1] == 0:
            return binary(self._file + encode_step_2(b"\0\0"))
        return b""

    def takes_all(self) -> bool:
        """Never: each frame is looked at."""
        return False

    def take_bytes(self, view: memoryview) -> None:
        """Does not come."""


def come(running: Running, place: Place, crowd: Crowd, client_id: int, take: Callable[[bytes], None]) -> Guest:
    """A member that has had its first answer."""
    member = Member(running, place, take)
    guest = Guest(running, place, client_id, opening(running, place, client_id, b"\0"), member)
    crowd.come(guest)
    serve(crowd, lambda: member.is_answered)
    return guest


def serve(crowd: Crowd, is_done: Callable[[], bool]) -> None:
    """Read and write until it is done. Raises: TimeoutError."""
    until_s = time.monotonic() + WAIT_S
    while not is_done():
        crowd.serve(0.01)
        if time.monotonic() > until_s:
            raise TimeoutError(f"not done after {WAIT_S} s")


def edits(running: Running, place: Place, updates: list[bytes]) -> list[bytes]:
    """Updates as frames of this member."""
    head = DIALECTS[running.dialect].head(place)
    return [binary(head + encode_varuint(len(update)) + update) for update in updates]


# -- automerge-paper


OPENS = 3


def cold_open(target: Target) -> Iterator[Row]:
    """Type the document into Carets, start it anew, open the file, three times; and the size on disk."""
    updates, _, text = paper()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with target.start(directory) as running:
            place, port = running.room("paper"), running.port
            crowd = Crowd()
            author = come(running, place, crowd, 7, lambda _: None)
            member = author.watcher
            assert isinstance(member, Member)
            frames = edits(running, place, updates)
            began_s, ahead = time.perf_counter(), 2_000
            for at in range(0, len(frames), 500):
                author.write(b"".join(frames[at : at + 500]))
                serve(crowd, lambda at=at: member.saved > at - ahead)  # type: ignore[misc]
            serve(crowd, lambda: member.saved > len(frames))
            typed_s = time.perf_counter() - began_s
            crowd.close()
            running.stop()
        disk = sum(path.stat().st_size for path in (directory / "data").rglob("*") if path.is_file())
        times = []
        for _ in range(OPENS):
            with target.start(directory, port=port) as running:
                times.append(_open_once(running, place, text))
                running.kill()
    case = "automerge-paper"
    yield Row(WORKLOAD, case, target.name, "cold open", "ms", statistics.median(times) * 1e3)
    yield Row(WORKLOAD, case, target.name, "size on disk", "MB", disk / MB)
    yield Row(WORKLOAD, case, target.name, "typed in", "s", typed_s)


def _open_once(running: Running, place: Place, text: str) -> float:
    """Seconds from `open_file` to the whole answer; the welcome is not counted."""
    from_open = opening(running, place, 500_000, b"\0")
    hello_bytes = from_open.index(b'{"type": "open_file"') - 8
    got: list[bytes] = []
    member = Member(running, place, got.append)
    crowd = Crowd()
    hello = from_open[: hello_bytes + 2] if from_open[hello_bytes + 2 : hello_bytes + 3] == b"\x81" else b""
    assert hello, "the hello is one frame, and open_file the next"
    guest = Guest(running, place, 0, hello, member)
    crowd.come(guest)
    until_s = time.monotonic() + 0.3  # for the welcome
    while time.monotonic() < until_s:
        crowd.serve(0.01)
    began_s = time.perf_counter()
    guest.write(from_open[len(hello) :])
    serve(crowd, lambda: member.is_answered)
    took_s = time.perf_counter() - began_s
    crowd.close()
    see(text_of(got[0]) == text, "it has another text")
    return took_s


def memory(target: Target) -> Iterator[Row]:
    """What one more room with the document takes in the server."""
    _, state, text = paper()
    with tempfile.TemporaryDirectory() as folder, target.start(Path(folder)) as running:
        stay = []
        rss: list[int] = []
        for number in range(ROOMS + 1):
            place = running.room(f"paper-{number}")
            author = bring(running, place, state)
            wait_for_text(running, place, text)
            stay.append(author)
            time.sleep(0.1)
            rss.append(running.rss_bytes())
        for author in stay:
            author.close()
    yield Row(WORKLOAD, "automerge-paper", target.name, "memory", "MB", (rss[-1] - rss[0]) / ROOMS / MB)


# -- 1 MB in pieces

DELETIONS = 30_000
PIECES = 2_000
WINDOW = 32
WORD = re.compile(rb"<(\d{5})>")


@functools.cache
def pieces() -> tuple[bytes, list[bytes], str]:
    """The state of a text of 1 MB that was cut to pieces, the updates of edits at random places, and the text after."""
    chance = random.Random(1)
    whole: Doc[Text] = Doc(client_id=7)
    whole["text"] = Text("".join(chance.choices("abcdefghij \n", k=MB + DELETIONS)))
    units = sorted(chance.sample(range(0, MB + DELETIONS, 2), DELETIONS))
    gone = [(7, [(unit, unit + 1) for unit in units])]
    state = whole.get_update()[:-1] + encode_update([], gone)[1:]
    doc: Doc[Text] = Doc(client_id=8)
    text = doc.get("text", type=Text)
    doc.apply_update(state)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for number in range(PIECES):
        text.insert(chance.randrange(MB - 100), f"<{number:05}>")
    doc.unobserve(subscription)
    return state, updates, str(text)


def in_pieces(target: Target) -> Iterator[Row]:
    """One types at random places of it, and one reads."""
    state, updates, text = pieces()
    with tempfile.TemporaryDirectory() as folder, target.start(Path(folder)) as running:
        place = running.room("pieces")
        author = bring(running, place, state)
        wait_for_text(running, place, text_of(state))
        seen: set[bytes] = set()
        crowd = Crowd()
        come(running, place, crowd, 800_000, lambda update: seen.update(WORD.findall(update)))
        seen.clear()
        frames, sent = edits(running, place, updates), 0
        cpu_s, began_s = running.cpu_s(), time.perf_counter()
        while len(seen) < len(frames):
            until = min(len(frames), len(seen) + WINDOW)
            if until > sent:
                author.line.sendall(b"".join(frames[sent:until]))
                sent = until
            crowd.serve(0.005)
            see(time.perf_counter() - began_s < WAIT_S, f"{len(seen)} of {len(frames)} edits came")
        took_s, cpu_s = time.perf_counter() - began_s, running.cpu_s() - cpu_s
        wait_for_text(running, place, text)
        crowd.close()
        author.close()
    case = f"1 MB in {DELETIONS:,} pieces, window {WINDOW}"
    yield Row(WORKLOAD, case, target.name, "edits", "1/s", len(frames) / took_s)
    yield Row(WORKLOAD, case, target.name, "server CPU an edit", "us", cpu_s / len(frames) * 1e6)


# -- friendsforever

AHEAD = 500
"""Edits that a person is ahead of the other's knowledge of them, at most."""


class Turn:
    """One person's edits, and the clocks that say who has which of them."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.needs: list[int] = []
        """Of each edit, up to which clock of the other its author had the other's."""
        self.clocks: list[int] = []
        """After each edit, the author's own next clock."""


@functools.cache
def session() -> tuple[list[list[bytes]], list[Turn], str]:
    """The updates of both, what each was typed upon, and the text at the end."""
    trace = read_trace(FRIENDS)
    docs: list[Doc[Text]] = [Doc(client_id=_CLIENT + agent) for agent in range(2)]
    made: list[list[bytes]] = [[], []]
    turns = [Turn(), Turn()]
    known, at = [0, 0], [0, 0]
    is_local = False
    for agent, doc in enumerate(docs):
        doc.get("text", type=Text)
        doc.observe(lambda event, agent=agent: made[agent].append(event.update) if is_local else None)
    while any(at[agent] < len(trace.agents[agent]) for agent in range(2)):
        for agent, doc in enumerate(docs):
            other = 1 - agent
            while at[agent] < len(trace.agents[agent]):
                edit = trace.agents[agent][at[agent]]
                if edit.others_known > len(made[other]):
                    break
                for update in made[other][known[agent] : edit.others_known]:
                    doc.apply_update(update)
                known[agent] = max(known[agent], edit.others_known)
                is_local = True
                with doc.transaction():
                    text = doc["text"]
                    for position, deleted, inserted in edit.patches:
                        if deleted:
                            del text[position : position + deleted]
                        if inserted:
                            text.insert(position, inserted)
                is_local = False
                at[agent] += 1
                assert len(made[agent]) == at[agent], "each edit is one update"
                own, theirs = turns[agent], turns[other]
                own.needs.append(theirs.clocks[edit.others_known - 1] if edit.others_known else 0)
                ends = [block.end for block in read_structs(made[agent][-1])[0]]
                own.clocks.append(max([*ends, own.clocks[-1] if own.clocks else 0]))
    return made, turns, trace.end


_CLIENT = 40


def trace(target: Target) -> Iterator[Row]:
    """Both people type their session again, as fast as what they know of each other allows."""
    made, turns, text = session()
    with tempfile.TemporaryDirectory() as folder, target.start(Path(folder)) as running:
        place = running.room("friends")
        crowd = Crowd()
        has = [0, 0]
        """Of each person, up to which clock of the other it has the other's."""

        def taker(agent: int) -> Callable[[bytes], None]:
            def take(update: bytes) -> None:
                for block in read_structs(update)[0]:
                    if block.client == _CLIENT + 1 - agent:
                        has[agent] = max(has[agent], block.end)

            return take

        people = [come(running, place, crowd, _CLIENT + agent, taker(agent)) for agent in range(2)]
        frames = [edits(running, place, updates) for updates in made]
        sent = [0, 0]
        cpu_s, began_s = running.cpu_s(), time.perf_counter()
        while any(has[agent] < turns[1 - agent].clocks[-1] for agent in range(2)) or sent != [*map(len, frames)]:
            for agent, person in enumerate(people):
                turn, first = turns[agent], sent[agent]
                until = first
                while until < len(frames[agent]) and turn.needs[until] <= has[agent]:
                    if until >= AHEAD and turn.clocks[until - AHEAD] > has[1 - agent]:
                        break
                    until += 1
                if until > first:
                    person.write(b"".join(frames[agent][first:until]))
                    sent[agent] = until
            crowd.serve(0.005)
            see(time.perf_counter() - began_s < WAIT_S, f"{sent} of {[*map(len, frames)]} edits went, {has} came")
        took_s, cpu_s = time.perf_counter() - began_s, running.cpu_s() - cpu_s
        wait_for_text(running, place, text)
        crowd.close()
    yield Row("trace", "friendsforever, both at once", target.name, "until both have all", "s", took_s)
    yield Row("trace", "friendsforever, both at once", target.name, "server CPU", "s", cpu_s)


def main() -> None:
    """Print what documents cost at the servers that are named, or at Carets."""
    pin_generator()
    for target in SERVERS:
        if target.name in (sys.argv[1:] or ["carets"]):
            for measure in (in_pieces, trace, memory, *([cold_open] if target is CARETS else [])):
                for row in measure(target):
                    print(f"{row.case:34} {row.target:20} {row.figure:24} {row.value:10.3f} {row.unit}", flush=True)


if __name__ == "__main__":
    main()
