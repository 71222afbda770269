"""What one member may cost: who is read later, what is refused and until when, and who is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from carets import limits
from carets.errors import Code, Unavailable
from carets.protocol import messages, wire
from carets.rooms import document as documents
from carets.rooms.allowance import Allowance
from tests.clock import Clock
from tests.stage import Actor, Stage, settled


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def stage(clock: Clock) -> AsyncIterator[Stage]:
    stage = Stage()
    stage.around = stage.around._replace(clock_s=clock)
    stage.lobby.around = stage.around
    await stage.set_up("a.py", "b.py")
    yield stage
    stage.room.delivery.stop()


# -- who is read later


def test_the_fastest_honest_writers_never_wait(clock: Clock) -> None:
    # An agent with 20,000 edits a second, 5 microseconds and 60 bytes each, for a minute.
    allowance = Allowance(clock)
    for _ in range(60):
        for _ in range(200):
            with allowance.measured(100 * 60):
                clock.now_s += 100 * 5e-6
            clock.now_s += 0.0045
            assert allowance.wait_s() == 0


@pytest.mark.parametrize("frame_s", [0.0004, 0.05, 0.9])
def test_a_member_that_costs_much_holds_the_loop_for_its_share_only(clock: Clock, frame_s: float) -> None:
    allowance, held_s, began_s = Allowance(clock), 0.0, clock.now_s
    while (passed_s := clock.now_s - began_s) < 100:
        with allowance.measured():
            clock.now_s += frame_s
        held_s += frame_s
        wait_s = allowance.wait_s()
        assert wait_s <= limits.MEMBER_TURN_DEBT_S / limits.MEMBER_TURN_SHARE
        clock.now_s += wait_s
    assert held_s <= limits.MEMBER_TURN_BURST_S + passed_s * limits.MEMBER_TURN_SHARE + 2 * frame_s
    assert held_s >= 0.9 * passed_s * limits.MEMBER_TURN_SHARE, "and for no less than that"


def test_a_member_that_sends_without_end_is_read_at_its_rate(clock: Clock) -> None:
    allowance, sent, began_s = Allowance(clock), 0, clock.now_s
    while clock.now_s - began_s < 100:
        with allowance.measured(limits.PART_BYTES_MAX):
            sent += limits.PART_BYTES_MAX
        clock.now_s += 0.0001 + allowance.wait_s()
    assert limits.MEMBER_BYTES_BURST < sent < limits.MEMBER_BYTES_BURST + 102 * limits.MEMBER_BYTES_PER_S


def test_the_two_largest_files_go_up_without_waiting(clock: Clock) -> None:
    allowance = Allowance(clock)
    for _ in range(2 * limits.UPDATE_BYTES_MAX // limits.PART_BYTES_MAX):
        allowance.measured(limits.PART_BYTES_MAX)
        assert allowance.wait_s() == 0


async def test_what_a_frame_costs_is_counted_whatever_becomes_of_it(stage: Stage, clock: Clock) -> None:
    ann = await stage.editor(1)
    gate = stage.room.open_files[1].gate
    admit = gate.admit

    def slowly(*args: object) -> bytes | None:
        clock.now_s += 2
        return admit(*args)  # type: ignore[arg-type]

    gate.admit = slowly  # type: ignore[method-assign, assignment]
    ann.type(1, "a")
    assert ann.member.allowance.wait_s() == pytest.approx(1 / limits.MEMBER_TURN_SHARE)
    clock.now_s += 60
    with pytest.raises(Exception, match="4401"):
        ann.send(1, wire.encode_update(b"\xff"))
    assert ann.member.allowance.wait_s() == pytest.approx(1 / limits.MEMBER_TURN_SHARE)


async def test_bringing_a_file_into_memory_is_whose_wish_it_was(stage: Stage, clock: Clock) -> None:
    ann, bob = await stage.editor(1), stage.join()
    stage.room.open_files[1].load_s = 99.0
    await bob.open(1)
    assert bob.member.allowance.wait_s() == 0, "it was there"
    shelf = stage.room.shelf
    load = shelf._load

    async def dearly(file_id: int) -> None:
        await load(file_id)
        shelf.files[file_id].load_s = 2.0

    shelf._load = dearly  # type: ignore[method-assign]
    await ann.open(2)
    assert ann.member.allowance.wait_s() == pytest.approx(1 / limits.MEMBER_TURN_SHARE)


async def test_making_a_document_of_its_log_is_paid_and_waiting_for_the_store_is_not(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the gate was paid, and the document, which holds the loop for six times as long, was not."""
    ann, make = stage.join(), documents.load

    def dearly(updates: list[bytes]) -> tuple[documents.Document, list[int]]:
        clock.now_s += 2.0
        return make(updates)

    monkeypatch.setattr(documents, "load", dearly)
    stage.store.loading.clear()
    opening = asyncio.create_task(ann.open(2))
    await settled()
    clock.now_s += 60.0
    stage.store.loading.set()
    await opening
    assert stage.room.open_files[2].load_s == pytest.approx(2.0)
    assert ann.member.allowance.wait_s() == pytest.approx(1 / limits.MEMBER_TURN_SHARE)


