"""Copies of the data file: made while it is in use, looked at, and put in its place.

Owns: how a file becomes another without ever being half there; lineage and epochs of what is put back.
Does not know: documents, who asks.

Invariants:
  1. A backup is one moment of the data file, and has its name only when it is whole, checked and on the disk.
  2. At every instant of a replacement the data directory holds the data file from before, or the one from after.
  3. The data file from before stays, under another name.

Source: docs/decisions/0014-backups-lineage-and-the-carry-window.md.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from carets.engines.lock import LOCK_NAME, give_to_owner_of, sync_directory
from carets.engines.sqlite_faults import Faults
from carets.engines.sqlite_file import DATA_FILE, refuse_strangers
from carets.errors import Misconfigured

LINEAGE_BYTES = 16

LINEAGE = "lineage"
"""In `meta`: random bytes that a data file shares with its backups, and with nothing else."""

CARRY_UNTIL = "carry_until_ms"
"""In `meta`: until when members may carry back what others typed, in decimal digits."""

_COMPANIONS = ("-wal", "-shm")

_TAKEN_NAMES = {LOCK_NAME, DATA_FILE, *(DATA_FILE + end for end in ("-journal", *_COMPANIONS))}
"""Names in a data directory that are the server's own."""


class Facts(NamedTuple):
    """What a data file says of itself."""

    schema: int
    lineage: bytes | None
    """None for one that no server has opened since there are lineages."""
    workspaces: int
    size_bytes: int


def refuse_missing(path: Path) -> None:
    """Raises: Misconfigured where there is no data file, or nobody may tell."""
    try:
        if path.is_file():
            return
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read ({error.strerror}): run this as the user of the server") from error
    raise Misconfigured(f"there is no data file {path}: name its directory with --data")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing, beside a server or without one, to a file that is ours.

    Raises: Misconfigured when there is none, also for what fails inside on the file's side.
    """
    refuse_missing(path)
    connection = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None)
        if refuse_strangers(connection, path) == 0:
            raise Misconfigured(f"{path} is empty: it holds no workspaces")
        yield connection
    except sqlite3.OperationalError as error:
        is_full = Faults(path).fault_of(error) == "full"
        why = "its disk is full, make room" if is_full else "look at its disk, and run this as the user of the server"
        raise Misconfigured(f"{path} cannot be read ({error}): {why}") from error
    except sqlite3.DatabaseError as error:
        raise Misconfigured(f"{path} is no sound database ({error}): restore a backup") from error
    finally:
        if connection is not None:
            connection.close()


def facts_of(connection: sqlite3.Connection) -> Facts:
    """What the file says of itself."""
    lineage = connection.execute("SELECT value FROM meta WHERE name = ?", (LINEAGE,)).fetchone()
    page_bytes, pages = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count"))
    return Facts(
        connection.execute("PRAGMA user_version").fetchone()[0],
        lineage[0] if lineage else None,
        connection.execute("SELECT count(*) FROM workspaces").fetchone()[0],
        page_bytes * pages,
    )


def look_at(path: Path) -> Facts:
    """What a data file says of itself. Raises: Misconfigured."""
    with reading(path) as connection:
        return facts_of(connection)


def damage_of(connection: sqlite3.Connection) -> list[str]:
    """What SQLite itself finds wrong; nothing in a sound file."""
    found = []
    try:
        for (text,) in connection.execute("PRAGMA integrity_check(20)"):
            # One row may be many lines, below a line with the database's name.
            found += [line for line in text.splitlines() if line != "ok" and not line.startswith("***")]
        for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(20):
            found.append(f"a row of {table} belongs to a row of {parent} that is not there")
    except sqlite3.DatabaseError as error:
        found.append(str(error))
    return found


def read_meta(path: Path, name: str) -> bytes | None:
    """A value of the server itself, beside a server or without one. Raises: Misconfigured."""
    with reading(path) as connection:
        row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]


def vacuum(path: Path) -> None:
    """Give the space of what was removed back to the disk; takes as much again while it works. Raises: Misconfigured.

    The caller holds the data directory's lock.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            connection.execute("VACUUM")
        except sqlite3.Error as error:
            raise Misconfigured(f"all is removed, but {path} stays as large as it was ({error})") from error


def back_up(source: Path, target: Path, *, replace: bool) -> Facts:
    """Copy one moment of a data file, in use or not, to `target`; what was committed before is in it.

    Raises: Misconfigured; then there is no new file, and an old one is as it was.
    """
    refuse_missing(source)
    try:
        _refuse_in_use(source, target)
        if target.exists() and not replace:
            raise Misconfigured(f"{target} is there already: name another file, or add --replace")
    except OSError as error:
        raise Misconfigured(f"{target} cannot be looked at ({error.strerror}): name another place") from error
    with _placing(target) as coming:
        with reading(source) as connection:
            _copy(connection, coming)
        with reading(coming) as copied:
            if damage := damage_of(copied):
                raise Misconfigured(f"the copy of {source} is not sound ({damage[0]}): run carets check")
            facts = facts_of(copied)
    return facts


