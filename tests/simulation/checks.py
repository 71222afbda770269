"""What must always be so, held against what the store really kept.

Owns: a copy of every log as it became durable, the fate of every typed character, the trace.
Does not know: how members or rooms arrive at what they say.

A broken one of `INVARIANTS` is noted in the moment it is seen; `Witness.raise_if_broken` ends the run.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
from pycrdt import Doc, Text

from carets import limits
from carets.errors import Code
from carets.protocol.admission import Gate
from carets.protocol.messages import FileRecord
from carets.protocol.updates import decode_state_vector
from carets.rooms.lobby import Lobby
from carets.rooms.room import Room
from carets.rooms.store import Batch, ChatEntry
from tests.simulation.store import MemoryStore

INVARIANTS = {
    1: "nobody sees an edit, or a file, that the store has not kept (P2)",
    2: "`saved` counts only frames whose content the store has kept, and never goes back (P1)",
    3: "members that are connected and synced agree with the document and the log, before anyone rejoins (P4)",
    4: "gate and document agree when nothing is queued; the gate is never behind",
    5: "what was typed is there exactly once in the end (P3)",
    6: "what a viewer types reaches nobody (P5)",
    7: "what waits for a slow reader is bounded (P6)",
    8: "all have the same list of files, and no two live files share a path",
    9: "the same seed gives the same trace",
    10: "a room leaves memory only when it is empty and clean, and does so",
    11: "honest members are refused nothing and closed only to try again; the server makes no mistake (P5)",
    12: "all that was sent is saved once the store works, and all that was asked is answered",
    13: "everybody sees the carets that are there, and no others",
    14: "a deleted file takes no edits",
    15: "the chat is one list for all: nobody hears what is not kept, what was answered is kept, and kept once",
}

TRY_AGAIN = frozenset((1000, 1006, Code.UNAVAILABLE, Code.DRAINING, Code.SILENT))
"""What may end an honest member's connection; the last one that which its page has given up."""


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, number: int, detail: str) -> None:
        super().__init__(number, detail)
        self.number = number
        self.detail = detail

    def __str__(self) -> str:
        return f"invariant {self.number} broken: {INVARIANTS[self.number]}\n  {self.detail}"


@dataclass(slots=True, eq=False)
class Mark:
    """One character that occurs once in the world, and so tells what became of one edit."""

    letter: str
    file_id: int
    is_touched: bool = False
    """Somebody deleted it."""
    is_saved: bool = False
    is_excused: bool = False
    """Its author was told that it cannot be taken."""
    is_forbidden: bool = False
    """Its author may not write."""
    is_copied: bool = False
    """A hostile member wrote it once more."""


class _Kept:
    """One file as the store has kept it."""

    def __init__(self) -> None:
        self.gate = Gate(units_max=limits.CLOCK_MAX)
        self.doc: Doc[Text] = Doc(client_id=0)
        self.text: Text = self.doc.get("text", type=Text)
        self.count = 0


