"""RFC 6455 at our doors: every case of Autobahn's suite, as `kosoku` runs it, against the real server.

A suite of that kind wants an endpoint that echoes; a room does not. So it is driven twice. *Echo*: the whole server, of
which only the room's use of a frame is another (`tests/echo_server.py`); the suite's own verdicts count. *Rooms*: the
server as it is; `tests/rfc6455.py` says for each case what must come back, the room's own refusal where a message is
well-formed and means nothing, and somebody in the same room goes on typing. ``-s`` prints the tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import kosoku
import pytest
from kosoku._kosoku import CaseResult

from carets import limits
from carets.errors import Code, WireError
from carets.protocol import messages, wire
from tests import rfc6455
from tests.peer import Peer, connect, create_workspace
from tests.serving import ServerProcess, serving
from tests.splice import Door, Splice, Talk, spliced

COMPRESSION = ["12.*", "13.*"]
"""permessage-deflate, which is never agreed to: these cases have nothing to say."""

DIFFERS = {"7.9.5"}
"""Closing with 1006, which may not travel: aiohttp 3.14 answers 1000, not 1002. Either way that connection ends."""

TOO_LARGE = {
    "/ws": ["9.1.[2-6]", "9.2.[2-6]", "9.3.*", "9.4.*", "9.5.*", "9.6.*"],
    "/yjs": ["9.1.6", "9.2.6"],
}
"""Messages of 256 KiB to 16 MiB, where a frame of carets.v1 has 64 KiB and what is larger goes in parts of ours; and
those of 16 MiB, where a stock message has less. In rooms they are run, too, and refused."""

WORKSPACES = 4
AT_ONCE = 16


class Room(NamedTuple):
    """One workspace with somebody in it."""

    workspace_id: str
    key: str
    bystander: Peer


@contextlib.asynccontextmanager
async def rooms(server: ServerProcess) -> AsyncIterator[list[Room]]:
    """Workspaces in which somebody types all the time, and notices nothing."""
    made, typing = [], []
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for _ in range(WORKSPACES):
            workspace_id, keys = await create_workspace(http, server.url, {"a.txt": ""})
            peer = await stack.enter_async_context(connect(server.url, workspace_id, keys["editor"]))
            made.append(Room(workspace_id, keys["editor"], peer))
            typing.append(asyncio.create_task(_type(peer)))
        yield made
        for room, task in zip(made, typing, strict=True):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            peer = room.bystander
            await peer.until_saved()
            assert (peer.close_code, peer.refusals) == (None, [])
            async with connect(server.url, room.workspace_id, room.key) as witness:
                assert str(await witness.open_file(1)) == str(peer.replicas[1])
                assert len(str(peer.replicas[1])) >= 20, "it typed all the while"


async def _type(peer: Peer) -> None:
    """A word each time that somebody came or went."""
    replica = await peer.open_file(1)
    for count in itertools.count():
        replica.append(f"{count}\n")
        await peer.until_saved()
        heard = len(peer.notices)
        await peer.until(lambda: any(notice["type"] == "members" for notice in peer.notices[heard:]))  # noqa: B023


def door_of(rooms: list[Room], kind: str) -> Callable[[int], Door]:
    """The door of a connection: one room after the other."""

    def door(number: int) -> Door:
        room = rooms[number % len(rooms)]
        if kind == "/ws":
            return Door(f"/ws/{room.workspace_id}", "carets.v1", json.dumps({"type": "hello", "key": room.key}))
        return Door(f"/yjs/{room.workspace_id}/a.txt", f"yjs, {room.key}")

    return door


async def run(splice: Splice, without: list[str]) -> dict[str, CaseResult]:
    """All cases but those, by their names."""
    address = f"127.0.0.1:{splice.port}"
    try:
        results = await kosoku.run_fuzzingclient(address, None, [*COMPRESSION, *without], concurrency=AT_ONCE)
    except kosoku.FailureError as failure:
        results = failure.results
    return {result.case_id: result for result in results}


def talk_of(splice: Splice, result: CaseResult) -> Talk:
    """What the splice saw of a case."""
    found = re.search(r"^Splice: (\d+)", result.http_response, re.MULTILINE)
    assert found, result.http_response
    return splice.talks[int(found[1])]


def expand(patterns: list[str]) -> list[str]:
    """`kosoku` knows no sets of digits."""
    whole = []
    for pattern in patterns:
        found = re.fullmatch(r"(.*)\[(\d)-(\d)\]", pattern)
        whole += [f"{found[1]}{n}" for n in range(int(found[2]), int(found[3]) + 1)] if found else [pattern]
    return whole


def print_table(title: str, rows: dict[str, str]) -> None:
    """How many cases of each chapter ended how; one line a chapter."""
    print(f"\n{title}: {len(rows)} cases")
    chapters: dict[str, Counter[str]] = {}
    for case, verdict in rows.items():
        chapters.setdefault(case.split(".")[0], Counter())[verdict] += 1
    for chapter, counts in chapters.items():
        print(f"  {chapter:>2}.*  " + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))


# -- with an echo for a room


def is_no_room_talk(opcode: int, payload: bytes) -> bool:
    """Whether a frame is none by which a room greets, or tells who is there."""
    return not (opcode == rfc6455.TEXT and payload.startswith((b'{"type":"welcome"', b'{"type":"members"')))


def is_control(opcode: int, _: bytes) -> bool:
    """Whether a frame is the protocol's own; the stock door greets with binary frames."""
    return opcode >= rfc6455.CLOSE


