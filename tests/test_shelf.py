"""Which documents are in memory: what the log holds is shown whole or not at all, and lineages do not mix."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import messages, wire
from carets.protocol.dialect import STOCK
from carets.protocol.messages import FileRecord
from carets.protocol.updates import encode_state_vector
from carets.rooms.document import Document
from carets.rooms.file import OpenFile
from carets.rooms.store import FileLog, LogEntry, StoreFailed
from tests.sessions import block, item, update
from tests.stage import ROOM_ID, Stage, settled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py", "b.py")
    yield stage
    stage.room.delivery.stop()


def log(stage: Stage, *updates: bytes) -> None:
    stage.store.logs[ROOM_ID, 1] = [LogEntry(0, "person:ann", each) for each in updates]


async def test_edits_that_rest_on_one_that_is_set_aside_are_not_dropped_in_silence(stage: Stage) -> None:
    # What followed the quarantined update was left pending in the engine, and the next checkpoint covered it.
    first, lost, last = (update(block(7, n, item("abc"[n], (7, n - 1) if n else None))) for n in range(3))
    log(stage, first, lost, last)
    stage.store.quarantined.add((ROOM_ID, 1, 2))
    with pytest.raises(StoreFailed):
        await stage.room.shelf.load(1)
    assert 1 not in stage.room.open_files
    assert (ROOM_ID, 1) not in stage.store.checkpoints


async def test_an_update_that_only_waits_in_the_engine_is_noticed(stage: Stage) -> None:
    log(stage, update(block(7, 0, item("a"))), update(block(8, 5, item("b", (7, 0)))))
    with pytest.raises(StoreFailed):
        await stage.room.shelf.load(1)


async def test_a_file_that_takes_a_deleted_ones_path_does_not_take_its_text(stage: Stage) -> None:
    # The ids of earlier files at a path were read once, when the file still had another path.
    await stage.editor(1)
    stage.store.former = frozenset({4_000_000_007})
    owner = stage.join("owner")
    stage.room.request(owner.member, messages.DeleteFile(2))
    stage.room.request(owner.member, messages.RenameFile(1, "b.py"))
    await settled()
    stock = stage.join(dialect=STOCK)
    await stage.room.open_stock_file(stock.member, 1)
    with pytest.raises(Refused) as refused:
        stage.room.receive_stock(stock.member, 1, wire.encode_step_1(encode_state_vector({4_000_000_007: 5})))
    assert refused.value.code is Code.EPOCH_CHANGED


async def test_one_who_stops_waiting_does_not_take_the_commit_with_it(stage: Stage) -> None:
    ann = await stage.editor(1)
    stage.store.gate.clear()
    ann.type(1, "kept")
    await settled()
    waiting = asyncio.create_task(stage.room.settle())
    await settled()
    waiting.cancel()
    await settled()
    stage.store.gate.set()
    await settled()
    assert ann.saved == ann.member.received
    assert [entry.update for entry in stage.store.logs[ROOM_ID, 1]]


async def test_a_link_that_expires_ends_who_is_on_it(stage: Stage) -> None:
    ann = await stage.editor(1)
    link = stage.room.links[ann.member.link_id]
    await stage.room.put_link(link._replace(expires_at_ms=stage.now_ms + 1000))
    stage.lobby.expel_expired()
    assert ann.member.gone is None
    stage.now_ms += 1000
    stage.lobby.expel_expired()
    assert ann.line.closed_with is not None
    assert ann.line.closed_with.code is Code.LINK_EXPIRED


async def test_a_room_holds_so_much_text_and_opens_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROOM_UNITS_MAX", 100)
    await stage.room.import_files("link:a", {"large": "x" * 100, "small": "y"})
    large, small = (stage.room.files.at_path(path).file_id for path in ("large", "small"))
    ann, bob = await stage.editor(large), stage.join()
    await bob.open(small)
    assert [(each["code"], each["file_id"]) for each in bob.told("refused")] == [(Code.FILES_OPEN_TOO_MANY, small)]
    await bob.open(large)
    await settled()
    assert bob.text(large) == ann.text(large) == "x" * 100, "what is there is anybody's"
    assert await stage.room.shelf.read_text(small) == "y", "reading it for an export keeps nothing"
    for actor in (ann, bob):
        stage.room.request(actor.member, messages.CloseFile(large))
    for _ in range(3):
        stage.room.sweep()
        await settled()
    await bob.open(small)
    await settled()
    assert bob.text(small) == "y"


def test_a_checkpoint_is_due_by_updates_or_by_bytes_and_not_before() -> None:
    file = OpenFile(FileRecord(1, "a", "e"), Document(), FileLog(None, [], {}, frozenset()))

    def is_due() -> bool:
        return file.is_checkpoint_due

    file.seq = limits.CHECKPOINT_UPDATES - 1
    file.bytes_since_checkpoint = limits.CHECKPOINT_BYTES - 1
    assert not is_due()
    file.seq += 1
    assert is_due()
    file.checkpointed(file.make_checkpoint())
    assert not is_due()
    file.seq, file.bytes_since_checkpoint = file.seq + 1, limits.CHECKPOINT_BYTES
    assert is_due()
