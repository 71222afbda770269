"""One document's log in the SQLite file, read with suspicion.

Owns: the SQL that reads it, and what a sound log is. Does not know: threads, what is in an update.

Invariant: what is returned is what was written, whole: rows continue each other, each holds as many updates as it says,
and its checksum is right. Anything else raises, and nothing of it is returned.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import structlog

from carets.engines.record import decode_checkpoint, decode_record
from carets.errors import Code
from carets.rooms.store import Checkpoint, LogEntry, StoreFailed

_log = structlog.get_logger("carets.store")

LAST_SEQ = "coalesce((SELECT seq + count - 1 FROM log WHERE log.document = {0} ORDER BY seq DESC LIMIT 1), 0)"
"""SQL for the number of a document's last update; 0 when there is none."""

_ROWS_AFTER = """
    SELECT seq, count, record FROM log WHERE document = :document
    AND seq >= coalesce((SELECT max(seq) FROM log WHERE document = :document AND seq <= :after + 1), 1) ORDER BY seq
"""


class Place(NamedTuple):
    """Which document it is: its number here, and how everybody else names its file."""

    document: int
    workspace_id: str
    file_id: int


class DamagedError(ValueError):
    """A row that is not as it was written, and the number of the first update that is lost with it."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(seq, reason)
        self.seq = seq
        self.reason = reason

    def __str__(self) -> str:
        return f"update {self.seq} of the log cannot be read ({self.reason})"


def rows_after(connection: sqlite3.Connection, document: int, after_seq: int) -> Iterator[tuple[int, list[LogEntry]]]:
    """The number of each row's first update and its entries, from the row on that holds number ``after_seq + 1``.

    Raises: DamagedError, at the first row that is not as it was written.
    """
    next_seq = None
    for seq, count, record in connection.execute(_ROWS_AFTER, {"document": document, "after": after_seq}):
        if seq != next_seq if next_seq is not None else seq > after_seq + 1:
            raise DamagedError(next_seq or after_seq + 1, f"the next row begins with update {seq}")
        try:
            entries = decode_record(record)
        except ValueError as error:
            raise DamagedError(seq, str(error)) from error
        if len(entries) != count:
            raise DamagedError(seq, f"{len(entries)} updates where there were {count}")
        next_seq = seq + count
        yield seq, entries


def read_after(connection: sqlite3.Connection, place: Place, after_seq: int, count_max: int) -> list[LogEntry]:
    """Entries number ``after_seq + 1`` and on, at most `count_max`. Raises: StoreFailed, which names the row."""
    found: list[LogEntry] = []
    with _naming(place):
        for seq, entries in rows_after(connection, place.document, after_seq):
            found += entries[max(0, after_seq + 1 - seq) :]
            if len(found) >= count_max:
                break
    return found[:count_max]


def read_rest(connection: sqlite3.Connection, place: Place, checkpoint: Checkpoint | None) -> list[bytes]:
    """All updates that a checkpoint does not cover. Raises: StoreFailed, which names the row."""
    covered, last_seq = checkpoint.seq if checkpoint else 0, 0
    found: list[bytes] = []
    with _naming(place):
        for seq, entries in rows_after(connection, place.document, covered):
            found += [entry.update for entry in entries[max(0, covered + 1 - seq) :]]
            last_seq = seq + len(entries) - 1
        if last_seq < covered:
            raise DamagedError(last_seq + 1, f"the log ends before it, and its checkpoint covers {covered} updates")
    return found


@contextmanager
def _naming(place: Place) -> Iterator[None]:
    """Damage becomes the store's failure, which names the row, and is logged for the operator."""
    try:
        yield
    except DamagedError as damage:
        _, workspace_id, file_id = place
        _log.error("record_damaged", workspace=workspace_id, file=file_id, seq=damage.seq, reason=damage.reason)
        detail = f"file {file_id} of workspace {workspace_id}: {damage}"
        raise StoreFailed(Code.UNAVAILABLE, detail, fault="damaged") from damage


def read_checkpoint(connection: sqlite3.Connection, place: Place) -> Checkpoint | None:
    """The newest checkpoint; None also for one that is damaged: the log has all that was in it."""
    sql = "SELECT seq, state FROM checkpoints WHERE document = ?"
    row = connection.execute(sql, (place.document,)).fetchone()
    if row is None:
        return None
    try:
        return Checkpoint(row[0], decode_checkpoint(row[1]))
    except ValueError as error:
        _, workspace_id, file_id = place
        _log.error("checkpoint_broken", workspace=workspace_id, file=file_id, seq=row[0], reason=str(error))
        return None
