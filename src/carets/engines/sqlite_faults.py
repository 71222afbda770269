"""What an error of SQLite says about the disk below it.

Owns: telling a full disk from a read-only one, a failing one, damaged data, and a file that is there no more.
Does not know: what was to be written.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import structlog

from carets.errors import Code
from carets.protocol.messages import FaultName
from carets.rooms.store import StoreFailed

_log = structlog.get_logger("carets.disk")

_FAULTS: dict[int, FaultName] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_IOERR: "failing",
    sqlite3.SQLITE_CANTOPEN: "failing",
    sqlite3.SQLITE_PERM: "failing",
    sqlite3.SQLITE_BUSY: "failing",
    sqlite3.SQLITE_NOMEM: "failing",
    sqlite3.SQLITE_PROTOCOL: "failing",
}
"""By SQLite's primary result code; every other says that what was asked is wrong. Source: sqlite.org/rescode.html."""

_ADVICE = "restore a backup of this file, or run `carets check` to see what is left of it"


class Faults:
    """The errors of one database file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = os.fspath(path)
        self._file = _file_at(self._name)
        self._has_told_damage = False

    def refuse_another_file(self) -> None:
        """Raises: StoreFailed when the path names another file by now, or none: what is written would be lost."""
        if _file_at(self._name) != self._file:
            detail = "its data file was moved or replaced; the operator should put it back, or start the server anew"
            raise StoreFailed(Code.UNAVAILABLE, detail, fault="failing")

    def failure(self, error: Exception) -> StoreFailed:
        """What a store raises for an error."""
        fault = self.fault_of(error)
        detail = error.detail if isinstance(error, StoreFailed) else f"{type(error).__name__}: {error}"
        if fault == "damaged" and not isinstance(error, StoreFailed):  # which says itself what is damaged
            detail = f"its data are damaged ({error}), the operator should run `carets check`"
            if not self._has_told_damage:
                self._has_told_damage = True
                _log.error("data_damaged", file=str(self._path), error=str(error), next_step=_ADVICE)
        failure = StoreFailed(Code.UNAVAILABLE, detail, fault=fault)
        failure.__cause__ = error
        return failure

    def fault_of(self, error: Exception) -> FaultName | None:
        """Which fault an error means; None for one of ours."""
        if isinstance(error, StoreFailed):
            return error.fault
        if not isinstance(error, sqlite3.Error):
            return None
        fault = _FAULTS.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & 0xFF)
        # Calls that SQLite does not expect to meet a full disk report it as any other failure of theirs.
        return self._look_at_disk() if fault == "failing" else fault

    def _look_at_disk(self) -> FaultName:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return "failing"
        if disk.f_flag & os.ST_RDONLY:
            return "read_only"
        return "failing" if disk.f_bavail else "full"


def _file_at(path: str) -> tuple[int, int] | None:
    """What a path names, however that is called elsewhere."""
    try:
        found = os.stat(path)  # noqa: PTH116 - before each commit: a Path takes four times as long
    except OSError:
        return None
    return found.st_dev, found.st_ino
