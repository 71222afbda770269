"""What a monitor asks: ``/healthz``, ``/readyz``, ``/metrics``; and whether its numbers are those of what happened."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pycrdt import Doc, Text
from structlog.testing import capture_logs

from carets import limits
from carets.config import Config
from carets.edges.exposition import FAMILIES, OF_PROCESSES
from carets.edges.pulse import Pulse
from carets.engines.sqlite_file import DATA_FILE
from carets.errors import TABLE, Code
from carets.metrics import Histogram, Metrics
from carets.protocol import wire
from carets.protocol.dialect import CARETS, STOCK
from carets.rooms.room import Room
from carets.rooms.storage import Storage
from carets.rooms.store import StoreFailed
from carets.server import Running, running
from tests.peer import Peer, connect, create_workspace


@pytest.fixture
def url(server: Running) -> str:
    return server.address.rstrip("/")


async def told(http: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with http.get(url) as response:
        return response.status, await response.json()


async def test_a_server_that_serves_is_healthy_and_ready(url: str, http: aiohttp.ClientSession) -> None:
    assert await told(http, url + "/healthz") == (200, {"status": "ok"})
    assert await told(http, url + "/readyz") == (200, {"status": "ready", "reasons": []})


async def test_a_probe_may_ask_by_any_name_and_nobody_else(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    """In a container a probe asks for http://carets:8040/healthz, and was refused as a page of another site."""
    async with running(Config(port=0, data=tmp_path / "data", base_path="/below")) as server:
        for path, status in (
            *(("/healthz", 200), ("/readyz", 200), ("/below/healthz", 200), ("/below/readyz", 200)),
            *(("/metrics", 421), ("/below/metrics", 421), ("/healthz/", 421), ("/below/below/healthz", 421)),
            *(("/below", 421), ("/below/", 421), ("/api/admin/describe", 421)),
        ):
            headers = {"Host": "carets:8040"}
            url = f"http://127.0.0.1:{server.port}{path}"
            async with http.get(url, headers=headers, allow_redirects=False) as response:
                assert response.status == status, path


async def test_a_server_that_drains_is_not_ready_but_lives(
    server: Running, url: str, http: aiohttp.ClientSession
) -> None:
    server.lobby.is_draining = True
    assert await told(http, url + "/readyz") == (503, {"status": "unready", "reasons": ["draining"]})
    assert await told(http, url + "/healthz") == (200, {"status": "ok"})


async def test_a_server_whose_commits_fail_is_not_ready_but_lives(
    url: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Storage, "fault", "full")
    reasons = ["cannot save: its disk is full"]
    assert await told(http, url + "/readyz") == (503, {"status": "unready", "reasons": reasons})
    assert await told(http, url + "/healthz") == (200, {"status": "ok"})


