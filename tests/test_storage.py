"""A store that cannot save: rooms that may only be read meanwhile, and what becomes of edits until it can again."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from carets import limits
from carets.errors import Code, Unavailable
from carets.protocol import messages, wire
from carets.protocol.dialect import STOCK
from carets.protocol.messages import FaultName, FileRecord
from carets.rooms.storage import failure_of
from carets.rooms.store import Batch, LinkRecord, StoreFailed, WorkspaceRecord
from tests.stage import ROOM_ID, Actor, Stage, delays_asked, settled


@pytest.fixture
async def stage() -> Stage:
    return await Stage().set_up("a.py", "b.py")


@pytest.fixture(autouse=True)
def _probes_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROBE_EVERY_S", 0.0)


async def fill(stage: Stage, fault: FaultName = "full") -> Actor:
    """From here on nothing can be written. Whoever found out is closed, and back when this returns."""
    stage.store.fault = fault
    victim = await stage.editor(1)
    person = victim.told("welcome")[0]["person"]
    victim.type(1, "unsaved ")
    await settled()
    assert victim.line.closed_with is not None
    assert stage.room.storage.fault == fault
    back = stage.join(person=person)
    back.docs, back._subscriptions = victim.docs, []
    await back.open(1)
    await settled()
    assert back.answer_step_1(1) == 1
    await settled()
    return back


async def empty(stage: Stage) -> None:
    """From here on all can be written, and a probe has found out."""
    stage.store.fault = None
    await settled()
    assert stage.room.storage.is_writable


async def test_members_stay_and_read_while_nothing_can_be_saved(stage: Stage) -> None:
    ann, eve = await stage.editor(1), stage.join("viewer")
    back = await fill(stage)
    await eve.open(1)
    ann.type(1, "hers ")
    await settled()
    assert [each.line.closed_with for each in (ann, back, eve)] == [None, None, None]
    assert ann.told("storage") == [{"type": "storage", "fault": "full"}]
    assert back.told("welcome")[0]["fault"] == "full"
    assert (back.text(1), eve.text(1)) == ("unsaved ", "")
    assert ann.answer_step_1(1) == 0, "nobody is asked for what cannot be taken"
    assert (ann.saved, back.saved) == (ann.member.received - 1, 0)


async def test_what_was_typed_meanwhile_is_asked_for_and_saved_when_there_is_room_again(stage: Stage) -> None:
    ann = await stage.editor(1, 2)
    back = await fill(stage)
    for text in ("one ", "two ", "three "):
        ann.type(1, text)
    ann.type(2, "elsewhere")
    await settled()
    written = len(stage.store.batches)
    await empty(stage)
    assert ann.told("storage")[-1]["fault"] is None
    assert [ann.answer_step_1(1), ann.answer_step_1(2), back.answer_step_1(1)] == [1, 1, 1]
    await settled()
    assert len(stage.store.batches) > written
    assert ann.saved == ann.member.received
    assert back.saved == back.member.received
    assert sorted(ann.text(1).split()) == ["one", "three", "two", "unsaved"]
    assert ann.text(1) == back.text(1)
    late = await stage.editor(1, 2)
    assert (late.text(1), late.text(2)) == (ann.text(1), "elsewhere")
    assert stage.room.open_files[1].agrees()


async def test_nothing_but_probes_is_written_while_nothing_can_be_saved(stage: Stage) -> None:
    ann = await stage.editor(1)
    await fill(stage)
    offered: list[object] = []

    async def append(batch: Batch) -> None:
        offered.append(batch)

    stage.store.append = append  # type: ignore[method-assign]
    probes = len(stage.store.probes)
    ann.type(1, "kept by her")
    stage.lobby.sweep()
    await settled()
    assert offered == []
    assert len(stage.store.probes) > probes
    assert stage.room.is_clean


async def test_what_is_known_already_counts_as_saved_even_then(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "known")
    await settled()
    await fill(stage)
    ann.send(1, wire.encode_step_2(ann.doc(1).get_update()))
    await settled()
    assert ann.saved == ann.member.received


async def test_deletions_wait_too_and_are_repaired_by_the_answer(stage: Stage) -> None:
    # They move no clock, so that no gap would ever tell of them.
    ann = await stage.editor(1)
    ann.type(1, "delete me")
    await settled()
    await fill(stage)
    del ann.doc(1)["text"][0:7]
    ann.send(1, wire.encode_update(ann._unsent.pop()[1]))
    await settled()
    assert ann.saved == ann.member.received - 1
    await empty(stage)
    ann.answer_step_1(1)
    await settled()
    assert ann.saved == ann.member.received
    assert (await stage.editor(1)).text(1) == "me"


async def test_files_chat_and_imports_are_refused_with_the_reason_and_when_to_try_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await stage.editor(1)
    await fill(stage, "read_only")
    monkeypatch.setattr(limits, "PROBE_EVERY_S", 2.0)
    stage.room.request(ann.member, messages.CreateFile("c.py", request=1))
    stage.room.request(ann.member, messages.Chat("hello", "nonce", request=2))
    refused = ann.told("refused")
    assert [(each["code"], each["request"], each["retry_after_ms"]) for each in refused] == [
        (Code.UNAVAILABLE, 1, 2000),
        (Code.UNAVAILABLE, 2, 2000),
    ]
    assert "its disk is read-only" in refused[0]["text"]
    for call in (
        stage.room.import_files("person:ann", {"d.py": ""}),
        stage.room.rename("Another"),
        stage.room.delete(),
        stage.room.put_link(LinkRecord("l", "viewer", b"hash", "", 0)),
        stage.lobby.create("", {}),
    ):
        with pytest.raises(Unavailable, match="its disk is read-only") as caught:
            await call
        assert caught.value.retry_after_s == 2.0
    assert ann.line.closed_with is None
    assert stage.room.title == "Title"


async def test_a_signal_and_presence_need_no_disk(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    await fill(stage)
    stage.room.request(ann.member, messages.decode_request(b'{"type":"signal","kind":"x","data":1}'))
    assert [each["data"] for each in bob.told("signal")] == [1]


async def test_who_lags_is_told_when_it_drains(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.member.outbox.lagging = True
    await fill(stage)
    assert ann.told("storage") == []
    ann.drain()
    await settled()
    assert ann.told("storage") == [{"type": "storage", "fault": "full"}]


async def test_a_stock_client_stays_too_and_what_it_typed_is_asked_for(stage: Stage) -> None:
    stock = stage.join(dialect=STOCK)
    await stage.room.open_stock_file(stock.member, 1)
    stage.room.receive_stock(stock.member, 1, wire.encode_step_1(stock.doc(1).get_state()))
    await settled()
    await fill(stage)
    stage.room.receive_stock(stock.member, 1, wire.encode_update(stock.edit(1, 0, "stock ")))
    await settled()
    assert stock.line.closed_with is None
    await empty(stage)
    stock.read()
    asked = [message for _, message in stock.messages if isinstance(message, wire.Step1)]
    assert len(asked) == 2, "one when it came, one when there was room again"
    answer = stock.doc(1).get_update(asked[-1].state_vector)
    stage.room.receive_stock(stock.member, 1, wire.encode_step_2(answer))
    await settled()
    assert "stock " in (await stage.editor(1)).text(1)


async def test_one_failure_on_a_sound_disk_makes_nothing_read_only(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(2)
    real, stage.store.append = stage.store.append, _failing_once(stage, "failing")  # type: ignore[method-assign,assignment]
    ann.type(1, "lost")
    await settled()
    assert ann.line.closed_with is not None
    assert stage.store.append == real
    assert stage.store.probes == [limits.PROBE_BYTES]
    assert stage.room.storage.is_writable
    assert bob.told("storage") == []


def _failing_once(stage: Stage, fault: FaultName | None) -> object:
    real = stage.store.append

    async def append(batch: Batch) -> None:
        stage.store.append = real  # type: ignore[method-assign]
        raise StoreFailed(Code.UNAVAILABLE, "once", fault=fault)

    return append


async def test_a_batch_that_no_store_would_take_is_no_fault_of_the_disk(stage: Stage) -> None:
    ann = await stage.editor(1)
    stage.store.append = _failing_once(stage, None)  # type: ignore[method-assign,assignment]
    ann.type(1, "lost")
    await settled()
    assert ann.line.closed_with is not None
    assert stage.store.probes == []


async def test_a_probe_is_as_large_as_what_did_not_fit(stage: Stage) -> None:
    # A small one would find room where the edit has none, and the edit would come and fail again and again.
    ann = await stage.editor(1)
    stage.store.fault = "full"
    size = 2 * limits.PROBE_BYTES
    ann.doc(1)["text"] += "x" * size
    for frame in wire.cut_in_parts(1, wire.encode_update(ann._unsent.pop()[1])):
        stage.room.receive(ann.member, frame)
    await settled()
    assert min(stage.store.probes) > size
    await empty(stage)
    ann = await stage.editor(1)
    ann.type(1, "small")
    await settled()
    stage.store.fault = "full"
    ann.type(1, "small")
    await settled()
    assert stage.store.probes[-1] == limits.PROBE_BYTES


async def test_a_probe_is_no_larger_than_a_batch_may_be_and_comes_again_after_its_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = delays_asked(monkeypatch)
    monkeypatch.setattr(limits, "PROBE_EVERY_S", 2.0)
    stage.store.fault = "full"
    failed = failure_of("full")
    assert failed.retry_after_s == 2.0
    stage.lobby.storage._take_failure(failed, 10 * limits.BATCH_BYTES_MAX)
    await settled()
    assert stage.store.probes == [limits.BATCH_BYTES_MAX]
    assert delays == [2.0]
    stage.lobby.storage.stop()


async def test_a_write_is_watched_for_as_long_as_it_may_take(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    delays = delays_asked(monkeypatch)
    await stage.room.rename("Other")
    assert delays == [limits.WRITE_STALL_S]
    with capture_logs() as lines:
        stage.lobby.storage._stalls(object())
    assert [(line["event"], line["seconds"]) for line in lines] == [("write_stalls", limits.WRITE_STALL_S)]


async def test_one_timer_watches_over_all_writes_and_finds_each_that_stalls(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = delays_asked(monkeypatch)
    storage, clock_s = stage.lobby.storage, asyncio.get_running_loop().time
    for title in ("one", "two", "three"):
        await stage.room.rename(title)
    assert delays == [limits.WRITE_STALL_S]
    stage.store.gate.clear()
    writes = [asyncio.create_task(stage.room.rename("four"))]
    await settled(5)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock_s() + limits.WRITE_STALL_S - 1)
    writes.append(asyncio.create_task(storage.put_workspace(ROOM_ID, "five", None)))
    await settled(5)
    assert delays == [limits.WRITE_STALL_S]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock_s() + limits.WRITE_STALL_S)
    storage._look()
    assert len(storage._stalled) == 1
    assert delays[1:] == [pytest.approx(limits.WRITE_STALL_S - 1, abs=0.5)]
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock_s() + 2 * limits.WRITE_STALL_S)
    storage._look()
    assert len(storage._stalled) == 2
    assert len(delays) == 2
    stage.store.gate.set()
    await asyncio.gather(*writes)
    assert storage.fault is None


async def test_a_write_that_does_not_return_is_told_and_drops_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    monkeypatch.setattr(limits, "WRITE_STALL_S", 0.0)
    stage.store.gate.clear()
    ann.type(1, "slow ")
    await settled()
    ann.type(1, "too ")
    assert bob.told("storage") == [{"type": "storage", "fault": "stalled"}]
    assert stage.lobby.unready_reasons() == ["cannot save: its disk does not answer"]
    assert stage.room.storage.is_writable
    monkeypatch.setattr(limits, "WRITE_STALL_S", 60.0)
    stage.store.gate.set()
    await settled()
    assert ann.line.closed_with is None
    assert ann.saved == ann.member.received
    assert bob.text(1) == "slow too "
    assert [each["fault"] for each in bob.told("storage")] == ["stalled", None]
    assert stage.lobby.unready_reasons() == []


async def test_damaged_data_make_only_their_own_room_read_only(stage: Stage) -> None:
    other = WorkspaceRecord("workspace-2", "Other", 0, [FileRecord(1, "a.py", "e")], stage_links(stage))
    await stage.store.create_workspace(other, Batch("workspace-2"))
    ann, bob = await stage.editor(1), await stage.editor(1)
    stage.store.append = _failing_once(stage, "damaged")  # type: ignore[method-assign,assignment]
    ann.type(1, "lost")
    await settled()
    assert bob.told("storage") == [{"type": "storage", "fault": "damaged"}]
    bob.type(1, "kept by him")
    stage.room.request(bob.member, messages.CreateFile("c.py", request=1))
    await settled()
    assert bob.saved == bob.member.received - 1
    assert [each["code"] for each in bob.told("refused")] == [Code.UNAVAILABLE]
    assert stage.lobby.unready_reasons() == []
    assert stage.store.probes == [], "no probe can tell that it has healed"
    assert (await stage.lobby.enter("workspace-2")).storage.fault is None


def stage_links(stage: Stage) -> list[LinkRecord]:
    return stage.store.workspaces[ROOM_ID].links


async def test_a_drained_server_probes_no_more(stage: Stage) -> None:
    await fill(stage)
    await stage.lobby.drain()
    await settled()
    probes = len(stage.store.probes)
    await settled()
    assert len(stage.store.probes) == probes


@pytest.mark.parametrize("fault, words", [("full", "cannot be restarted before"), ("failing", "what the error says")])
async def test_the_log_says_where_nothing_can_be_saved_and_what_to_do(
    stage: Stage, fault: FaultName, words: str
) -> None:
    stage.lobby.storage._place = "/var/lib/carets/carets.sqlite3"
    with capture_logs() as lines:
        await fill(stage, fault)
        await empty(stage)
    told = {line["event"]: line for line in lines}
    assert told["storage_read_only"]["store"] == "/var/lib/carets/carets.sqlite3"
    assert words in told["storage_read_only"]["next_step"]
    assert "storage_writable" in told


async def test_a_room_that_fails_over_the_news_does_not_keep_the_store_read_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe that found room ended with the room's mistake: nothing could be saved again in any room."""
    back = await fill(stage)

    def fail() -> None:
        raise AssertionError("a mistake of ours")

    monkeypatch.setattr(stage.room, "storage_changed", fail)
    stage.store.fault = None
    await settled()
    assert stage.lobby.storage.is_writable
    assert isinstance(stage.room.failed, AssertionError)
    assert back.line.closed_with is not None
