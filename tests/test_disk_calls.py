"""I/O that fails at the n-th call, n = 1, 2, ... until it passes: nothing acked is lost, in part, or there twice.

A child (`disk_child`) works on a database, and ``strace`` lets one system call of it fail. A few of all numbers are
tried here; ``python -m tests.test_disk_calls`` tries every one, and tells how many there were.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from carets.engines.sqlite import SqliteStore
from tests.disk_child import EDITS, LINK, ROOM, TITLE, batch_of, said, text_of
from tests.test_durability import why_not_traceable

CALLS = {
    "openat": ("EIO", "EMFILE"),
    "fstat,newfstatat": ("EIO",),
    "fcntl": ("EIO", "ENOLCK"),
    "ftruncate": ("EIO", "ENOSPC"),
    "mmap": ("ENOMEM",),
    "pread64": ("EIO",),
    "pwrite64": ("EIO", "ENOSPC"),
    "fdatasync,fsync": ("EIO", "ENOSPC"),
    "unlink": ("EIO",),
}
"""All calls by which SQLite works on its files, and how each may fail."""

NUMBERS_MAX = 400

RUN_S = 200
"""Seconds for one run: where a lock cannot be let go, SQLite tries for ten before it gives up."""

_ROOT = Path(__file__).parents[1]


class Outcome:
    """What came of one run."""

    def __init__(self, told: str, trace: str, status: int) -> None:
        self.acked = set(re.findall(r"^ack (.+)$", told, re.MULTILINE))
        self.failures = len(re.findall(r"^failed ", told, re.MULTILINE))
        self.refusal = next(iter(re.findall(r"^refused (.+)$", told, re.MULTILINE)), "")
        self.has_lost_sight = "lost sight" in told
        self.was_hit = "(INJECTED)" in trace
        self.status = status


def run(path: Path, call: str, error: str, number: int) -> Outcome:
    """The child on a new database, with call number `number` of each of its threads failing."""
    paths = [option for end in ("", "-wal", "-shm", "-journal") for option in ("-P", f"{path}{end}")]
    trace = path.with_suffix(".trace")
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}"]
    command = ["strace", "-f", "-qq", "-o", str(trace), *paths, *inject]
    command += [sys.executable, "-m", "tests.disk_child", str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, check=False, timeout=RUN_S)
    assert not done.stderr, done.stderr.decode()
    return Outcome(done.stdout.decode(), trace.read_text(), done.returncode)


async def check(path: Path, outcome: Outcome) -> None:
    """Open the database on a sound disk, and hold what is in it against what was promised."""
    store = SqliteStore.open(path)
    try:
        record = await store.load_workspace(ROOM)
        assert (record is not None) >= ("create" in outcome.acked)
        if record is None:
            return
        logs = [await store.load_file(ROOM, file_id) for file_id in (1, 2)]
        kept = {log.seq for log in logs}
        assert len(kept) == 1, "a batch is there in part"
        count = kept.pop()
        assert count >= sum(name.startswith("edit ") for name in outcome.acked)
        for file_id in (1, 2):
            entries = await store.read_log(ROOM, file_id, 0, 100)
            assert [entry.update for entry in entries] == [text_of(number) for number in range(1, count + 1)]
        assert all(set(log.owners) == set(range(1, count + 1)) for log in logs)
        assert record.chat == [said(number) for number in range(1, count + 1)]
        assert [file.file_id for file in record.files] == [1, 2, *(each.file_id for each in batch_of(count).files)]
        assert (logs[0].checkpoint is not None) >= ("checkpoint" in outcome.acked)
        assert (LINK in record.links) >= ("link" in outcome.acked)
        assert len(record.links) == 1 + (LINK in record.links)
        assert (record.title == TITLE) >= ("title" in outcome.acked)
    finally:
        await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def try_number(folder: Path, call: str, error: str, number: int) -> Outcome:
    """One run and its check; a failure says which it was."""
    path = folder / f"{call.split(',', maxsplit=1)[0]}-{error}-{number}.db"
    outcome = run(path, call, error, number)
    try:
        assert outcome.status in (0, 2)
        # Who could not start says why, in words; who could, and failed once, did everything the second time.
        assert bool(outcome.refusal) == (outcome.status == 2)
        assert str(path) in outcome.refusal or not outcome.refusal
        if outcome.status == 0 and not outcome.has_lost_sight:
            assert len(outcome.acked) == EDITS + 5
        asyncio.run(check(path, outcome))
    except BaseException as failure:
        failure.add_note(f"{call} number {number} failed with {error}; acked: {sorted(outcome.acked)}")
        raise
    return outcome


@pytest.mark.parametrize(
    "call, error, numbers",
    [
        ("pwrite64", "ENOSPC", (3, 14, 20, 27, 33)),
        ("fdatasync,fsync", "EIO", (1, 4, 7)),
        ("openat", "EIO", (1, 3)),
        ("ftruncate", "ENOSPC", (1,)),
        ("pread64", "EIO", (2, 9)),
        ("mmap", "ENOMEM", (1,)),
    ],
)
def test_a_call_that_fails_costs_nothing_that_was_promised(
    call: str, error: str, numbers: Sequence[int], tmp_path: Path
) -> None:
    if reason := why_not_traceable():
        pytest.skip(reason)
    for number in numbers:
        assert try_number(tmp_path, call, error, number).was_hit, "there is such a call"


def main() -> None:
    """Every call that is named, or all, every number until it passes."""
    for call, errors in CALLS.items():
        if sys.argv[1:] and call not in sys.argv[1:]:
            continue
        for error in errors:
            seen: Counter[str] = Counter()
            with tempfile.TemporaryDirectory() as folder:
                for number in range(1, NUMBERS_MAX):
                    outcome = try_number(Path(folder), call, error, number)
                    if not outcome.was_hit:
                        break
                    seen["runs"] += 1
                    seen["did not start"] += outcome.status == 2
                    seen["steps that failed"] += outcome.failures
                    seen["lost sight"] += outcome.has_lost_sight
            print(f"{call:20} {error:8} {dict(seen)}", flush=True)


if __name__ == "__main__":
    main()