async def test_a_server_with_as_many_connections_as_may_be_is_not_ready(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    quotas = limits.Quotas(connections_max=2, address_connections_max=2)
    async with running(Config(port=0, data=tmp_path / "data", quotas=quotas)) as server:
        url = server.address.rstrip("/")
        workspace_id, keys = await create_workspace(http, url)
        assert await told(http, url + "/readyz") == (200, {"status": "ready", "reasons": []})
        async with connect(url, workspace_id, keys["editor"]):
            # The monitor's own connection is the last that there was room for.
            reasons = ["as many connections as may be"]
            assert await told(http, url + "/readyz") == (503, {"status": "unready", "reasons": reasons})
            async with connect(url, workspace_id, keys["editor"]), aiohttp.ClientSession() as other:
                # It waited for its next request, and so gave way to the second member.
                status, refusal = await told(other, url + "/readyz")
                assert (status, refusal["error"]["code"]) == (503, Code.CONNECTIONS_TOO_MANY)
        numbers = await scrape(http, url)
        assert numbers["carets_connections_refused_total", ("address",)] == 1
        assert numbers["carets_refusals_total", ("connections_too_many", "4506")] == 1


async def test_a_server_with_as_many_workspaces_open_as_may_be_is_not_ready(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    quotas = limits.Quotas(rooms_max=1)
    async with running(Config(port=0, data=tmp_path / "data", quotas=quotas)) as server:
        url = server.address.rstrip("/")
        workspace_id, keys = await create_workspace(http, url)
        await server.lobby.enter(workspace_id)
        assert (await told(http, url + "/readyz"))[0] == 200, "nobody is in it, so it gives way"
        async with connect(url, workspace_id, keys["editor"]):
            reasons = ["as many workspaces open as may be"]
            assert await told(http, url + "/readyz") == (503, {"status": "unready", "reasons": reasons})
            assert (await scrape(http, url))["carets_ready", ()] == 0


@pytest.mark.parametrize(
    "config,status",
    [
        (Config(), 200),
        (Config(metrics="open", public_url="http://code.example.org"), 200),
        (Config(public_url="http://code.example.org"), 401),
    ],
)
async def test_the_numbers_are_for_this_machine_unless_they_are_open(
    config: Config, status: int, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    config = Config(port=0, data=tmp_path / "data", metrics=config.metrics, public_url=config.public_url)
    async with running(config) as server:
        for token, expected in (("", status), ("wrong", status), (server.tokens.admin.value, 200)):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with http.get(f"http://127.0.0.1:{server.port}/metrics", headers=headers) as response:
                assert response.status == expected
                text = await response.text()
            assert ("process_open_fds" in text) == (expected == 200)


# -- the numbers

Numbers = dict[tuple[str, tuple[str, ...]], float]
"""By name, and the labels' words in the order of the labels' names."""


async def scrape(http: aiohttp.ClientSession, url: str) -> Numbers:
    async with http.get(url + "/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await response.text()
    families = list(text_string_to_metric_families(text))
    return {
        (each.name, tuple(word for _, word in sorted(each.labels.items()))): each.value
        for family in families
        for each in family.samples
    }


class StockPeer:
    """A stock client that opens the file and reads, by the bytes that y-websocket would send."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.doc: Doc[Text] = Doc()
        self.text = self.doc.get("text", type=Text)

    async def until(self, text: str) -> None:
        while str(self.text) != text:
            data = await self.socket.receive_bytes(timeout=30)
            message = wire.decode_message(data)
            if isinstance(message, wire.Step2 | wire.Update):
                self.doc.apply_update(message.update)


async def until_numbers(http: aiohttp.ClientSession, url: str, name: str, value: float) -> Numbers:
    """Scrape until a number is so; what follows an ack on the server may come after the ack."""
    while (numbers := await scrape(http, url))[name, ()] != value:
        pass
    return numbers


async def test_the_numbers_are_those_of_what_was_sent(server: Running, url: str, http: aiohttp.ClientSession) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": "ab"})
    before = await scrape(http, url)
    assert [value for (name, _), value in before.items() if name == "carets_updates_received_total"] == [0]
    async with (
        connect(url, workspace_id, keys["editor"]) as ann,
        connect(url, workspace_id, keys["editor"]) as bob,
        connect(url, workspace_id, keys["viewer"]) as viv,
        http.ws_connect(f"{url}/yjs/{workspace_id}/a.py?key={keys['viewer']}") as socket,
    ):
        stock = StockPeer(socket)
        await socket.send_bytes(wire.encode_step_1(b"\0"))
        await stock.until("ab")
        for peer in (bob, viv):
            await peer.open_file(1)
        mine = await ann.open_file(1)
        # Each of the two editors has answered the server's step 1 with a step 2 without news.
        await ann.until_saved()
        await bob.until_saved()
        typed: list[bytes] = []
        mine.doc.observe(lambda event: typed.append(event.update))
        for number in range(10):
            mine.append(str(number))
            await ann.until_saved()
        text = "ab0123456789"
        for peer in (bob, viv):
            await peer.until(lambda peer=peer: str(peer.replicas[1]) == text)  # type: ignore[misc]
        await stock.until(text)
        viv.replicas[1].append("!")
        await viv.until(lambda: bool(viv.refusals))
        for path, key in (("nothere", ""), (workspace_id, "wrong")):
            async with http.get(f"{url}/api/workspaces/{path}/chat", headers={"Authorization": f"Bearer {key}"}) as no:
                assert no.status in (403, 404)
        numbers = await until_numbers(http, url, "carets_commit_updates_count", 10)
        assert_traffic(numbers, typed, [ann, bob, viv])
        assert_state(numbers, len(text))


def assert_traffic(numbers: Numbers, typed: list[bytes], peers: list[Peer]) -> None:
    """Ten updates reached two members of carets.v1 and one of the stock door; three were refused something."""
    viewers_update = 1
    assert len(typed) == 10
    assert numbers["carets_updates_received_total", ()] == sum(peer.count for peer in peers)
    assert sum(peer.count for peer in peers) == len(typed) + 2 + viewers_update
    assert numbers["carets_deliveries_total", ()] == 3 * len(typed)
    page, plain = (
        sum(len(dialect.message(1, wire.encode_update(update))) for update in typed) for dialect in (CARETS, STOCK)
    )
    assert numbers["carets_delivered_bytes_total", ()] == 2 * page + plain
    assert numbers["carets_commit_updates_sum", ()] == len(typed)
    assert numbers["carets_commit_bytes_sum", ()] == sum(map(len, typed))
    assert numbers["carets_commit_seconds_count", ()] == 10
    assert 0 < numbers["carets_commit_seconds_sum", ()] < 30
    assert numbers["carets_catch_ups_total", ()] == 4, "the answers to four first steps"
    refused = {labels: value for (name, labels), value in numbers.items() if name == "carets_refusals_total" and value}
    expected = (Code.ROLE_TOO_LOW, Code.WORKSPACE_UNKNOWN, Code.KEY_WRONG)
    assert refused == {(code.name.lower(), str(int(code))): 1.0 for code in expected}
    assert numbers["carets_written_bytes_total", ()] > numbers["carets_delivered_bytes_total", ()]


def assert_state(numbers: Numbers, units: int) -> None:
    """Four members in one room, with one document."""
    doors = {door: numbers["carets_connections", (door,)] for door in ("carets.v1", "yjs", "http")}
    assert doors == {"carets.v1": 3, "yjs": 1, "http": 1}
    assert numbers["carets_connections_opened_total", ("carets.v1",)] == 3
    assert numbers["carets_members", ("viewer",)] == numbers["carets_members", ("editor",)] == 2
    assert numbers["carets_members", ("owner",)] == 0
    for name in ("rooms", "rooms_opened_total", "documents", "ready"):
        assert numbers[f"carets_{name}", ()] == 1, name
    assert numbers["carets_document_units", ()] == numbers["carets_document_units_max", ()] == units
    for name in ("members_lagging", "queued_bytes", "commit_waiting_seconds", "commits_failed_total"):
        assert numbers[f"carets_{name}", ()] == 0, name
    assert numbers["carets_tasks", ()] > 4
    assert 0 < numbers["carets_uptime_seconds", ()] < 600


async def test_a_scrape_has_every_metric_of_the_table_and_no_other(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(url + "/metrics") as response:
        families = list(text_string_to_metric_families(await response.text()))
    listed = [(family.name, family.kind) for family in FAMILIES] + [each[:2] for each in OF_PROCESSES]
    if sys.platform != "linux":
        listed = [each for each in listed if not each[0].startswith("process_")]
    assert sorted((family.name, family.type) for family in families) == sorted(
        (name.removesuffix("_total") if kind == "counter" else name, kind) for name, kind in listed
    )
    labels = {family.name: family.labels for family in FAMILIES} | {each[0]: each[3] for each in OF_PROCESSES}
    for family in families:
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(labels.get(sample.name, ())), sample
    series = sum(len(family.samples) for family in families if family.name == "carets_refusals")
    assert series == len(TABLE), "a label says nothing that is in no table"


async def test_names_say_what_they_count() -> None:
    for family in FAMILIES:
        assert family.name.startswith("carets_")
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name


async def test_each_server_of_a_process_counts_for_itself(
    server: Running, url: str, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": "x"})
    async with running(Config(port=0, data=tmp_path / "other")) as other, connect(url, workspace_id, keys["editor"]):
        assert (await scrape(http, url))["carets_rooms_opened_total", ()] == 1
        numbers = await scrape(http, other.address.rstrip("/"))
        assert numbers["carets_rooms_opened_total", ()] == numbers["carets_connections", ("carets.v1",)] == 0


def test_a_histogram_counts_each_value_at_its_first_bound() -> None:
    histogram = Histogram((1, 10))
    for value in (0, 1, 1.5, 10, 11):
        histogram.observe(value)
    assert (histogram.counts, histogram.count, histogram.total) == ([2, 2, 1], 5, 23.5)


async def test_a_commit_that_waits_is_seen_and_one_that_fails_is_counted(
    server: Running, url: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_fail = asyncio.Event()

    async def fail(*_: object) -> None:
        await may_fail.wait()
        raise StoreFailed(Code.UNAVAILABLE, "the disk is full")

    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    async with connect(url, workspace_id, keys["editor"]) as ann:
        mine = await ann.open_file(1)
        await ann.until_saved()
        monkeypatch.setattr(server.lobby.around.store, "append", fail)
        mine.append("x")
        while not (await scrape(http, url))["carets_commit_waiting_seconds", ()]:
            pass
        numbers = await scrape(http, url)
        assert numbers["carets_commits_failed_total", ()] == 0
        may_fail.set()
        await ann.until_closed()
    numbers = await scrape(http, url)
    assert numbers["carets_commits_failed_total", ()] == 1
    assert numbers["carets_commit_waiting_seconds", ()] == numbers["carets_commit_seconds_count", ()] == 0
    assert numbers["carets_refusals_total", ("unavailable", "4500")] == 1


async def test_damage_that_somebody_meets_is_counted_and_the_server_stays_ready(
    server: Running, url: str, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """A torn row was told in the log only: a server with damaged files was green on every dashboard."""
    workspace_id, keys = await create_workspace(http, url, {"a.py": "text"})
    assert (await scrape(http, url))["carets_damaged_total", ()] == 0
    with sqlite3.connect(tmp_path / "data" / DATA_FILE) as connection:
        assert connection.execute("UPDATE log SET record = x'02'").rowcount == 1
    connection.close()
    server.lobby.rooms.clear()  # as if the row were read for the first time
    async with connect(url, workspace_id, keys["editor"]) as ann:
        ann.start_opening(1)
        await ann.until(lambda: bool(ann.refusals))
    numbers = await scrape(http, url)
    assert (numbers["carets_damaged_total", ()], numbers["carets_ready", ()]) == (1, 1)


async def test_the_data_files_size_and_what_is_free_beside_it_are_told(
    url: str, http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_workspace(http, url, {"a.py": "x" * 100_000})
    numbers = await scrape(http, url)
    data = tmp_path / "data"
    sizes = [(data / name).stat().st_size for name in (DATA_FILE, f"{DATA_FILE}-wal")]
    assert min(sizes) > 0
    assert numbers["carets_store_bytes", ()] == sum(sizes) > 100_000
    disk = SimpleNamespace(f_bavail=7, f_frsize=512, f_bsize=4096, f_bfree=9)
    monkeypatch.setattr(os, "statvfs", {data: disk}.__getitem__)
    assert (await scrape(http, url))["carets_disk_free_bytes", ()] == 7 * 512
    (data / DATA_FILE).rename(data / "elsewhere")
    assert ("carets_store_bytes", ()) not in await scrape(http, url), "what is not known is not made up"
    (data / "elsewhere").rename(data / DATA_FILE)


async def test_outbox_bytes_are_those_of_who_does_not_read(
    server: Running, url: str, http: aiohttp.ClientSession
) -> None:
    record, links = await server.lobby.create("", {"a.py": "x" * 8_000_000})
    async with connect(url, record.workspace_id, links["viewer"].key) as viv:
        assert (await scrape(http, url))["carets_outbox_bytes", ()] == 0
        transport = viv.socket._conn.transport  # type: ignore[union-attr]
        transport.pause_reading()  # type: ignore[union-attr]
        viv.start_opening(1)
        while not (waiting := (await scrape(http, url))["carets_outbox_bytes", ()]):
            pass
        assert waiting < 2 * limits.OUTBOX_BYTES_LAGGING
        transport.resume_reading()  # type: ignore[union-attr]
        await viv.until(lambda: viv.replicas[1].synced)
        while (await scrape(http, url))["carets_outbox_bytes", ()]:
            pass


# -- the pulse


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch) -> tuple[Pulse, list[float]]:
    """A pulse, and its clock, of which the last entry is now."""
    clock = [1000.0]
    monkeypatch.setattr("carets.edges.pulse.monotonic", lambda: clock[-1])
    return Pulse(Metrics()), clock


def test_a_late_beat_is_a_delay_and_a_very_late_one_a_hold(pulse: tuple[Pulse, list[float]]) -> None:
    it, clock = pulse
    delays = it._metrics.loop_delay_seconds
    with capture_logs() as lines:
        for wait_s in (0.1, 0.1, 0.3):
            clock.append(clock[-1] + wait_s)
            it.beat()
        assert (delays.count, round(delays.total, 6), it._metrics.loop_holds) == (3, 0.2, 0)
        assert not lines
        clock.append(clock[-1] + 0.1 + limits.LOOP_HELD_S + 0.001)
        it.beat()
    assert it._metrics.loop_holds == 1
    assert [(line["event"], line["seconds"]) for line in lines] == [("loop_held", 0.251)]
    assert round(it.delay_max_s, 3) == 0.251


def test_the_longest_delay_is_forgotten_after_one_to_two_minutes(pulse: tuple[Pulse, list[float]]) -> None:
    it, clock = pulse
    clock.append(clock[-1] + 3)
    it.beat()
    seen = []
    for _ in range(1300):
        clock.append(clock[-1] + 0.1)
        it.beat()
        seen.append(it.delay_max_s)
    assert min(seen[:590]) > 2.8
    assert seen[-1] < 0.001


def test_a_loop_that_is_held_all_the_time_does_not_fill_the_log(pulse: tuple[Pulse, list[float]]) -> None:
    it, clock = pulse
    with capture_logs() as lines:
        for _ in range(100):
            clock.append(clock[-1] + 1)
            it.beat()
    assert it._metrics.loop_holds == 100
    assert [line["untold"] for line in lines] == [0, *[9] * 9]


async def test_the_log_says_what_held_the_loop_and_for_which_workspace(
    url: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    async with connect(url, workspace_id, keys["editor"]) as ann:
        await ann.open_file(1)
        await ann.until_saved()
        with capture_logs() as lines, monkeypatch.context() as patch:
            patch.setattr(Room, "_take", lambda *_: time.sleep(0.6))
            ann.send_presence(1, {"secret": "nothing that was sent"})
            while not (held := [line for line in lines if line["event"] == "loop_held"]):
                await scrape(http, url)
        (line,) = held
        assert line["workspace"] == workspace_id
        assert line["seconds"] > limits.LOOP_HELD_S
        assert re.match(r"rooms/room\.py:\d+ _?receive < .*edges/websocket\.py:\d+ _serve", line["ran"]), line
        assert "secret" not in str(line)


# -- what the server is at


async def describe(http: aiohttp.ClientSession, server: Running, **query: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {server.tokens.admin.value}"}
    url = f"http://127.0.0.1:{server.port}/api/admin/describe"
    async with http.get(url, headers=headers, params=query) as response:
        assert response.status == 200
        told: dict[str, Any] = await response.json()
        return told


async def test_nobody_is_told_what_the_server_is_at_without_the_admin_token(
    url: str, http: aiohttp.ClientSession
) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        async with http.get(url + "/api/admin/describe", headers=headers) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (401, Code.ADMIN_TOKEN_WRONG)


async def test_the_operator_is_told_what_the_server_is_at_and_nothing_of_what_people_do(
    server: Running, url: str, http: aiohttp.ClientSession
) -> None:
    words = {"path": "secret-path.py", "text": "secret text", "title": "secret title", "name": "Secret Ann"}
    workspace_id, keys = await create_workspace(http, url, {words["path"]: words["text"]}, title=words["title"])
    async with connect(url, workspace_id, keys["editor"], name=words["name"]) as ann:
        await ann.open_file(1)
        await ann.until_saved()
        told = await describe(http, server)
        (room,) = told["rooms"]
        assert room["workspace_id"] == workspace_id
        (member,) = room["members"]["some"]
        assert (member["role"], member["door"], member["files"], member["saved"]) == ("editor", "carets.v1", 1, 1)
        (file,) = room["files"]["some"]
        assert (file["file_id"], file["units"], file["seq"]) == (1, len(words["text"]), 1)
        assert told["census"]["members"] == {"viewer": 0, "editor": 1, "owner": 0}
        assert told["connections"]["carets.v1"] == 1
        assert told["doorman"]["kinds"]["member"] == 1
        assert (told["rates"]["creating"], told["rates"]["guessing"], told["uploads"]) == (1, 0, 0)
        assert told["limits"]["members_max"] == limits.MEMBERS_MAX
        assert (told["next"], told["reasons"], told["draining"]) == (None, [], False)
        whole = json.dumps(told)
        secrets = [*words.values(), *keys.values(), server.tokens.admin.value, ann.welcome["person"]]
        assert not [word for word in secrets if word in whole]


async def test_what_is_told_has_a_bound(
    server: Running, url: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carets.rooms.lobby._TOLD_MAX", 2)
    monkeypatch.setattr("carets.rooms.summary.TOLD_MAX", 1)
    ids = sorted([(await create_workspace(http, url, {"a": "", "b": ""}))[0] for _ in range(5)])
    for workspace_id in ids:
        await server.lobby.enter(workspace_id)
    record, links = await server.lobby.create("", {"a": "long", "b": ""})
    ids = sorted([*ids, record.workspace_id])
    async with (
        connect(url, record.workspace_id, links["editor"].key) as ann,
        connect(url, record.workspace_id, links["editor"].key) as bob,
    ):
        for peer in (ann, bob):
            await peer.open_file(1)
            await peer.open_file(2)
            await peer.until_saved()
        server.lobby.rooms[record.workspace_id].members[2].outbox.lagging = True
        rooms: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            told = await describe(http, server, after=after)
            assert len(told["rooms"]) <= 2
            rooms += told["rooms"]
            after = told["next"]
    assert [room["workspace_id"] for room in rooms] == ids
    (room,) = [room for room in rooms if room["workspace_id"] == record.workspace_id]
    assert (room["members"]["count"], room["members"]["lagging"], room["files"]["count"]) == (2, 1, 2)
    assert [member["member_id"] for member in room["members"]["some"]] == [2], "who lags comes first"
    assert [file["file_id"] for file in room["files"]["some"]] == [1], "the larger comes first"