@pytest.mark.parametrize(
    "spend, wait_s",
    [
        (lambda allowance: allowance.spent(3_600.0), limits.MEMBER_TURN_DEBT_S / limits.MEMBER_TURN_SHARE),
        (lambda allowance: allowance.measured(10**9), limits.STOCK_FRAME_BYTES_MAX / limits.MEMBER_BYTES_PER_S),
    ],
    ids=["turn", "bytes"],
)
def test_however_much_a_frame_cost_its_member_is_read_again_soon(
    clock: Clock, spend: Callable[[Allowance], object], wait_s: float
) -> None:
    allowance = Allowance(clock)
    spend(allowance)
    assert allowance.wait_s() == pytest.approx(wait_s)
    clock.now_s += wait_s
    allowance.spent(1e-9)
    allowance.measured(limits.PART_BYTES_MAX)
    assert allowance.wait_s() < 0.1, "what is beyond is forgotten"


def test_answers_wait_by_what_was_given_and_not_for_longer_than_the_largest_file(clock: Clock) -> None:
    allowance = Allowance(clock)
    allowance.answered(limits.MEMBER_ANSWER_BYTES_BURST)
    assert allowance.answer_wait_s() == 0
    allowance.answered(limits.MEMBER_ANSWER_BYTES_PER_S)
    assert allowance.answer_wait_s() == pytest.approx(1)
    allowance.answered(10**10)
    assert allowance.answer_wait_s() == pytest.approx(limits.UPDATE_BYTES_MAX / limits.MEMBER_ANSWER_BYTES_PER_S)


def test_what_is_gathered_before_the_buckets_are_asked_is_one_part(clock: Clock) -> None:
    allowance = Allowance(clock)
    allowance._bytes.owe(10**9, clock())
    allowance.measured(limits.PART_BYTES_MAX - 1)
    assert allowance.wait_s() == 0
    allowance.measured(1)
    assert allowance.wait_s() > 0


# -- what is refused


def granted(allowance: Allowance, request: messages.Request) -> int:
    """How many such requests are taken at this moment, until one is refused."""
    return next(count for count in range(100_000) if is_refused(allowance, request))


def is_refused(allowance: Allowance, request: messages.Request) -> bool:
    try:
        allowance.take(request)
    except Unavailable as refused:
        return refused.code is Code.RATE_LIMITED
    return False


@pytest.mark.parametrize(
    "request_, burst, rate_per_s",
    [
        (messages.Place(1), limits.MEMBER_REQUESTS_BURST, limits.MEMBER_REQUESTS_PER_S),
        (messages.Signal("a", msgspec.Raw(b"1")), limits.MEMBER_SIGNALS_BURST, limits.MEMBER_SIGNALS_PER_S),
    ],
    ids=lambda value: type(value).__name__,
)
def test_after_so_many_at_once_as_many_a_second_are_taken(
    clock: Clock, request_: messages.Request, burst: int, rate_per_s: int
) -> None:
    allowance = Allowance(clock)
    assert granted(allowance, request_) == burst
    clock.now_s += 1.0
    assert granted(allowance, request_) == rate_per_s
    clock.now_s += 10_000.0
    assert granted(allowance, request_) == burst, "who was quiet for long has no more at once"


def test_refusals_have_their_rate_too(clock: Clock) -> None:
    allowance = Allowance(clock)

    def stays() -> int:
        return next(count for count in range(100_000) if not allowance.may_be_refused())

    assert stays() == limits.MEMBER_REFUSALS_BURST
    clock.now_s += 1.0
    assert stays() == limits.MEMBER_REFUSALS_PER_S


def test_a_folder_of_all_files_is_paid_for_and_no_more_than_once(clock: Clock) -> None:
    allowance = Allowance(clock)
    for _ in range(3):
        allowance.changed(100 * limits.FILES_MAX)
    with pytest.raises(Unavailable) as caught:
        allowance.take(messages.Place(1))
    owed = limits.FILES_MAX / limits.REQUEST_FILES
    assert caught.value.retry_after_s == pytest.approx((owed + 1) / limits.MEMBER_REQUESTS_PER_S, abs=0.01)


def flood(stage: Stage, actor: Actor, count: int) -> None:
    for _ in range(count):
        stage.room.request(actor.member, messages.Place(1))