class Witness:
    """Sees every durable commit and every arrival."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self.marks: dict[str, Mark] = {}
        self.broken: list[Violation] = []
        self.hostile_persons: set[str] = set()
        self.verbose = False
        self.mistakes = 0
        """How often a room was told that the server made a mistake."""
        self._kept: dict[int, _Kept] = {}
        self._records: set[FileRecord] = set()
        self._deleted: set[int] = set()
        self._chat: list[ChatEntry] = []
        self._trace = hashlib.sha256()
        self._client_ids: set[int] = {0}
        self.events = 0

    # -- the trace

    def note(self, who: str, what: str, payload: bytes = b"") -> None:
        """Something happened."""
        line = f"{self.now_s():.6f} {who} {what}"
        self._trace.update(line.encode() + payload)
        self.events += 1
        if self.verbose:
            print(line, payload[:40].hex())

    @property
    def trace(self) -> str:
        """A digest of all that happened, in order."""
        return self._trace.hexdigest()

    def fail(self, number: int, detail: str) -> None:
        """Note a broken invariant."""
        self.broken.append(Violation(number, f"at {self.now_s():.3f} s: {detail}"))

    def require(self, is_so: object, number: int, detail: str) -> None:
        """Note a broken invariant unless it is so."""
        if not is_so:
            self.fail(number, detail)

    def check_close(self, name: str, code: int) -> None:
        """Invariant 11, when an honest member was closed."""
        may_be = code in TRY_AGAIN or (code == Code.INTERNAL and self.mistakes)
        self.require(may_be, 11, f"{name} was closed with {code}")

    def raise_if_broken(self) -> None:
        """Raises: Violation, the first."""
        if self.broken:
            raise self.broken[0]

    # -- typing

    def new_client_id(self, chance: Random) -> int:
        """A Yjs client id that nobody has: the room refuses a second owner, as it must."""
        while (client_id := chance.randrange(2 ** chance.choice((20, 32, 53)))) in self._client_ids:
            pass
        self._client_ids.add(client_id)
        return client_id

    def new_mark(self, file_id: int) -> Mark:
        """A character of one or two UTF-16 units that nobody has typed yet."""
        number = len(self.marks)
        letter = chr((0x20000 if number % 3 == 0 else 0x4E00) + number)
        mark = self.marks[letter] = Mark(letter, file_id)
        return mark

    def touched(self, letters: Iterable[str]) -> None:
        """These were deleted by somebody."""
        for letter in letters:
            if mark := self.marks.get(letter):
                mark.is_touched = True

    # -- what is durable

    def keep(self, batch: Batch) -> None:
        """A batch has just become durable."""
        changed = {file.file_id for file in batch.files}
        for append in batch.appends:
            is_deleted = append.file_id in self._deleted and append.file_id not in changed
            self.require(not is_deleted, 14, f"file {append.file_id} took update {append.seq}")
            kept = self._kept.setdefault(append.file_id, _Kept())
            for entry in append.entries:
                is_hostile = entry.author in self.hostile_persons
                before = Counter(str(kept.text)) if is_hostile else Counter()
                try:
                    kept.gate.replay(entry.update)
                except AssertionError:
                    self.fail(4, f"the log of file {append.file_id} has a gap before update {kept.count + 1}")
                kept.doc.apply_update(entry.update)
                kept.count += 1
                if is_hostile:
                    self._harmed(before, Counter(str(kept.text)))
            self.note("store", f"kept {append.file_id} {append.seq}", b"".join(e.update for e in append.entries))
        for said in batch.chat:
            self._chat.append(said)
            self.require(said.chat_id == len(self._chat), 15, f"{said} is number {len(self._chat)}")
            self.note("store", f"kept chat {said.chat_id}", said.text.encode())
        for file in batch.files:
            self._records.add(file)
            if file.deleted_at_ms is None:
                self._deleted.discard(file.file_id)
            else:
                self._deleted.add(file.file_id)

    def _harmed(self, before: Counter[str], after: Counter[str]) -> None:
        """A hostile member's edit was legal: it may take away what is there, and write what others wrote."""
        self.touched((before - after).keys())
        for letter in (after - before).keys() & self.marks.keys():
            self.marks[letter].is_copied = True

    def has(self, file_id: int, update: bytes) -> bool:
        """Whether everything in an update is durable."""
        kept = self._kept.get(file_id) or _Kept()
        return not kept.gate.has_news(update)

    def check_chat(self, name: str, told: dict[str, Any]) -> None:
        """Invariant 15, when an entry of the chat is told to somebody."""
        number = told["chat_id"]
        is_kept = 1 <= number <= len(self._chat) and msgspec.to_builtins(self._chat[number - 1].record) == told
        self.require(is_kept, 15, f"{name} hears {told}, which is not kept")

    def check_quiet_chat(self, kept: list[ChatEntry]) -> None:
        """Invariant 15, of what is kept."""
        self.require(kept == self._chat, 15, "the chat in the store is not what became durable")
        counts = Counter((entry.author, entry.nonce) for entry in kept)
        self.require(len(counts) == len(kept), 15, f"said twice: {[one for one, count in counts.items() if count > 1]}")

    def has_record(self, record: FileRecord) -> bool:
        """Whether the store has kept a file's record at some time."""
        return record in self._records

    def text(self, file_id: int) -> str:
        """The text of a file's log."""
        kept = self._kept.get(file_id)
        return str(kept.text) if kept else ""

    def count(self, file_id: int) -> int:
        """The number of updates in a file's log."""
        kept = self._kept.get(file_id)
        return kept.count if kept else 0

    # -- the server

    def check_room(self, room: Room, *, thoroughly: bool) -> None:
        """Invariant 4, at any moment."""
        for file in room.open_files.values():
            admitted = file.gate.known_clocks()
            committed = decode_state_vector(file.document.state_vector())
            behind = {client: clock for client, clock in committed.items() if admitted.get(client, 0) < clock}
            self.require(not behind, 4, f"the gate of file {file.id} is behind its document at {behind}")
            if thoroughly and file.is_clean:
                self.require(file.agrees(), 4, f"gate and document of file {file.id} differ though nothing is queued")

    def check_quiet_room(self, room: Room) -> None:
        """What must be so of a room in which nothing is under way."""
        self.require(room.is_clean, 12, "the room still has something to commit after a long silence")
        self.check_room(room, thoroughly=True)
        self.require(room.files._admitted == room.files.committed, 4, "the admitted list of files is another")
        for file in room.open_files.values():
            text = self.text(file.id)
            self.require(file.document.text() == text, 3, f"the document of file {file.id} differs from its log")
            count = self.count(file.id)
            self.require(file.seq == count, 3, f"file {file.id} is at {file.seq} of {count}")

    def check_files(self, store: MemoryStore, workspace_id: str) -> None:
        """Invariant 8, of what is kept."""
        live = [file.path for file in store.files(workspace_id).values() if file.deleted_at_ms is None]
        self.require(len(live) == len(set(live)), 8, f"a path is there twice: {sorted(live)}")
        below = [(one, other) for one in live for other in live if other.startswith(one + "/")]
        self.require(not below, 8, f"a file is a folder too: {below}")

    def check_sweep(self, before: dict[str, Room], lobby: Lobby) -> None:
        """Invariant 10, at each sweep."""
        for workspace_id, room in before.items():
            if workspace_id not in lobby.rooms and room.failed is None:
                self.require(room.is_clean and not room.members, 10, "a room left memory that was not clean and empty")

    def check_marks(self, store: MemoryStore, workspace_id: str) -> None:
        """Invariants 5 and 6, of what is kept; complete only after the last member has healed."""
        for file_id in store.files(workspace_id):
            counts = Counter(letter for letter in self.text(file_id) if letter in self.marks)
            doubled = [letter for letter, count in counts.items() if count > 1 and not self.marks[letter].is_copied]
            self.require(not doubled, 5, f"text of file {file_id} is doubled: {doubled}")
            for mark in self.marks.values():
                if mark.is_copied:
                    continue
                if mark.file_id != file_id:
                    self.require(mark.letter not in counts, 5, f"{mark} came into file {file_id}")
                elif mark.is_forbidden:
                    self.require(mark.letter not in counts, 6, f"{mark} is in the log")
                elif mark.is_saved or not mark.is_excused:
                    self.require(mark.is_touched or mark.letter in counts, 5, f"{mark} is lost")
