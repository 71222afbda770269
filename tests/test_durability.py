"""No ack leaves before the sync that covers it (P1): read from the system calls, not from the code's own word.

`acks_without_sync` knows SQLite's log file and nothing of Carets, so it judges the store or a whole server:
record with `TRACED` around the program, and say which writes are acks, and what text each ack covers.
Source: SQLite's "WAL file format" (frames of a 24-byte header and a page; a header that tells a size ends a commit).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from carets.engines.sqlite import SqliteStore
from tests.durability_child import ROOM, text_of

TRACED = (
    "strace",
    "-f",
    "-y",
    "-xx",
    "-s",
    "1000000",
    "-e",
    "trace=fsync,fdatasync,write,pwrite64,writev,sendmsg,sendto",
)
"""How to record: all threads, descriptors with their paths, all bytes in hexadecimal. ``-o FILE PROGRAM`` follows."""

PAGE_BYTES = 4096

_CALL = re.compile(r"(\d+) +(\w+)\((\d+)(?:<([^>]*)>)?(.*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_RESULT = re.compile(r"\)\s+= (-?\d+|\?)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OFFSET = re.compile(r", (\d+)\)\s+= ")


class Call(NamedTuple):
    """One system call, with the lines of the trace at which it began and ended."""

    name: str
    path: str
    sent: bytes
    offset: int
    result: int
    began: int
    ended: int


@dataclass(slots=True)
class Commit:
    """One transaction in SQLite's log: its pages, and the line at which it was written and at which it was on disk."""

    pages: bytes = b""
    written: int = sys.maxsize
    durable: int = sys.maxsize


@dataclass(slots=True)
class Log:
    """SQLite's log, as its writes and syncs make it."""

    commits: list[Commit] = field(default_factory=list)
    gathering: Commit = field(default_factory=Commit)
    is_last_frame: bool = False

    def take(self, call: Call) -> None:
        if call.name in ("fsync", "fdatasync"):
            for commit in self.commits if call.result == 0 else ():
                if commit.written < call.began:
                    commit.durable = min(commit.durable, call.ended)
        elif call.name == "pwrite64" and len(call.sent) == 24:
            self.is_last_frame = call.sent[4:8] != bytes(4)
        elif call.name == "pwrite64" and len(call.sent) == PAGE_BYTES:
            self.gathering.pages += call.sent
            if self.is_last_frame:
                self.gathering.written = call.ended
                self.commits.append(self.gathering)
                self.gathering = Commit()


def calls_of(trace: str) -> Iterator[Call]:
    """The calls of a trace, in the order in which they ended."""
    begun: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(trace.splitlines(), 1):
        began, whole = number, line
        if line.endswith("<unfinished ...>"):
            begun[line.split()[0]] = number, line.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := _RESUMED.match(line):
            began, start = begun.pop(resumed[1])
            whole = start + resumed[3]
        call, result = _CALL.match(whole), _RESULT.search(whole)
        if call is None or result is None or result[1] == "?":
            continue
        strings = (bytes.fromhex(text.replace("\\x", "")) for text in _STRING.findall(call[5]))
        path = bytes.fromhex((call[4] or "").replace("\\x", "")).decode(errors="replace")
        offset = _OFFSET.search(call[5])
        yield Call(call[2], path, b"".join(strings), int(offset[1]) if offset else 0, int(result[1]), began, number)


def acks_in(
    trace: str, covered: Callable[[bytes], Sequence[bytes]], db_path: Path
) -> list[tuple[Call, Sequence[bytes]]]:
    """The writes that are acks, each with what it covers, so that a test can say how many it expects."""
    own = {str(db_path), f"{db_path}-wal", f"{db_path}-shm"}
    sent = ((call, covered(call.sent)) for call in calls_of(trace) if call.sent and call.path not in own)
    return [(call, texts) for call, texts in sent if texts]


def acks_without_sync(trace: str, covered: Callable[[bytes], Sequence[bytes]], db_path: Path) -> list[str]:
    """One line for each text that was acked before a sync had put the commit that holds it on disk.

    `covered` is given the bytes of every write that is not SQLite's, and gives the texts that it acks, if any.
    Each text must stand in its update as it is, and must not stand in an earlier one.
    """
    log = Log()
    for call in calls_of(trace):
        if call.path == f"{db_path}-wal":
            log.take(call)
    found = []
    for call, texts in acks_in(trace, covered, db_path):
        for text in texts:
            first = next((commit for commit in log.commits if text in commit.pages), Commit())
            if not first.durable < call.began:
                found.append(f"line {call.began}: {text!r} is acked; written {first.written}, synced {first.durable}")
    return found


def covered_by_child(sent: bytes) -> list[bytes]:
    return [text_of(int(number)) for number in re.findall(rb"ack (\d+);", sent)]


