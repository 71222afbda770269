"""The log as its operator reads it: whose line is whose, how many there may be, and what is never in one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections import Counter
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from carets import limits
from carets.audit_file import AuditFile
from carets.edges import trace
from carets.errors import Misconfigured
from carets.logs import Flow, LeftOut, tidy
from carets.rooms.store import Batch
from carets.server import Running
from tests.peer import connect, create_workspace
from tests.serving import serving
from tests.test_server import failed_start


def told(server_log: str) -> list[dict[str, Any]]:
    """Every line of a log, each of which is one JSON object."""
    return [json.loads(line) for line in server_log.splitlines()]


# -- whose line it is


async def test_every_line_of_a_connection_names_it(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with serving(tmp_path / "data") as server:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": ""})
        async with connect(server.url, workspace_id, keys["editor"]) as peer:
            await peer.open_file(1)
            peer.send_raw(b"\x01\x00\x07nonsense")
            assert await peer.until_closed() < 4500
        await server.stop()
        lines = told(server.log)
    (connection,) = {line["connection"] for line in lines if line["event"] == "member_joined"}
    of_it = [line for line in lines if line.get("connection") == connection]
    assert [line["event"] for line in of_it] == ["member_joined", "refused", "member_left"]
    for line in of_it:
        assert (line["address"], line["workspace"], line["member"]) == ("127.0.0.1", workspace_id, 1)
    assert [line["event"] for line in lines if "connection" not in line] == [
        *("serving", "room_opened", "draining", "stopped")
    ]


async def test_what_a_room_commits_for_all_does_not_bear_the_name_of_whoever_woke_it(
    server: Running, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks inherit what is bound to the task that makes them: a failed commit would be logged as a member's."""
    seen: list[Context] = []
    append = server.lobby.around.store.append

    async def watch(batch: Batch) -> None:
        seen.append(copy_context())
        await append(batch)

    monkeypatch.setattr(server.lobby.around.store, "append", watch)
    url = server.address.rstrip("/")
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    async with connect(url, workspace_id, keys["editor"]) as peer:
        (await peer.open_file(1)).append("x")
        await peer.until_saved()
    assert seen
    assert not [name for context in seen for name in context if name.name.endswith(("connection", "member"))]


# -- how many there may be


def test_a_minute_has_so_many_lines_of_an_event_on_an_address_and_then_their_count() -> None:
    now_s = 100.0
    flow = Flow(lambda: now_s)
    most = limits.LOG_REFUSALS_PER_MINUTE
    assert [flow.may_pass("refused", "192.0.2.1") for _ in range(most + 25)] == [True] * most + [False] * 25
    assert flow.may_pass("refused", "192.0.2.2"), "another address has its own"
    assert flow.may_pass("request_failed", "192.0.2.1"), "so has another event"
    assert list(flow.ended()) == []
    now_s += 60
    assert list(flow.ended()) == [LeftOut("refused", "192.0.2.1", 25)]
    assert list(flow.ended(all_of_them=True)) == []
    assert flow.may_pass("refused", "192.0.2.1")


def test_what_is_no_refusal_may_be_told_more_often() -> None:
    flow = Flow(lambda: 0.0)
    passed = [flow.may_pass("member_left", "192.0.2.1") for _ in range(limits.LOG_LINES_PER_MINUTE + 1)]
    assert passed == [True] * limits.LOG_LINES_PER_MINUTE + [False]


def test_who_has_a_whole_ipv6_network_has_one_address() -> None:
    flow = Flow(lambda: 0.0)
    passed = [flow.may_pass("refused", f"2001:db8::{number:x}") for number in range(1, 200)]
    assert passed.count(True) == limits.LOG_REFUSALS_PER_MINUTE


def test_a_flood_from_everywhere_is_bounded_and_so_is_what_is_remembered_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LOG_ADDRESSES_MAX", 50)
    flow = Flow(lambda: 0.0)
    addresses = [f"10.0.{high}.{low}" for high in range(100) for low in range(100)]
    passed = [flow.may_pass("member_joined", address) for address in addresses]
    assert passed.count(True) < limits.LOG_EVENT_LINES_PER_MINUTE
    assert len(flow._counts) <= 50 + 2
    monkeypatch.setattr(limits, "LOG_ADDRESSES_MAX", 100_000)
    flow = Flow(lambda: 0.0)
    passed = [flow.may_pass("member_joined", address) for address in addresses]
    assert passed.count(True) == limits.LOG_EVENT_LINES_PER_MINUTE
    assert list(flow.ended(all_of_them=True)) == [LeftOut("member_joined", "all", 4_000)]


