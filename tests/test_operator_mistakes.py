"""What an operator does wrong in a hurry: each costs one line and status 2, and no data."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from carets.backups import back_up, restore
from carets.cli import main
from carets.config import Config
from carets.engines.sqlite_file import DATA_FILE
from carets.server import running

NOBODY = 65534
"""A user who owns nothing."""

Refused = Callable[..., str]


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data directory that a server has used."""
    async with running(Config(port=0, data=tmp_path / "data")):
        pass
    return tmp_path / "data"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one line with which ``carets`` refuses."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        assert main(list(map(str, arguments))) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        return err

    return run


@contextlib.contextmanager
def locked_out(directory: Path) -> Iterator[None]:
    """Who may not look into the directory, as anyone but the server's user."""
    is_root = os.geteuid() == 0
    directory.chmod(0)
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        directory.chmod(0o700)


def test_another_user_than_the_servers_is_told_so_by_every_command(
    data: Path, tmp_path: Path, refused: Refused
) -> None:
    """`Path.is_file` raises where one may not look: it was a traceback, and for backup the target's fault."""
    with locked_out(data):
        for words in (["check"], ["backup", tmp_path / "b"], ["admin", "usage"], ["restore", data / DATA_FILE]):
            err = refused(*words, "--data", data)
            assert f"{data / DATA_FILE} cannot be read (Permission denied): run this as the user of the server" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_full_disk_is_named_where_nothing_can_be_read_for_it(
    data: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite cannot make its shared memory there, and calls that an I/O error."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sqlite3, "connect", fail)
    for free, told in ((0, "its disk is full, make room"), (9, "look at its disk, and run this as the user")):
        monkeypatch.setattr(os, "statvfs", lambda _, free=free: SimpleNamespace(f_bavail=free, f_flag=0))
        for words in (["check"], ["backup", tmp_path / "b"]):
            assert f"(disk I/O error): {told}" in refused(*words, "--data", data)


def test_what_root_puts_back_belongs_to_the_owner_of_the_directory(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sudo carets restore` left a file that the server's own user could not open."""
    back_up(data, tmp_path / "b", replace=False)
    given: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda descriptor, *owner: given.update({os.fstat(descriptor).st_ino: owner}))
    for place in (data, tmp_path / "new disk"):
        restore(tmp_path / "b", place, None, anyway=False, tell=lambda _: None)
        owner = (place.stat().st_uid, place.stat().st_gid)
        for name in (DATA_FILE, "lock"):
            assert given.get((place / name).stat().st_ino) == owner, name


def test_a_folder_is_no_backup_and_neither_is_the_data_file_itself(
    data: Path, tmp_path: Path, refused: Refused
) -> None:
    assert f"{tmp_path} is a folder: name one backup in it" in refused("restore", tmp_path, "--data", data)
    before = (data / DATA_FILE).stat()
    for path in (data / DATA_FILE, tmp_path / "link"):
        if not path.exists():
            path.symlink_to(data / DATA_FILE)
        assert "is the data file itself" in refused("restore", path, "--data", data, "--same-lineage")
    assert (data / DATA_FILE).stat().st_ino == before.st_ino
    assert not list(data.glob("*.replaced-*"))


def test_a_file_is_no_data_directory(data: Path, refused: Refused) -> None:
    for place in (data / DATA_FILE, data / DATA_FILE / "below"):
        assert f"{place} is no directory: name one with --data" in refused("serve", "--port", "0", "--data", place)
