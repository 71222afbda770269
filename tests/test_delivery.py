"""What goes out of a room: catch-ups of slow readers, parts in turns, presence, the lists of files and members."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from carets import limits
from carets.errors import Code, WireError
from carets.protocol import messages, wire
from carets.protocol.dialect import CARETS, STOCK
from carets.rooms.commit import Edit
from carets.rooms.delivery import _FRAME_HEAD_BYTES, is_large
from tests.stage import Actor, Stage, delays_asked, frames_of, settled

CARET = {"cursor": {"anchor": {"tname": "text"}, "head": {"tname": "text"}}}
STOCK_ID = 4_000_000_000


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py", "b.py")
    yield stage
    stage.room.delivery.stop()


async def tick(stage: Stage) -> None:
    """Let the presence tick come now."""
    delivery = stage.room.delivery
    if delivery._tick is not None:
        delivery._tick.cancel()
        delivery._send_presence()
    await settled(5)


def caret_of(actor: Actor, file_id: int = 1, clock: int = 1, state: str | None = None) -> None:
    entry = wire.Presence(actor.member.id, clock, state or msgspec.json.encode(CARET).decode())
    actor.send(file_id, wire.encode_awareness([entry]))


def presence_of(actor: Actor, file_id: int = 1) -> list[wire.Presence]:
    """Every entry that a member was sent, in order."""
    actor.read()
    payloads = [m.payload for at, m in actor.messages if at == file_id and isinstance(m, wire.Awareness)]
    return [entry for payload in payloads for entry in wire.decode_awareness(payload, 10_000)]


# -- who is behind


async def test_no_update_comes_before_the_answer_to_the_first_step_1(stage: Stage) -> None:
    ann, bob = await stage.editor(1), stage.join()
    await stage.room.open_file(bob.member, messages.OpenFile(1, bob.doc(1).client_id))
    ann.type(1, "early")
    await settled()
    bob.read()
    assert bob.messages == []
    bob.send(1, wire.encode_step_1(b"\0"))
    ann.type(1, " and late")
    await settled()
    assert bob.text(1) == "early and late"
    kinds = [type(message) for _, message in bob.messages if not isinstance(message, wire.Step1)]
    assert kinds[0] is wire.Step2


async def test_a_stuck_reader_is_sent_nothing_more_and_one_catch_up_when_it_drains(stage: Stage) -> None:
    ann, bob, slow = await stage.editor(1), await stage.editor(1), await stage.editor(1)
    slow.line.is_stuck = True
    while not slow.member.outbox.lagging:
        ann.type(1, "x" * 60_000)
        await settled()
    waiting = slow.line.waiting
    for _ in range(50):
        ann.type(1, "y" * 1_000)
        await settled(5)
    stage.room.request(ann.member, messages.CreateFile("c.py"))
    stage.room.request(ann.member, messages.Profile("Ann", "#ff0000"))
    await settled()
    await tick(stage)
    assert slow.line.waiting == waiting, "nothing is queued for it"
    assert waiting < limits.OUTBOX_BYTES_LAGGING + 2 * limits.PART_BYTES_MAX
    slow.read()
    slow.messages.clear()
    slow.notices.clear()
    slow.drain()
    await settled()
    slow.line.is_stuck = False
    slow.drain()
    await settled(200)
    assert slow.text(1) == bob.text(1) == ann.text(1)
    assert len([message for _, message in slow.messages if isinstance(message, wire.Update)]) == 1
    assert [notice["full"] for notice in slow.told("files")] == [True]
    (members,) = [notice for notice in slow.told("members") if notice.get("full")]
    assert {each["name"] for each in members["members"]} == {"Ann", "Guest 2", "Guest 3"}


async def test_a_stuck_writer_learns_once_how_much_is_saved(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    bob.line.is_stuck = True
    while not bob.member.outbox.lagging:
        ann.type(1, "x" * 60_000)
        await settled()
    for _ in range(5):
        bob.send(1, wire.encode_update(b"\0\0"))
        await settled()
    bob.line.is_stuck = False
    bob.drain()
    bob.send(1, wire.encode_update(b"\0\0"))
    await settled()
    assert bob.saved == bob.member.received
    assert bob.text(1) == ann.text(1)


async def test_a_count_that_is_told_before_the_catch_up_is_not_told_again(stage: Stage) -> None:
    ann = await stage.editor(1)
    delivery, saved = stage.room.delivery, ann.member.saved
    ann.member.outbox.lagging = True
    delivery.acknowledge(ann.member, saved + 1)
    delivery.drained(ann.member)
    delivery.acknowledge(ann.member, saved + 2)
    await settled()
    assert ann.saved == saved + 2, "and each count came once"


async def test_a_turn_encodes_so_many_catch_ups_and_the_loop_has_its_turn_between(stage: Stage) -> None:
    ann = await stage.editor(1)
    crowd = [await stage.editor(1) for _ in range(2 * limits.CATCH_UPS_PER_TURN + 1)]
    for slow in crowd:
        slow.member.outbox.lagging = True
        stage.room.delivery.flush(slow.member)
    ann.type(1, "missed")
    await settled()
    delivery, left = stage.room.delivery, []
    for slow in crowd:
        slow.drain()
    while delivery._turn is not None:
        left.append(len(delivery._waiting))
        delivery._turn.cancel()
        delivery._catch_up_some()
    assert left == [len(crowd), len(crowd) - limits.CATCH_UPS_PER_TURN, 1]
    assert {slow.text(1) for slow in crowd} == {"missed"}


async def test_what_is_too_much_for_one_write_is_large(stage: Stage) -> None:
    ann = await stage.editor(1)

    def are_large(*frames: int) -> bool:
        return is_large([Edit(ann.member, bytes(size - _FRAME_HEAD_BYTES)) for size in frames])

    assert not are_large(100, limits.PART_BYTES_MAX)
    assert are_large(100, limits.PART_BYTES_MAX + 1)
    eighth = limits.OUTBOX_BYTES_LAGGING // 8
    assert not are_large(*[eighth] * 8)
    assert are_large(*[eighth] * 7, eighth + 1)


async def test_members_get_the_others_edits_of_a_batch_but_not_their_own(stage: Stage) -> None:
    ann, bob, eve = await stage.editor(1), await stage.editor(1), await stage.editor(1)
    for actor in (ann, bob, eve):
        actor.read()
        actor.messages.clear()
    stage.store.gate.clear()
    ann.send(1, wire.encode_update(ann.edit(1, 0, "first ")))
    await settled()
    for actor, text in ((ann, "a"), (bob, "b"), (ann, "c"), (bob, "d")):
        actor.send(1, wire.encode_update(actor.edit(1, 0, text)))
    stage.store.gate.set()
    await settled()
    assert len({actor.text(1) for actor in (ann, bob, eve)}) == 1
    counts = [sum(isinstance(m, wire.Update) for _, m in actor.messages) for actor in (ann, bob, eve)]
    assert counts == [2, 3, 5]


async def test_a_commit_is_one_write_for_each_member(stage: Stage) -> None:
    ann, bob = await stage.editor(1, 2), await stage.editor(1, 2)
    stage.store.gate.clear()
    ann.type(1, "a")
    await settled()
    stage.store.gate.set()
    await settled()
    bob.read()
    ann.type(1, "b")
    ann.type(2, "c")
    await settled()
    assert len(bob.line.writes) == 1


# -- parts


async def test_large_messages_of_several_files_take_turns(stage: Stage) -> None:
    ann = await stage.editor(1, 2)
    ann.type(1, "1" * 300_000)
    ann.type(2, "2" * 300_000)
    await settled()
    bob = stage.join()
    bob.line.is_stuck = True
    for file_id in (1, 2):
        await bob.open(file_id)
    await settled()
    for _ in range(40):
        bob.drain()
        await settled(5)
    bob.line.is_stuck = False
    bob.drain()
    await settled(100)
    assert (bob.text(1), bob.text(2)) == ("1" * 300_000, "2" * 300_000)
    parts = [file_id for file_id in bob.frame_order if file_id in (1, 2)]
    first, last = parts.index(2), len(parts) - 1 - parts[::-1].index(1)
    assert first < last, "the second file does not wait for the end of the first"


async def test_a_stuck_reader_of_large_files_has_little_waiting(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "1" * 1_000_000)
    await settled()
    bob = stage.join()
    bob.line.is_stuck = True
    await bob.open(1)
    await settled(200)
    assert bob.line.waiting < 3 * limits.PART_BYTES_MAX


async def test_edits_during_a_message_in_parts_come_after_it(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "1" * 300_000)
    await settled()
    bob = stage.join()
    bob.line.is_stuck = True
    await bob.open(1)
    await settled()
    ann.type(1, "later")
    await settled()
    bob.line.is_stuck = False
    bob.drain()
    await settled(100)
    assert bob.text(1) == "1" * 300_000 + "later"


async def test_a_large_edit_reaches_the_others_in_parts_and_stock_clients_whole(stage: Stage) -> None:
    ann, bob, stock = await stage.editor(1), await stage.editor(1), stage.join(dialect=STOCK)
    await stage.room.open_stock_file(stock.member, 1)
    stage.room.receive_stock(stock.member, 1, wire.encode_step_1(b"\0"))
    await settled()
    ann.type(1, "z" * 200_000)
    await settled(100)
    assert ann.text(1) == bob.text(1) == stock.text(1) == "z" * 200_000
    stage.room.delivery.stop()


async def test_closing_a_file_forgets_what_was_under_way(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "1" * 300_000)
    await settled()
    bob = stage.join()
    bob.line.is_stuck = True
    await bob.open(1)
    await settled()
    stage.room.request(bob.member, messages.CloseFile(1))
    bob.line.is_stuck = False
    bob.read()
    bob.drain()
    await settled()
    bob.read()
    assert not bob.member.outbox.has_bulk(1)
    assert 1 not in bob.member.seats


async def test_a_file_that_is_closed_and_opened_again_amid_an_answer_in_parts_is_whole(stage: Stage) -> None:
    # The page switches tabs on a slow line: what still came of the first answer ran into the second.
    ann = await stage.editor(1)
    ann.type(1, "1" * 300_000)
    await settled()
    bob = stage.join()
    bob.line.is_stuck = True
    await bob.open(1)
    await settled()
    stage.room.request(bob.member, messages.CloseFile(1))
    await bob.open(1)
    bob.line.is_stuck = False
    bob.drain()
    await settled(100)
    assert bob.text(1) == "1" * 300_000


# -- presence


async def test_a_member_that_lagged_hears_of_those_who_left_meanwhile(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    caret_of(ann)
    await tick(stage)
    bob.member.outbox.lagging = True
    stage.room.request(ann.member, messages.CloseFile(1))
    await tick(stage)
    bob.drain()
    await tick(stage)
    assert presence_of(bob)[-1].state == "null"


async def test_presence_is_the_servers_word_whatever_a_member_says(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    state = b'{"user":{"id":99,"name":"Forged","role":"owner"},"cursor":null}'.decode()
    entry = wire.Presence(bob.member.id, 2**31, state)
    ann.send(1, wire.encode_awareness([entry]))
    await tick(stage)
    (seen,) = presence_of(bob)
    assert seen.id == ann.member.id
    assert msgspec.json.decode(seen.state)["user"] == {
        "id": ann.member.id,
        "name": "Guest 1",
        "color": ann.member.color,
        "role": "editor",
    }


async def test_presence_goes_only_to_those_who_have_the_file_open_and_in_one_frame_a_tick(stage: Stage) -> None:
    actors = [await stage.editor(1) for _ in range(5)]
    other = await stage.editor(2)
    for actor in actors:
        caret_of(actor)
        caret_of(actor)
    await tick(stage)
    assert presence_of(other, 1) == presence_of(other, 2) == []
    for actor in actors:
        assert [entry.id for entry in presence_of(actor)] == [each.member.id for each in actors]


async def test_ticks_come_at_most_twenty_times_a_second(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    delays = delays_asked(monkeypatch)
    ann = await stage.editor(1)
    caret_of(ann)
    caret_of(ann)
    assert delays == [limits.PRESENCE_TICK_S]
    await tick(stage)
    assert delays == [limits.PRESENCE_TICK_S], "and none while nothing changes"


async def test_a_crowd_is_told_in_turns_and_each_tick_encodes_once_for_those_who_know_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A tick once wrote to all members: in a room of a thousand it held everybody's edits for a tenth of a second.
    encodings: list[int] = []
    message = CARETS.message

    def counted(file_id: int, told: bytes) -> bytes:
        read = wire.decode_message(told)
        assert isinstance(read, wire.Awareness)
        encodings.append(len(wire.decode_awareness(read.payload, 100)))
        return message(file_id, told)

    monkeypatch.setattr(limits, "PRESENCE_TICK_S", 3_600.0)  # ticks come from here only
    monkeypatch.setattr(limits, "PRESENCE_MEMBERS_PER_TICK", 10)
    crowd = [await stage.editor(1) for _ in range(35)]
    for actor in crowd:
        caret_of(actor)
    monkeypatch.setattr(CARETS, "message", counted)
    told: list[int] = []
    for turn in range(4):
        caret_of(crowd[-1], clock=turn + 2)
        await tick(stage)
        told.append(sum(len(presence_of(actor)) == 35 for actor in crowd))
        assert len(encodings) == turn + 1
    assert told == [10, 20, 30, 35]
    for _ in range(4):
        await tick(stage)
    assert [len(presence_of(actor)) for actor in crowd] == [36] * 30 + [35] * 5, "the last heard the newest at once"
    assert encodings == [35] * 4 + [1] * 3
    assert stage.room.delivery._tick is None


async def test_who_lags_again_and_again_takes_no_turn_of_the_others(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever had drained was told first in each tick: with as many of them as a tick has places, nobody else was."""
    monkeypatch.setattr(limits, "PRESENCE_TICK_S", 3_600.0)
    monkeypatch.setattr(limits, "PRESENCE_MEMBERS_PER_TICK", 10)
    crowd = [await stage.editor(1) for _ in range(40)]
    for turn in range(20):
        caret_of(crowd[0], clock=turn + 1)
        for actor in crowd[-12:]:
            actor.member.outbox.lagging = True
            stage.room.drained(actor.member)
        await tick(stage)
        assert len(stage.room.delivery._round) + len(stage.room.delivery._missed) <= 2 * len(crowd)
    heard = [len(presence_of(actor)) for actor in crowd]
    assert min(heard) >= 3
    assert max(heard) <= min(heard) + 3


