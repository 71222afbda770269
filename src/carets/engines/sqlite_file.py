"""The SQLite file itself: its schema, how it is opened, and what is refused.

Owns: the tables, their migrations, the settings of a connection. Does not know: threads, batches.

Invariants:
  1. A file that is not ours, or is newer than this build, is refused before anything in it is changed.
  2. A migration is one transaction: the schema's number and its tables change together.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import structlog

from carets.engines.sqlite_faults import Faults
from carets.errors import Misconfigured

_log = structlog.get_logger("carets.store")

DATA_FILE = "carets.sqlite3"
"""Its name in the data directory."""

APPLICATION_ID = int.from_bytes(b"CRTS", "big")
"""What the header of our files says, so that nobody's else is ever written to. Source: SQLite file format, 1.3.12."""

VERSION_MIN = (3, 37, 0)
"""The first SQLite with STRICT tables."""

BUSY_WAIT_S = 1.0
"""Seconds to wait for another process: we hold the data directory's lock, so only an operator's shell can be there."""

LOG_PAGES_MAX = 2_000
"""Pages in SQLite's log after which they are moved into the file: 8 MiB, some milliseconds, and after the answers."""

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

    CREATE TABLE workspaces (
        workspace INTEGER PRIMARY KEY,
        workspace_id TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL
    ) STRICT;

    -- `link` rises in the order of their making.
    CREATE TABLE links (
        link INTEGER PRIMARY KEY,
        workspace INTEGER NOT NULL REFERENCES workspaces,
        link_id TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'editor', 'owner')),
        key_hash BLOB NOT NULL,
        name TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL,
        expires_at_ms INTEGER,
        revoked_at_ms INTEGER,
        UNIQUE (workspace, link_id)
    ) STRICT;

    -- One history. A file that gets another epoch gets another document; the one before stays.
    CREATE TABLE documents (
        document INTEGER PRIMARY KEY,
        workspace INTEGER NOT NULL REFERENCES workspaces,
        file_id INTEGER NOT NULL,
        epoch TEXT NOT NULL,
        UNIQUE (workspace, file_id, epoch)
    ) STRICT;

    CREATE TABLE files (
        workspace INTEGER NOT NULL REFERENCES workspaces,
        file_id INTEGER NOT NULL,
        document INTEGER NOT NULL REFERENCES documents,
        path TEXT NOT NULL,
        eol TEXT NOT NULL CHECK (eol IN ('lf', 'crlf')),
        deleted_at_ms INTEGER,
        PRIMARY KEY (workspace, file_id)
    ) STRICT, WITHOUT ROWID;

    -- Every path that a document ever had.
    CREATE TABLE paths (
        workspace INTEGER NOT NULL REFERENCES workspaces,
        path TEXT NOT NULL,
        document INTEGER NOT NULL REFERENCES documents,
        PRIMARY KEY (workspace, path, document)
    ) STRICT, WITHOUT ROWID;

    -- One row for each file and commit: updates number `seq` to `seq + count - 1`. `record`: see `encode_record`.
    CREATE TABLE log (
        document INTEGER NOT NULL REFERENCES documents,
        seq INTEGER NOT NULL CHECK (seq >= 1),
        count INTEGER NOT NULL CHECK (count >= 1),
        record BLOB NOT NULL,
        PRIMARY KEY (document, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE checkpoints (
        document INTEGER PRIMARY KEY REFERENCES documents,
        seq INTEGER NOT NULL,
        state BLOB NOT NULL
    ) STRICT;

    CREATE TABLE client_ids (
        document INTEGER NOT NULL REFERENCES documents,
        client_id INTEGER NOT NULL,
        person TEXT NOT NULL,
        PRIMARY KEY (document, client_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE quarantine (
        document INTEGER NOT NULL REFERENCES documents,
        seq INTEGER NOT NULL,
        PRIMARY KEY (document, seq)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE workspaces ADD COLUMN deleted_at_ms INTEGER;

    -- `nonce`: the author's own name for the entry, by which a repetition is known.
    CREATE TABLE chat (
        workspace INTEGER NOT NULL REFERENCES workspaces,
        chat_id INTEGER NOT NULL CHECK (chat_id >= 1),
        at_ms INTEGER NOT NULL,
        author TEXT NOT NULL,
        name TEXT NOT NULL,
        color TEXT NOT NULL,
        text TEXT NOT NULL,
        nonce TEXT NOT NULL,
        PRIMARY KEY (workspace, chat_id)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- What the workspace was given to keep, by `Batch.log_bytes`; for older ones what can be found of that.
    ALTER TABLE workspaces ADD COLUMN log_bytes INTEGER NOT NULL DEFAULT 0;

    UPDATE workspaces SET log_bytes =
        (SELECT coalesce(sum(length(record) + 64), 0) FROM documents JOIN log USING (document)
            WHERE documents.workspace = workspaces.workspace)
        + (SELECT coalesce(sum(length(CAST(path AS BLOB)) + 64), 0) FROM paths
            WHERE paths.workspace = workspaces.workspace)
        + (SELECT coalesce(sum(length(CAST(text AS BLOB)) + 64), 0) FROM chat
            WHERE chat.workspace = workspaces.workspace);
    """,
)
"""The schema: number n takes a file from ``user_version`` n - 1 to n, in one transaction. Released ones stay."""


def _connect(path: Path, connection_class: type[sqlite3.Connection]) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=BUSY_WAIT_S,
        isolation_level=None,  # transactions are begun and ended by our own words only
        check_same_thread=False,  # opened by one thread, used by one other
        factory=connection_class,
    )


def connect_reader(path: Path, connection_class: type[sqlite3.Connection]) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = _connect(path, connection_class)
    connection.execute("PRAGMA query_only = ON")
    return connection


def connect_writer(path: Path, connection_class: type[sqlite3.Connection]) -> sqlite3.Connection:
    """A connection whose COMMIT returns after the sync of SQLite's log. The file is one that `open_file` has opened."""
    connection = _connect(path, connection_class)
    _set_up_writer(connection)
    return connection


def _set_up_writer(connection: sqlite3.Connection) -> None:
    for pragma in (
        "synchronous = FULL",
        "fullfsync = ON",  # macOS: past the drive's cache too
        "checkpoint_fullfsync = ON",
        "foreign_keys = ON",
        f"wal_autocheckpoint = {4 * LOG_PAGES_MAX}",  # a net under the writer's own trimming, which comes first
        f"journal_size_limit = {8 * LOG_PAGES_MAX * 4096}",  # gives space back after a burst
    ):
        connection.execute(f"PRAGMA {pragma}")


def refuse_strangers(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's number in a file that is ours or empty, before anything is written to it. Raises: Misconfigured."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application_id != APPLICATION_ID and not (application_id == 0 and is_empty):
        raise Misconfigured(f"{path} is another program's database: name another data directory, or move it away")
    if version > len(MIGRATIONS):
        raise Misconfigured(
            f"{path} was written by a newer Carets (schema {version}, this one knows {len(MIGRATIONS)}):"
            " install that version again, or restore an older backup"
        )
    return version


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Make the file ours, in WAL mode, with the newest schema."""
    version = refuse_strangers(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise Misconfigured(f"{path} cannot use SQLite's WAL here: keep the data directory on a local disk")
    _set_up_writer(connection)
    if 0 < version < len(MIGRATIONS):
        _log.warning("migrates", file=str(path), from_schema=version, to_schema=len(MIGRATIONS))
    for number in range(version + 1, len(MIGRATIONS) + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number - 1]}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
        )


def open_file(path: Path, connection_class: type[sqlite3.Connection]) -> sqlite3.Connection:
    """The writer's connection to a file that is certainly ours, made when missing. Raises: Misconfigured."""
    if sqlite3.sqlite_version_info < VERSION_MIN:
        raise Misconfigured(f"this Python brings SQLite {sqlite3.sqlite_version}: use one with 3.37 or newer")
    try:
        # Made by us, since SQLite would let everybody read it; it holds secrets.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written ({error.strerror}): check its owner and rights") from error
    connection = None
    try:
        connection = _connect(path, connection_class)
        _prepare(path, connection)
    except sqlite3.OperationalError as error:
        is_full = Faults(path).fault_of(error) == "full"
        why = (
            "its disk is full: make room, then start again"
            if is_full
            else "is another program at it, does its disk fail?"
        )
        raise Misconfigured(f"{path} cannot be used ({error}): {why}") from error
    except sqlite3.DatabaseError as error:
        if Faults(path).fault_of(error) == "damaged" and error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise Misconfigured(f"{path} is damaged ({error}): run `carets check`, or restore a backup") from error
        raise Misconfigured(f"{path} is no sound database ({error}): move it away, or restore a backup") from error
    else:
        opened, connection = connection, None
        return opened
    finally:
        if connection is not None:
            connection.close()
