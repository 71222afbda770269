"""What an error of SQLite says about the disk, and what only the file system can say of it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from carets.engines.sqlite import SqliteStore
from carets.engines.sqlite_faults import Faults
from carets.errors import Code
from carets.protocol.messages import FaultName
from carets.rooms.store import Batch, StoreFailed
from tests.suites.store_promises import ROOM, chat, record


def error_of(result_code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = result_code
    return error


@pytest.mark.parametrize(
    "result_code, fault",
    [
        (sqlite3.SQLITE_FULL, "full"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "read_only"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "damaged"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_IOERR_FSYNC, "failing"),
        (sqlite3.SQLITE_CANTOPEN, "failing"),
        (sqlite3.SQLITE_BUSY, "failing"),
        (sqlite3.SQLITE_PROTOCOL, "failing"),
        (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, None),
        (sqlite3.SQLITE_TOOBIG, None),
        (sqlite3.SQLITE_ERROR, None),
    ],
)
def test_each_result_code_says_what_ails_the_disk_or_that_it_is_well(
    result_code: int, fault: FaultName | None, tmp_path: Path
) -> None:
    failure = Faults(tmp_path / "carets.db").failure(error_of(result_code))
    assert (failure.code, failure.fault) == (Code.UNAVAILABLE, fault)
    assert "as SQLite says it" in str(failure)


@pytest.mark.parametrize(
    "free_blocks, flags, fault",
    [(0, 0, "full"), (9, os.ST_RDONLY, "read_only"), (0, os.ST_RDONLY, "read_only"), (9, 0, "failing")],
)
def test_a_call_that_failed_for_no_given_reason_is_explained_by_the_file_system(
    free_blocks: int, flags: int, fault: FaultName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite calls a full disk an I/O error where it did not expect one, as when it makes its shared memory.
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free_blocks, f_flag=flags))
    assert Faults(tmp_path / "carets.db").failure(error_of(sqlite3.SQLITE_IOERR_SHMSIZE)).fault == fault


def test_what_is_no_error_of_the_disk_has_no_fault_and_a_failure_keeps_its_own(tmp_path: Path) -> None:
    faults = Faults(tmp_path / "carets.db")
    assert faults.failure(ValueError("a bug")).fault is None
    assert faults.failure(StoreFailed(Code.UNAVAILABLE, "no such file")).fault is None
    assert faults.failure(StoreFailed(Code.UNAVAILABLE, "x", fault="full")).fault == "full"


async def test_nothing_is_said_to_be_saved_in_a_file_that_has_lost_its_place(tmp_path: Path) -> None:
    """A copy was put over the file in use: writes went on into a file without a name, and were gone with the process.

    Put back, the file takes on.
    """
    path, aside = tmp_path / "carets.db", tmp_path / "aside"
    store = SqliteStore.open(path)
    await store.create_workspace(record(), Batch(ROOM, files=record().files))
    path.rename(aside)
    for replacement in (None, b"", aside.read_bytes()):
        if replacement is not None:
            path.write_bytes(replacement)
        with pytest.raises(StoreFailed, match="was moved or replaced") as failed:
            await store.append(chat(1))
        assert failed.value.fault == "failing"
        assert str(tmp_path) not in str(failed.value), "members are told, too, and no paths of the server"
        assert path.exists() == (replacement is not None), "no empty one is made in its place"
    aside.replace(path)
    await store.append(chat(1))
    await store.close()
    store = SqliteStore.open(path)
    kept = await store.load_workspace(ROOM)
    await store.close()
    assert kept is not None
    assert kept.chat == chat(1).chat
