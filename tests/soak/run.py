"""One soak from the start of the server to its end.

Owns: the server, the generators, and the order: a first visit, the baseline, the crowd, freeze, compare, all leave, all
is put away, reopen, judge. Does not know: how it is printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from carets import limits
from tests.peer import connect, create_workspace
from tests.serving import ServerProcess
from tests.soak.crowd import LIFE_S, SLOT_S, digest
from tests.soak.ledger import Ledger, Verdict
from tests.soak.member import FILES, Room
from tests.soak.watch import Memory, Sample, Watch, memory_of

FREEZE_S = 90.0
"""Seconds for all members to have saved what they typed, slow readers included."""

AWAY_S = 120.0
"""Seconds for all rooms to be put away once nobody is there."""

CORE_MAX = 0.85
"""Part of a core above which a generator would itself be what is measured."""


@dataclass(frozen=True)
class Plan:
    """What to do."""

    folder: Path
    seconds: float
    rooms: int
    members: int
    processes: int
    seed: int
    csv: Path
    log: Path | None = None
    pace_s: float = 1.0
    """Between two acts of a member."""
    slot_s: float = SLOT_S
    life_s: float = LIFE_S
    idle_s: float = limits.ROOM_IDLE_S
    sweep_s: float = 5.0
    every_s: float = 10.0
    """Between samples."""

    @property
    def lives(self) -> int:
        """Workspaces that are used one after the other in each place."""
        return int(self.seconds / self.life_s) + 2

    @property
    def warm_up_s(self) -> float:
        """Until memory is looked at: four minutes, in a short run a third of it."""
        return min(240.0, self.seconds / 3)


@dataclass
class Result:
    """What came of it."""

    baseline: Sample
    samples: list[Sample]
    memory: Memory | None
    end: Sample | None = None
    texts_compared: int = 0
    texts_different: list[str] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    changed_by_reload: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    lates_s: list[float] = field(default_factory=list)
    refusals: dict[str, float] = field(default_factory=dict)
    status: int | None = None

    @property
    def wrong(self) -> list[str]:
        """What is wrong, in words."""
        told = []
        end, before = self.end, self.baseline
        if end is None or end.rooms or end.members:
            told.append("rooms or members were left when all had gone")
        elif end.tasks > before.tasks or end.fds > before.fds or end.threads > before.threads:
            told.append("tasks, file descriptors or threads were left")
        if self.memory is not None and not self.memory.is_flat:
            told.append(f"memory changed by {self.memory.growth:+.1%}")
        if self.texts_different or self.changed_by_reload:
            told.append("texts differ")
        if not self.verdicts or not all(verdict.is_right for verdict in self.verdicts.values()):
            told.append("pieces are lost, doubled or strange")
        if self.errors:
            told.append(f"members failed: {self.errors[0]}")
        if self.status:
            told.append(f"the server ended with status {self.status}")
        return told

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


class Crew:
    """The generators."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._processes: list[asyncio.subprocess.Process] = []
        self._ledgers: list[Path] = []

    async def start(self, plan: Plan, url: str, places: list[list[Room]]) -> None:
        """Start them, and tell each its part."""
        for number in range(plan.processes):
            ledger = plan.folder / f"ledger-{number}.json"
            command = [sys.executable, "-m", "tests.soak.crowd", str(ledger)]
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**24)
            self._processes.append(process)
            self._ledgers.append(ledger)
            members = list(range(number, plan.members, plan.processes))
            order = {"url": url, "places": places, "members": members, "seed": plan.seed, "pace_s": plan.pace_s}
            self._say(process, order | {"slot_s": plan.slot_s, "life_s": plan.life_s})

    async def last(self, seconds: float) -> None:
        """Let them be for so long. Raises: AssertionError when one ends before."""
        ends = [asyncio.create_task(process.wait()) for process in self._processes]
        ended, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        assert not ended, "a generator ended too early"

    async def freeze(self) -> None:
        """Let nobody begin anything any more, and wait until all that was typed is saved."""
        for process in self._processes:
            self._say(process, {})
        for process in self._processes:
            await self._hear(process, "frozen")

    async def compare(self, expected: dict[str, str]) -> Ledger:
        """Compare all members' texts with the server's, and let everyone leave."""
        merged = Ledger()
        for process in self._processes:
            self._say(process, {"expected": expected})
        for process, ledger in zip(self._processes, self._ledgers, strict=True):
            heard = await self._hear(process, "compared")
            self._result.texts_compared += heard["texts"]
            self._result.texts_different += heard["different"]
            self._result.counts.update(heard["counts"])
            self._result.errors += heard["errors"]
            await process.wait()
            merged.add(ledger)
        return merged

    async def end(self) -> None:
        """End whoever is still there."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @staticmethod
    def _say(process: asyncio.subprocess.Process, words: dict[str, Any]) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(words).encode() + b"\n")

    async def _hear(self, process: asyncio.subprocess.Process, kind: str) -> dict[str, Any]:
        assert process.stdout is not None
        async with asyncio.timeout(FREEZE_S):
            while line := await process.stdout.readline():
                words: dict[str, Any] = json.loads(line)
                if words["type"] == kind:
                    return words
                self._result.loads.append(words["core"])
                self._result.lates_s.append(words["late_s"])
        raise AssertionError(f"a generator ended without saying {kind}")


async def soak(plan: Plan) -> Result:
    """Do all of it."""
    program = ("tests.soak.host", str(plan.idle_s), str(plan.sweep_s))
    # All of the crowd comes from one address.
    quotas = {"address-connections-max": 4 * plan.members + 100, "connections-max": 4 * plan.members + 200}
    quotas["address-workspaces-per-hour"] = plan.rooms * plan.lives + 10
    options = [word for name, count in quotas.items() for word in (f"--{name}", str(count))]
    server = ServerProcess(plan.folder / "data", *options, program=program)
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            result = await _with_server(plan, server, http)
        result.status = await server.stop()
        return result
    finally:
        await server.kill()
        if plan.log is not None:
            shutil.copy(plan.folder / "data.log", plan.log)


async def _with_server(plan: Plan, server: ServerProcess, http: aiohttp.ClientSession) -> Result:
    places = await _make_places(plan, server, http)
    rooms = [room for lives in places for room in lives]
    watch = Watch(server, http)
    # Both readers of the store have their connections now, and the writer has its files.
    await asyncio.gather(*(_texts(server, room) for room in rooms[:8]))
    result = Result(await _until(watch, lambda sample: not sample.rooms), watch.samples, None)
    crew = Crew(result)
    try:
        with plan.csv.open("w") as out:
            async with _watching(watch, plan, out):
                await crew.start(plan, server.url, places)
                await crew.last(plan.seconds)
                await crew.freeze()
            texts = {place: text for room in rooms for place, text in (await _texts(server, room)).items()}
            ledger = await crew.compare({place: digest(text) for place, text in texts.items()})
    finally:
        await crew.end()
    result.memory = memory_of(watch.samples, plan.warm_up_s)
    result.end = await _until(watch, lambda sample: not sample.rooms)
    for room in rooms:
        again = await _texts(server, room)
        result.changed_by_reload += [place for place, text in again.items() if text != texts[place]]
        result.verdicts |= {place: ledger.judge(place, text) for place, text in again.items()}
    return result


async def _make_places(plan: Plan, server: ServerProcess, http: aiohttp.ClientSession) -> list[list[Room]]:
    """The workspaces of each place, in the order in which they are used; those of the first place are busy."""
    files = {f"{number}.txt": "" for number in range(1, FILES + 1)}

    async def make(place: int) -> Room:
        return Room(*await create_workspace(http, server.url, files), is_busy=place == 0)

    return [[await make(place) for _ in range(plan.lives)] for place in range(plan.rooms)]


async def _texts(server: ServerProcess, room: Room) -> dict[str, str]:
    """The texts of a workspace, as somebody gets them who comes now."""
    async with connect(server.url, room.id, room.keys["viewer"]) as peer:
        replicas = [await peer.open_file(file_id) for file_id in range(1, FILES + 1)]
        return {f"{room.id}/{replica.file_id}": str(replica) for replica in replicas}


async def _until(watch: Watch, is_so: Callable[[Sample], bool]) -> Sample:
    """Look until something is so; the last look in any case."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + AWAY_S
    while not is_so(sample := await watch.look()) and loop.time() < until_s:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.2)
    return sample


@contextlib.asynccontextmanager
async def _watching(watch: Watch, plan: Plan, out: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run(plan.every_s, out))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
