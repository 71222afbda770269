"""Keystrokes that go on one behind the other: taken in one go, and one update of the log for each batch.

Counts, not times: how many updates, frames and writes there are does not depend on the machine.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from pycrdt import Doc, Text

from carets import limits
from carets.errors import Code, WireError
from carets.protocol import messages, wire
from carets.protocol.dialect import STOCK
from carets.protocol.updates import decode_state_vector
from carets.rooms.room import Room
from tests.stage import ROOM_ID, Actor, Stage, settled
from tests.test_websocket_edge import RawPeer, Workspace, workspace  # noqa: F401 - a fixture

_LOG = (ROOM_ID, 1)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py", "b.py")
    yield stage
    stage.room.delivery.stop()


def type_on(actor: Actor, text: str, file_id: int = 1) -> None:
    """Type character by character at the end, each in a frame of its own."""
    for character in text:
        actor.type(file_id, character)


async def while_a_commit_runs(stage: Stage, actor: Actor) -> None:
    """Begin a commit that does not return before `stage.store.gate` is set."""
    actor.type(1, "-")
    await settled()
    stage.store.gate.clear()
    actor.type(1, ">")
    await settled()


async def goes_on(stage: Stage) -> None:
    stage.store.gate.set()
    await settled()


def updates_of(actor: Actor) -> list[bytes]:
    actor.read()
    return [message.update for _, message in actor.messages if isinstance(message, wire.Update)]


async def test_what_is_typed_while_a_commit_runs_is_one_update_of_the_log_and_of_the_broadcast(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    await while_a_commit_runs(stage, ann)
    entries, updates, writes = len(stage.store.logs[_LOG]), len(updates_of(bob)), len(bob.line.writes)
    type_on(ann, "héllo 漢")
    await goes_on(stage)
    assert len(bob.line.writes) == writes + 2, "one write for each commit"
    # The one that had begun, and one for all seven keystrokes.
    assert len(stage.store.logs[_LOG]) == entries + 2
    assert len(updates_of(bob)) == updates + 2
    assert bob.text(1) == ann.text(1) == "->héllo 漢"
    assert ann.saved == ann.member.received, "each frame counts"
    assert stage.store.logs[_LOG][-1].update == updates_of(bob)[-1]


async def test_the_joined_update_is_what_yjs_itself_writes_of_it(stage: Stage) -> None:
    ann = await stage.editor(1)
    await while_a_commit_runs(stage, ann)
    before = ann.doc(1).get_state()
    type_on(ann, "word " * 40)
    await goes_on(stage)
    assert stage.store.logs[_LOG][-1].update == ann.doc(1).get_update(before)


async def test_all_who_type_at_once_have_one_update_each(stage: Stage) -> None:
    writers = [await stage.editor(1) for _ in range(5)]
    for writer in writers:
        # Each at its own place: what others type meanwhile must not come between.
        writer.type(1, "x")
        await settled()
    await while_a_commit_runs(stage, writers[0])
    entries = len(stage.store.logs[_LOG])
    for _ in range(10):
        writers[0].send(1, wire.encode_update(writers[0].edit(1, 0, "y")))
        for writer in writers[1:]:
            writer.send(1, _next(writer))
    await goes_on(stage)
    told = stage.store.logs[_LOG][entries + 1 :]
    # The first types before its own last character each time, so its edits do not go on; the others' do.
    assert len(told) == 10 + 4
    texts = {writer.text(1) for writer in writers}
    assert len(texts) == 1


def _next(writer: Actor) -> bytes:
    """The message of a keystroke behind the writer's own last one."""
    doc = writer.doc(1)
    clock = wire.encode_varuint
    last = decode_state_vector(doc.get_state())[doc.client_id]
    client = clock(doc.client_id)
    update = b"\1\1" + client + clock(last) + b"\x84" + client + clock(last - 1) + b"\1z\0"
    writer._is_remote = True
    doc.apply_update(update)
    writer._is_remote = False
    return wire.encode_update(update)


