"""Answers to step 1 and to questions for presence: one under way, paid for by who asks, shared where they can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from carets import limits
from carets.protocol import messages, wire
from carets.protocol.dialect import STOCK
from tests.stage import Actor, Stage, settled
from tests.test_delivery import caret_of, presence_of, tick


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py", "b.py")
    yield stage
    stage.room.delivery.stop()


def answers(actor: Actor, file_id: int = 1) -> list[bytes]:
    actor.read()
    return [m.update for at, m in actor.messages if at == file_id and isinstance(m, wire.Step2)]


async def test_what_is_asked_again_before_the_answer_has_one_answer(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    ann.type(1, "some text")
    await settled()
    before = len(answers(bob))
    for _ in range(100):
        bob.send(1, wire.encode_step_1(b"\0"))
    await settled()
    assert len(answers(bob)) == before + 1


async def test_a_question_during_an_answer_in_parts_waits_for_its_end(stage: Stage) -> None:
    ann, slow = await stage.editor(1), await stage.editor(1)
    ann.type(1, "x" * 300_000)
    await settled(200)
    slow.line.is_stuck = True
    slow.send(1, wire.encode_step_1(b"\0"))
    await settled()
    for _ in range(20):
        slow.send(1, wire.encode_step_1(b"\0"))
        await settled(5)
    assert slow.line.waiting < 2 * limits.PART_BYTES_MAX + limits.OUTBOX_BYTES_FULL
    before = len(answers(slow))
    slow.line.is_stuck = False
    slow.drain()
    await settled(200)
    assert len(answers(slow)) <= before + 2, "the one under way, and one for all that was asked meanwhile"


async def test_three_bytes_can_ask_for_so_much_and_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBER_ANSWER_BYTES_BURST", 4_000_000)
    monkeypatch.setattr(limits, "MEMBER_ANSWER_BYTES_PER_S", 1)
    ann = await stage.editor(1)
    ann.type(1, "x" * 1_000_000)
    await settled(200)
    bob = stage.join("viewer")
    await bob.open(1)
    for _ in range(30):
        bob.send(1, wire.encode_step_1(b"\0"))
        await settled(100)
    assert 4 <= len(answers(bob)) <= 5
    assert bob.member.gone is None


async def test_who_waits_for_an_answer_is_told_nothing_else_late(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBER_ANSWER_BYTES_PER_S", 10)
    monkeypatch.setattr(limits, "MEMBER_ANSWER_BYTES_BURST", 1_000)
    ann, bob = await stage.editor(1, 2), await stage.editor(1)
    bob.member.allowance.answered(10_000)
    await bob.open(2)
    bob.send(1, wire.encode_step_1(b"\0"))
    ann.type(1, "at once")
    ann.type(2, "later")
    await settled()
    assert (bob.text(1), answers(bob, 2)) == ("at once", [])
    bob.type(1, "!")
    await settled()
    assert bob.saved == bob.member.received
    rest = stage.room.delivery._resting[bob.member]
    assert rest.when() > 0
    rest.cancel()
    bob.member.allowance._answers.owe(-1e9, 1e9)
    stage.room.delivery._rested(bob.member)
    await settled()
    assert bob.text(2) == "later", "it is late, and not lost"


async def test_who_leaves_while_it_waits_is_forgotten(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBER_ANSWER_BYTES_BURST", 1_000)
    bob = await stage.editor(1)
    bob.member.allowance.answered(10**9)
    bob.send(1, wire.encode_step_1(b"\0"))
    await settled()
    (rest,) = stage.room.delivery._resting.values()
    stage.room.leave(bob.member)
    assert rest.cancelled()
    assert not stage.room.delivery._resting
    assert not stage.room.delivery._waiting


async def test_asking_for_presence_is_paid_for_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBER_ANSWER_BYTES_BURST", 2_000)
    monkeypatch.setattr(limits, "MEMBER_ANSWER_BYTES_PER_S", 1)
    for _ in range(3):
        caret_of(await stage.editor(1))
    stock = stage.join(dialect=STOCK)
    await stage.room.open_stock_file(stock.member, 1)
    await tick(stage)
    for _ in range(100):
        stage.room.receive_stock(stock.member, 1, wire.encode_varuint(wire.QUERY_AWARENESS))
    await settled()
    assert len(presence_of(stock)) == 3, "one answer for all that was asked at once"
    for _ in range(100):
        stage.room.receive_stock(stock.member, 1, wire.encode_varuint(wire.QUERY_AWARENESS))
        await settled(5)
    assert len(presence_of(stock)) <= 18


async def test_a_crowd_that_joins_a_large_document_costs_one_encoding_and_little_each(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 150 members that join a document of 20 MB took a peer's server 30 seconds and 6.5 GB.
    ann = await stage.editor(1)
    ann.type(1, "x" * 20_000_000)
    await settled(2_000)
    encodings: list[int] = []
    encode = wire.encode_head

    def counted(step: int, update_bytes: int) -> bytes:
        encodings.append(update_bytes)
        return encode(step, update_bytes)

    monkeypatch.setattr(wire, "encode_head", counted)
    document = stage.room.open_files[1].document
    crowd = [stage.join() for _ in range(150)]
    for actor in crowd:
        actor.line.is_stuck = True
        await stage.room.open_file(actor.member, messages.OpenFile(1, actor.member.id))
        actor.send(1, wire.encode_step_1(b"\0"))
    await settled(400)
    assert len(encodings) == 1
    assert document.encode() is document.encode()
    assert all(actor.member.outbox.has_bulk(1) for actor in crowd)
    waiting = max(actor.line.waiting for actor in crowd)
    assert waiting < limits.OUTBOX_BYTES_LAGGING + limits.PART_BYTES_MAX


async def test_who_asks_in_many_files_has_a_few_answers_a_turn_and_pays_for_them() -> None:
    """A member with 400 files open had 400 documents encoded in one turn, and short answers cost it nothing."""
    stage = await Stage().set_up(*(f"{number}.py" for number in range(20)))
    ann = await stage.editor(*range(1, 21))
    encoded = stage.around.metrics
    spent = ann.member.allowance._turn_s
    for file_id in range(1, 21):
        ann.send(file_id, wire.encode_step_1(b"\0"))
    asked, ann.member.allowance._turn_s = encoded.catch_ups, spent
    most = 0
    while encoded.catch_ups < asked + 20:
        before = encoded.catch_ups
        await asyncio.sleep(0)
        most = max(most, encoded.catch_ups - before)
    assert most == limits.CATCH_UPS_PER_TURN
    assert ann.member.allowance._turn_s > spent
    stage.room.delivery.stop()
