"""All that a data file holds, one document after the other, for whoever looks whether it is sound.

Owns: the SQL of looking, and what rows say without being applied. Does not know: what is in an update.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from carets.engines.record import decode_checkpoint
from carets.engines.sqlite_backup import Facts, damage_of, facts_of, reading
from carets.engines.sqlite_file import open_file
from carets.engines.sqlite_log import rows_after
from carets.errors import Misconfigured
from carets.rooms.store import Checkpoint, LogEntry

Unreadable = sqlite3.DatabaseError
"""What is raised where the file is broken."""

_DOCUMENTS = """
    SELECT documents.document, workspace_id, documents.file_id, coalesce(path, ''), files.deleted_at_ms IS NOT NULL
    FROM documents LEFT JOIN workspaces USING (workspace) LEFT JOIN files USING (document)
    WHERE documents.document > ? ORDER BY documents.document LIMIT 1
"""
_STRAYS = {
    "file {1} is of another workspace than its document": """
        SELECT coalesce(workspace_id, '?'), files.file_id FROM files JOIN documents USING (document)
        LEFT JOIN workspaces ON workspaces.workspace = files.workspace
        WHERE files.workspace <> documents.workspace OR files.file_id <> documents.file_id
    """,
    "two files are at the path {1}": """
        SELECT coalesce(workspace_id, '?'), path FROM files LEFT JOIN workspaces USING (workspace)
        WHERE files.deleted_at_ms IS NULL GROUP BY workspace, path HAVING count(*) > 1
    """,
    "it has no link of an owner": """
        SELECT workspace_id, 0 FROM workspaces
        WHERE NOT EXISTS (SELECT 1 FROM links WHERE links.workspace = workspaces.workspace AND role = 'owner')
    """,
}
_CHAT_GAPS = """
    SELECT workspace_id, min(chat_id), max(chat_id), count(*) FROM chat JOIN workspaces USING (workspace)
    GROUP BY workspace HAVING min(chat_id) <> 1 OR max(chat_id) <> count(*)
"""


class Held(NamedTuple):
    """One document, and what is kept beside its log."""

    document: int
    workspace_id: str
    file_id: int
    path: str
    is_deleted: bool
    """Whether its file is a tombstone, whose text may have been purged."""

    @property
    def name(self) -> str:
        """How people find it."""
        return f"file {self.file_id} ({self.path or 'an earlier history'}) of workspace {self.workspace_id}"


class Inspection:
    """A look at one data file, which changes nothing. Anything may raise `Unreadable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def facts(self) -> Facts:
        """What the file says of itself."""
        return facts_of(self._connection)

    def damage(self) -> list[str]:
        """What SQLite itself finds wrong."""
        return damage_of(self._connection)

    def count_documents(self) -> int:
        """How many there are."""
        count: int = self._connection.execute("SELECT count(*) FROM documents").fetchone()[0]
        return count

    def documents(self) -> Iterator[Held]:
        """All of them, each in a moment of its own: a long look must not keep the writer's log from ending."""
        after = -1
        while True:
            self._connection.execute("BEGIN")
            try:
                row = self._connection.execute(_DOCUMENTS, (after,)).fetchone()
                if row is None:
                    return
                after, workspace_id, *rest = row
                yield Held(after, workspace_id or "?", *rest)
            finally:
                # Nothing was written. After what failed there may be nothing to end, or no connection.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("COMMIT")

    def strays(self) -> Iterator[tuple[str, str]]:
        """Rows that contradict each other: a workspace, and what is wrong with it."""
        for complaint, sql in _STRAYS.items():
            for workspace_id, what in self._connection.execute(sql):
                yield workspace_id, complaint.format(workspace_id, what)
        if self._connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'chat'").fetchone():
            for workspace_id, first, last, count in self._connection.execute(_CHAT_GAPS):
                yield workspace_id, f"its chat has {count} entries from number {first} to {last}"

    def rows(self, held: Held) -> Iterator[tuple[int, list[LogEntry]]]:
        """The log of a document, row by row. Raises: DamagedError."""
        return rows_after(self._connection, held.document, 0)

    def checkpoint(self, held: Held) -> Checkpoint | None:
        """Its checkpoint. Raises: ValueError for one that is not as it was written."""
        sql = "SELECT seq, state FROM checkpoints WHERE document = ?"
        row = self._connection.execute(sql, (held.document,)).fetchone()
        return None if row is None else Checkpoint(row[0], decode_checkpoint(row[1]))

    def set_aside(self, held: Held) -> set[int]:
        """The numbers of its updates that are quarantined."""
        rows = self._connection.execute("SELECT seq FROM quarantine WHERE document = ?", (held.document,))
        return {seq for (seq,) in rows}

    def owners(self, held: Held) -> dict[int, str]:
        """Whose its client ids are."""
        sql = "SELECT client_id, person FROM client_ids WHERE document = ?"
        return dict(self._connection.execute(sql, (held.document,)))


@contextlib.contextmanager
def inspecting(path: Path) -> Iterator[Inspection]:
    """A look at a data file, beside a server or without one. Raises: Misconfigured when it cannot be looked at."""
    with reading(path) as connection:
        yield Inspection(connection)


def drop_checkpoints(path: Path, documents: list[int]) -> None:
    """Forget the checkpoints of these documents: they are made anew from the log. Raises: Misconfigured.

    The caller holds the data directory's lock.
    """
    connection = open_file(path, sqlite3.Connection)
    with contextlib.closing(connection):
        try:
            connection.executemany("DELETE FROM checkpoints WHERE document = ?", [(each,) for each in documents])
        except sqlite3.Error as error:
            raise Misconfigured(f"{path} cannot be mended ({error}): is the disk full?") from error
