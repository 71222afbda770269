"""A room with so much to commit that edges read no further: who waits for it waits for one commit, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from carets import limits
from tests.stage import Stage, settled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py", "b.py")
    yield stage
    stage.room.delivery.stop()


async def test_one_who_must_wait_for_a_commit_does_not_wait_for_all_that_others_type_meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited until nothing was left to commit: a member that typed without a pause kept it waiting for ever."""
    monkeypatch.setattr(limits, "BATCH_BYTES_MAX", 2_000)
    ann, bob = await stage.editor(1), await stage.editor(2)
    stage.store.gate.clear()
    ann.type(1, "first")
    await settled()
    ann.type(1, "x" * 3_000)
    assert stage.room.is_full
    waiting = asyncio.create_task(stage.room.eased())
    await settled()
    assert not waiting.done(), "what fills the room waits for the commit before it"
    for _ in range(20):
        bob.type(2, "never a pause")
        stage.store.gate.set()
        stage.store.gate.clear()
        await settled(5)
        assert not stage.room.is_clean
    assert waiting.done()
    stage.store.gate.set()
    await settled()


@pytest.mark.parametrize("ends", ["commit fails", "room fails"])
async def test_one_who_must_wait_for_a_commit_hears_of_its_failure(
    ends: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BATCH_BYTES_MAX", 2_000)
    ann = await stage.editor(1)
    stage.store.gate.clear()
    ann.type(1, "first")
    await settled()
    ann.type(1, "x" * 3_000)
    waiting = asyncio.create_task(stage.room.eased())
    await settled()
    assert not waiting.done()
    if ends == "room fails":
        stage.room.fail(RuntimeError("a mistake of ours"))
    else:
        stage.store.fails = True
        stage.store.gate.set()
    await settled()
    assert waiting.done()
    assert not stage.room.is_full, "nobody begins to wait for what does not come"
    stage.store.gate.set()
    await settled()