async def test_a_crowd_hears_who_came_and_left_as_rarely_as_it_is_told_of_carets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PRESENCE_TICK_S", 3_600.0)  # ticks come from here only
    monkeypatch.setattr(limits, "PRESENCE_MEMBERS_PER_TICK", 10)
    crowd = [await stage.editor(1) for _ in range(30)]
    told: list[int] = []
    for _ in range(7):
        stage.room.leave(crowd.pop().member)
        await tick(stage)
        told.append(len(crowd[0].told("members")))
    assert told == [1, 1, 1, 2, 2, 2, 3]


async def test_whoever_leaves_a_file_or_the_room_is_seen_to_leave(stage: Stage) -> None:
    ann, bob, eve = await stage.editor(1), await stage.editor(1), await stage.editor(1)
    for actor in (ann, bob):
        caret_of(actor)
    await tick(stage)
    stage.room.request(ann.member, messages.CloseFile(1))
    stage.room.leave(bob.member)
    await tick(stage)
    assert [(entry.id, entry.state) for entry in presence_of(eve)[-2:]] == [
        (ann.member.id, "null"),
        (bob.member.id, "null"),
    ]
    assert eve.told("members")[-1]["left"] == [bob.member.id]


async def test_whoever_comes_back_is_newer_than_its_leaving(stage: Stage) -> None:
    # Clocks once began at 1 again; a stock client, which remembers the leaving, then never showed the caret.
    ann, eve = await stage.editor(1), await stage.editor(1)
    for state in (None, None, "null", None):
        caret_of(ann, state=state)
        await tick(stage)
    clocks = [entry.clock for entry in presence_of(eve)]
    assert clocks == sorted(set(clocks))
    assert presence_of(eve)[-1].state != "null"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x05", id="cut off"),
        pytest.param(b"\x02\x01\x01\x02{}\x02\x01\x02{}", id="two entries"),
        pytest.param(b"\x01\x01\x01\x02[]", id="no object"),
        pytest.param(b"\x01\x01\x01\x02\xff\xff", id="no UTF-8"),
        pytest.param(b"\x01\x01\x01\x02{}x", id="something follows"),
        pytest.param(
            b"\x01\x01\x01" + wire.encode_varuint(5000) + b'{"cursor":null,"x":"' + b"x" * 4978 + b'"}', id="too large"
        ),
    ],
)
async def test_presence_that_cannot_be_read_changes_nothing(stage: Stage, payload: bytes) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    with pytest.raises(WireError) as caught:
        ann.send(1, b"\x01" + wire.encode_varuint(len(payload)) + payload)
    assert caught.value.code is Code.MALFORMED_PRESENCE
    await tick(stage)
    assert presence_of(bob) == []


