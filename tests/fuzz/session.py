"""One file that lives through thousands of updates: honest people and attackers, commits, failed commits, restarts.

Owns: the order of what happens, and what must be true after every commit. Does not know: processes, shrinking.

Invariants, looked at after each commit:
  1. The document reads, encodes and loads again, with the same text and clocks.
  2. Gate and document agree, and a gate made anew from the document is the same.
  3. No update takes more than a second of processor time; nothing but a verdict or an error of ours comes back.
  4. Honest people are never refused.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from carets.errors import CaretsError, Code, Refused, WireError
from carets.protocol.admission import Author, Gate
from carets.protocol.messages import FileRecord
from carets.rooms.document import Document, load
from carets.rooms.file import OpenFile
from carets.rooms.store import Checkpoint, FileLog
from tests.fuzz.hostile import KINDS_OF_UPDATE, Attacker
from tests.sessions import Replica, state_of

ROOT = Path(__file__).resolve().parent.parent.parent
UPDATE_S_MAX = 1.0

Op = tuple[str, str, str]
"""`("update", hex, person)`, `("declare", client id, person)`, and `commit`, `fall_back` and `restart` without more."""


class Failure(Exception):
    """Something that must never be."""


class Line:
    """One file on the server, as `Room` treats an `OpenFile`, and all that happened to it."""

    def __init__(self, units_max: int, note: Callable[[Op], None] = lambda _: None) -> None:
        self.units_max = units_max
        self._note = note
        self.file = self._open(FileLog(None, [], {}, frozenset()))
        self.queued: list[bytes] = []
        self.committed: list[bytes] = []
        self.authors: dict[str, Author] = {}
        self._cpu_s = time.thread_time()

    def _open(self, log: FileLog) -> OpenFile:
        states = [log.checkpoint.state] if log.checkpoint else []
        document, bad = load([*states, *log.updates])
        if bad:
            raise Failure("the log does not load whole")
        file = OpenFile(FileRecord(1, "a", "epoch"), document, log)
        file.gate._units_max = self.units_max
        return file

    @property
    def gate(self) -> Gate:
        return self.file.gate

    def author(self, person: str) -> Author:
        return self.authors.setdefault(person, Author(person))

    def receive(self, data: bytes, person: str) -> bytes | None:
        """What the gate says. Raises: CaretsError; Failure when it takes too long or says anything else."""
        self._note(("update", data.hex(), person))
        begin = time.perf_counter()
        try:
            admitted = self.gate.admit(data, self.author(person))
        except (WireError, Refused):
            raise
        except Exception as error:
            raise Failure(f"the gate raised {type(error).__name__}: {error}") from error
        finally:
            self._bound("the gate", begin, 1)
        if admitted:
            self.queued.append(admitted)
            self.file.admitted_seq += 1
        return admitted

    def declare(self, client_id: str, person: str) -> None:
        """Somebody connects and opens the file."""
        self._note(("declare", client_id, person))
        self.authors[person] = Author(person)
        self.gate.declare(int(client_id), self.author(person))

    def commit(self) -> list[bytes]:
        """What is durable now goes into the document; then all must be as it should."""
        self._note(("commit", "", ""))
        updates, self.queued = self.queued, []
        self.committed += updates
        begin = time.perf_counter()
        self.file.commit(updates, self.gate.take_claims())
        self._bound("the document", begin, max(1, len(updates)))
        self.check()
        self._cpu_s = time.thread_time()
        return updates

    def _bound(self, who: str, begin: float, updates: int) -> None:
        """Other processes may take the time of the clock, but not that of the processor since the last commit."""
        if time.perf_counter() - begin > UPDATE_S_MAX * updates < time.thread_time() - self._cpu_s:
            raise Failure(f"{who} took more than {updates} s for {updates} updates")

    def fall_back(self) -> None:
        """A commit failed: what was queued is gone."""
        self._note(("fall_back", "", ""))
        self.queued = []
        self.file.fall_back()
        self.gate._units_max = self.units_max
        self.check()

    def restart(self) -> None:
        """The room was left and opened again, from a checkpoint or from the whole log."""
        self._note(("restart", "", ""))
        owners, seq = dict(self.file.owners), self.file.seq
        before = state_of(self.gate), self.file.document.text()
        log = FileLog(None, list(self.committed), owners, frozenset())
        if seq % 2:
            log = FileLog(Checkpoint(seq, self.file.document.encode()), [], owners, frozenset())
        self.file = self._open(log)
        if (state_of(self.gate), self.file.document.text()) != before:
            raise Failure("a restart changed the file")

    def check(self) -> None:
        document, gate = self.file.document, self.gate
        state = document.encode()
        loaded = Document([state])
        loaded.encode()
        if loaded.text() != document.text():
            raise Failure("loaded from its state, the document has another text")
        if not loaded.clocks() == document.clocks() == gate.known_clocks():
            raise Failure("clocks differ between gate, document and what was loaded")
        if state_of(Gate.of(state, self.file.owners)) != state_of(gate):
            raise Failure("a gate made anew knows something else")


class Judge:
    """Real Yjs in a process of its own."""

    def __init__(self) -> None:
        node, script = ROOT / ".venv/bin/node", Path(__file__).with_name("judge.mjs")
        command = [str(node), str(script), str(ROOT / "web/node_modules")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._anew = True

    def begin(self) -> None:
        self._anew = True

    def ask(self, updates: Sequence[bytes], state: bytes | None = None) -> dict[str, Any]:
        """What Yjs sees after these updates; with `state`, also what it sees of a document loaded from it."""
        asked: dict[str, Any] = {"anew": self._anew, "updates": [base64.b64encode(each).decode() for each in updates]}
        if state is not None:
            asked["state"] = base64.b64encode(state).decode()
        self._anew = False
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def compare(self, document: Document, updates: Sequence[bytes], *, loaded: bool) -> int:
        """Yjs must see the same after these updates, and with `loaded` also from the state; how much was looked at."""
        answer = self.ask(updates, document.encode() if loaded else None)
        if "error" in answer:
            raise Failure(f"yjs cannot take it: {answer['error']}")
        wanted = {"text": document.text(), "clocks": sorted(map(list, document.clocks().items())), "pending": False}
        for how, seen in answer.items():
            if seen != wanted:
                raise Failure(f"yjs ({how}) sees something else")
        return len(answer)

    def close(self) -> None:
        self._process.communicate()


def replay(ops: Sequence[Op], units_max: int, judge: Judge | None = None) -> None:
    """Do again what a session did. Raises: Failure, or whatever the engine does."""
    line = Line(units_max)
    for what, data, person in [*ops, ("commit", "", "")]:
        if what == "update":
            try:
                line.receive(bytes.fromhex(data), person)
            except CaretsError as error:
                if error.code is Code.CLIENT_IDS_TOO_MANY:
                    line.authors.pop(person, None)
        elif what == "commit":
            updates = line.commit()
            if judge is not None:
                judge.compare(line.file.document, updates, loaded=True)
        elif what == "declare":
            line.declare(data, person)
        else:
            getattr(line, what)()


class Tally:
    """What a session counts, for the report."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self.worst: dict[str, float] = {}
        self.commits = self.restarts = self.fall_backs = 0
        self.judged = self.compared = 0

    def note(self, kind: str, verdict: str, took_s: float) -> None:
        row = self.counts.setdefault(kind, {})
        row[verdict] = row.get(verdict, 0) + 1
        if took_s > self.worst.get(kind, 0.0):
            self.worst[kind] = took_s