async def test_a_run_ends_where_anything_else_is_done(stage: Stage) -> None:
    ann, bob = await stage.editor(1, 2), await stage.editor(1)
    await while_a_commit_runs(stage, ann)
    entries = len(stage.store.logs[_LOG])
    type_on(ann, "abc")
    ann.send(1, wire.encode_update(ann.edit(1, 0, "at the front")))
    type_on(ann, "def")
    with ann.doc(1).transaction():
        del ann.doc(1)["text"][0:3]
    ann.send(1, wire.encode_update(ann._unsent.pop()[1]))
    type_on(ann, "ghi")
    await goes_on(stage)
    # abc, the front, d (it goes on behind something else), ef, a deletion, ghi behind ef.
    assert len(stage.store.logs[_LOG]) - entries - 1 == 5
    assert bob.text(1) == ann.text(1)
    assert ann.saved == ann.member.received


async def test_a_run_goes_no_further_than_its_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RUN_BYTES_MAX", 10)
    ann, bob = await stage.editor(1), await stage.editor(1)
    await while_a_commit_runs(stage, ann)
    entries = len(stage.store.logs[_LOG])
    type_on(ann, "x" * 35)
    await goes_on(stage)
    assert len(stage.store.logs[_LOG]) == entries + 1 + 4
    assert bob.text(1) == ann.text(1)


