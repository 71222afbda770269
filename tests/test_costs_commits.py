"""What one commit costs, in counts that no machine changes: statements, wake-ups, frames built, writes, timers."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest

from carets.engines.sqlite import SqliteStore
from carets.protocol.dialect import CARETS, Dialect
from carets.protocol.messages import FileRecord
from carets.rooms.store import Batch, FileAppend, LogEntry, WorkspaceRecord
from tests.stage import Stage, delays_asked, settled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


async def test_a_commit_builds_its_frames_once_and_writes_once_to_each_member(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, *readers = [await stage.editor(1) for _ in range(20)]
    ann.type(1, "a")
    await settled()
    built: Counter[int] = Counter()
    message = Dialect.message

    def counted(self: Dialect, file_id: int, data: bytes) -> bytes:
        built[file_id] += 1
        return message(self, file_id, data)

    monkeypatch.setattr(Dialect, "message", counted)
    writes = [len(reader.line.writes) for reader in readers]
    for character in "typed in one turn":
        ann.type(1, character)
    await settled()
    # The first begins a commit, and is alone in it or not; what follows is one update of the next.
    commits = len(stage.store.batches) - 1
    assert 1 <= commits <= 2
    assert built[1] == commits
    assert {len(reader.line.writes) - before for reader, before in zip(readers, writes, strict=True)} == {commits}
    assert len(ann.line.writes) == commits, "`saved`, and nothing of its own"
    assert ann.member.dialect is CARETS


async def test_a_commit_asks_for_no_timer_but_the_rest_after_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await stage.editor(1)
    ann.type(1, "a")
    await settled()
    delays = delays_asked(monkeypatch)
    for _ in range(10):
        ann.type(1, "b")
        await settled()
    assert len(stage.store.batches) >= 10
    assert delays == []


class _Counting(sqlite3.Connection):
    """Counts its statements, by their first word."""

    counts: ClassVar[Counter[str]] = Counter()

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        self.counts[sql.split(maxsplit=1)[0]] += 1
        return super().execute(sql, *arguments)  # type: ignore[arg-type]


async def test_the_batches_of_all_rooms_are_one_transaction_and_one_call_of_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(tmp_path / "carets.sqlite3", connection_class=_Counting)
    rooms = [f"room-{number}" for number in range(50)]
    for room in rooms:
        await store.create_workspace(WorkspaceRecord(room, "", 0, [FileRecord(1, "a.py", "epoch")]), Batch(room))
    loop, calls = asyncio.get_running_loop(), 0
    real = loop.call_soon_threadsafe

    def counted(*arguments: object) -> asyncio.Handle:
        nonlocal calls
        calls += 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    # The writer is held until all have asked: how soon it would be there is the machine's.
    reached, held = asyncio.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        real(reached.set)
        held.wait(20)

    began = asyncio.ensure_future(store.write(hold))
    await reached.wait()
    entries = [LogEntry(1, "person:ann", bytes([number])) for number in range(20)]
    appends = [asyncio.ensure_future(store.append(Batch(room, [FileAppend(1, 1, entries)]))) for room in rooms]
    await asyncio.sleep(0)
    _Counting.counts.clear()
    calls = 0
    held.set()
    await asyncio.gather(began, *appends)
    assert calls == 2, "one for what was held, one for all that waited"
    assert _Counting.counts == {"COMMIT": 2, "BEGIN": 1, "INSERT": len(rooms), "UPDATE": len(rooms)}
    await store.close()