@pytest.mark.parametrize("kind", ["/ws", "/yjs"])
async def test_every_case_passes_where_a_room_gives_back_what_it_hears(tmp_path: Path, kind: str) -> None:
    server = ServerProcess(tmp_path / "data", program=("tests.echo_server",))
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            made = [await create_workspace(http, server.url, {"a.txt": ""}) for _ in range(WORKSPACES)]
        quiet = [Room(workspace_id, keys["editor"], None) for workspace_id, keys in made]  # type: ignore[arg-type]
        async with spliced(server.port, door_of(quiet, kind), is_no_room_talk) as splice:
            results = await run(splice, expand(TOO_LARGE[kind]))
    finally:
        await server.kill()
    verdicts = {name: f"{result.behavior.value}/{result.behavior_close.value}" for name, result in results.items()}
    print_table(f"echo at {kind}", verdicts)
    failed = {name: f"{verdicts[name]}: {result.result_close}" for name, result in results.items() if not result.passed}
    assert failed.keys() == DIFFERS, failed
    assert len(results) > 250


# -- with real rooms


def judge_of(kind: str) -> Callable[[int, bytes], int | None]:
    """With which number a room ends a connection for a whole message; None where it goes on."""

    def judge(opcode: int, message: bytes) -> int | None:
        try:
            if kind == "/ws":
                messages.decode_request(message) if opcode == rfc6455.TEXT else wire.decode_frame(message)
            elif opcode == rfc6455.TEXT:
                return Code.MALFORMED_MESSAGE
            else:
                wire.decode_message(message)
        except WireError as error:
            return error.code
        return None

    return judge


FRAME_BYTES_MAX = {"/ws": limits.FRAME_BYTES_MAX - 1, "/yjs": limits.STOCK_FRAME_BYTES_MAX - 1}
"""aiohttp takes what is below its limit."""


@pytest.mark.parametrize("kind", ["/ws", "/yjs"])
async def test_every_case_ends_in_a_room_as_the_rfc_and_the_room_say(tmp_path: Path, kind: str) -> None:
    async with serving(tmp_path / "data") as server, rooms(server) as made:
        async with spliced(server.port, door_of(made, kind), is_control) as splice:
            results = await run(splice, [])
            rows, wrong = {}, {}
            for name, result in results.items():
                talk = talk_of(splice, result)
                owed = rfc6455.duty(bytes(talk.sent), FRAME_BYTES_MAX[kind], judge_of(kind))
                rows[name] = owed.why
                if faults := faults_of(kind, talk, owed):
                    wrong[name] = faults
                if not owed.has_messages and owed.why != "too large" and not result.passed:
                    wrong.setdefault(name, []).append(f"the suite says {result.result_close}")
        print_table(f"rooms at {kind}", rows)
        assert wrong.keys() == DIFFERS, wrong
        assert len(results) > 250
        assert {"a message that means nothing", "too large", "reserved bit", "text that is no UTF-8"} <= {
            *rows.values()
        }


def faults_of(kind: str, talk: Talk, owed: rfc6455.Duty) -> list[str]:
    """Where the server's answer is not what it owes."""
    faults = []
    if talk.payloads(rfc6455.PONG) != owed.pongs:
        faults.append(f"pongs {talk.payloads(rfc6455.PONG)}, not {owed.pongs}")
    # Who is still sending when a message is found too large may see the line cut before it reads why.
    is_cut = owed.why == "too large" and talk.close_code is None and not talk.has_left
    if talk.close_code not in (owed.codes or {None}) and not is_cut:
        faults.append(f"closed with {talk.close_code}, not with one of {sorted(owed.codes)}: {owed.why}")
    if kind == "/ws":
        notices = [json.loads(text) for text in talk.payloads(rfc6455.TEXT)]
        told = [notice["code"] for notice in notices if notice["type"] == "refused"]
        if told != [code for code in owed.codes if owed.why == "a message that means nothing"]:
            faults.append(f"refused {told}, closed for {owed.why}")
    return faults
