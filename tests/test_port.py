"""Connections that are too many, too slow or no requests at all, over real sockets: each is bounded, and told why.

Each test has a bystander who types before, during and after: nothing of it reaches them. They come from 127.0.0.1,
whoever misbehaves from 127.0.0.2, so that limits by address tell the two apart.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import io
import ipaddress
import json
import os
import socket as sockets
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec, Self

import aiohttp
import pytest
import uvloop

from carets import limits
from carets.config import Config
from carets.errors import TABLE, Code
from carets.limits import Quotas
from carets.server import Running, running
from tests.peer import Peer, Replica, create_workspace, join
from tests.serving import serving

P = ParamSpec("P")

ELSEWHERE = "127.0.0.2"
GET = b"GET /api/server HTTP/1.1\r\nHost: localhost\r\n"


def served(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run a test on the loop that serves outside of tests: how connections are accepted and ended is its work."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class Bystander:
    """Somebody who works in peace."""

    def __init__(self, server: Running, peer: Peer, text: Replica, keys: dict[str, str]) -> None:
        self.server, self.peer, self.keys = server, peer, keys
        self.workspace_id = str(peer.welcome["workspace_id"])
        self._text = text
        self._typed = ""

    async def type(self) -> None:
        """Type, and see it saved, alone in the file and on the same connection."""
        word = f"word {len(self._typed)}\n"
        self._typed += word
        self._text.append(word)
        async with asyncio.timeout(10):
            await self.peer.until_saved()
        assert str(self._text) == self._typed
        assert (self.peer.close_code, self.peer.refusals) == (None, [])

    async def until_alone(self) -> None:
        """Wait until nobody else is connected."""
        await until(lambda: self.server.listener.doorman.connections == 1)
        assert self.server.listener.doorman.describe()["kinds"] == {"member": 1}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in another task of this process."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the book has no bell
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def working(tmp_path: Path, **more: Any) -> AsyncIterator[Bystander]:
    """A server with somebody at work."""
    quotas = more.pop("quotas", {})
    config = Config(port=0, data=tmp_path / "data", quotas=Quotas(**quotas), **more)
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    async with running(config) as server, aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http:
        url = server.address.rstrip("/")
        headers = {"Connection": "close"}
        async with http.post(f"{url}/api/workspaces", json={"files": {"a.py": ""}}, headers=headers) as response:
            made = await response.json()
        keys = {role: link.split("#key=")[1] for role, link in made["links"].items()}
        peer = await join(http, url, made["workspace_id"], keys["editor"])
        bystander = Bystander(server, peer, await peer.open_file(1), keys)
        await until(lambda: server.listener.doorman.connections == 1)
        await bystander.type()
        yield bystander
        await bystander.type()
        await peer.close()


class Line:
    """One connection by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, body

    async def refusal(self) -> dict[str, Any]:
        """The refusal of ours that comes, with its status and headers as the table wants them; then the end."""
        status, headers, body = await self.answer()
        error: dict[str, Any] = json.loads(body)["error"]
        assert status == TABLE[Code(error["code"])].http_status
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["server"] == "Carets"
        assert headers["connection"] == "close"
        await self.until_end()
        return error | {"retry_after": headers.get("retry-after")}

    async def until_end(self) -> None:
        """Wait for a proper end: no reset."""
        async with asyncio.timeout(20):
            assert await self.reader.read() == b""

    async def upgrade(self, workspace_id: str, **headers: str) -> None:
        """Ask for a WebSocket."""
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.writer.write(
            f"GET /ws/{workspace_id} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{more}"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: carets.v1\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )


class Crowd:
    """Connections that a test opens and need not close."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lines: list[Line] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def come(self, address: str = ELSEWHERE, **more: Any) -> Line:
        """One more."""
        line = Line(*await asyncio.open_connection("127.0.0.1", self._port, local_addr=(address, 0), **more))
        self._lines.append(line)
        return line

    async def leave(self) -> None:
        """All go."""
        for line in self._lines:
            line.writer.close()
            with contextlib.suppress(OSError):
                await line.writer.wait_closed()
        self._lines.clear()


# -- where it listens


@served
async def test_a_name_with_two_addresses_is_one_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = sockets.getaddrinfo("127.0.0.1", 0, type=sockets.SOCK_STREAM)
    found += sockets.getaddrinfo("::1", 0, type=sockets.SOCK_STREAM)
    found += sockets.getaddrinfo("2001:db8::1", 0, type=sockets.SOCK_STREAM)  # nobody has this one

    async def resolve(*_: object, **__: object) -> list[Any]:
        return found

    monkeypatch.setattr(uvloop.Loop, "getaddrinfo", resolve, raising=False)
    async with running(Config(host="localhost", port=0, data=tmp_path / "data")) as server:
        for address in ["127.0.0.1"] + ["::1"] * has_ipv6():
            line = Line(*await asyncio.open_connection(address, server.port))
            line.writer.write(GET + b"\r\n")
            assert (await line.answer())[0] == 200
            line.writer.close()


def has_ipv6() -> bool:
    """Whether this machine is reached at ::1."""
    with contextlib.suppress(OSError), sockets.socket(sockets.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


# -- too many


@served
async def test_one_address_has_its_bound_is_told_so_and_nobody_else_pays(tmp_path: Path) -> None:
    async with working(tmp_path, quotas={"address_connections_max": 5}) as bystander:
        async with Crowd(bystander.server.port) as crowd:
            for _ in range(5):
                await crowd.come()
            for sent in (b"", GET + b"\r\n", GET + b"X: " + b"x" * 200_000):
                line = await crowd.come()
                line.writer.write(sent)
                error = await line.refusal()
                assert (error["code"], error["name"]) == (Code.CONNECTIONS_TOO_MANY, "connections_too_many")
                assert "at most 5 from one address" in error["text"]
                assert int(error["retry_after"]) == limits.CONNECTIONS_RETRY_S
            await bystander.type()
            line = await crowd.come("127.0.0.3")
            line.writer.write(GET + b"\r\n")
            assert (await line.answer())[0] == 200
            assert bystander.server.listener.doorman.refused == {"address": 3}
            assert bystander.server.lobby.around.metrics.refusals[Code.CONNECTIONS_TOO_MANY] == 3
        await bystander.until_alone()
        async with Crowd(bystander.server.port) as crowd:
            line = await crowd.come()
            line.writer.write(GET + b"\r\n")
            assert (await line.answer())[0] == 200, "there is room again"


@served
async def test_a_flood_from_many_addresses_stops_at_the_bound_of_the_process(tmp_path: Path) -> None:
    async with working(tmp_path, quotas={"connections_max": 30, "address_connections_max": 10}) as bystander:
        async with Crowd(bystander.server.port) as crowd:
            lines = [await crowd.come(f"127.0.0.{number % 20 + 2}") for number in range(90)]
            told = await asyncio.gather(*(line.refusal() for line in lines[29:]))
            assert {(error["code"], "at most 30" in error["text"]) for error in told} == {(4506, True)}
            assert bystander.server.listener.doorman.connections == 30
            await bystander.type()
        await bystander.until_alone()


@served
async def test_beyond_those_that_are_being_told_the_door_stays_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REFUSALS_OPEN_MAX", 3)
    monkeypatch.setattr(limits, "LINGER_S", 0.3)
    async with working(tmp_path, quotas={"address_connections_max": 1}) as bystander:
        async with Crowd(bystander.server.port) as crowd:
            await crowd.come()
            shut = [await crowd.come() for _ in range(10)]
            answers = [await line.reader.read() for line in shut]
            assert sum(bool(answer) for answer in answers) == 3
            await bystander.type()
            # Those that were told stay open on our side until they close theirs, or some time has passed.
            async with asyncio.timeout(10):
                while not await (await crowd.come()).reader.read():  # noqa: ASYNC110 - it is another one each time
                    await asyncio.sleep(0.02)
        await bystander.until_alone()


@served
async def test_who_waits_for_its_next_request_gives_way_to_a_newcomer(tmp_path: Path) -> None:
    """A class that opens the page has six connections a browser, for two minutes: they must not keep anybody out."""
    async with working(tmp_path, quotas={"address_connections_max": 4}) as bystander:
        async with Crowd(bystander.server.port) as crowd:
            lines = [await crowd.come() for _ in range(4)]
            for line in lines:
                line.writer.write(GET + b"\r\n")
                assert (await line.answer())[0] == 200
            lines[0].writer.write(GET + b"\r\n")
            assert (await lines[0].answer())[0] == 200, "so now the second waits for longest"
            newcomer = await crowd.come()
            newcomer.writer.write(GET + b"\r\n")
            assert (await newcomer.answer())[0] == 200
            await lines[1].until_end()
            for line in (lines[0], lines[2], lines[3]):
                line.writer.write(GET + b"\r\n")
                assert (await line.answer())[0] == 200
            assert bystander.server.listener.doorman.describe()["gave_way"] == 1
            assert bystander.server.listener.doorman.refused.total() == 0
            await bystander.type()
        await bystander.until_alone()


@served
async def test_a_real_client_reads_why_it_is_refused(tmp_path: Path) -> None:
    async with (
        working(tmp_path, quotas={"address_connections_max": 2}) as bystander,
        Crowd(bystander.server.port) as crowd,
        aiohttp.ClientSession() as http,
    ):
        await crowd.come("127.0.0.1")  # beside the bystander's
        url = f"http://127.0.0.1:{bystander.server.port}"
        async with http.post(f"{url}/api/workspaces", json={"title": "x"}) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "5"
            assert (await response.json())["error"]["code"] == Code.CONNECTIONS_TOO_MANY
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await http.ws_connect(f"{url}/ws/{bystander.workspace_id}", protocols=("carets.v1",))


@served
async def test_with_fewer_files_than_connections_were_asked_for_it_serves_as_many_as_it_can(tmp_path: Path) -> None:
    prefix = ("prlimit", "--nofile=160:160")
    async with (
        serving(tmp_path / "data", prefix=prefix) as server,
        aiohttp.ClientSession() as http,
        Crowd(server.port) as crowd,
    ):
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": ""})
        peer = await join(http, server.url, workspace_id, keys["editor"])
        text = await peer.open_file(1)
        lines = [await crowd.come() for _ in range(80)]
        error = await lines[-1].refusal()
        assert "at most 32" in error["text"]
        text.append("it goes on")
        await peer.until_saved()
        await crowd.leave()
        assert "files_too_few" in server.log
        assert "accept_failed" not in server.log
        assert server.log.count("connections_refused") == 1, "a flood is one line"
        await peer.close()


# -- too slow


@served
async def test_a_head_that_does_not_come_ends_its_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_WAIT_S", 0.3)
    monkeypatch.setattr(limits, "LINGER_S", 0.3)
    async with working(tmp_path) as bystander, Crowd(bystander.server.port) as crowd:
        lines = [await crowd.come() for _ in range(50)]
        began_s = asyncio.get_running_loop().time()

        async def trickle(line: Line) -> dict[str, Any]:
            answer = asyncio.create_task(line.refusal())
            for byte in GET * 100:
                if answer.done():
                    break
                line.writer.write(bytes((byte,)))
                await asyncio.sleep(0.01)
            return await answer

        told = await asyncio.gather(*map(trickle, lines[:25]), *(line.refusal() for line in lines[25:]))
        assert {error["code"] for error in told} == {Code.SILENT}
        assert asyncio.get_running_loop().time() - began_s < 5
        await bystander.type()
        await bystander.until_alone()


@served
async def test_a_connection_without_a_next_request_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEEP_ALIVE_S", 0.3)
    async with working(tmp_path) as bystander, Crowd(bystander.server.port) as crowd:
        silent, slow = await crowd.come(), await crowd.come()
        for line in (silent, slow):
            line.writer.write(GET + b"\r\n")
            assert (await line.answer())[0] == 200
        slow.writer.write(GET[:-5])
        await silent.until_end()
        await slow.until_end()
        await bystander.until_alone()


@served
async def test_a_whole_head_in_time_is_no_slow_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_WAIT_S", 0.2)
    async with working(tmp_path) as bystander, Crowd(bystander.server.port) as crowd:
        line = await crowd.come()
        line.writer.write(GET + b"\r\n")
        assert (await line.answer())[0] == 200
        slow = await crowd.come()
        assert (await slow.refusal())["code"] == Code.SILENT
        line.writer.write(GET + b"\r\n")
        assert (await line.answer())[0] == 200, "the first head's time was over long ago"


@served
async def test_whoever_takes_nothing_of_an_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_STALL_S", 0.5)
    async with working(tmp_path) as bystander:
        url = f"http://127.0.0.1:{bystander.server.port}/api/workspaces"
        headers = {"Connection": "close", "Content-Type": "application/json"}
        async with aiohttp.ClientSession() as http:
            text = base64.b64encode(os.urandom(7_500_000)).decode()  # more than kernels keep for who does not read
            data = io.BytesIO(json.dumps({"files": {"a": text}}).encode())
            async with http.post(url, data=data, headers=headers) as response:
                made = await response.json()
        raw = sockets.socket()
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, ("127.0.0.1", bystander.server.port))
        path = f"/api/workspaces/{made['workspace_id']}/export.zip"
        key = made["links"]["viewer"].split("#key=")[1]
        await loop.sock_sendall(
            raw, GET.replace(b"/api/server", path.encode()) + f"Authorization: Bearer {key}\r\n\r\n".encode()
        )
        await until(lambda: bystander.server.listener.doorman.kinds["http"] == 1)
        await bystander.type()
        await bystander.until_alone()
        raw.close()


# -- WebSockets without a key


@served
async def test_websockets_that_say_nothing_are_few_and_members_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ADDRESS_STRANGERS_MAX", 3)
    async with working(tmp_path) as bystander:
        id_, doorman = bystander.workspace_id, bystander.server.listener.doorman
        async with Crowd(bystander.server.port) as crowd:
            for _ in range(5):
                line = await crowd.come()
                await line.upgrade(id_)
                assert (await line.answer())[0] == 101
                hello = json.dumps({"type": "hello", "key": bystander.keys["viewer"]}).encode()
                line.writer.write(bytes((0x81, 0x80 | len(hello))) + b"\0\0\0\0" + hello)
                await line.reader.readuntil(b'"welcome"')
            lines = [await crowd.come() for _ in range(4)]
            for line in lines[:3]:
                await line.upgrade(id_)
                assert (await line.answer())[0] == 101
            await lines[3].upgrade(id_)
            status, headers, body = await lines[3].answer()
            assert (status, headers["retry-after"]) == (503, "5")
            assert json.loads(body)["error"]["code"] == Code.CONNECTIONS_TOO_MANY
            assert "at most 3" in json.loads(body)["error"]["text"]
            assert doorman.kinds["stranger"] == 3
            await bystander.type()
            lines[0].writer.close()
            await until(lambda: doorman.describe()["strangers"] == 2)
            again = await crowd.come()
            await again.upgrade(id_)
            assert (await again.answer())[0] == 101
        await bystander.until_alone()
        await until(lambda: doorman.describe()["strangers"] == 0)


@served
async def test_a_websocket_that_says_nothing_ends_and_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STRANGERS_MAX", 1)
    monkeypatch.setattr(limits, "HELLO_WAIT_S", 0.2)
    async with working(tmp_path) as bystander, Crowd(bystander.server.port) as crowd:
        silent = await crowd.come()
        await silent.upgrade(bystander.workspace_id)
        assert (await silent.answer())[0] == 101
        early = await crowd.come("127.0.0.3")
        await early.upgrade(bystander.workspace_id)
        assert (await early.answer())[0] == 503
        async with asyncio.timeout(10):
            await silent.reader.readuntil(b'"code":4406')
        silent.writer.close()
        await until(lambda: bystander.server.listener.doorman.describe()["strangers"] == 0)
        late = await crowd.come()
        await late.upgrade(bystander.workspace_id)
        assert (await late.answer())[0] == 101


# -- behind a proxy


@served
async def test_behind_a_trusted_proxy_its_visitors_have_the_bound(tmp_path: Path) -> None:
    proxy = (ipaddress.ip_network(ELSEWHERE),)
    async with working(tmp_path, trusted_proxy=proxy, quotas={"address_connections_max": 3}) as bystander:
        id_ = bystander.workspace_id
        async with Crowd(bystander.server.port) as crowd:
            idle = [await crowd.come() for _ in range(10)]
            for _ in range(3):
                line = await crowd.come()
                await line.upgrade(id_, X_Forwarded_For="203.0.113.9")
                assert (await line.answer())[0] == 101
            for asked in (b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-For: 203.0.113.1, 203.0.113.9"):
                idle[0].writer.write(GET + asked + b"\r\n\r\n")
                status, headers, body = await idle[0].answer()
                assert (status, headers["retry-after"]) == (503, "5")
                assert "at most 3 from one address" in json.loads(body)["error"]["text"]
            idle[0].writer.write(GET + b"X-Forwarded-For: 203.0.113.10\r\n\r\n")
            assert (await idle[0].answer())[0] == 200, "on the same connection, for somebody else"
            await bystander.type()
        await bystander.until_alone()
        await until(lambda: bystander.server.listener.doorman.describe()["visits"] == 0)


# -- TLS


@served
async def test_a_tls_handshake_that_stalls_is_counted_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TLS_WAIT_S", 0.4)
    async with (
        working(tmp_path, tls="self-signed", quotas={"address_connections_max": 3}) as bystander,
        Crowd(bystander.server.port) as crowd,
    ):
        silent, half, garbage = [await crowd.come() for _ in range(3)]
        half.writer.write(b"\x16\x03\x01\x02\x00\x01")
        await until(lambda: bystander.server.listener.doorman.connections == 4)
        refused = await crowd.come()
        await bystander.type()
        garbage.writer.write(GET + b"\r\n")
        for line in (silent, half, garbage, refused):
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    assert b"HTTP" not in await line.reader.read()
        await bystander.until_alone()


@served
async def test_over_tls_who_is_refused_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_S", 0.3)
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    async with working(tmp_path, tls="self-signed", quotas={"address_connections_max": 1}) as bystander:
        async with Crowd(bystander.server.port) as crowd:
            await crowd.come(ssl=tls)
            line = await crowd.come(ssl=tls)
            line.writer.write(GET + b"\r\n")
            assert (await line.refusal())["code"] == Code.CONNECTIONS_TOO_MANY
        await bystander.until_alone()


# -- no requests


@pytest.mark.parametrize(
    "sent,code",
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n", Code.BODY_TOO_LARGE),
        (GET + b"X: " + b"secret" * 1500 + b"\r\n", Code.BODY_TOO_LARGE),
        (GET + b"X" * 9000 + b": y\r\n", Code.BODY_TOO_LARGE),
        (GET + b"X: y\r\n" * 200, Code.BODY_MALFORMED),
        (b"secret \x00\r\n", Code.BODY_MALFORMED),
        (b"GET / HTTP/9.9\r\nsecret: x\r\n", Code.BODY_MALFORMED),
        (GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Code.BODY_MALFORMED),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret\r\n", Code.BODY_MALFORMED),
    ],
)
@served
async def test_what_is_no_request_is_answered_in_our_words(tmp_path: Path, sent: bytes, code: Code) -> None:
    async with working(tmp_path) as bystander, Crowd(bystander.server.port) as crowd:
        line = await crowd.come()
        line.writer.write(sent + b"\r\n")
        error = await line.refusal()
        assert error["code"] == code
        assert "secret" not in str(error)
        assert "aiohttp" not in str(error)
        await bystander.until_alone()