# -- stock members


async def stock_member(stage: Stage, role: str = "editor") -> Actor:
    stock = stage.join(role, dialect=STOCK)
    await stage.room.open_stock_file(stock.member, 1)
    stage.room.receive_stock(stock.member, 1, wire.encode_step_1(b"\0"))
    await settled()
    return stock


def say(stage: Stage, stock: Actor, *entries: wire.Presence) -> None:
    stage.room.receive_stock(stock.member, 1, wire.encode_awareness(entries))


async def test_a_stock_member_is_named_by_its_first_word_and_keeps_the_name(stage: Stage) -> None:
    page, stock = await stage.editor(1), await stock_member(stage)
    for clock, name in ((1, "Zoë\u202e\n"), (2, "Somebody else")):
        state: dict[str, Any] = {"user": {"name": name, "color": "#ABCDEF"}, "more": [1]}
        say(stage, stock, wire.Presence(STOCK_ID, clock, msgspec.json.encode(state).decode()))
        await tick(stage)
    seen = presence_of(page)[-1]
    assert seen.id == stock.member.id
    assert msgspec.json.decode(seen.state)["user"]["name"] == stock.member.name == "Zoë"
    assert [(entry.id, entry.clock) for entry in presence_of(stock)][-1] == (STOCK_ID, 2)


