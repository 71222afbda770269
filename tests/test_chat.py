"""The chat: who said what, in one order, once, kept before it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from carets import limits
from carets.errors import Code
from carets.protocol import messages
from carets.protocol.dialect import STOCK
from carets.rooms.chat import Chat
from carets.rooms.store import Batch, ChatEntry, StoreFailed
from tests.stage import ROOM_ID, Actor, Stage, settled

LOOK = ("Ann", "#aabbcc")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


def entry(number: int, text: str = "x", author: str = "person:ann") -> ChatEntry:
    return ChatEntry(number, number, author, *LOOK, text, f"n{number}")


def say(actor: Actor, text: str, nonce: str = "", request: int | None = None) -> None:
    actor.stage.room.request(actor.member, messages.Chat(text, nonce or text, request))


def heard(actor: Actor) -> list[str]:
    """The texts that a member was told, in order; those of a repeated message count once."""
    told = [each for notice in actor.told("chat") for each in notice["entries"]]
    return [each["text"] for each in {each["chat_id"]: each for each in told}.values()]


# -- the table


def test_ids_count_from_one_without_gaps_and_fall_back_with_a_failed_commit() -> None:
    chat = Chat([])
    first, _ = chat.admit(5, "person:ann", LOOK, "a", "n1")
    chat.commit([first])
    lost, _ = chat.admit(6, "person:ann", LOOK, "b", "n2")
    chat.fall_back()
    again, is_new = chat.admit(7, "person:ann", LOOK, "b", "n2")
    assert (first.chat_id, lost.chat_id, again.chat_id, is_new) == (1, 2, 2, True)
    assert (again.at_ms, again.record) == (7, messages.ChatRecord(2, 7, "person:ann", *LOOK, "b"))


def test_a_nonce_is_one_persons_and_known_while_it_is_queued_and_among_the_latest() -> None:
    chat = Chat([])
    first, _ = chat.admit(5, "person:ann", LOOK, "a", "n")
    assert chat.admit(6, "person:ann", LOOK, "other", "n") == (first, False)
    assert chat.admit(6, "person:bob", LOOK, "a", "n")[1]
    chat.commit([first])
    assert chat.admit(7, "person:ann", LOOK, "a", "n") == (first, False)
    chat.fall_back()
    assert chat.admit(7, "person:ann", LOOK, "a", "n") == (first, False)
    assert Chat([first]).admit(8, "person:ann", LOOK, "a", "n") == (first, False), "after a restart, too"
    chat.commit([entry(number) for number in range(2, limits.CHAT_TAIL_ENTRIES + 2)])
    chat.fall_back()
    assert chat.admit(9, "person:ann", LOOK, "a", "n")[1], "it is long past"


def test_what_is_told_at_once_is_bounded_in_entries_and_bytes() -> None:
    count = 3 * limits.CHAT_TAIL_ENTRIES
    chat = Chat([])
    chat.commit([entry(number) for number in range(1, count + 1)])
    assert [each.chat_id for each in chat.tail().entries] == list(
        range(count - limits.CHAT_TAIL_ENTRIES + 1, count + 1)
    )
    chat.commit([entry(number, "😀" * limits.CHAT_UNITS_MAX) for number in range(count + 1, count + 9)])
    tail = chat.tail()
    size = len(messages.encode_notice(tail))
    assert limits.CHAT_TAIL_BYTES // 2 < size <= limits.CHAT_TAIL_BYTES + 100
    assert tail.entries[-1].chat_id == count + 8


def test_news_of_more_bytes_than_a_tail_may_have_are_told_as_the_tail() -> None:
    chat = Chat([])
    news = [entry(number) for number in range(1, 3 * limits.CHAT_TAIL_ENTRIES)]
    chat.commit(news)
    assert chat.news(news) == messages.ChatNotice([each.record for each in news]), "none is skipped"
    more = [entry(number, "x" * 1_000) for number in range(len(news) + 1, len(news) + 71)]
    chat.commit(more)
    assert chat.news(more) == chat.tail()
    assert chat.news(more).full


# -- in a room


async def test_all_hear_the_same_in_the_same_order_the_author_too(stage: Stage) -> None:
    ann, bob, viewer = stage.join(name="Ann", color="#aabbcc"), stage.join(), stage.join("viewer")
    for number in range(3):
        say(ann, f"a{number}")
        say(bob, f"b{number}", request=number)
    await settled()
    assert heard(ann) == heard(bob) == heard(viewer) == ["a0", "b0", "a1", "b1", "a2", "b2"]
    answers = [told for told in bob.told("chat") if "request" in told]
    assert [(told["request"], told["entries"][-1]["text"]) for told in answers] == [(0, "b2"), (1, "b1"), (2, "b2")]
    # The first answer carries the news: nobody was told of it before, and no page shows an entry twice.
    assert [each["text"] for each in bob.told("chat")[0]["entries"]] == ["a0", "b0", "a1", "b1", "a2", "b2"]
    first = ann.told("chat")[0]["entries"][0]
    assert first == {
        "chat_id": 1,
        "at_ms": stage.now_ms,
        "author": ann.told("welcome")[0]["author"],
        "name": "Ann",
        "color": "#aabbcc",
        "text": "a0",
    }
    assert [each.chat_id for each in stage.store.workspaces[ROOM_ID].chat] == [1, 2, 3, 4, 5, 6]


async def test_nobody_hears_a_word_before_it_is_durable(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    stage.store.gate.clear()
    say(ann, "wait", request=1)
    say(ann, "for it")
    await settled()
    assert ann.told("chat") == bob.told("chat") == []
    assert not stage.room.is_clean
    stage.store.gate.set()
    await settled()
    assert heard(bob) == ["wait", "for it"]


async def test_the_same_nonce_is_answered_again_and_kept_once(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    stage.store.gate.clear()
    say(ann, "once", "n", 1)
    await settled()
    say(ann, "once", "n", 2)
    stage.store.gate.set()
    await settled()
    token = ann.told("welcome")[0]["person"]
    stage.room.leave(ann.member)
    again = stage.join(person=token)
    say(again, "once", "n", 3)
    say(bob, "once", "n", 4)
    await settled()
    assert heard(bob) == ["once", "once"], "another person's nonce is another"
    assert [told["request"] for told in ann.told("chat") if "request" in told] == [1, 2]
    (answer,) = [told for told in again.told("chat") if "request" in told]
    assert (answer["request"], answer["entries"][0]["chat_id"]) == (3, 1)
    assert [each.chat_id for each in stage.store.workspaces[ROOM_ID].chat] == [1, 2]


async def test_who_comes_is_told_the_latest_and_an_empty_chat_is_not_told(stage: Stage) -> None:
    ann = stage.join()
    assert ann.told("chat") == []
    say(ann, "hello")
    await settled()
    bob = stage.join("viewer")
    assert [told["type"] for told in bob.told("welcome") + bob.told("chat")] == ["welcome", "chat"]
    (told,) = bob.told("chat")
    assert (told["full"], [each["text"] for each in told["entries"]]) == (True, ["hello"])


async def test_a_viewer_and_what_is_no_text_are_refused(stage: Stage) -> None:
    viewer, ann, stock = stage.join("viewer"), stage.join(), stage.join(dialect=STOCK)
    say(viewer, "let me in", request=1)
    for number, text in enumerate(("", " \n", "\u202e\x00", "x" * (limits.CHAT_UNITS_MAX + 1)), 2):
        say(ann, text, "n", number)
    await settled()
    assert [(each["code"], each["request"]) for each in viewer.told("refused")] == [(Code.ROLE_TOO_LOW, 1)]
    assert [(each["code"], each["request"]) for each in ann.told("refused")] == [
        (Code.TEXT_INVALID, number) for number in (2, 3, 4, 5)
    ]
    assert stage.store.batches == []
    say(ann, " \u202eclean\r\nme\x07 ")
    await settled()
    assert heard(ann) == ["clean\nme"]
    assert stock.line.writes == []


async def test_a_lagging_member_gets_the_tail_once_it_drains(stage: Stage) -> None:
    ann, slow = stage.join(), stage.join()
    slow.line.is_stuck = True
    while not slow.member.outbox.lagging:
        stage.room.request(ann.member, messages.Signal("x", msgspec.Raw(b'"' + b"x" * 16_000 + b'"')))
    waiting = slow.line.waiting
    for number in range(limits.CHAT_TAIL_ENTRIES + 20):
        say(ann, f"{number}")
        await settled(5)
    assert slow.line.waiting == waiting
    slow.line.is_stuck = False
    slow.drain()
    await settled()
    (told,) = slow.told("chat")
    texts = [each["text"] for each in told["entries"]]
    assert told["full"]
    assert texts == [f"{number}" for number in range(20, limits.CHAT_TAIL_ENTRIES + 20)]
    say(ann, "and on")
    await settled()
    assert [each["text"] for each in slow.told("chat")[-1]["entries"]] == ["and on"]


async def test_many_short_messages_that_wait_count_with_what_they_take_in_memory(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BATCH_BYTES_MAX", 20_000)
    ann = stage.join()
    stage.store.gate.clear()
    say(ann, "first")
    await settled()
    for number in range(100):
        say(ann, str(number))
    assert stage.room.is_full
    stage.store.gate.set()
    await settled()
    assert not stage.room.is_full


async def test_a_flood_between_two_commits_is_told_as_the_tail(stage: Stage) -> None:
    crowd, bob = [stage.join() for _ in range(3)], stage.join()
    for number in range(3 * limits.CHAT_TAIL_ENTRIES):
        say(crowd[number % 3], f"{number}" + "x" * 3_000)
    await settled()
    (told,) = bob.told("chat")
    assert told["full"]
    assert len(msgspec.json.encode(told)) < limits.CHAT_TAIL_BYTES + 1_000
    assert len(stage.store.workspaces[ROOM_ID].chat) == 3 * limits.CHAT_TAIL_ENTRIES


async def test_when_the_store_fails_what_was_said_is_forgotten_and_its_author_says_it_again(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    say(ann, "kept")
    await settled()
    stage.store.fails = True
    stage.store.gate.clear()
    say(ann, "lost", request=1)
    await settled()
    say(ann, "behind it")
    stage.store.gate.set()

    async def nothing(*_: object) -> list[ChatEntry]:
        return []

    stage.store.read_chat = nothing  # type: ignore[method-assign, assignment]
    await settled()
    assert ann.line.closed_with is not None
    assert ann.line.closed_with.code is Code.UNAVAILABLE
    assert bob.line.closed_with is None, "nothing of bob's was lost"
    assert stage.room.failed is None
    stage.store.fails = False
    again = stage.join(person=ann.told("welcome")[0]["person"])
    say(again, "lost", request=1)
    await settled()
    assert heard(bob) == ["kept", "lost"]
    assert [each.chat_id for each in stage.store.workspaces[ROOM_ID].chat] == [1, 2]


async def test_a_commit_whose_answer_was_lost_drops_the_room_and_nothing_is_said_twice(stage: Stage) -> None:
    ann = stage.join()
    append = stage.store.append

    async def append_and_fail(batch: Batch) -> None:
        await append(batch)
        raise StoreFailed(Code.UNAVAILABLE, "the answer was lost")

    stage.store.append = append_and_fail  # type: ignore[method-assign]
    say(ann, "kept all the same", "n")
    await settled()
    assert stage.room.failed is not None
    stage.store.append = append  # type: ignore[method-assign]
    stage.room = await stage.lobby.enter(ROOM_ID)
    again = stage.join(person=ann.told("welcome")[0]["person"])
    say(again, "kept all the same", "n", 1)
    await settled()
    assert [each.text for each in stage.store.workspaces[ROOM_ID].chat] == ["kept all the same"]
    assert again.told("chat")[-1]["request"] == 1


async def test_what_was_said_is_there_when_its_author_left_at_once(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    say(ann, "bye", request=1)
    stage.room.leave(ann.member)
    await settled()
    assert heard(bob) == ["bye"]
    await asyncio.wait_for(stage.room.settle(), 1)
    assert stage.room.is_clean
