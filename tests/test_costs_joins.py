"""What many joiners cost, counted and not timed: encodings, frames and gates that are made once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from carets import limits
from carets.protocol import updates, wire
from carets.protocol.admission import Gate
from carets.protocol.dialect import CARETS, STOCK, Dialect
from carets.rooms.answer import Answer
from tests.stage import ROOM_ID, Actor, Stage, settled

CROWD = 50
LARGE = "x" * 300_000
PARTS = 5


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


class CountingDoc:
    """The engine's document, and how often it was encoded."""

    def __init__(self, doc: Any) -> None:
        self._doc = doc
        self.encodings = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._doc, name)

    def get_update(self, *state_vector: bytes) -> bytes:
        self.encodings += 1
        update: bytes = self._doc.get_update(*state_vector)
        return update


async def large_file(stage: Stage, author: Actor) -> Any:
    """Type a large file, and count what its engine encodes from then on."""
    author.type(1, LARGE)
    await settled(200)
    document = stage.room.open_files[1].document
    counting: Any = CountingDoc(document._doc)
    document._doc = counting
    return counting


async def crowd(stage: Stage) -> list[Actor]:
    """Viewers who open the file in the same moment, with nothing."""
    actors = [stage.join("viewer") for _ in range(CROWD)]
    for actor in actors:
        await actor.open(1)
    await settled(400)
    return actors


async def test_many_equal_joins_share_one_encoding_and_its_frames(stage: Stage) -> None:
    ann = await stage.editor(1)
    counting = await large_file(stage, ann)
    actors = await crowd(stage)
    assert counting.encodings <= 1
    frames = [frame for actor in actors for frame in actor.line.writes if len(frame) > 30_000]
    assert len(frames) == PARTS * CROWD, "each part is a write of its own, as it was built"
    assert len({id(frame) for frame in frames}) == PARTS
    answer = stage.room.open_files[1]._answers[wire.STEP_2]
    assert len(answer._parts[CARETS]) == PARTS, "none was made twice"
    assert {actor.text(1) for actor in actors} == {LARGE}


async def test_many_equal_short_answers_are_framed_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await stage.editor(1)
    ann.type(1, "short")
    await settled()
    framed: list[int] = []
    real = type(CARETS).message

    def message_of(dialect: Dialect, file_id: int, message: bytes) -> bytes:
        framed.append(message[1])
        return real(dialect, file_id, message)

    monkeypatch.setattr(type(CARETS), "message", message_of)
    actors = await crowd(stage)
    assert framed.count(wire.STEP_2) == 1
    assert {actor.text(1) for actor in actors} == {"short"}


async def test_who_comes_while_others_type_shares_what_is_on_its_way(stage: Stage) -> None:
    """Each of 500 who came to 5 MB under fast typing had the whole document encoded, and kept, for itself."""
    ann = await stage.editor(1)
    counting = await large_file(stage, ann)
    actors = [stage.join("viewer") for _ in range(CROWD)]
    for actor in actors:
        actor.line.is_stuck = True
        await actor.open(1)
        await settled()
        ann.type(1, "!")
        await settled()
    assert counting.encodings == 1
    for actor in actors:
        actor.line.is_stuck = False
        actor.drain()
    await settled(1_000)
    text = LARGE + "!" * CROWD
    assert {actor.text(1) for actor in actors} == {text}
    assert stage.room.open_files[1]._told_answer() is None, "it goes with the last who needed it"


async def test_what_is_shared_is_no_older_than_one_part(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, LARGE)
    await settled(200)
    first, second, third = (stage.join("viewer") for _ in range(3))
    for actor, typed in ((first, "y" * 40_000), (second, "z" * 40_000), (third, "")):
        actor.line.is_stuck = True
        await actor.open(1)
        await settled()
        if typed:
            ann.type(1, typed)
            await settled(200)
    first_told, second_told, third_told = (actor.member.seats[1].behind for actor in (first, second, third))
    assert first_told is second_told
    assert third_told is not None
    assert third_told.version == stage.room.open_files[1].document.version


async def test_an_answer_is_let_go_when_the_document_changes(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, LARGE)
    await settled(200)
    await crowd(stage)
    file = stage.room.open_files[1]
    assert file._answers
    ann.type(1, "!")
    await settled(200)
    assert not file._answers, "nobody asks for it again, and it is as large as the document"


async def test_many_who_open_a_file_that_is_not_in_memory_cost_one_gate(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await stage.editor(1)
    ann.type(1, "text")
    await settled()
    stage.room.leave(ann.member)
    stage.room.shelf.unload_idle()
    await settled()
    stage.room.shelf.unload_idle()
    assert not stage.room.open_files
    assert stage.store.checkpoints[ROOM_ID, 1].seq == 1
    made: list[Gate] = []
    real = Gate.of

    def gate_of(*arguments: Any, **more: Any) -> Gate:
        made.append(real(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(Gate, "of", gate_of)
    actors = [stage.join("viewer") for _ in range(CROWD)]
    await asyncio.gather(*(actor.open(1) for actor in actors))
    await settled(400)
    assert {actor.text(1) for actor in actors} == {"text"}
    assert len(made) == 1


async def test_a_file_that_nobody_types_in_has_its_structs_read_by_the_engine_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading 11,000 structs in Python was most of opening automerge-paper."""
    ann = await stage.editor(1)
    for _ in range(30):
        ann.send(1, wire.encode_update(ann.edit(1, 0, "ab")))
    await settled()
    stage.room.leave(ann.member)
    for _ in range(2):
        stage.room.shelf.unload_idle()
        await settled()
    assert not stage.room.open_files
    read: list[int] = []
    real = updates.read_structs

    def read_structs(data: bytes, *more: int) -> Any:
        found = real(data, *more)
        read.append(sum(len(block.structs) for block in found[0]))
        return found

    monkeypatch.setattr("carets.protocol.admission.read_structs", read_structs)
    bob, cid = await stage.editor(1), await stage.editor(1)
    assert sum(read) == 0, "also the step 2 of an editor who brings nothing"
    bob.send(1, wire.encode_update(bob.edit(1, 3, "x")))
    bob.send(1, wire.encode_update(bob.edit(1, 7, "y")))
    cid.send(1, wire.encode_update(cid.edit(1, 0, "z")))
    await settled()
    assert sum(read) == 30 + 2, "once, whoever types first; the second of one author goes the short way"


@pytest.mark.parametrize("size", [0, 1, limits.PART_BYTES_MAX - 5, limits.PART_BYTES_MAX, 3 * limits.PART_BYTES_MAX])
@pytest.mark.parametrize("step", [wire.STEP_2, wire.UPDATE])
def test_an_answer_is_the_message_that_it_stands_for(size: int, step: int) -> None:
    update = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    message = wire.encode_step_2(update) if step == wire.STEP_2 else wire.encode_update(update)
    answer = Answer(7, step, update)
    assert len(answer) == len(message)
    assert answer.is_large == (len(message) > limits.PART_BYTES_MAX)
    assert answer.whole(STOCK) == STOCK.message(7, message)
    assert answer.whole(CARETS) == CARETS.message(7, message)
    wanted = [CARETS.part(part) for part in wire.cut_in_parts(7, message)]
    assert [*answer.parts(CARETS)] == wanted
    early, late = answer.parts(CARETS), answer.parts(CARETS)
    assert [next(early), *late, *early] == [wanted[0], *wanted, *wanted[1:]]