async def test_a_stock_member_cannot_take_anothers_place(stage: Stage) -> None:
    # Its own first word once decided, so that it could freeze any caret with a high clock.
    page, stock, thief = await stage.editor(1), await stock_member(stage), await stock_member(stage)
    caret_of(page)
    say(stage, stock, wire.Presence(STOCK_ID, 1, "{}"))
    for forged in (STOCK_ID, page.member.id, page.member.id + 9):
        say(stage, thief, wire.Presence(forged, 1_000, '{"user":{"name":"Thief"}}'))
    await tick(stage)
    for watcher in (page, stock):
        names = [msgspec.json.decode(entry.state)["user"]["name"] for entry in presence_of(watcher)]
        assert "Thief" not in names
    assert {entry.id for entry in presence_of(stock)} == {page.member.id, STOCK_ID}


async def test_a_clock_at_the_end_of_numbers_is_refused(stage: Stage) -> None:
    # One more, at its leaving, was a number that every other client refuses to read.
    page, stock = await stage.editor(1), await stock_member(stage)
    with pytest.raises(WireError) as caught:
        say(stage, stock, wire.Presence(STOCK_ID, limits.CLIENT_ID_MAX, "{}"))
    assert caught.value.code is Code.MALFORMED_PRESENCE
    stage.room.leave(stock.member)
    await tick(stage)
    assert presence_of(page) == []