async def test_a_flood_of_refusals_fills_no_disk(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    audit = tmp_path / "audit.jsonl"
    async with serving(tmp_path / "data", "--audit-log", str(audit)) as server:
        for number in range(90):
            # One half of them in the audit log, the other in the log.
            headers = {"Host": "evil.example"} if number % 2 else {}
            await http.get(f"{server.url}/api/workspaces/{'A' * 16}/links", headers=headers)
        for _ in range(45):
            await http.get(f"{server.url}/api/workspaces/{'A' * 16}/links")
            await http.get(f"{server.url}/api/server", headers={"Host": "evil.example"})
        await server.stop()
        log, entries = told(server.log), told(audit.read_text())
    most = limits.LOG_REFUSALS_PER_MINUTE
    for lines, name in ((log, "event"), (entries, "action")):
        assert Counter(line[name] for line in lines)["refused"] == most
        (left_out,) = [line for line in lines if line[name] == "lines_left_out"]
        assert (left_out["of"], left_out["address"], left_out["lines"]) == ("refused", "127.0.0.1", 90 - most)
        assert "connection" not in left_out


# -- what a line holds


def test_what_a_client_sent_cannot_look_like_a_line_of_the_log() -> None:
    event = tidy(None, "info", {"event": "refused", "error": "a\n2026 [info] forged \x1b[31m é", "count": 1})
    assert event == {"event": "refused", "error": "a\\n2026 [info] forged \\x1b[31m é", "count": 1}
    event = tidy(None, "error", {"event": "x", "exception": "Traceback:\n2026 [info] forged\n\x1b[31m"})
    assert event["exception"] == "  Traceback:\n  2026 [info] forged\n  \\x1b[31m"


def test_long_values_are_cut_in_the_middle() -> None:
    event = tidy(None, "info", {"event": "x", "error": "a" * 5_000 + "z", "exception": "b" * 50_000})
    assert len(event["error"]) < limits.LOG_VALUE_CHARACTERS_MAX + 50
    assert event["error"].endswith("aaz")
    assert " 4001 characters left out " in event["error"]
    assert len(event["exception"]) < limits.LOG_TRACEBACK_CHARACTERS_MAX + 50


def test_a_key_is_struck_out_of_whatever_quotes_it() -> None:
    def quote() -> dict[str, Any]:
        trace.keep_out("K" * 22)
        trace.keep_out("short")
        return dict(tidy(None, "error", {"event": "x", "error": f"short {'K' * 22}", "exception": f"'{'K' * 22}'"}))

    assert Context().run(quote) == {"event": "x", "error": "short (secret)", "exception": "  '(secret)'"}
    ours = {"event": "refused", "person": "K" * 22}
    assert tidy(None, "info", dict(ours)) == ours, "nobody strikes himself out of the audit log"
    # Elsewhere too, as where Python tells of a task that nobody waited for; whatever else is long stays.
    elsewhere = f"future: <Task exception=KeyError('{'K' * 22}')> in {'k' * 22}"
    assert tidy(None, "error", {"event": "x", "error": elsewhere})["error"] == elsewhere.replace("K" * 22, "(secret)")


# -- disks and pipes that fail


async def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """With standard error on a full disk, the first line that was logged ended whatever logged it."""
    command = [sys.executable, "-m", "carets", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230 - a device
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=full)
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().split()[-1].rstrip("/")
        workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
        async with connect(url, workspace_id, keys["editor"]) as peer:
            (await peer.open_file(1)).append("kept")
            await peer.until_saved()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def test_an_audit_log_that_cannot_be_written_goes_into_the_log_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AuditFile.open(tmp_path / "audit.jsonl")
    room, write = 1_000, os.write

    def write_some(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(28, "No space left on device")
        taken = data[:room]
        room -= len(taken)
        return write(descriptor, taken)

    monkeypatch.setattr("carets.audit_file.os.write", write_some)
    with capture_logs() as logs:
        for number in range(20):
            file.take("member_joined", {"number": number})
        room = 1_000
        file.take("member_left", {})
    events = [line["event"] for line in logs]
    assert events.count("audit_file_failed") == events.count("audit_file_written_again") == 1
    in_log = [line["number"] for line in logs if line["event"] == "member_joined"]
    in_file = []
    for line in (tmp_path / "audit.jsonl").read_text().splitlines():
        with contextlib.suppress(ValueError):  # the one that is torn
            in_file.append(json.loads(line))
    assert [entry["number"] for entry in in_file[:-1]] + in_log == list(range(20)), "each is somewhere, whole"
    assert in_file[-1]["action"] == "member_left"
    file.close()


async def test_sighup_goes_on_in_a_new_audit_log(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    audit, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    async with serving(tmp_path / "data", "--audit-log", str(audit)) as server:
        await create_workspace(http, server.url)
        assert audit.stat().st_mode & 0o777 == 0o600
        audit.rename(moved)
        server.signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while not audit.exists():
                await create_workspace(http, server.url)
        await create_workspace(http, server.url)
        await server.stop()
    for file in (moved, audit):
        entries = told(file.read_text())
        assert entries
        assert {entry["action"] for entry in entries} == {"workspace_created"}
        assert all(entry["time"].endswith("Z") and entry["address"] == "127.0.0.1" for entry in entries)
    assert "workspace_created" not in server.log, "what is in the file is not in the log, too"


async def test_an_audit_log_that_cannot_be_opened_does_not_start(tmp_path: Path) -> None:
    text = await failed_start("--port", "0", "--data", str(tmp_path), "--audit-log", str(tmp_path / "none" / "audit"))
    assert "--audit-log" in text
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Misconfigured):
        AuditFile.open(tmp_path / "pipe")


async def test_what_libraries_log_is_in_the_form_of_ours(tmp_path: Path) -> None:
    program = (
        "import logging; from carets import logs; logs.set_up('json');"
        "logging.getLogger('asyncio').error('bad %s', 'a\\nb')"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    (line,) = told(err.decode())
    assert (line["event"], line["source"], line["text"], line["level"]) == ("library", "asyncio", "bad a\\nb", "error")
    assert socket.gethostname() not in line
