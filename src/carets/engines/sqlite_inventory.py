"""What the SQLite file holds of all workspaces together, for the operator.

Owns: the SQL that looks across workspaces. Does not know: rooms, members, or who asks.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from carets.engines.record import decode_record
from carets.engines.sqlite import SqliteStore
from carets.rooms.steward import Purged, Usage, WorkspaceSummary

_LIST = """
    SELECT workspace, workspace_id, title, created_at_ms, deleted_at_ms,
        (SELECT count(*) FROM files WHERE files.workspace = workspaces.workspace AND files.deleted_at_ms IS NULL),
        log_bytes,
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

_PURGED_ROWS_MAX = 500
"""Rows that are removed in one transaction: it waits in one line with everybody's commits."""

_TEXT_OF_DOCUMENTS = {"checkpoints": "seq", "quarantine": "seq", "log": "seq"}
_OF_DOCUMENTS = {**_TEXT_OF_DOCUMENTS, "client_ids": "client_id"}
"""Tables with rows for each document, and what tells those apart."""

_OF_WORKSPACES = {
    "paths": "path",
    "files": "file_id",
    "documents": "document",
    "chat": "chat_id",
    "links": "link",
    "workspaces": "workspace",
}
"""The same of a workspace, in an order in which no row points to one that is gone."""

_OLD_WORKSPACE = "SELECT workspace FROM workspaces WHERE deleted_at_ms < ? LIMIT 1"
_OLD_FILE = """
    SELECT document FROM files WHERE deleted_at_ms < ?
    AND EXISTS (SELECT 1 FROM {0} WHERE {0}.document = files.document) LIMIT 1
"""
_PURGE_DOCUMENTS = """
    DELETE FROM {0} WHERE (document, {1}) IN (SELECT document, {1} FROM {0} JOIN documents USING (document)
    WHERE workspace = ? LIMIT ?)
"""
_PURGE_DOCUMENT = "DELETE FROM {0} WHERE document = ?1 AND {1} IN (SELECT {1} FROM {0} WHERE document = ?1 LIMIT ?2)"
_PURGE_WORKSPACE = "DELETE FROM {0} WHERE workspace = ?1 AND {1} IN (SELECT {1} FROM {0} WHERE workspace = ?1 LIMIT ?2)"


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

    async def put_secret(self, name: str, value: bytes) -> None:
        """Keep a secret of the server in place of the one before, durably."""
        sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(sql, (name, value))

        await self._store.write(put)

    async def purge(self, deleted_before_ms: int) -> Purged:
        """Remove a part of what was deleted before, durably and for good."""
        return await self._store.write(lambda connection: _purge(connection, deleted_before_ms))


def _purge(connection: sqlite3.Connection, before_ms: int) -> Purged:
    """Remove rows of one workspace or file, at most `_PURGED_ROWS_MAX`: children first, so that no row stands alone.

    Of a file that was deleted the row stays, and whose its client ids were: its id is never given again, and documents
    that were typed into it are known for what they are.
    """
    row = connection.execute(_OLD_WORKSPACE, (before_ms,)).fetchone()
    if row is not None:
        for table, key in _OF_DOCUMENTS.items():
            if removed := connection.execute(_PURGE_DOCUMENTS.format(table, key), (*row, _PURGED_ROWS_MAX)).rowcount:
                return Purged(rows=removed)
        for table, key in _OF_WORKSPACES.items():
            if removed := connection.execute(_PURGE_WORKSPACE.format(table, key), (*row, _PURGED_ROWS_MAX)).rowcount:
                return Purged(int(table == "workspaces"), removed)
    for table, key in _TEXT_OF_DOCUMENTS.items():
        row = connection.execute(_OLD_FILE.format(table), (before_ms,)).fetchone()
        if row is not None:
            removed = connection.execute(_PURGE_DOCUMENT.format(table, key), (*row, _PURGED_ROWS_MAX)).rowcount
            return Purged(rows=removed)
    return Purged()


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
