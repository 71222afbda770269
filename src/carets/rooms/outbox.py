"""What waits to be written to one member.

Owns: the pieces of this turn, large messages that go in parts, and whether the member lags.
Does not know: what the bytes mean, and sockets: it writes into a `Sink`.

Invariants:
  1. Nothing is queued for a member that lags, except parts, and these are cut only when the line has room for them.
  2. However slow the reader and fast the writers, an outbox holds at most one encoded message for each open file.
  3. Parts of several files take turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from carets import limits
from carets.errors import CaretsError


class Sink(Protocol):
    """A member's way out: a socket at an edge, a virtual line in a simulation."""

    def write(self, data: bytes) -> int:
        """Take bytes; returns how many wait. Above `OUTBOX_BYTES_FULL`, `Room.drained` must follow once they left."""

    def close(self, error: CaretsError) -> None:
        """End the connection with the error's number, after all that was written."""


class Outbox:
    """One member's queue, written at most once a turn."""

    __slots__ = ("_bulk", "_full", "_pieces", "_sink", "lagging")

    def __init__(self, sink: Sink) -> None:
        self.lagging = False
        """Whether more waits than a member may be behind by: it is sent nothing new until it drained."""
        self._full = False
        self._sink = sink
        self._pieces: list[bytes] = []
        self._bulk: list[tuple[int, Iterator[bytes]]] = []  # a deque takes 760 bytes, of every idle member, too

    def put(self, data: bytes) -> None:
        """Add to this turn's write."""
        self._pieces.append(data)

    def put_bulk(self, file_id: int, frames: Iterator[bytes]) -> None:
        """Add a message in parts; `flush` sends what the line takes, and the rest follows as it drains."""
        self._bulk.append((file_id, frames))

    def has_bulk(self, file_id: int) -> bool:
        """Whether a message of this file is under way in parts."""
        return any(at == file_id for at, _ in self._bulk)

    def forget(self, file_id: int) -> bool:
        """Drop what is under way for a file that is closed. Returns whether anything was."""
        kept = [entry for entry in self._bulk if entry[0] != file_id]
        was_there = len(kept) < len(self._bulk)
        self._bulk = kept
        return was_there

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything for `flush` to write."""
        return bool(self._pieces or self._bulk)

    def flush(self) -> list[int]:
        """Write this turn's pieces at once, then parts while there is room. Returns the files whose last part went."""
        if pieces := self._pieces:
            self._write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            pieces.clear()
        if not self._bulk:
            return []
        finished = []
        while self._bulk and not self._full:
            file_id, frames = self._bulk.pop(0)
            frame = next(frames, None)
            if frame is None:
                finished.append(file_id)
            else:
                self._bulk.append((file_id, frames))
                self._write(frame)
        return finished

    def close(self, error: CaretsError) -> None:
        """Write what is left of this turn, and end the connection."""
        self._bulk.clear()
        self.flush()
        self._sink.close(error)

    def describe(self) -> dict[str, object]:
        """For the operator."""
        return {"lagging": self.lagging, "bulk_files": [file_id for file_id, _ in self._bulk]}

    def drained(self) -> None:
        """The line took everything."""
        self._full = self.lagging = False

    def _write(self, data: bytes) -> None:
        waiting = self._sink.write(data)
        self._full = waiting > limits.OUTBOX_BYTES_FULL
        if waiting > limits.OUTBOX_BYTES_LAGGING:
            self.lagging = True
