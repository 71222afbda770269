"""Disks for tests that fill up, turn read-only or hang, for real: below a server that knows nothing of it.

A small disk is a mounted ``tmpfs``, which takes root; a call that fails or hangs is made so by ``strace``, which must
be allowed to trace. Where neither can be had the test is skipped, and says what was missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.test_durability import why_not_traceable

DISK_MIB = 24
ATTACH_S = 30.0

WRITES = "pwrite64,pwritev,fallocate,ftruncate,fdatasync,fsync"
"""All by which SQLite changes a file that is open."""


class SmallDisk:
    """A file system of its own. `path` is where it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Take every byte that is left."""
        with self._filler.open("ab") as filler, contextlib.suppress(OSError):
            while True:
                os.write(filler.fileno(), bytes(64 * 1024))
        with self._filler.open("ab") as filler, contextlib.suppress(OSError):
            while True:
                os.write(filler.fileno(), bytes(4096))
        disk = os.statvfs(self.path)
        assert disk.f_bavail == 0, f"{disk.f_bavail} blocks are left"

    def empty(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)

    def remount(self, mode: str) -> None:
        """``ro`` or ``rw``; nobody may have a file open for writing."""
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.path)], check=True, capture_output=True)


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mount one. Skips where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a small disk")
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(path)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield SmallDisk(path)
    finally:
        # Lazily: whoever still has a file open there must not keep the test from ending.
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextlib.asynccontextmanager
async def calls_that(pid: int, database: Path, what: str, calls: str = WRITES) -> AsyncIterator[None]:
    """Let a process's calls on its database and SQLite's files beside it fail or hang, as long as this lasts.

    `what` is strace's: ``error=ENOSPC``, ``delay_enter=SECONDS``, ... Skips where strace cannot trace.
    """
    if reason := why_not_traceable():
        pytest.skip(reason)
    paths = [option for end in ("", "-wal", "-shm") for option in ("-P", f"{database}{end}")]
    command = ["strace", "-f", "-p", str(pid), "-o", os.devnull, *paths, "-e", f"trace={calls}"]
    strace = await asyncio.create_subprocess_exec(
        *command, "-e", f"inject={calls}:{what}", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert strace.stderr is not None
    try:
        async with asyncio.timeout(ATTACH_S):
            told = await strace.stderr.readline()
        assert b"attached" in told, told
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        async with asyncio.timeout(ATTACH_S):
            await strace.communicate()
