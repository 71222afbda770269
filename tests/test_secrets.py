"""Keys and tokens travel by many roads. Each is driven here, and nothing that a server writes or answers has them."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import aiohttp
import pytest
from yarl import URL

from carets.config import Config
from carets.protocol import wire
from carets.server import running
from tests.peer import WAIT_S, join
from tests.serving import START_S


def new_key() -> str:
    return secrets.token_urlsafe(16)


class Driver:
    """Somebody who sends keys by every road, and keeps what comes back."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.http = http
        self.heard: list[str] = []
        """Every answer, its headers with it, and every refused text."""
        self.joined = 0
        self._addresses = itertools.count(1)

    @property
    def _from(self) -> dict[str, str]:
        """Another address each time, by the word of a trusted proxy: what comes is not held up for its number."""
        return {"X-Forwarded-For": str(ipaddress.IPv4Address(0x0A000000 + next(self._addresses)))}

    async def ask(self, method: str, path: str, bearer: str = "", body: object = None, **headers: str) -> int:
        """An HTTP request; its path is sent as it stands."""
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        if data is not None:
            headers["Content-Type"] = "application/json"
        headers = self._from | headers
        address = URL(self.url + path, encoded=True)
        async with self.http.request(method, address, data=data, headers=headers, allow_redirects=False) as response:
            self.heard.append(f"{response.raw_headers!r} {(await response.read())!r}")
            return response.status

    async def hello(self, workspace_id: str, *frames: str | bytes) -> int | None:
        """A connection of carets.v1, its frames, and its close code."""
        socket = await self.http.ws_connect(
            f"{self.url}/ws/{workspace_id}", protocols=("carets.v1",), headers=self._from
        )
        for frame in frames:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        return await self._hear(socket)

    async def stock(self, path: str, *protocols: str) -> int | None:
        """A stock connection, and its close code."""
        try:
            address = URL(self.url + path, encoded=True)
            socket = await self.http.ws_connect(address, protocols=protocols, headers=self._from)
        except aiohttp.WSServerHandshakeError as error:
            self.heard.append(f"{error.headers} {error}")
            return None
        await socket.send_bytes(wire.encode_step_1(b"\0"))  # whoever is in, hears an answer
        return await self._hear(socket)

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> int | None:
        async with asyncio.timeout(WAIT_S):
            async for message in socket:
                self.heard.append(str(message.data))
                if '"welcome"' in str(message.data):
                    self.heard.pop()  # the one place where a person token is told
                if '"welcome"' in str(message.data) or message.type is aiohttp.WSMsgType.BINARY:
                    self.joined += 1
                    await socket.close()
        return socket.close_code

    async def raw(self, request: str) -> None:
        """What no HTTP client would send."""
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request.encode("latin-1"))
        writer.write_eof()
        async with asyncio.timeout(WAIT_S):
            self.heard.append(repr(await reader.read()))
        writer.close()


