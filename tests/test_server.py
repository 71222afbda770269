"""The process: how it starts, what it says when it cannot, and how it ends. Each test has a process of its own."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import carets
from carets import limits
from carets.certificate import names_of
from carets.config import Config
from carets.engines.sqlite_file import MIGRATIONS
from carets.errors import Code
from carets.server import _address, _network_addresses, serve
from tests.peer import connect, create_workspace, join
from tests.serving import ServerProcess, serving

STOP_S = 10.0
"""Within which the process must be gone after SIGTERM. Source: limits.DRAIN_S."""


async def failed_start(*options: str, environment: dict[str, str] | None = None) -> str:
    """Start a server that cannot start: status 2, nothing on standard output, and the one line that it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "carets", "serve", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    text = err.decode()
    assert process.returncode == 2, text
    assert out == b""
    assert "Traceback" not in text
    assert text.startswith("carets: ")
    assert text.count("\n") == 1, text
    return text


def test_the_stores_writer_gets_its_turn_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual_s, seen_s = sys.getswitchinterval(), []

    def run(serving: Coroutine[Any, Any, None]) -> None:
        serving.close()
        seen_s.append(sys.getswitchinterval())

    monkeypatch.setattr("carets.server.uvloop.run", run)
    monkeypatch.setattr("carets.server.logs.set_up", lambda _: None)
    try:
        assert serve(Config(port=0, data=tmp_path / "data")) == 0
    finally:
        sys.setswitchinterval(usual_s)
    assert seen_s == [pytest.approx(limits.THREAD_SWITCH_S)]


# -- starts that fail


async def test_an_occupied_port_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = await failed_start("--port", str(port), "--data", str(tmp_path / "data"))
    assert f"{port}" in text
    assert "--port" in text


async def test_an_address_that_is_not_ours_is_said(tmp_path: Path) -> None:
    text = await failed_start("--port", "0", "--host", "203.0.113.7", "--data", str(tmp_path / "data"))
    assert "--host" in text


