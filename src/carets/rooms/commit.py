"""What waits for the next commit of a room, and what one commit holds.

Owns: the order of admitted edits and file operations, and which frames are acknowledged with them.
Does not know: documents, stores, sockets.

Invariant: what is sealed is gone from here; it comes back only as committed, or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from carets.protocol.messages import FileRecord
from carets.rooms.file import OpenFile
from carets.rooms.member import Member
from carets.rooms.store import Batch, FileAppend, LogEntry


class Edit(NamedTuple):
    """An admitted update and the member who sent it."""

    member: Member
    update: bytes


class FileOperation(NamedTuple):
    """An admitted change of the list of files; `request` is how its asker knows the answer."""

    member: Member
    request: int | None
    record: FileRecord


@dataclass(slots=True)
class Sealed:
    """One commit: what the store must keep, and what follows when it has."""

    batch: Batch
    edits: list[tuple[OpenFile, list[Edit], FileAppend]]
    operations: list[FileOperation]
    acks: list[tuple[Member, int]]


@dataclass(slots=True)
class Pending:
    """What gathers while a commit runs."""

    edits: dict[OpenFile, list[Edit]] = field(default_factory=dict)
    operations: list[FileOperation] = field(default_factory=list)
    touched: dict[int, Member] = field(default_factory=dict)
    """Members with a frame that came since the last commit began; no-ops count."""

    bytes_waiting: int = 0

    def __bool__(self) -> bool:
        return bool(self.touched or self.operations or self.edits)

    def add(self, file: OpenFile, member: Member, update: bytes) -> None:
        """Queue an admitted update."""
        edits = self.edits.get(file)
        if edits is None:
            edits = self.edits[file] = []
        edits.append(Edit(member, update))
        self.bytes_waiting += len(update)
        file.admitted_seq += 1
        self.touched[member.id] = member

    def operate(self, member: Member, request: int | None, record: FileRecord) -> None:
        """Queue an admitted change of the list of files."""
        self.operations.append(FileOperation(member, request, record))
        self.touched[member.id] = member

    def clear(self) -> None:
        """Begin anew."""
        self.edits, self.operations, self.touched, self.bytes_waiting = {}, [], {}, 0

    def seal(self, workspace_id: str, now_ms: int) -> Sealed:
        """Make all that is here into one commit."""
        batch = Batch(workspace_id, at_ms=now_ms, files=[operation.record for operation in self.operations])
        grouped = []
        for file, edits in self.edits.items():
            entries = [LogEntry(now_ms, member.person, update) for member, update in edits]
            append = FileAppend(file.id, file.seq + 1, entries, file.gate.take_claims())
            batch.appends.append(append)
            grouped.append((file, edits, append))
        acks = [(member, member.acknowledgeable) for member in self.touched.values()]
        sealed = Sealed(batch, grouped, self.operations, acks)
        self.clear()
        return sealed