async def test_two_connections_under_one_client_id_each_get_what_the_other_typed(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    type_on(ann, "one")
    await settled()
    again = stage.join(person=ann.told("welcome")[0]["person"])
    await again.open(1, ann.doc(1).client_id)
    await settled()
    again.answer_step_1(1)
    again.send(1, wire.encode_update(ann.edit(1, 3, "B")))
    await settled()
    await while_a_commit_runs(stage, ann)
    before = len(updates_of(ann)), len(updates_of(again))
    for at, text in enumerate("aBaaBB", start=6):
        typed = wire.encode_update(ann.edit(1, at, text))
        (again if text == "B" else ann).send(1, typed)
    await goes_on(stage)
    assert [update[-2:-1] for update in updates_of(ann)[before[0] :]] == [b"B", b"B"]
    assert [update[-2:-1] for update in updates_of(again)[before[1] :]] == [b">", b"a", b"a"]
    assert bob.text(1) == ann.text(1) == "oneB->aBaaBB"


async def test_after_a_failed_commit_a_run_is_forgotten_whole(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    await while_a_commit_runs(stage, ann)
    text = bob.text(1)
    type_on(ann, "gone")
    stage.store.fails = True
    await goes_on(stage)
    assert ann.member.gone is not None
    stage.store.fails = False
    assert bob.text(1) == text
    type_on(bob, "here")
    await settled()
    assert bob.text(1) == text + "here"
    assert bob.saved == bob.member.received


@pytest.mark.parametrize("why", ["draining", "deleted", "blocked", "read-only", "full", "in parts", "closed", "viewer"])
async def test_the_short_way_is_closed_while(stage: Stage, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await stage.editor(1)
    type_on(ann, "ab")
    await settled()
    frame = b"\1" + wire.encode_update(ann.edit(1, 2, "c"))
    room, member = stage.room, ann.member
    match why:
        case "draining":
            room.is_draining = True
        case "deleted":
            room.open_files[1].deleted = True
        case "blocked":
            member.seats[1].blocked = True
        case "read-only":
            room.storage.is_damaged = True
        case "full":
            monkeypatch.setattr(room.ledger, "has_room", lambda _: False)
        case "in parts":
            room.receive(member, next(wire.cut_in_parts(1, bytes(limits.PART_BYTES_MAX + 1))))
        case "closed":
            room.request(member, messages.CloseFile(1))
        case "viewer":
            monkeypatch.setattr(type(member), "may_write", False)
    received = member.received
    assert room.type_on(member, [frame]) == 0
    assert member.received == received
    if why == "in parts":
        with pytest.raises(WireError) as refused:
            room.receive(member, frame)
        assert refused.value.code is Code.MALFORMED_MESSAGE


async def test_only_the_keystrokes_at_the_front_are_taken(stage: Stage) -> None:
    ann = await stage.editor(1, 2)
    type_on(ann, "a")
    await settled()
    typed = [b"\1" + wire.encode_update(ann.edit(1, at, "b")) for at in (1, 2)]
    step_1 = b"\1" + wire.encode_step_1(b"\0")
    elsewhere = b"\2" + wire.encode_update(ann.edit(2, 0, "b"))
    after = b"\1" + wire.encode_update(ann.edit(1, 3, "c"))
    frames = [step_1, *typed, elsewhere, after]
    assert stage.room.type_on(ann.member, frames, 0) == 0
    assert stage.room.type_on(ann.member, frames, 1) == 2
    assert stage.room.type_on(ann.member, frames, 3) == 0
    for cut in range(len(after)):
        assert stage.room.type_on(ann.member, [after[:cut]]) == 0
    assert stage.room.type_on(ann.member, [after + b"\0"]) == 0
    assert stage.room.type_on(ann.member, [after[:3] + b"\x7f" + after[4:]]) == 0, "a length that is not its own"
    assert stage.room.type_on(ann.member, [b"\1\0\1" + after[3:]]) == 0, "a step 2 is no keystroke"
    assert stage.room.type_on(ann.member, frames, 4) == 1


async def test_a_stock_client_has_the_short_way_too(stage: Stage) -> None:
    stock = stage.join(dialect=STOCK)
    await stage.room.open_stock_file(stock.member, 1)
    stage.room.receive_stock(stock.member, 1, wire.encode_update(stock.edit(1, 0, "s")))
    await settled()
    frames = [wire.encode_update(stock.edit(1, at, "t")) for at in (1, 2, 3)]
    assert stage.room.type_on(stock.member, frames) == 3
    await settled()
    assert len(stage.store.logs[_LOG]) == 2
    assert stage.room.open_files[1].document.text() == "sttt"


@pytest.mark.parametrize("seed", range(8))
async def test_the_short_way_ends_as_the_long_one_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three who type, delete and go elsewhere, with commits in between: once with, and once without the short way."""
    ends = []
    for is_short in (True, False):
        if not is_short:
            monkeypatch.setattr(Room, "type_on", lambda *_: 0)
        chance = random.Random(seed)
        stage = await Stage().set_up("a.py")
        actors = [await stage.editor(1, client_id=100 + n) for n in range(3)]
        for _ in range(150):
            actor = chance.choice(actors)
            text = str(actor.doc(1)["text"])
            for _ in range(chance.choice((1, 1, 6))):
                if text and chance.random() < 0.2:
                    at = chance.randrange(len(text))
                    del actor.doc(1)["text"][at : at + 1]
                    actor.send(1, wire.encode_update(actor._unsent.pop()[1]))
                else:
                    at = chance.choice((0, len(text), chance.randrange(len(text) + 1)))
                    typed = chance.choice("abc")
                    for place in range(chance.choice((1, 5))):
                        actor.send(1, wire.encode_update(actor.edit(1, at + place, typed)))
                text = str(actor.doc(1)["text"])
            if chance.random() < 0.4:
                await settled(3)
                for each in actors:
                    each.read()
        await settled()
        texts = {actor.text(1) for actor in actors}
        assert len(texts) == 1
        assert stage.room.open_files[1].agrees()
        assert all(actor.saved == actor.member.received for actor in actors)
        ends.append((texts, stage.room.open_files[1].gate.units, len(stage.store.logs[_LOG])))
        stage.room.delivery.stop()
    (short_texts, short_units, short_entries), (texts, units, entries) = ends
    assert (short_texts, short_units) == (texts, units)
    assert short_entries < entries


async def test_what_comes_in_one_read_of_the_socket_is_taken_in_one_go(
    workspace: Workspace,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If aiohttp keeps what it has read elsewhere one day, frames come singly again, and this fails."""
    taken: list[int] = []
    real = Room.type_on

    def noted(room: Room, *arguments: object) -> int:
        taken.append(real(room, *arguments))  # type: ignore[arg-type]
        return taken[-1]

    monkeypatch.setattr(Room, "type_on", noted)
    raw = RawPeer()
    await raw.connect(workspace)
    doc: Doc[Text] = Doc(client_id=7)
    text, updates = doc.get("text", type=Text), []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for _ in range(100):
        text += "x"
    doc.unobserve(subscription)
    await raw.send(0x81, b'{"type":"open_file","file_id":1,"client_id":7}')
    await raw.send(0x82, b"\1" + wire.encode_step_1(b"\0"))
    await raw.read_until(b"\1\0\1\2\0\0")
    frames = [b"\1" + wire.encode_update(update) for update in updates]
    await raw.send(0x82, frames[0])
    await raw.read_until(b'"count":1')
    taken.clear()
    await raw.send_bytes(b"".join(b"\x82" + bytes((0x80 | len(each),)) + b"\0\0\0\0" + each for each in frames[1:]))
    await raw.read_until(b'"count":100')
    await asyncio.sleep(0)
    raw.close()
    assert sum(taken) == 99
    assert len(taken) <= 3, "99 keystrokes, in as many pieces as the socket gave"
