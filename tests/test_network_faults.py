"""Lines that delay, starve, split, swallow and reset, under load, with a server that is killed in between.

Nothing promised is lost, nothing is there twice, and when the lines are well again all have the same text before
anyone has to come back. Then the server holds no more memory and files than before. A failure says which seed it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import aiohttp
import pytest

from tests.badline import CALM, MOODS, BadLine, Mood, bad_line
from tests.serving import ServerProcess, serving
from tests.writers import TOKEN, Writers, writers

WRITERS = 4
ROUNDS = 3
SEED_VARIABLE = "CARETS_SEED"
RSS_SLACK_MIB = 24
"""What Python's allocator may keep of what a storm of catch-ups took for a moment."""

_NAMES = ("process_open_fds", "carets_tasks", "process_resident_memory_bytes")

SETTLE_S = 40.0
"""Longer than the heartbeat needs to find a connection dead; it bounds a failure, not a success."""


def replay_command(seed: int) -> str:
    return f"{SEED_VARIABLE}={seed} python -m pytest tests/test_network_faults.py"


@contextlib.contextmanager
def told_how_to_replay(seed: int) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"replay: {replay_command(seed)}")
        raise


class Weight(NamedTuple):
    """What a server takes up, by its own word."""

    fds: int
    tasks: int
    rss_mib: float

    @classmethod
    async def of(cls, server: ServerProcess) -> Weight:
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as response:
            text = await response.text()
        numbers = {name: float(re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)[0]) for name in _NAMES}
        fds, tasks, rss_bytes = numbers.values()
        return cls(int(fds), int(tasks), rss_bytes / 2**20)


async def until_as_light_as(before: Weight, server: ServerProcess) -> None:
    """Wait until what the faults left behind is gone."""
    now = await Weight.of(server)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_S):
            while now.fds > before.fds or now.tasks > before.tasks:
                now = await Weight.of(server)
    assert now.fds <= before.fds, f"{before}, then {now}"
    assert now.tasks <= before.tasks, f"{before}, then {now}"
    assert now.rss_mib <= before.rss_mib + RSS_SLACK_MIB, f"{before}, then {now}"
    print(f"{before}, then {now}")


def trouble(lines: list[BadLine], chance: Random) -> list[str]:
    """Another mood for each line but the first; some are cut or reset as well."""
    told = []
    for line in lines[1:]:
        line.become(chance.choice(MOODS))
        end = chance.choice((None, None, line.cut, line.reset))
        if end is not None:
            end()
        told.append(line.mood.name + (f" {end.__name__}" if end else ""))
    return told


def heal(lines: list[BadLine]) -> None:
    for line in lines:
        line.is_closed = False
        line.become(CALM)


async def until_more_in_all(crowd: Writers, count: int) -> None:
    """Wait until so many more edits are saved, whoever typed them."""
    before = sum(len(each.acked) for each in crowd.all)
    await crowd.until(lambda: sum(len(each.acked) for each in crowd.all) >= before + count, f"for {count} more")


async def restart(server: ServerProcess, crowd: Writers, lines: list[BadLine]) -> None:
    """Kill the server, and look at what it kept before anyone who still has the text can heal it."""
    for line in lines:
        line.is_closed = True
    await server.kill()
    await server.start()
    await crowd.check_kept()
    for line in lines:
        line.is_closed = False


@pytest.mark.parametrize("seed", [int(os.environ.get(SEED_VARIABLE, "1"))])
async def test_nothing_promised_is_lost_on_the_worst_of_lines(seed: int, tmp_path: Path) -> None:
    chance = Random(f"{seed} lines")
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(told_how_to_replay(seed))
        server = await stack.enter_async_context(serving(tmp_path / "data"))
        lines = [await stack.enter_async_context(bad_line(server.port, Random(f"{seed} {n}"))) for n in range(WRITERS)]
        crowd = await stack.enter_async_context(writers(server.url))
        crowd.add(WRITERS, seed, [partial(getattr, line, "url") for line in lines])
        crowd.set_typing(True)
        await crowd.until_more(5)
        for number in range(ROUNDS):
            trouble(lines, chance)
            await until_more_in_all(crowd, 100)
            if number % 2:
                await restart(server, crowd, lines)
        heal(lines)
        await crowd.until_level()
        # From here on the process is the same.
        before = await Weight.of(server)
        crowd.set_typing(True)
        for _ in range(ROUNDS):
            trouble(lines, chance)
            await until_more_in_all(crowd, 100)
        heal(lines)
        crowd.set_typing(False)
        here = [(each, each.connections) for each in crowd.all if each.peer is not None]
        await crowd.until_level()
        assert [each.connections for each, _ in here] == [count for _, count in here], "who was here stayed"
        await until_as_light_as(before, server)


@pytest.mark.parametrize("mood", [mood for mood in MOODS if mood is not CALM], ids=lambda mood: mood.name)
async def test_each_kind_of_line_alone_ends_with_the_same_text_without_coming_back(mood: Mood, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(tmp_path / "data"))
        line = await stack.enter_async_context(bad_line(server.port, Random(mood.name)))
        crowd = await stack.enter_async_context(writers(server.url))
        crowd.add(2, 1, [lambda: line.url, lambda: server.url])
        crowd.set_typing(True)
        await crowd.until_more(5)
        line.become(mood)
        bad, good = crowd.all
        typed = len(bad.typed)
        await crowd.until(lambda: len(bad.typed) > typed + 30 and len(good.acked) > 30)
        heal([line])
        await crowd.until_level()
        assert [each.connections for each in crowd.all] == [1, 1]


async def test_a_server_that_stood_still_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server, writers(server.url) as crowd:
        crowd.add(3, 1)
        crowd.set_typing(True)
        await crowd.until_more(5)
        for _ in range(2):
            server.signal(signal.SIGSTOP)
            await crowd.until(lambda: all(len(each.typed) > len(each.acked) + 30 for each in crowd.all))
            server.signal(signal.SIGCONT)
            await crowd.until_more(30)
        await crowd.until_level()
        assert [each.connections for each in crowd.all] == [1, 1, 1]
        await server.kill()
        await server.start()
        await crowd.until_level()


async def test_a_client_that_stood_still_catches_up_and_what_it_typed_is_there_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server, writers(server.url) as crowd:
        crowd.add(2, 1)
        command = [sys.executable, "-m", "tests.writer_child", server.url, crowd.workspace_id, crowd.keys["editor"]]
        child = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1)
        try:
            crowd.set_typing(True)
            await crowd.until(lambda: sum(token.startswith("child.") for token in crowd.all[0].seen) >= 10)
            for _ in range(2):
                child.send_signal(signal.SIGSTOP)
                await crowd.until_more(30)
                child.send_signal(signal.SIGCONT)
                seen = len(crowd.all[0].seen)
                await crowd.until(partial(lambda seen: len(crowd.all[0].seen) > seen + 40, seen))
            crowd.set_typing(False)
            typed = sum(len(each.typed) for each in crowd.all)
            told, _ = await child.communicate(f"{typed}\n".encode())
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
        end = json.loads(told)
        assert end["connections"] == 1
        assert end["acked"] == end["typed"] > 0
        found = TOKEN.findall(end["text"])
        assert len(found) == len(set(found)) == typed + end["typed"]
        await crowd.until(lambda: all(str(each.text) == end["text"] for each in crowd.all))
        assert await crowd.read() == end["text"]