async def test_a_data_directory_that_is_in_use_is_said_with_its_holder(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        text = await failed_start("--port", "0", "--data", str(tmp_path / "data"))
        assert f"process {server.pid}" in text
        async with aiohttp.ClientSession() as http, http.get(server.url + "/healthz") as response:
            assert response.status == 200


async def test_a_data_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = await failed_start("--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert "is no directory" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_data_directory_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    assert "cannot be written" in await failed_start("--port", "0", "--data", str(tmp_path / "data"))


@pytest.mark.parametrize("kind", ["garbage", "somebody else's", "a newer one", "a directory"])
async def test_a_data_file_that_is_not_ours_is_said_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "carets.sqlite3"
    if kind == "a directory":
        path.mkdir()
        assert "carets.sqlite3" in await failed_start("--port", "0", "--data", str(tmp_path))
        return
    if kind == "garbage":
        path.write_bytes(b"not a database at all" * 100)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
            if kind == "a newer one":
                connection.execute(f"PRAGMA application_id = {int.from_bytes(b'CRTS', 'big')}")
                connection.execute("PRAGMA user_version = 999")
        connection.close()
    before = path.read_bytes()
    assert "carets.sqlite3" in await failed_start("--port", "0", "--data", str(tmp_path))
    assert path.read_bytes() == before


async def test_a_wrong_option_is_said(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    assert "--port" in await failed_start("--port", "http", *data)
    assert "--public-url" in await failed_start("--public-url", "https://[::1", *data)
    assert "CARETS_OPEN" in await failed_start(*data, environment={"CARETS_OPEN": "perhaps"})


# -- addresses that are told


@pytest.mark.parametrize(
    "host, has_tls, hosts",
    [
        ("0.0.0.0", False, ["192.168.1.5", "10.0.0.7"]),
        ("0.0.0.0", True, ["192.168.1.5", "10.0.0.7"]),
        ("::", False, ["[fd00::5]"]),
        ("127.0.0.1", False, []),
        ("192.168.1.5", False, []),
    ],
)
def test_who_listens_everywhere_is_told_the_addresses_for_others(
    host: str, has_tls: bool, hosts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It printed http://localhost:8040/..., which nobody else can open."""
    names = ["127.0.0.1", "::1", "192.168.1.5", "10.0.0.7", "fd00::5"]
    monkeypatch.setattr("carets.server.names_of", lambda *_: ["localhost", "box", *map(ipaddress.ip_address, names)])
    config = Config(host=host, tls="self-signed" if has_tls else "off", base_path="/below")
    address = _address(config, 8040, "tok")
    scheme = "https" if has_tls else "http"
    assert _network_addresses(config, address) == [f"{scheme}://{each}:8040/below/#create=tok" for each in hosts]
    assert _network_addresses(replace(config, public_url="http://code.lan"), "http://code.lan/below/#create=tok") == []


async def test_the_addresses_for_others_are_printed_behind_the_first_line(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", "--host", "0.0.0.0")
    await server.start()
    assert server._process is not None
    assert server._process.stdout is not None
    printed = server._process.stdout
    assert await server.stop() == 0
    found = [name for name in names_of("0.0.0.0", "") if isinstance(name, ipaddress.IPv4Address)]
    assert (await printed.read()).decode().splitlines() == [
        f"For others in the network: http://{name}:{server.port}/#create={server.create_token}"
        for name in found
        if not name.is_loopback
    ]


async def test_a_variable_that_does_nothing_is_told_without_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARETS_PUBLIC_URI", "https://secret.example")
    async with serving(tmp_path / "data") as server:
        assert await server.stop() == 0
        (line,) = [line for line in server.log.splitlines() if "variables_unknown" in line]
        assert "CARETS_PUBLIC_URI" in line
        assert "secret" not in server.log


async def test_the_log_says_what_serves_and_no_token(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", "--host", "0.0.0.0") as server:
        assert await server.stop() == 0
        (line,) = [json.loads(line) for line in server.log.splitlines() if '"serving"' in line]
        assert (line["version"], line["schema"], line["tls"]) == (carets.__version__, len(MIGRATIONS), False)
        assert (line["public_url"], line["data"]) == ("", str(tmp_path / "data"))
        assert server.create_token
        assert server.create_token not in server.log


# -- ends


async def test_sigterm_saves_everything_and_says_goodbye(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    server = ServerProcess(tmp_path / "data")
    await server.start()
    workspace_id, keys = await create_workspace(http, server.url, {"a.py": ""})
    peer = await join(http, server.url, workspace_id, keys["editor"])
    replica = await peer.open_file(1)
    silent = await http.ws_connect(f"{server.url}/ws/{workspace_id}", protocols=("carets.v1",))
    for number in range(200):
        replica.append(f"{number} ")
    await peer.until(lambda: peer.saved > 100)
    began = asyncio.get_running_loop().time()
    stopping = asyncio.create_task(server.stop())
    assert await peer.until_closed() == Code.DRAINING
    assert [notice["type"] for notice in peer.notices].count("draining") == 1
    assert peer.refusals[-1]["code"] == Code.DRAINING
    assert await stopping == 0
    assert asyncio.get_running_loop().time() - began < STOP_S
    assert "Traceback" not in server.log
    await silent.close()
    await server.start()
    async with connect(server.url, workspace_id, keys["editor"]) as again:
        kept = str(await again.open_file(1))
    whole = "".join(f"{number} " for number in range(200))
    assert whole.startswith(kept)
    step_2_frames = 1
    assert len(kept.split()) >= peer.saved - step_2_frames, "what was said to be saved is there"
    await peer.close()
    await server.stop()


async def test_sockets_that_do_not_answer_do_not_hold_the_end_up(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with serving(tmp_path / "data") as server:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": "x" * 1_000_000})
        silent = []
        for hello in (b"", b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", None):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(
                f"GET /ws/{workspace_id} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: carets.v1\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            await reader.readuntil(b"\r\n\r\n")
            if hello is None:
                text = f'{{"type":"hello","key":"{keys["editor"]}"}}'.encode()
                writer.write(bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text)
                await reader.readuntil(b"welcome")
            elif hello:
                writer.write(hello)
            silent.append(writer)
        began = asyncio.get_running_loop().time()
        server.signal(signal.SIGTERM)
        assert await server.stop() == 0, "a second signal changes nothing"
        assert asyncio.get_running_loop().time() - began < STOP_S
        for writer in silent:
            writer.close()


async def test_sigint_is_as_good(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server:
        server.signal(signal.SIGINT)
        assert await server.stop() == 0


async def test_a_server_of_this_machine_lets_anyone_create(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with serving(tmp_path / "data") as server, http.get(server.url + "/api/server") as response:
        assert (await response.json())["create"] == "open"


async def test_every_log_line_is_an_event_and_none_has_a_key(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with serving(tmp_path / "data") as server:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": "secret text"})
        async with connect(server.url, workspace_id, keys["editor"]) as peer:
            await peer.open_file(1)
        for key in keys.values():
            await (await http.ws_connect(f"{server.url}/yjs/{workspace_id}/a.py?key={key}")).close()
            await (await http.ws_connect(f"{server.url}/yjs/{workspace_id}/a.py", protocols=("yjs", key))).close()
        for broken in (b"GET /a?key=%s HTTP/9x", b"GET / HTTP/1.1\r\nAuthorization: Bearer %s\x01", b"ZZ %s"):
            # What aiohttp itself says of requests that it cannot read quotes them.
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(broken % keys["editor"].encode() + b"\r\n\r\n")
            await reader.read()
            writer.close()
        await server.stop()
        lines = server.log.splitlines()
        assert len(lines) > 5
        assert all(line.startswith("{") and line.endswith("}") for line in lines)
        assert not [line for line in lines for word in (*keys.values(), "secret text") if word in line]


# -- small parts


@pytest.mark.parametrize(
    "config,address",
    [
        (Config(), "http://127.0.0.1:8040/"),
        (Config(host="::1"), "http://[::1]:8040/"),
        (Config(host="0.0.0.0"), "http://localhost:8040/#create=T"),
        (Config(host="0.0.0.0", create="open"), "http://localhost:8040/"),
        (Config(public_url="https://c.example"), "https://c.example/#create=T"),
        (Config(tls="self-signed"), "https://127.0.0.1:8040/"),
        (Config(tls_cert=Path("c"), tls_key=Path("k"), host="::"), "https://localhost:8040/#create=T"),
    ],
)
def test_the_address_has_the_create_token_where_it_is_needed(config: Config, address: str) -> None:
    assert _address(config, 8040, "T") == address


def test_the_last_second_is_left_for_the_sockets() -> None:
    assert limits.DRAIN_S < STOP_S