PEOPLE = ("person:ann", "person:bob")
ATTACKERS = ("person:eve", "person:mal")
_MAKERS = list(KINDS_OF_UPDATE)
_SUMS = [sum(list(KINDS_OF_UPDATE.values())[: at + 1]) for at in range(len(_MAKERS))]


class Session:
    """One seeded story of a file."""

    def __init__(
        self,
        seed: str,
        tally: Tally,
        *,
        judge: Judge | None = None,
        pulse: Callable[[int], None] = lambda _: None,
        note: Callable[[Op], None] = lambda _: None,
    ) -> None:
        self.chance = chance = random.Random(seed)
        self.tally = tally
        self.line = Line(chance.choice((60, 1_000, 4_000, 20_000)), note)
        self.steps = chance.choice((150, 600, 600, 3_000))
        ids = chance.sample(chance.choice((range(1, 9), range(100, 2**20), range(2**32), range(2**53))), 7)
        self.people = [Replica(person, ids.pop()) for person in PEOPLE]
        self.open()
        self.attackers = [Attacker(chance, [ids.pop() for _ in range(size)]) for size in (3, 2)]
        self.honest_share = chance.choice((0.05, 0.15, 0.4))
        self.judge = judge
        self._pulse = pulse

    def run(self) -> None:
        """Raises: Failure, DocumentFailed."""
        if self.judge is not None:
            self.judge.begin()
            self.tally.judged += 1
        batch = self.chance.choice((10, 40, 120))
        for step in range(self.steps):
            self._pulse(step)
            if self.chance.random() < self.honest_share:
                self.live()
            else:
                self.attack()
            if self.chance.random() < 1 / batch:
                self.end_batch()
        self.end_batch()

    def open(self) -> None:
        """People say who they are before anybody can see it, so that no attacker takes their ids first.

        After a failed commit a room does it for them: the first use of an id may be what was forgotten.
        """
        for replica in self.people:
            self.line.declare(str(replica.doc.client_id), replica.author.person)

    def attack(self) -> None:
        at = self.chance.randrange(2)
        attacker, person = self.attackers[at], ATTACKERS[at]
        make = self.chance.choices(_MAKERS, cum_weights=_SUMS)[0]
        data = make(attacker)
        begin = time.perf_counter()
        try:
            admitted = self.line.receive(data, person)
        except CaretsError as error:
            verdict = error.code.name
            if error.code is Code.CLIENT_IDS_TOO_MANY:
                self.line.authors.pop(person, None)
        else:
            verdict = "gap" if admitted is None else "no-op" if not admitted else "admitted"
            if admitted:
                attacker.taken()
                self.learn(admitted)
        self.tally.note(make.__name__, verdict, time.perf_counter() - begin)

    def learn(self, admitted: bytes) -> None:
        clocks = self.line.gate.known_clocks()
        for attacker in self.attackers:
            attacker.note(admitted)
            attacker.clocks = clocks

    def live(self) -> None:
        """Somebody types, and sends it at once or later, or comes back and sends too much."""
        replica = self.chance.choice(self.people)
        replica.edit(self.chance)
        what = self.chance.random()
        if what < 0.7:
            for data in replica.unsent:
                self.send(replica, data, "honest")
            replica.unsent.clear()
        elif what < 0.8:
            known = self.chance.choice(({}, self.line.file.document.clocks()))
            self.send(replica, replica.since(known), "honest step 2")
            replica.unsent.clear()

    def send(self, replica: Replica, data: bytes, kind: str) -> None:
        person = replica.author.person
        begin = time.perf_counter()
        try:
            admitted = self.line.receive(data, person)
            if admitted is None:
                data = replica.since(self.line.file.document.clocks())
                admitted = self.line.receive(data, person)
        except CaretsError as error:
            if error.code is not Code.DOCUMENT_TOO_LARGE:
                raise Failure(f"an honest person was refused: {error}, {data.hex()[:2000]}") from None
            self.tally.note(kind, error.code.name, time.perf_counter() - begin)
            return
        self.tally.note(kind, "no-op" if not admitted else "admitted", time.perf_counter() - begin)
        if admitted is None:
            raise Failure(f"an honest step 2 has a gap: {data.hex()[:2000]}")
        if admitted:
            self.learn(admitted)

    def end_batch(self) -> None:
        chance, line = self.chance, self.line
        what = chance.random()
        if what < 0.02:
            line.fall_back()
            self.tally.fall_backs += 1
            for attacker in self.attackers:
                attacker.forget(line.gate.known_clocks())
            self.open()
            return
        updates = line.commit()
        self.tally.commits += 1
        for replica in self.people:
            for data in updates:
                replica.learn(data)
        if self.judge is not None and updates:
            loaded = self.chance.random() < 0.2
            self.tally.compared += self.judge.compare(line.file.document, updates, loaded=loaded)
        if what > 0.98:
            line.restart()
            self.open()
            self.tally.restarts += 1