async def drive(driver: Driver, workspace_id: str, key: str) -> None:
    """Send one key by every road."""
    api = f"/api/workspaces/{workspace_id}"
    cut = b'{"title": "' + key.encode()
    for body in (None, {"title": 7, key: key}, {"role": key}, cut, {"files": {"a": key, "b": 1}}):
        for method, path in (
            *(("POST", "/api/workspaces"), ("PATCH", api), ("POST", f"{api}/links"), ("POST", f"{api}/files")),
            *(("GET", f"{api}/links"), ("GET", f"{api}/chat?before={key}"), ("GET", "/api/admin/usage")),
        ):
            await driver.ask(method, path, key, body)
    await driver.ask("GET", f"{api}/links", Authorization=f"Basic {key}")
    await driver.ask("GET", f"{api}/links", Authorization=f"Bearer {key} {key}")
    await driver.ask("POST", f"{api}/restore", key)  # a mistake of ours
    await driver.ask("POST", f"{api}/files", key, {"files": {}, "person": key})
    for path in ("", "/", "/healthz", "/none", f"/w/{workspace_id}", f"{api}/links", f"/ws/{workspace_id}", "/run/x"):
        await driver.ask("GET", f"{path}?key={key}&token={key}")
    for name in ("", "w/", "run/", "assets/", "ws/", "yjs/a/", "%0a"):
        await driver.ask("GET", f"/{name}{key}")
    for path in (f"/api/workspaces/{key}", f"/api/workspaces/{key}/links", f"{api}/links/{key}", f"/api/{key}"):
        await driver.ask("DELETE", path, key)
    for name in ("Origin", "Referer", "Cookie", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "Expect"):
        await driver.ask("POST", "/api/workspaces", **{name: f"https://{key}.example" if name == "Origin" else key})
    await driver.ask("GET", "/", Host=f"{key}.example")
    hello = {"type": "hello", "key": key, "person": key}
    for told in (
        *(hello, hello | {"name": 5}, {"type": key}, {"type": "hello", "key": [key]}, {**hello, "name": "crash"}),
        *(hello | {"page": key * 9_000}, {"type": "hello", key: key, "color": key, "name": "\n" + key}),
    ):
        await driver.hello(workspace_id, json.dumps(told))
    await driver.hello(workspace_id, json.dumps(hello), json.dumps({"type": "signal", "kind": key, "data": key}))
    await driver.hello(workspace_id, json.dumps(hello), json.dumps({"type": "open_file", "file_id": key}))
    await driver.hello(workspace_id, f'{{"type": "hello", "key": "{key}')
    await driver.hello(workspace_id, key.encode())
    for protocols in (("yjs", key), (key,), (key, "yjs"), (f"{key}{key}", "yjs")):
        await driver.stock(f"/yjs/{workspace_id}/none.py", *protocols)
        await driver.stock(f"/ws/{workspace_id}", *protocols)
    for path in (f"{workspace_id}/a.py?key={key}", f"{workspace_id}/{key}?key={key}", f"{key}/a.py?key={key}"):
        await driver.stock(f"/yjs/{path}", "yjs")
    for request in (
        f"GET /w/{workspace_id}#key={key} HTTP/1.1\r\nHost: localhost\r\n",
        f"GET /a?key={key} HTTP/9x\r\n",
        f"{key} / HTTP/1.1\r\nHost: localhost\r\n",
        f"GET / HTTP/1.1\r\nAuthorization: Bearer {key}\x01\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {key}\r\n",
        f"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n",
        f"GET /{key * 500} HTTP/1.1\r\nHost: localhost\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\n{key} {key}\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\nX: {key * 500}\r\n",
        f"\x16\x03\x01{key}\r\n",
        key,
    ):
        await driver.raw(request + "\r\n")


