"""Whether a data file is sound: every document is made from its log alone, and compared with what is kept beside it.

Owns: what is looked at, in which order, and what to do about what is found. Does not know: how it is printed.

Invariants:
  1. Nothing is changed.
  2. One document is in memory at a time, made twice: from its whole log, and from its checkpoint and what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from carets.engines.sqlite_backup import Facts
from carets.engines.sqlite_check import Held, Inspection, Unreadable, inspecting
from carets.engines.sqlite_log import DamagedError
from carets.errors import WireError
from carets.protocol.admission import Gate
from carets.protocol.updates import read_deletions, read_structs
from carets.rooms.document import Document, DocumentFailed

_CHUNK_UPDATES, _CHUNK_BYTES = 500, 8 * 1024 * 1024
"""Updates, and bytes of updates, that are applied at a time: what is wrong is named as closely."""

_RESTORE = "restore a backup from before; other files are not concerned"
_MEND = "the log has all of it: stop the server and run carets check --mend, which makes it anew"
_REPORT = "nothing is lost by it; please report it, with this line"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong: where, what, and what to do."""

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. What to do: {self.advice}."


@dataclass(slots=True)
class Report:
    """What was looked at, and what is wrong."""

    path: str
    facts: Facts
    documents: int = 0
    updates: int = 0
    quarantined: list[str] = field(default_factory=list)
    """Updates that were set aside before: each is in the log, and in no text."""
    problems: list[Problem] = field(default_factory=list)
    bad_checkpoints: list[int] = field(default_factory=list)
    """Documents whose checkpoints say something else than their logs."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check(path: Path, tell: Callable[[int, int], None] | None = None) -> Report:
    """Look at all that is in a data file, in use or not. `tell` hears how many documents are done, of how many.

    Raises: Misconfigured when it cannot be looked at.
    """
    with inspecting(path) as inspection:
        damage = inspection.damage()
        report = Report(str(path), Facts(0, None, 0, path.stat().st_size))
        report.problems += [Problem(str(path), what, "stop the server and restore a backup") for what in damage]
        try:
            report.facts = inspection.facts()
            _check_all(inspection, report, tell)
        except Unreadable as error:
            if not damage:
                raise
            # SQLite has said what is broken; the rest cannot be reached.
            report.problems.append(Problem(str(path), f"the rest cannot be read ({error})", "restore a backup"))
    return report


def _check_all(inspection: Inspection, report: Report, tell: Callable[[int, int], None] | None) -> None:
    for workspace_id, what in inspection.strays():
        report.problems.append(Problem(f"workspace {workspace_id}", what, "please report it, with this line"))
    total = inspection.count_documents()
    for held in inspection.documents():
        problems = _Look(inspection, held, report).problems()
        report.problems += [Problem(held.name, what, advice) for what, advice in problems]
        report.documents += 1
        if tell is not None:
            tell(report.documents, total)


class _Look:
    """The look at one document."""

    def __init__(self, inspection: Inspection, held: Held, report: Report) -> None:
        self._inspection = inspection
        self._held = held
        self._report = report
        self._ends: dict[int, int] = {}
        self._aside = inspection.set_aside(held)
        self._problems: list[tuple[str, str]] = []

    def problems(self) -> list[tuple[str, str]]:
        """What is wrong, each with what to do."""
        try:
            self._look()
        except DamagedError as damage:
            self._found(str(damage), _RESTORE)
        except (DocumentFailed, WireError) as error:
            self._found(f"its log cannot be applied ({error})", _RESTORE)
        return self._problems

    def _look(self) -> None:
        whole = Document()
        other, covered = self._checkpoint()
        last = self._replay(whole, other, covered)
        clocks = whole.clocks()
        if any(clocks.get(client, 0) < end for client, end in self._ends.items()):
            self._found("edits of it rest on one that is not there", _RESTORE)
        if other is not None and covered > last:
            self._found(f"its checkpoint covers {covered} updates, and there are {last}", _RESTORE)
        elif other is not None and _differ(whole, other):
            self._found(f"its checkpoint at update {covered} is another text than the log", _MEND)
            self._report.bad_checkpoints.append(self._held.document)
        # What was set aside, or purged, may be all that somebody typed.
        is_whole = not self._aside and (last or not self._held.is_deleted)
        for client, person in self._inspection.owners(self._held).items() if is_whole else ():
            if client not in clocks:
                self._found(f"client id {client} is on record for {person} and has typed nothing", _REPORT)

    def _found(self, what: str, advice: str) -> None:
        self._problems.append((what, advice))

    def _checkpoint(self) -> tuple[Document | None, int]:
        """The document of the checkpoint, and how many updates it covers."""
        try:
            kept = self._inspection.checkpoint(self._held)
            return (Document([kept.state]), kept.seq) if kept else (None, 0)
        except (ValueError, DocumentFailed) as error:
            self._found(f"its checkpoint cannot be read ({error})", _MEND)
            self._report.bad_checkpoints.append(self._held.document)
            return None, 0

    def _replay(self, whole: Document, other: Document | None, covered: int) -> int:
        """Apply the log to one document, and what follows the checkpoint to the other; how many updates there are."""
        self._report.quarantined += [f"{self._held.name}: update {seq}" for seq in sorted(self._aside)]
        chunk: list[tuple[int, bytes]] = []
        chunk_bytes = last = 0
        for first, entries in self._inspection.rows(self._held):
            for last, entry in enumerate(entries, first):
                if last in self._aside:
                    continue
                self._read(entry.update)
                chunk.append((last, entry.update))
                chunk_bytes += len(entry.update)
            if len(chunk) >= _CHUNK_UPDATES or chunk_bytes >= _CHUNK_BYTES:
                _apply(chunk, whole, other, covered)
                chunk, chunk_bytes = [], 0
        _apply(chunk, whole, other, covered)
        self._report.updates += last
        return last

    def _read(self, update: bytes) -> None:
        """Note how far an update reaches. Raises: WireError for what is none."""
        blocks, at, _ = read_structs(update)
        read_deletions(update, at)
        for block in blocks:
            self._ends[block.client] = max(self._ends.get(block.client, 0), block.end)


def _apply(chunk: list[tuple[int, bytes]], whole: Document, other: Document | None, covered: int) -> None:
    """Raises: DocumentFailed, which says which updates."""
    try:
        whole.apply([update for _, update in chunk])
        if other is not None:
            other.apply([update for seq, update in chunk if seq > covered])
    except DocumentFailed as error:
        raise DocumentFailed(f"updates {chunk[0][0]} to {chunk[-1][0]}: {error}") from error


def _differ(whole: Document, other: Document) -> bool:
    """Whether two documents are not the same: text, clocks or deletions."""
    gates = []
    for document in (whole, other):
        gate = Gate()
        gate.replay(document.encode())
        gates.append((document.text(), gate.known_clocks(), gate.known_deletions()))
    return gates[0] != gates[1]
