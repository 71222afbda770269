"""A room rests after it has told many of little, and never when it matters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace

import pytest

from carets.rooms import gathering
from carets.rooms.gathering import FRAMES_WORTH_TELLING, REST_PER_WORK, REST_S_MAX, Gathering
from tests.clock import Clock
from tests.stage import Stage, settled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


def rest_by(monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Let rests be what the test makes of them, and leave the test its own event loop."""
    monkeypatch.setattr(gathering, "asyncio", SimpleNamespace(sleep=sleep))


@pytest.mark.parametrize(
    "frames, worked_s, rests_s",
    [
        (1, 0.001, [REST_PER_WORK * 0.001]),
        (FRAMES_WORTH_TELLING - 1, 0.0005, [REST_PER_WORK * 0.0005]),
        (1, 1.0, [REST_S_MAX]),
        (FRAMES_WORTH_TELLING, 0.001, []),
        (0, 0.001, []),
    ],
)
async def test_the_rest_is_as_long_as_the_work_was_and_bounded(
    monkeypatch: pytest.MonkeyPatch, frames: int, worked_s: float, rests_s: list[float]
) -> None:
    taken: list[float] = []

    async def sleep(delay_s: float) -> None:
        taken.append(delay_s)

    rest_by(monkeypatch, sleep)
    clock = Clock()
    telling = Gathering(frames, clock)
    clock.now_s += worked_s
    await telling.rest()
    assert taken == pytest.approx(rests_s)


async def test_what_comes_while_a_room_rests_is_one_commit_after_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, ben = await stage.editor(1), await stage.editor(1)
    is_over = asyncio.Event()

    async def sleep(_: float) -> None:
        await is_over.wait()

    rest_by(monkeypatch, sleep)
    saved, batches = ann.saved, len(stage.store.batches)
    ann.type(1, "a")
    await settled()
    assert ben.text(1) == "a", "who types alone waits for nothing"
    assert ann.saved == saved + 1
    for letter in "bcd":
        ann.type(1, letter)
        await settled()
    assert len(stage.store.batches) == batches + 1
    is_over.set()
    await settled()
    assert len(stage.store.batches) == batches + 2
    assert ben.text(1) == "abcd"
    assert ann.saved == saved + 4