class Written:
    """A server with mistakes, and all that it writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""

    def read(self) -> dict[str, str]:
        """By file: standard output without the address that it is there to tell, standard error, the audit log."""
        told = {path.name: path.read_text() for path in sorted(self.folder.glob("*.txt"))}
        told["out.txt"] = told["out.txt"].partition("\n")[2]
        return told


@asynccontextmanager
async def faulty_server(folder: Path, create_token: str, admin_token: str, *options: str) -> AsyncIterator[Written]:
    written = Written(folder)
    folder.mkdir()  # noqa: ASYNC240 - a test of one server
    command = [sys.executable, "-m", "tests.faulty_server", create_token, admin_token, "--data", str(folder / "data")]
    # By --public-url it asks for the create token, and reaches nobody beyond loopback all the same.
    command += ["--port", "0", "--public-url", "http://code.example.org", "--trusted-proxy", "127.0.0.1", *options]
    with (folder / "out.txt").open("wb") as out, (folder / "err.txt").open("wb") as err:
        process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=err)
    try:
        async with asyncio.timeout(START_S):
            while "serving" not in (folder / "err.txt").read_text():
                assert process.returncode is None, (folder / "err.txt").read_text()
                await asyncio.sleep(0)
        port = (folder / "err.txt").read_text().split("port")[1].strip('=": ').split()[0].strip(",}")
        written.url = f"http://127.0.0.1:{port}"
        yield written
        process.send_signal(SIGTERM)
        async with asyncio.timeout(START_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.send_signal(SIGKILL)
            await process.wait()


async def create(driver: Driver, token: str, title: str) -> tuple[str, dict[str, str]]:
    """A workspace: the one answer, besides that of a new link, in which keys are told."""
    headers = {"Authorization": f"Bearer {token}"}
    body = {"title": title, "files": {"a.py": "x"}}
    async with driver.http.post(f"{driver.url}/api/workspaces", json=body, headers=headers) as response:
        told = await response.json()
    return told["workspace_id"], {role: url.split("#key=")[1] for role, url in told["links"].items()}


async def link_that_ended(driver: Driver, workspace_id: str, owner: str, **link: Any) -> str:
    """The key of a link that was revoked, or has expired when it is made."""
    headers = {"Authorization": f"Bearer {owner}"}
    links = f"{driver.url}/api/workspaces/{workspace_id}/links"
    async with driver.http.post(links, json={"role": "editor", **link}, headers=headers) as response:
        made = await response.json()
    await driver.ask("DELETE", f"/api/workspaces/{workspace_id}/links/{made['link_id']}", owner)
    return str(made["url"].split("#key=")[1])


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_key_or_token_is_in_anything_that_is_written_or_answered(
    tmp_path: Path, http: aiohttp.ClientSession, form: str
) -> None:
    create_token, admin_token = new_key(), new_key()
    options = ["--log", form]
    if form == "json":
        options += ["--audit-log", str(tmp_path / "server" / "audit.txt")]
    async with faulty_server(tmp_path / "server", create_token, admin_token, *options) as server:
        driver = Driver(server.url, http)
        workspace_id, keys = await create(driver, create_token, "Ours")
        await create(driver, create_token, f"loose {create_token}")
        peer = await join(http, server.url, workspace_id, keys["editor"])
        person = peer.welcome["person"]
        await peer.close()
        revoked = await link_that_ended(driver, workspace_id, keys["owner"])
        expired = await link_that_ended(driver, workspace_id, keys["owner"], expires_at_ms=1)
        known = [*keys.values(), revoked, expired, create_token, admin_token, person, f"{person[:-1]}A"]
        # The owner's comes last, since it may delete.
        unseen = new_key()  # by a road on which aiohttp sees it before we do
        await driver.stock(f"/yjs/{workspace_id}/a.py", unseen)
        known.append(unseen)
        # All of them once; what is written as text is made of the same words.
        for key in (*known[3:], *known[:3]) if form == "json" else (keys["editor"], create_token, person):
            await drive(driver, workspace_id, key)
        await driver.hello(workspace_id, json.dumps({"type": "hello", "key": keys["viewer"], "person": person}))
    written = server.read()
    assert "Traceback" in written["err.txt"], "the mistakes were made"
    assert "never retrieved" in written["err.txt"]
    assert "(secret)" in written["err.txt"]
    assert "refused" in written["audit.txt" if form == "json" else "err.txt"]
    for name, text in written.items():
        found = [key for key in known if key in text]
        assert not found, (name, [line for line in text.splitlines() if found[0] in line][:3])
    assert len(driver.heard) > 200
    assert driver.joined >= 5, "some of the keys open"
    assert not [answer for answer in driver.heard for key in known if key in answer][:3]
    assert not [line for line in written["err.txt"].splitlines() if line.startswith("2026-01-01")], "a forged line"


async def test_the_way_to_the_base_path_repeats_no_key(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with running(Config(port=0, data=tmp_path / "data", base_path="/carets")) as server:
        url = f"http://127.0.0.1:{server.port}/carets?key={new_key()}"
        async with http.get(url, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (308, "/carets/")
