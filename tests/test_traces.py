"""Real input (P1, P4): what people typed once, typed again through a server process, ends at the same text.

Every text is compared with the trace's own `endContent`, which neither our code nor Yjs had a part in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import TRACES
from tests.peer import connect, create_workspace
from tests.serving import ServerProcess, serving
from tests.traces import HeldReplica, Trace, read_trace, type_all

CLIENT_IDS = (1, 2)
"""Yjs client ids of the agents. Where two typed at one place the lower id comes first, and so it was in the trace."""


def trace_of(name: str) -> Trace:
    path = TRACES / f"{name}.json.gz"
    if not path.exists():
        pytest.skip("real traces are not here: they lie beside the repository, in shared/data/traces")
    return read_trace(path)


@contextmanager
def timed(what: str, count: int) -> Iterator[None]:
    start_s = time.perf_counter()
    yield
    took_s = time.perf_counter() - start_s
    print(f"{what}: {took_s:.1f} s, {count / took_s:,.0f} edits/s")


async def new_file(http: aiohttp.ClientSession, server: ServerProcess, start: str) -> tuple[str, str]:
    """A workspace with one file, number 1; the workspace's id and an editor's key."""
    workspace_id, keys = await create_workspace(http, server.url, {"main.rs": start})
    return workspace_id, keys["editor"]


async def read(server: ServerProcess, workspace_id: str, key: str) -> str:
    """The text as a client reads it that has just come."""
    async with connect(server.url, workspace_id, key) as peer:
        return str(await peer.open_file(1))


async def assert_kept(server: ServerProcess, workspace_id: str, key: str, text: str) -> None:
    """Whoever comes reads the text: now, after `kill -9`, and after SIGTERM."""
    assert await read(server, workspace_id, key) == text
    await server.kill()
    await server.start()
    assert await read(server, workspace_id, key) == text
    assert await server.stop() == 0
    await server.start()
    assert await read(server, workspace_id, key) == text


@pytest.mark.slow
async def test_two_people_who_typed_at_once_end_at_the_text_that_they_ended_at(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    trace = trace_of("friendsforever")
    async with serving(tmp_path / "data") as server:
        workspace_id, key = await new_file(http, server, trace.start)
        async with connect(server.url, workspace_id, key) as one, connect(server.url, workspace_id, key) as two:
            replicas = []
            for peer, client_id in zip((one, two), CLIENT_IDS, strict=True):
                peer.replica_class = HeldReplica
                replica = await peer.open_file(1, client_id)
                assert isinstance(replica, HeldReplica)
                replicas.append(replica)
            replicas[0].other, replicas[1].other = replicas[1], replicas[0]
            with timed("friendsforever, two clients", trace.count):
                async with asyncio.TaskGroup() as typing:
                    for replica, edits in zip(replicas, trace.agents, strict=True):
                        typing.create_task(type_all(replica, edits, trace.is_ascii))
                for replica, others in zip(replicas, reversed(trace.agents), strict=True):
                    await replica.until_received(len(others))
                    replica.let_in(len(others))
                    assert not replica.held
            assert [str(replica) for replica in replicas] == [trace.end, trace.end]
            assert not one.refusals + two.refusals
        await assert_kept(server, workspace_id, key, trace.end)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rustcode", "automerge-paper"])
async def test_what_one_person_typed_reaches_a_reader_and_stays(
    name: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    trace = trace_of(name)
    async with serving(tmp_path / "data") as server:
        workspace_id, key = await new_file(http, server, trace.start)
        async with connect(server.url, workspace_id, key) as typist, connect(server.url, workspace_id, key) as reader:
            typist.replica_class = HeldReplica
            typed, seen = await typist.open_file(1, CLIENT_IDS[0]), await reader.open_file(1)
            assert isinstance(typed, HeldReplica)
            with timed(f"{name}, one client and a reader", trace.count):
                await type_all(typed, trace.agents[0], trace.is_ascii)
                await reader.until(lambda: seen.doc.get_state() == typed.doc.get_state(), "for the last edit")
            assert str(typed) == trace.end
            await reader.until(lambda: str(seen) == trace.end, "for the last deletion")
            assert not typist.refusals
        await assert_kept(server, workspace_id, key, trace.end)
