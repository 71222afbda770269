"""A wall clock that jumps by hours, either way, while the server runs: what hangs on it, and what does not.

Waits, heartbeats and rates follow a clock that only runs forward; the calendar is asked for what people are told and
for what they have set: when something was typed, when a link ends, how long what was deleted can be restored.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import carets
from carets import limits
from carets.engines.sqlite import SqliteStore
from carets.errors import Code, Refused
from carets.protocol import messages
from carets.rooms.store import Batch, FileAppend, LogEntry
from tests.stage import ROOM_ID, Stage, settled
from tests.suites.store_promises import ROOM, record

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def stage() -> Stage:
    return await Stage().set_up("a.py", "b.py")


@pytest.mark.parametrize("jump_ms", [-5 * HOUR_MS, 5 * HOUR_MS, -20 * 365 * DAY_MS, 20 * 365 * DAY_MS])
async def test_a_jump_costs_no_edit_no_message_and_no_line(jump_ms: int, stage: Stage) -> None:
    stage.now_ms += 30 * 365 * DAY_MS
    ann, bob = await stage.editor(1), await stage.editor(1)
    for text in ("before ", "after ", "later"):
        ann.type(1, text)
        stage.room.request(ann.member, messages.Chat(text, f"nonce {text}", request=1))
        stage.room.request(ann.member, messages.CreateFile(f"{text.strip()}.py", request=2))
        await settled()
        stage.lobby.sweep()
        stage.now_ms += jump_ms // 2
    assert bob.text(1) == "before after later"
    assert ann.saved == ann.member.received
    entries = [entry for notice in bob.told("chat") for entry in notice["entries"]]
    assert [(entry["chat_id"], entry["text"]) for entry in entries] == [(1, "before"), (2, "after"), (3, "later")]
    assert [each.line.closed_with for each in (ann, bob)] == [None, None]
    assert len(stage.room.files.listed()) == 5
    late = await stage.editor(1)
    assert late.text(1) == bob.text(1)


async def test_a_clock_that_was_set_back_keeps_no_empty_room_in_memory(stage: Stage) -> None:
    # It did, for as long as the clock had been set back by.
    ann = await stage.editor(1)
    stage.room.leave(ann.member)
    stage.now_ms -= 5 * HOUR_MS
    for _ in range(4):
        stage.lobby.sweep()
        await settled()
        stage.now_ms += int(limits.ROOM_IDLE_S * 1000)
    assert stage.lobby.rooms == {}


async def test_a_clock_that_was_set_forward_takes_no_room_from_its_members(stage: Stage) -> None:
    ann = await stage.editor(1)
    stage.now_ms += 5 * HOUR_MS
    stage.lobby.sweep()
    ann.type(1, "here")
    await settled()
    assert ann.saved == ann.member.received
    assert stage.lobby.rooms == {ROOM_ID: stage.room}


async def test_a_link_ends_by_the_calendar_and_lives_again_when_that_was_wrong(stage: Stage) -> None:
    ends_ms = stage.now_ms + HOUR_MS
    await stage.room.put_link(stage.room.links["link-editor"]._replace(expires_at_ms=ends_ms))
    ann, owner = await stage.editor(1), stage.join("owner")
    stage.now_ms += 2 * HOUR_MS
    stage.lobby.expel_expired()
    assert ann.line.closed_with is not None
    assert ann.line.closed_with.code is Code.LINK_EXPIRED
    assert owner.line.closed_with is None
    with pytest.raises(Refused):
        stage.join()
    stage.now_ms -= 2 * HOUR_MS
    back = await stage.editor(1)
    stage.lobby.expel_expired()
    assert back.line.closed_with is None


async def test_what_was_deleted_is_not_gone_by_a_jump_only_out_of_reach_while_it_lasts(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "kept")
    await settled()
    stage.room.request(ann.member, messages.DeleteFile(1))
    await settled()
    stage.now_ms += 40 * DAY_MS
    stage.room.request(ann.member, messages.RestoreFile(1, request=1))
    await settled()
    assert [each["code"] for each in ann.told("refused")] == [Code.FILE_DELETED]
    stage.now_ms -= 50 * DAY_MS
    stage.room.request(ann.member, messages.RestoreFile(1, request=2))
    await settled()
    assert len(ann.told("refused")) == 1
    assert (await stage.editor(1)).text(1) == "kept"


async def test_a_log_whose_times_go_back_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "carets.db")
    await store.create_workspace(record(), Batch(ROOM))
    times = [5 * HOUR_MS, 2 * HOUR_MS, 0, 9 * HOUR_MS]
    entries = [LogEntry(at_ms, "person:ann", b"%d" % at_ms) for at_ms in times]
    await store.append(Batch(ROOM, [FileAppend(1, 1, entries)]))
    assert await store.read_log(ROOM, 1, 0, 10) == entries
    await store.close()


def test_only_the_start_and_what_writes_dates_ask_the_calendar() -> None:
    # Whatever waits or counts by the calendar stops for hours when it is set back.
    source = Path(carets.__file__).parent
    asking = re.compile(r"\btime\.time(_ns)?\(|\bdatetime\.(now|utcnow|today)\(|\bdate\.today\(")
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if "page" not in path.parts and asking.search(path.read_text())
    }
    serving = {"server.py", "audit_file.py", "certificate.py"}
    commands = {"administration.py", "backups.py", "commands.py"}
    assert found <= serving | commands, "who waits or counts asks a clock that only runs forward"
    assert serving <= found