@cache
def why_not_traceable() -> str:
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = subprocess.run(
        ["strace", "-f", "-qq", "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    return "" if probe.returncode == 0 else f"strace cannot trace here: {probe.stderr.strip()}"


@pytest.fixture(autouse=True)
def _traceable() -> None:
    if reason := why_not_traceable():
        pytest.skip(reason)


def run_child(path: Path, mode: str, count: int, around: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*around, sys.executable, "-m", "tests.durability_child", mode, str(path), str(count)]
    root = Path(__file__).parents[1]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, check=False, timeout=60)


def trace_child(directory: Path, mode: str, count: int) -> tuple[str, Path]:
    path = directory.resolve() / "carets.db"
    done = run_child(path, mode, count, (*TRACED, "-o", str(directory / "trace")))
    assert done.returncode == 0, done.stderr.decode()
    return (directory / "trace").read_text(), path


def test_no_ack_leaves_before_its_sync(tmp_path: Path) -> None:
    trace, path = trace_child(tmp_path, "honest", 40)
    assert len(acks_in(trace, covered_by_child, path)) == 40
    assert acks_without_sync(trace, covered_by_child, path) == []


@pytest.mark.parametrize("mode", ["unsynced", "early"])
def test_the_checker_finds_acks_without_sync(tmp_path: Path, mode: str) -> None:
    trace, path = trace_child(tmp_path, mode, 10)
    assert len(acks_in(trace, covered_by_child, path)) == 10
    assert len(acks_without_sync(trace, covered_by_child, path)) == 10


def test_the_checker_finds_a_sync_that_failed_was_too_soon_or_of_another_file() -> None:
    def hexed(raw: bytes) -> str:
        return '"' + "".join(f"\\x{byte:02x}" for byte in raw) + '"'

    def path(name: str) -> str:
        return hexed(name.encode()).strip('"')

    page = text_of(1).ljust(PAGE_BYTES)
    last = bytes(4) + b"\0\0\0\1" + bytes(16)
    header = f"1 pwrite64(5<{path('/d/c.db-wal')}>, {hexed(last)}, 24, 32) = 24"
    frame = f"1 pwrite64(5<{path('/d/c.db-wal')}>, {hexed(page)}, 4096, 56) = 4096"
    sync = f"1 fdatasync(5<{path('/d/c.db-wal')}>) = 0"
    begun, resumed = f"2 fdatasync(5<{path('/d/c.db-wal')}> <unfinished ...>", "2 <... fdatasync resumed>) = 0"
    ack = f"3 sendto(9<{path('socket')}>, {hexed(b'ack 1;')}, 6, 0, NULL, 0) = 6"

    def found(*lines: str) -> int:
        return len(acks_without_sync("\n".join(lines), covered_by_child, Path("/d/c.db")))

    assert found(header, frame, sync, ack) == 0
    assert found(header, frame, begun, resumed, ack) == 0
    assert found(header, frame, ack, sync) == 1
    assert found(sync, header, frame, ack) == 1
    assert found(header, begun, frame, resumed, ack) == 1
    assert found(header, frame, begun, ack, resumed) == 1
    assert found(header, frame, sync.replace("= 0", "= -1 EIO (Input/output error)"), ack) == 1
    assert found(header, frame, sync.replace(path("-wal"), path("-shm")), ack) == 1
    assert found(header.replace(hexed(last), hexed(bytes(24))), frame, sync, ack) == 1
    assert found(sync, ack) == 1


def acked(done: subprocess.CompletedProcess[bytes]) -> list[int]:
    return [int(number) for number in re.findall(rb"ack (\d+);\n", done.stdout)]


def kept(path: Path) -> int:
    """How many batches are in the file. Each must be whole: the same in both files."""

    async def load() -> int:
        store = SqliteStore.open(path)
        if await store.load_workspace(ROOM) is None:
            count = 0
        else:
            logs = [await store.load_file(ROOM, file_id) for file_id in (1, 2)]
            assert logs[0].updates == logs[1].updates
            count = len(logs[0].updates)
            assert logs[0].updates == [text_of(number) for number in range(1, count + 1)]
        await store.close()
        return count

    return asyncio.run(load())


def run_child_injecting(
    path: Path, call: str, what: str, number: int, count: int
) -> subprocess.CompletedProcess[bytes]:
    """Run the child, and in each of its threads let something happen to system call number `number` of a kind."""
    inject = ("-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}")
    return run_child(path, "honest", count, ("strace", "-f", "-qq", "-o", os.devnull, *inject))


def make_empty(path: Path) -> None:
    """Make the file beforehand, so that the child's first thread does too little to be hit."""
    asyncio.run(SqliteStore.open(path).close())


@pytest.mark.parametrize(
    "call, is_new, numbers",
    [
        pytest.param("pwrite64", True, range(1, 40, 3), id="while the file is made"),
        pytest.param("pwrite64", False, range(11, 40, 2), id="in a write"),
        pytest.param("fdatasync", False, range(1, 9), id="in a sync"),
    ],
)
def test_killed_at_any_moment_all_that_was_acked_is_left_and_nothing_in_part(
    tmp_path: Path, call: str, is_new: bool, numbers: Sequence[int]
) -> None:
    counts = set()
    for number in numbers:
        path = tmp_path / f"{number}.db"
        if not is_new:
            make_empty(path)
        done = run_child_injecting(path, call, "signal=KILL", number, 4)
        last = max(acked(done), default=0)
        count = kept(path)
        assert last <= count <= last + 1, f"killed at {call} number {number}"
        counts.add(count)
    assert counts >= ({0} if is_new else {0, 1, 2, 3, 4})


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call, numbers", [("pwrite64", range(11, 36, 2)), ("fdatasync", range(2, 10))])
def test_a_disk_that_fails_once_costs_one_answer_and_no_batch(
    tmp_path: Path, call: str, numbers: Sequence[int], error: str
) -> None:
    failed = 0
    for number in numbers:
        path = tmp_path / f"{number}.db"
        make_empty(path)
        done = run_child_injecting(path, call, f"error={error}", number, 6)
        assert kept(path) >= max(acked(done), default=0)
        if done.returncode == 0:  # else creating the workspace was what failed
            assert acked(done) == list(range(1, 7))
            assert kept(path) == 6
        failed += done.stdout.count(b"failed") == 1
    assert failed >= 5
