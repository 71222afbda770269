"""A generator: a process with a part of the crowd in it.

Owns: its members' tasks, the freeze at the end, the comparison of all their texts. Does not know: the server's insides.
It is told what to do by lines of JSON on standard input, and answers so: `load` now and then, `frozen` when whoever is
there has all saved, `compared` when it was told the digests of all texts, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.soak.ledger import Ledger
from tests.soak.member import Member, PageMember, Paper, Room, SlowMember, StockMember, Viewer

SLOT_S = 90.0
"""Seconds after which other workspaces close for a while, so that some are put away and come back."""

LIFE_S = 240.0
"""Seconds for which a workspace is used; then another takes its place, in every place at another moment. A document
holds on to something of every edit, so that memory stays as it is only where documents come and go."""

CLOSED_PART = 5
"""Every so manyth workspace is closed at any time."""

_COMPARE_S = 30.0
"""Seconds that a text may take to become what the server's is, once nobody types."""

ERRORS_TOLD = 5


def kind_of(number: int) -> type[Member]:
    """What the member of this number is: of fifty, one is slow, two only look, seven are stock clients."""
    match number % 50:
        case 0:
            return SlowMember
        case 1 | 2:
            return Viewer
        case rest if rest < 10:
            return StockMember
        case _:
            return PageMember


def digest(text: str) -> str:
    """What texts are compared by."""
    return hashlib.sha256(text.encode()).hexdigest()


class Generator:
    """The part of the crowd in this process."""

    def __init__(self, order: dict[str, Any], http: aiohttp.ClientSession) -> None:
        self.url: str = order["url"]
        self.http = http
        self.ledger = Ledger()
        self.pace_s: float = order["pace_s"]
        self.frozen = asyncio.Event()
        self._over = asyncio.Event()
        self._places = [[Room(*each) for each in lives] for lives in order["places"]]
        self._began_s = time.monotonic()
        self._slot_s: float = order["slot_s"]
        self._life_s: float = order["life_s"]
        self._counts: Counter[str] = Counter()
        self._errors: list[str] = []
        self._held: list[Paper] = []
        self._members = [kind_of(number)(self, number, order["seed"]) for number in order["members"]]

    def pick(self, chance: random.Random, *, busy: bool) -> Room:
        """A workspace that is not closed just now; one in ten goes to the busy one, as do the slow."""
        passed_s = time.monotonic() - self._began_s
        slot = int(passed_s / self._slot_s)
        number, count = 0, len(self._places)
        if not busy and chance.random() >= 0.1:
            number = chance.choice([each for each in range(count) if each == 0 or (each + slot) % CLOSED_PART])
        lives = self._places[number]
        return lives[min(int(passed_s / self._life_s + number / count), len(lives) - 1)]

    def count(self, what: str) -> None:
        """Something happened."""
        self._counts[what] += 1

    async def hold(self, papers: list[Paper]) -> None:
        """All of these is saved: stay, until all is over."""
        self._held += papers
        await self._over.wait()

    async def run(self, orders: asyncio.StreamReader, ledger: Path) -> None:
        """Live, freeze, compare, end."""
        async with asyncio.TaskGroup() as tasks:
            for number, member in enumerate(self._members):
                tasks.create_task(self._live(member, self.pace_s * 5 * number / len(self._members)))
            telling = tasks.create_task(self._tell_load())
            await orders.readline()
            self.frozen.set()
            for member in self._members:
                await member.settled.wait()
            tell(type="frozen")
            expected = json.loads(await orders.readline())["expected"]
            different = await self._compare(expected)
            self._over.set()
            telling.cancel()
        self.ledger.write(ledger)
        tell(
            type="compared",
            texts=len(self._held),
            different=different,
            counts=dict(self._counts),
            errors=self._errors[:ERRORS_TOLD],
            errors_count=len(self._errors),
        )

    async def _live(self, member: Member, after_s: float) -> None:
        await asyncio.sleep(after_s)
        while not self.frozen.is_set():
            try:
                await member.live()
            except (AssertionError, aiohttp.ClientError, ConnectionError, TimeoutError) as error:
                self._errors.append(f"{type(member).__name__} {member.number}: {type(error).__name__}: {error}"[:300])
                await member.rest(1.0)
        member.settled.set()

    async def _compare(self, expected: dict[str, str]) -> list[str]:
        """Which members' texts do not become what the server's are."""
        until_s = time.monotonic() + _COMPARE_S
        waiting = self._held
        while waiting and time.monotonic() < until_s:
            waiting = [paper for paper in waiting if digest(str(paper.text)) != expected[paper.place]]
            if waiting:
                await asyncio.sleep(0.1)
        return [f"{paper.place}: {len(str(paper.text))}" for paper in waiting]

    async def _tell_load(self) -> None:
        """Every ten seconds: what part of a core this process takes, and how late its own loop is."""
        while True:
            before, late_s = time.monotonic(), 0.0
            used = resource.getrusage(resource.RUSAGE_SELF)
            for _ in range(100):
                asked_s = time.monotonic()
                await asyncio.sleep(0.1)
                late_s = max(late_s, time.monotonic() - asked_s - 0.1)
            now = resource.getrusage(resource.RUSAGE_SELF)
            cpu_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
            tell(type="load", core=round(cpu_s / (time.monotonic() - before), 3), late_s=round(late_s, 3))


def tell(**words: Any) -> None:
    """One line to whoever started this process."""
    print(json.dumps(words), flush=True)


async def main(ledger: Path) -> None:
    """Take the order, and run."""
    orders = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    order = json.loads(await orders.readline())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await Generator(order, http).run(orders, ledger)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1])))