def _refuse_in_use(source: Path, target: Path) -> None:
    """Raises: Misconfigured where a copy would end the data file itself, or one that another server may have open."""
    real = target.resolve()
    is_source = target.exists() and target.samefile(source)
    is_data = real.parent == source.parent.resolve() or (real.parent / LOCK_NAME).exists()
    if is_source or (is_data and real.name in _TAKEN_NAMES):
        raise Misconfigured(
            f"{target} is what a server keeps its data in, and no place for a backup: name another file"
        )


def put_in_place(backup: Path, target: Path, aside: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    """Put a copy of `backup`, changed by `change`, in the place of the data file; the one from before becomes `aside`.

    The caller holds the data directory's lock. Raises: Misconfigured; then the data file is the one from before.
    """
    try:
        with _placing(target, lambda: _set_aside(target, aside)) as coming:
            with reading(backup) as connection:
                _copy(connection, coming)
            with _writing(coming) as copied:
                copied.execute("BEGIN IMMEDIATE")
                change(copied)
                copied.execute("COMMIT")
            with coming.open("rb") as made:
                give_to_owner_of(target.parent, made.fileno())
    except Misconfigured:
        _take_back(target, aside)
        raise


def go_on(connection: sqlite3.Connection, lineage: bytes, carry_until_ms: int) -> None:
    """The same lineage goes on from an earlier moment: histories stay, and what browsers have is let in for a while."""
    _put_meta(connection, LINEAGE, lineage)
    _put_meta(connection, CARRY_UNTIL, str(carry_until_ms).encode())


def part_ways(connection: sqlite3.Connection, lineage: bytes, new_epoch: Callable[[], str]) -> None:
    """A life of its own begins: no browser with the history from before may merge it into this one."""
    _put_meta(connection, LINEAGE, lineage)
    connection.execute("DELETE FROM meta WHERE name = ?", (CARRY_UNTIL,))
    for (document,) in connection.execute("SELECT document FROM documents").fetchall():
        connection.execute("UPDATE documents SET epoch = ? WHERE document = ?", (new_epoch(), document))


def _put_meta(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    connection.execute(sql, (name, value))


@contextlib.contextmanager
def _placing(target: Path, before: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A file to be written, which gets the name `target` when the block has ended well and it is on the disk.

    `before` runs right before that. Raises: Misconfigured for what the file system refuses.
    """
    coming = target.with_name(f".{target.name}.{os.getpid()}.coming")
    try:
        coming.unlink(missing_ok=True)
        # Made by us, since SQLite would let everybody read it; it holds secrets.
        os.close(os.open(coming, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        yield coming
        descriptor = os.open(coming, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        before()
        coming.replace(target)
        sync_directory(target.parent)
    except OSError as error:
        raise Misconfigured(f"{target} cannot be written ({error.strerror or error}): nothing was changed") from error
    finally:
        for name in ("", "-journal", *_COMPANIONS):
            with contextlib.suppress(OSError):
                coming.with_name(coming.name + name).unlink(missing_ok=True)


def _copy(connection: sqlite3.Connection, coming: Path) -> None:
    """Copy in one step, which is one moment; writers go on meanwhile, since the data file is in WAL mode."""
    with _writing(coming) as copied:
        connection.backup(copied, pages=-1)
        # One file, which can be read from anywhere; WAL begins again where it is put in place.
        copied.execute("PRAGMA journal_mode = DELETE").fetchall()


@contextlib.contextmanager
def _writing(coming: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(coming, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        yield connection
    except sqlite3.Error as error:
        raise Misconfigured(f"{coming.parent} cannot take the file ({error}): is the disk full?") from error
    finally:
        connection.close()


def _set_aside(target: Path, aside: Path) -> None:
    """Give the data file a second name; it has its first one until another takes its place.

    What is in its WAL goes into it first, where that can be: beside the new file a WAL would be taken for its own.
    """
    if target.exists():
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(target)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        os.link(target, aside)
    for name in _COMPANIONS:
        companion = target.with_name(target.name + name)
        if companion.exists():
            companion.replace(aside.with_name(aside.name + name))
    sync_directory(target.parent)


def _take_back(target: Path, aside: Path) -> None:
    """After what failed: the data file has one name, as before."""
    with contextlib.suppress(OSError):
        if aside.samefile(target):
            for name in _COMPANIONS:
                with contextlib.suppress(FileNotFoundError):
                    aside.with_name(aside.name + name).replace(target.with_name(target.name + name))
            aside.unlink()
