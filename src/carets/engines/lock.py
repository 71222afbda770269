"""The data directory, held by one process at a time.

Owns: the directory itself and the lock in it. Does not know: what is kept there.

Invariant: of all processes on this machine, at most one holds a `DataDirectory` for a path. The lock goes
with the process, however that ends; the file stays, and names the last holder and where it served.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from carets.errors import Misconfigured

LOCK_NAME = "lock"

_TOLD_BYTES_MAX = 512
"""Bytes of the lock file that are read: a process and an address."""


class Holder(NamedTuple):
    """Who holds a data directory."""

    pid: str
    address: str
    """Where it serves on this machine; empty while it does not."""


class DirectoryInUseError(Misconfigured):
    """Another process holds the directory."""

    def __init__(self, path: Path, holder: Holder) -> None:
        super().__init__(
            f"the data directory {path} is in use by process {holder.pid}: end that one, or name another with --data"
        )
        self.holder = holder


@dataclass(slots=True)
class DataDirectory:
    """A directory that is ours for the life of this process. Made by `lock` only."""

    path: Path
    _descriptor: int

    @classmethod
    def lock(cls, path: Path) -> DataDirectory:
        """Make the directory when it is missing, readable by its owner only, and take its lock without waiting.

        Raises: Misconfigured when it cannot be made or written; DirectoryInUseError when another process holds it.
        """
        try:
            _make(path)
            descriptor = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            give_to_owner_of(path, descriptor)
        except (FileExistsError, NotADirectoryError) as error:
            raise Misconfigured(f"{path} is no directory: name one with --data") from error
        except OSError as error:
            raise Misconfigured(
                f"the data directory {path} cannot be written ({error.strerror}): check its owner and rights,"
                " or name another with --data"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            pid, _, address = os.pread(descriptor, _TOLD_BYTES_MAX, 0).decode(errors="replace").partition("\n")
            os.close(descriptor)
            raise DirectoryInUseError(path, Holder(pid or "unknown", address.strip())) from error
        except OSError as error:
            os.close(descriptor)
            raise Misconfigured(
                f"the data directory {path} cannot be locked ({error.strerror}): use a local disk with free space"
            ) from error
        return cls(path, descriptor)

    def tell(self, address: str) -> None:
        """Say in the lock where this process serves, for the operator's commands."""
        os.pwrite(self._descriptor, f"{os.getpid()}\n{address}\n".encode(), 0)

    def release(self) -> None:
        """Let another process have it. Ending the process does the same."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _make(path: Path) -> None:
    """Make a directory and what is missing above it, so that a power cut cannot take their names back."""
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for directory in missing:
        sync_directory(directory.parent)


def give_to_owner_of(directory: Path, descriptor: int) -> None:
    """What root makes in a directory of the server's user is that user's, who could not open it otherwise."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def sync_directory(path: Path) -> None:
    """Make the names in a directory as durable as the file system can."""
    with contextlib.suppress(OSError):  # some file systems cannot sync a directory
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