async def test_requests_above_the_rate_are_refused_with_the_time_to_wait(stage: Stage, clock: Clock) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    flood(stage, ann, limits.MEMBER_REQUESTS_BURST)
    assert ann.told("refused") == []
    stage.room.request(ann.member, messages.CreateFile("c", request=7))
    (refused,) = ann.told("refused")
    assert (refused["code"], refused["request"]) == (Code.RATE_LIMITED, 7)
    assert 0 < refused["retry_after_ms"] <= 1000 / limits.MEMBER_REQUESTS_PER_S + 2
    ann.type(1, "goes on")
    flood(stage, bob, 1)
    await settled()
    assert (bob.text(1), bob.told("refused"), ann.member.gone) == ("goes on", [], None)
    clock.now_s += refused["retry_after_ms"] / 1000
    flood(stage, ann, 1)
    assert len(ann.told("refused")) == 1


async def test_a_place_that_came_too_often_is_no_matter_of_its_file(stage: Stage) -> None:
    # The page would take a refusal that names a file for one of the file's edits, and stop it.
    ann = await stage.editor(1)
    flood(stage, ann, limits.MEMBER_REQUESTS_BURST + 1)
    assert "file_id" not in ann.told("refused")[0]
    assert not ann.member.seats[1].blocked


async def test_who_goes_on_in_spite_of_refusals_is_closed(stage: Stage) -> None:
    ann = stage.join()
    flood(stage, ann, limits.MEMBER_REQUESTS_BURST + limits.MEMBER_REFUSALS_BURST)
    with pytest.raises(Unavailable) as caught:
        flood(stage, ann, 1)
    assert caught.value.code is Code.RATE_LIMITED
    assert caught.value.retry_after_s
    assert len(ann.told("refused")) == limits.MEMBER_REFUSALS_BURST


@pytest.mark.parametrize(
    "request_, at_once",
    [
        (messages.Chat("a", "1"), limits.MEMBER_REQUESTS_BURST // limits.CHAT_REQUESTS),
        (messages.Profile("Ann", ""), limits.MEMBER_REQUESTS_BURST),
        (messages.Place(1), limits.MEMBER_REQUESTS_BURST),
        (messages.Signal("a", msgspec.Raw(b"1")), limits.MEMBER_SIGNALS_BURST),
        (messages.RenameFile(9, "x"), limits.MEMBER_REQUESTS_BURST),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_each_kind_of_request_has_its_end(stage: Stage, request_: messages.Request, at_once: int) -> None:
    ann = stage.join()
    codes = []
    for _ in range(at_once + 1):
        codes = [each["code"] for each in ann.told("refused")]
        assert Code.RATE_LIMITED not in codes
        stage.room.request(ann.member, request_)
    assert ann.told("refused")[-1]["code"] == Code.RATE_LIMITED


async def test_pings_opening_and_closing_are_never_refused_for_their_rate(stage: Stage) -> None:
    ann = stage.join()
    for _ in range(2_000):
        stage.room.request(ann.member, messages.Ping())
        stage.room.request(ann.member, messages.CloseFile(1))
        await stage.room.open_file(ann.member, messages.OpenFile(1, 7))
    assert ann.told("refused") == []


async def test_a_folder_counts_by_its_files(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBER_REQUESTS_BURST", 20)
    ann = stage.join()
    await stage.room.import_files("link:a", {f"d/{number}": "" for number in range(50)})
    done, names = 0, ("d", "e")
    while ann.told("refused") == []:
        stage.room.request(ann.member, messages.RenameFolder(names[done % 2], names[1 - done % 2]))
        done += 1
    assert done == 5, "each move of 50 files is five requests of twenty"


async def test_no_more_than_so_many_wait_for_a_commit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUESTS_OPEN_MAX", 3)
    ann, bob = stage.join(), stage.join()
    stage.store.gate.clear()
    for number in range(4):
        stage.room.request(ann.member, messages.Chat("a", f"{number}"))
    assert [each["code"] for each in ann.told("refused")] == [Code.RATE_LIMITED]
    stage.room.request(bob.member, messages.CreateFile("c"))
    assert bob.told("refused") == []
    stage.store.gate.set()
    await settled()
    stage.room.request(ann.member, messages.Chat("a", "9"))
    assert len(ann.told("refused")) == 1


async def test_a_member_has_so_many_files_open_and_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FILES_OPEN_MAX", 1)
    ann, bob = await stage.editor(1), stage.join()
    await ann.open(2)
    assert [(each["code"], each["file_id"]) for each in ann.told("refused")] == [(Code.FILES_OPEN_TOO_MANY, 2)]
    assert 2 not in stage.room.open_files, "nothing was loaded for it"
    await ann.open(1)
    await bob.open(2)
    stage.room.request(ann.member, messages.CloseFile(1))
    await ann.open(2)
    assert len(ann.told("refused")) == 1
    assert bob.told("refused") == []
