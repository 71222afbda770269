"""P4 and its neighbours, from seeds: what must always be so holds in 200 worlds; a broken one says how to see it."""

from __future__ import annotations

import asyncio

import pytest

from carets.rooms.file import OpenFile
from tests.simulate import report
from tests.simulation.clock import BEGIN_MS, Stuck, VirtualLoop, run
from tests.simulation.run import STEPS, simulate
from tests.simulation.store import MemoryStore
from tests.suites.store_promises import StorePromises

SEEDS = 200
SEEDS_PER_TEST = 20


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_PER_TEST))
def test_members_agree_and_nothing_is_lost_whatever_fails(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        verdict = simulate(seed)
        assert verdict.violation is None, report(verdict, STEPS)


@pytest.mark.parametrize("seed", [1, 4])
def test_the_same_seed_tells_the_same_story(seed: int) -> None:
    one, other = simulate(seed, 60), simulate(seed, 60)
    assert one == other
    assert one.events > 100


def test_different_seeds_tell_different_stories() -> None:
    assert simulate(1, 30).trace != simulate(2, 30).trace


def test_a_failure_tells_the_invariant_and_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenFile, "agrees", lambda file: False)
    told = report(simulate(3, 60), 60)
    assert "seed 3: invariant 4 broken: gate and document agree" in told
    assert "python -m tests.simulate --seed 3 --steps 60" in told


def test_a_wait_of_an_hour_takes_no_time() -> None:
    loop = VirtualLoop()

    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run(loop, main()) == pytest.approx(3600)
    assert loop.now_ms() == BEGIN_MS + 3_600_000


def test_a_world_in_which_nothing_can_happen_does_not_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck):
        run(VirtualLoop(), main())


class MemoryUnderTest:
    def __init__(self) -> None:
        self.store = MemoryStore()

    async def restart(self) -> None:
        """It lives as long as the world."""


class TestMemoryStore(StorePromises):
    @pytest.fixture
    def engine(self) -> MemoryUnderTest:
        return MemoryUnderTest()
