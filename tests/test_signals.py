"""Signals: what is for this moment only, passed on at once, never kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from carets import limits
from carets.errors import Code, WireError
from carets.protocol import messages
from carets.protocol.dialect import STOCK
from tests.stage import Actor, Stage, settled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


def signal(actor: Actor, data: object, to: int | None = None, kind: str = "run.out") -> None:
    actor.stage.room.request(actor.member, messages.Signal(kind, msgspec.Raw(msgspec.json.encode(data)), to))


def signals(actor: Actor) -> list[dict[str, Any]]:
    return [{key: value for key, value in told.items() if key != "type"} for told in actor.told("signal")]


async def test_a_signal_reaches_all_others_at_once_and_no_commit_is_waited_for(stage: Stage) -> None:
    ann, bob, viewer, stock = stage.join(), stage.join(), stage.join("viewer"), stage.join(dialect=STOCK)
    stage.store.gate.clear()
    stage.room.request(ann.member, messages.CreateFile("new.py"))
    signal(ann, {"line": ["é", 1, None]})
    told = [{"member_id": ann.member.id, "kind": "run.out", "data": {"line": ["é", 1, None]}}]
    assert (signals(bob), signals(viewer), signals(ann), stock.line.writes) == (told, told, [], [])
    stage.store.gate.set()
    await settled()
    assert [batch.chat for batch in stage.store.batches] == [[]]


async def test_a_signal_to_one_reaches_that_one_and_one_to_nobody_is_skipped(stage: Stage) -> None:
    ann, bob, eve = stage.join(), stage.join(), stage.join()
    signal(ann, 1, bob.member.id)
    signal(ann, 2, 999)
    stage.room.leave(eve.member)
    signal(ann, 3, eve.member.id)
    signal(ann, 4, ann.member.id)
    assert ([each["data"] for each in signals(bob)], signals(eve)) == ([1], [])
    assert [each["data"] for each in signals(ann)] == [4], "whoever names itself gets it"
    assert ann.told("refused") == []


async def test_who_lags_never_hears_of_a_signal_and_costs_nothing(stage: Stage) -> None:
    ann, bob, slow = stage.join(), stage.join(), stage.join()
    slow.line.is_stuck = True
    sent = 0
    while not slow.member.outbox.lagging:
        signal(ann, "x" * 16_000)
        sent += 1
    waiting = slow.line.waiting
    for number in range(100):
        signal(ann, number)
    assert slow.line.waiting == waiting
    slow.line.is_stuck = False
    slow.drain()
    await settled()
    assert len(signals(slow)) == sent
    assert len(signals(bob)) == sent + 100
    signal(ann, "now")
    assert signals(slow)[-1]["data"] == "now"


async def test_a_viewer_sends_none_and_nobody_a_large_one(stage: Stage) -> None:
    ann, bob, viewer = stage.join(), stage.join(), stage.join("viewer")
    signal(viewer, 1)
    signal(ann, "x" * (limits.SIGNAL_BYTES_MAX - 2))
    signal(ann, "x" * (limits.SIGNAL_BYTES_MAX - 1))
    assert [told["code"] for told in viewer.told("refused")] == [Code.ROLE_TOO_LOW]
    assert [told["code"] for told in ann.told("refused")] == [Code.MESSAGE_TOO_LARGE]
    assert len(signals(bob)) == 1


def raw(actor: Actor, data: str) -> None:
    """Send a signal with this JSON as its data, as a socket would bring it."""
    actor.stage.room.request(actor.member, messages.decode_request('{"type":"signal","kind":"a","data":' + data + "}"))


async def test_what_is_passed_on_can_be_read_by_whoever_gets_it(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    deep = limits.SIGNAL_DEPTH_MAX
    passed = [
        "[" * deep + "]" * deep,
        '{"a":' * (deep - 1) + '["[[[[{{{{", "\\\\"]' + "}" * (deep - 1),
        r'"\\\"[["',
        "[" + ",".join(["[[]]"] * 100) + "]",
        "[1e308,-1.5E-400,0]",
        r'"\ud83d\ude00 1e999"',
    ]
    for data in passed:
        raw(ann, data)
    assert ann.told("refused") == []
    assert [each["data"] for each in signals(bob)] == [msgspec.json.decode(data) for data in passed]
    refused = [
        "[" * (deep + 1) + "]" * (deep + 1),
        '{"a":' * deep + "[]" + "}" * deep,
        "1e999",
        '{"a":[-1e309]}',
        "9" * 400,
        "9" * 5_000,
    ]
    for number, data in enumerate(refused, start=1):
        raw(ann, data)
        assert [each["code"] for each in ann.told("refused")] == [Code.MESSAGE_TOO_LARGE] * number
    assert (len(signals(bob)), ann.member.gone) == (len(passed), None)


@pytest.mark.parametrize("data", [r'"\ud800"', r'{"\udc00":1}', "NaN", "[1,]", "tru", "01"])
async def test_what_is_no_json_or_half_a_character_ends_the_connection(stage: Stage, data: str) -> None:
    with pytest.raises(WireError):
        raw(stage.join(), data)


@pytest.mark.parametrize("kind", ["", "A", "a b", "a\n", "ü", "x" * 33])
def test_a_kind_is_a_short_plain_word(kind: str) -> None:
    text = msgspec.json.encode({"type": "signal", "kind": kind, "data": 1})
    with pytest.raises(WireError):
        messages.decode_request(text)
    assert isinstance(messages.decode_request(b'{"type":"signal","kind":"a-0._z","data":1}'), messages.Signal)
