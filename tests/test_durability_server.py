"""P1 and P2 of the whole server, read from its system calls: nothing is told before the sync that covers it.

The checker is `test_durability`'s, which knows SQLite's log file and the bytes of every write. Here the writes are
those of `carets serve`: a `saved` covers the edits that it counts, a broadcast the edit that it carries, an answer
to a file operation the path that it names.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from carets.engines.sqlite_file import DATA_FILE
from tests.peer import Peer, connect, create_workspace
from tests.serving import ServerProcess
from tests.test_durability import TRACED, acks_in, acks_without_sync, why_not_traceable

EDITS = 40
LARGE = EDITS + 1
"""The number of an edit of half a megabyte, which goes in parts and is the last."""

_SAVED = re.compile(rb'"type":"saved","count":(\d+)')
_EDIT = re.compile(rb"edit-\d{6};")
_PATH = re.compile(rb"made-\d{6}\.py")


@pytest.fixture(autouse=True)
def _traceable() -> None:
    if reason := why_not_traceable():
        pytest.skip(reason)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """As strace names it."""
    return tmp_path.resolve()


def text_of(number: int) -> str:
    return f"edit-{number:06};"


class Session(NamedTuple):
    """What was recorded, and by which frame number each text went up."""

    trace: str
    database: Path
    frames: dict[int, bytes]

    def saved(self, sent: bytes) -> Sequence[bytes]:
        """What the `saved` notices in a write cover."""
        count = max((int(number) for number in _SAVED.findall(sent)), default=0)
        return [text for number, text in self.frames.items() if number <= count]

    @staticmethod
    def shown(sent: bytes) -> Sequence[bytes]:
        """The edits that a write carries to others."""
        return sorted(set(_EDIT.findall(sent)))

    @staticmethod
    def listed(sent: bytes) -> Sequence[bytes]:
        """The new files that a write tells of."""
        return sorted(set(_PATH.findall(sent)))

    def told(self, covered: Callable[[bytes], Sequence[bytes]]) -> set[bytes]:
        """All texts that were told in one of these ways."""
        return {text for _, texts in acks_in(self.trace, covered, self.database) for text in texts}

    def too_early(self, covered: Callable[[bytes], Sequence[bytes]]) -> list[str]:
        return acks_without_sync(self.trace, covered, self.database)


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@contextlib.asynccontextmanager
async def traced(directory: Path, mode: str) -> AsyncIterator[ServerProcess]:
    """A server under strace. Its own process is ended, not the tracer, which then ends by itself with all written."""
    prefix = (*TRACED, "-o", str(directory / "trace"))
    server = ServerProcess(directory / "data", prefix=prefix, program=("tests.durability_server", mode))
    await server.start()
    own = child_of(server.pid)
    try:
        yield server
    finally:
        os.kill(own, signal.SIGTERM)
        await server.ended()


async def until_unsaved_are(typist: Peer, most: int) -> None:
    await typist.until(lambda: typist.count - typist.saved <= most)


async def type_and_watch(typist: Peer, reader: Peer) -> dict[int, bytes]:
    """Type edits, alone and in bursts, make files and write something large; the reader has seen it all at the end."""
    frames: dict[int, bytes] = {}
    typed, seen = await typist.open_file(1), await reader.open_file(1)
    for number in range(1, LARGE + 1):
        typed.append(text_of(number) if number != LARGE else text_of(number) * 40_000)
        frames[typist.count] = text_of(number).encode()
        if number % 4 == 0:
            await until_unsaved_are(typist, number % 3)
        if number % 10 == 0:
            await typist.create_file(f"made-{number:06}.py")
    await typist.until_saved()
    await reader.until(lambda: str(seen) == str(typed), "for the last edit")
    return frames


async def record(directory: Path, mode: str, http: aiohttp.ClientSession) -> Session:
    async with traced(directory, mode) as server:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": ""})
        async with (
            connect(server.url, workspace_id, keys["editor"]) as typist,
            connect(server.url, workspace_id, keys["viewer"]) as reader,
        ):
            frames = await type_and_watch(typist, reader)
    return Session((directory / "trace").read_text(), directory / "data" / DATA_FILE, frames)


async def test_nothing_is_acked_shown_or_listed_before_its_sync(directory: Path, http: aiohttp.ClientSession) -> None:
    session = await record(directory, "honest", http)
    edits = {text_of(number).encode() for number in range(1, LARGE + 1)}
    assert session.told(session.saved) == edits
    assert session.told(session.shown) == edits
    assert len(session.told(session.listed)) == EDITS // 10
    assert session.too_early(session.saved) == []
    assert session.too_early(session.shown) == []
    assert session.too_early(session.listed) == []


@pytest.mark.parametrize("mode", ["unsynced", "early"])
async def test_a_server_that_speaks_before_the_sync_is_found(
    mode: str, directory: Path, http: aiohttp.ClientSession
) -> None:
    session = await record(directory, mode, http)
    assert session.too_early(session.saved)
    assert session.too_early(session.shown)
    assert session.too_early(session.listed)