async def test_stock_members_hear_something_often_enough(stage: Stage) -> None:
    page, stock = await stage.editor(1), await stock_member(stage)
    caret_of(page)
    await tick(stage)
    before = presence_of(stock)
    stage.room.delivery._renew_for_stock()
    await tick(stage)
    again = presence_of(stock)[len(before) :]
    assert [entry.id for entry in again] == [page.member.id]
    assert again[0].clock > before[-1].clock
    stage.room.delivery.stop()


async def test_presence_is_renewed_for_stock_members_before_they_forget(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = delays_asked(monkeypatch)
    await stock_member(stage)
    assert delays.count(limits.STOCK_REFRESH_S) == 1
    stage.room.delivery._renew_for_stock()
    assert delays.count(limits.STOCK_REFRESH_S) == 2, "and again, for as long as there are any"


async def test_a_stock_viewer_is_told_that_its_edit_was_dropped_and_stays(stage: Stage) -> None:
    page, viewer = await stage.editor(1), await stock_member(stage, "viewer")
    viewer.read()
    viewer.line.writes.clear()
    stage.room.receive_stock(viewer.member, 1, wire.encode_step_2(b"\0\0"))
    assert viewer.line.writes == []
    stage.room.receive_stock(viewer.member, 1, wire.encode_update(b"\x01\x01\x05\x00\x04\x01\x04text\x01a\x00"))
    ((_, denied),) = frames_of(b"".join(viewer.line.writes))
    assert denied.startswith(b"\x02\x00")
    viewer.line.writes.clear()
    assert (viewer.line.closed_with, page.text(1)) == (None, "")


async def test_a_stock_member_of_a_deleted_file_is_closed(stage: Stage) -> None:
    page, stock = await stage.editor(1), await stock_member(stage)
    stage.room.request(page.member, messages.DeleteFile(1))
    await settled()
    assert stock.line.closed_with is not None
    assert stock.line.closed_with.code is Code.FILE_DELETED
