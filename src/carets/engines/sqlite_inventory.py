"""What the SQLite file holds of all workspaces together, for the operator.

Owns: the SQL that looks across workspaces. Does not know: rooms, members, or who asks.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from carets.engines.record import decode_record
from carets.engines.sqlite import SqliteStore
from carets.rooms.steward import Usage, WorkspaceSummary

_LIST = """
    SELECT workspace, workspace_id, title, created_at_ms, deleted_at_ms,
        (SELECT count(*) FROM files WHERE files.workspace = workspaces.workspace AND files.deleted_at_ms IS NULL),
        (SELECT coalesce(sum(length(record)), 0) FROM documents JOIN log USING (document)
            WHERE documents.workspace = workspaces.workspace),
        (SELECT max(at_ms) FROM chat WHERE chat.workspace = workspaces.workspace AND chat_id =
            (SELECT max(chat_id) FROM chat WHERE chat.workspace = workspaces.workspace))
    FROM workspaces WHERE workspace > ? ORDER BY workspace LIMIT ?
"""
_LAST_RECORDS = """
    SELECT (SELECT record FROM log WHERE log.document = documents.document ORDER BY seq DESC LIMIT 1)
    FROM documents WHERE workspace = ?
"""
_MEASURE = """
    SELECT (SELECT count(*) FROM workspaces WHERE deleted_at_ms IS NULL),
        (SELECT count(*) FROM workspaces WHERE deleted_at_ms IS NOT NULL),
        (SELECT count(*) FROM files WHERE deleted_at_ms IS NULL),
        (SELECT coalesce(sum(length(record)), 0) FROM log),
        (SELECT coalesce(sum(length(state)), 0) FROM checkpoints),
        (SELECT count(*) FROM chat)
"""


class SqliteInventory:
    """The `Inventory` of a `SqliteStore`."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def list_workspaces(self, after: int, count_max: int) -> list[WorkspaceSummary]:
        """Workspaces with numbers above `after`, deleted ones too, by their numbers."""

        def read(connection: sqlite3.Connection) -> list[WorkspaceSummary]:
            rows = connection.execute(_LIST, (after, count_max)).fetchall()
            return [_summary(connection, *row) for row in rows]

        return await self._store.read(read)

    async def measure(self) -> Usage:
        """How much there is."""

        def read(connection: sqlite3.Connection) -> Usage:
            counts = connection.execute(_MEASURE).fetchone()
            (page,), (pages,), (free,) = (
                connection.execute(f"PRAGMA {name}").fetchone()
                for name in ("page_size", "page_count", "freelist_count")
            )
            return Usage._make((*counts, page * pages, page * free))

        return await self._store.read(read)


def _summary(
    connection: sqlite3.Connection,
    number: int,
    workspace_id: str,
    title: str,
    created_at_ms: int,
    deleted_at_ms: int | None,
    files: int,
    log_bytes: int,
    said_at_ms: int | None,
) -> WorkspaceSummary:
    changed_at_ms = max(created_at_ms, said_at_ms or 0)
    for (record,) in connection.execute(_LAST_RECORDS, (number,)):
        with suppress(ValueError):  # a record that cannot be read is for `carets check` to name
            changed_at_ms = max([changed_at_ms, *(entry.at_ms for entry in decode_record(record or b"")[-1:])])
    return WorkspaceSummary(number, workspace_id, title, created_at_ms, changed_at_ms, deleted_at_ms, files, log_bytes)
