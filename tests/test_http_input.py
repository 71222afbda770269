"""Whatever comes to the port as HTTP gets one answer with a reason, soon, and never the server's own mistake (500)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from carets import limits
from carets.config import Config
from carets.errors import TABLE, Code
from carets.server import Running, running
from tests.peer import create_workspace

HOST = "Host: 127.0.0.1:$PORT\r\n"
POST = f"POST /api/workspaces HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"
SECOND = f"GET /api/server HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
"""What an attacker hides behind a request whose end two servers see in different places."""

ANSWER_S = 20.0


async def ask(port: int, data: str) -> list[int]:
    """The statuses of all answers to these bytes, until the server closes the connection, which it must."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(ANSWER_S):
            writer.write(data.replace("$PORT", str(port)).encode("latin-1"))
            answer = await reader.read()
    finally:
        writer.close()
    return [int(status) for status in re.findall(rb"HTTP/\d\.\d (\d\d\d)", answer)]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(POST + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length-and-chunks"),
        pytest.param(POST + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", id="chunks-and-length"),
        pytest.param(POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", id="two-lengths"),
        pytest.param(POST + "Content-Length: 2, 2\r\n\r\n{}", id="list-of-lengths"),
        pytest.param(POST + "Content-Length: -2\r\n\r\n{}", id="negative-length"),
        pytest.param(POST + "Content-Length: +2\r\n\r\n{}", id="length-with-a-sign"),
        pytest.param(POST + "Content-Length: 0x2\r\n\r\n{}", id="length-in-hex"),
        pytest.param(POST + "Content-Length: 1_0\r\n\r\n{}", id="length-with-an-underscore"),
        pytest.param(POST + f"Content-Length: {10**30}\r\n\r\n{{}}", id="length-beyond-64-bits"),
        pytest.param(POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="unknown-coding"),
        pytest.param(POST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="chunks-not-last"),
        pytest.param(POST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", id="space-before-colon"),
        pytest.param(POST + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", id="vertical-tab"),
        pytest.param(POST + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", id="folded-coding"),
        pytest.param(POST + "X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", id="folded-header"),
        pytest.param(SECOND.replace("\r\n", "\n"), id="bare-line-feeds"),
        pytest.param(SECOND.replace("Host", "X: a\nHost"), id="line-feed-in-a-header"),
        pytest.param(CHUNKED + "0x2\r\n{}\r\n0\r\n\r\n", id="chunk-in-hex-with-0x"),
        pytest.param(CHUNKED + "-2\r\n{}\r\n0\r\n\r\n", id="negative-chunk"),
        pytest.param(CHUNKED + "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n", id="chunk-beyond-64-bits"),
        pytest.param(CHUNKED + "2\r\n{}X\r\n0\r\n\r\n", id="chunk-longer-than-it-says"),
        pytest.param(CHUNKED + "2;a\n{}\r\n0\r\n\r\n", id="line-feed-in-a-chunk-extension"),
        pytest.param(CHUNKED + "2\r\n{}\r\n0\r\nHost: evil\r\n\r\n", id="host-in-a-trailer"),
        pytest.param("GET /api/server HTTP/1.1\r\n\r\n", id="no-host"),
        pytest.param(f"GET /api/server HTTP/1.1\r\n{HOST}Host: evil\r\n\r\n", id="two-hosts"),
        pytest.param("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="http-2"),
        pytest.param(f"get /api/server HTTP/1.1\r\n{HOST}\r\n", id="method-in-small-letters"),
        pytest.param(f"GET /api/\0server HTTP/1.1\r\n{HOST}\r\n", id="nul-in-the-path"),
        pytest.param(f"GET /api/ser ver HTTP/1.1\r\n{HOST}\r\n", id="space-in-the-path"),
        pytest.param(f"GET /api/s\xe9rver HTTP/1.1\r\n{HOST}\r\n", id="byte-in-the-path"),
        pytest.param(
            f"GET /api/server HTTP/1.1\r\n{HOST}{'X: a' + chr(13) + chr(10)}" * 1 + "X: a\r\n" * 2000 + "\r\n",
            id="headers",
        ),
        pytest.param(f"GET /api/server HTTP/1.1\r\n{HOST}X\r\n\r\n", id="header-without-colon"),
        pytest.param(f"GET /api/server HTTP/1.1\r\n{HOST}X: a\x01b\r\n\r\n", id="control-character"),
        pytest.param("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a" * 50, id="tls-hello"),
    ],
)
async def test_what_is_no_http_gets_one_refusal_and_nothing_behind_it_is_read(server: Running, request_: str) -> None:
    assert await ask(server.port, request_ + SECOND) == [400]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(f"GET /{'a' * 9000} HTTP/1.1\r\n{HOST}\r\n", id="long-path"),
        pytest.param(f"GET /api/server?{'a=b&' * 4000} HTTP/1.1\r\n{HOST}\r\n", id="long-query"),
        pytest.param(f"GET /api/server HTTP/1.1\r\n{HOST}X: {'a' * 9000}\r\n\r\n", id="long-header"),
    ],
)
async def test_what_is_too_long_gets_one_refusal_and_nothing_behind_it_is_read(server: Running, request_: str) -> None:
    assert await ask(server.port, request_ + SECOND) == [413]


def head(line_bytes: int = 0, field_bytes: int = 0, fields: int = 0) -> str:
    """A request for what is there, whose target, one more field and number of fields are as asked."""
    target = "/api/server?".ljust(line_bytes, "a")
    more = f"X: {'a' * field_bytes}\r\n" * bool(field_bytes) + "Y: a\r\n" * (fields - 2)
    return f"GET {target} HTTP/1.1\r\n{HOST}{more}Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    "within, above, status",
    [
        (head(line_bytes=limits.HEAD_LINE_BYTES_MAX - 64), head(line_bytes=limits.HEAD_LINE_BYTES_MAX + 1), 413),
        (head(field_bytes=limits.HEAD_LINE_BYTES_MAX - 64), head(field_bytes=limits.HEAD_LINE_BYTES_MAX + 1), 413),
        (head(fields=limits.HEAD_FIELDS_MAX), head(fields=limits.HEAD_FIELDS_MAX + 1), 400),
    ],
    ids=["line", "field", "fields"],
)
async def test_a_head_is_as_large_as_it_may_be_and_no_larger(
    server: Running, within: str, above: str, status: int
) -> None:
    assert await ask(server.port, within) == [200]
    assert await ask(server.port, above) == [status]


@pytest.mark.parametrize(
    "request_,statuses",
    [
        (f"GET /api/server HTTP/1.1\r\n{HOST}\r\n" * 5 + SECOND, [200] * 6),
        ("\r\n\r\n" + SECOND, [200]),
        (CHUNKED + "2;a=b\r\n{}\r\n0\r\n\r\n" + SECOND, [201, 200]),
        (POST + "Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", [100, 201]),
        (POST + "Content-Length: 2\r\nConnection: close\r\n\r\n\xff\xfe", [400]),
        (f"GET /api/%zz?before=%e0%80 HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", [404]),
        (f"GET /w/%00%ff%2e%2e%2f HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", [200]),
        (f"GET /assets/%2e%2e%2f%2e%2e%2fetc HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", [404]),
        (f"CONNECT evil:80 HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", [404]),
        (f"OPTIONS * HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n", [404]),
        (
            f"GET /api/workspaces/x/links HTTP/1.1\r\n{HOST}Authorization: Bearer \xff\r\nConnection: close\r\n\r\n",
            [404],
        ),
        (f"GET /worker.js HTTP/1.1\r\n{HOST}Range: bytes=9-1,0-,-5\r\nConnection: close\r\n\r\n", [416]),
    ],
)
async def test_what_is_odd_and_lawful_is_answered(server: Running, request_: str, statuses: list[int]) -> None:
    assert await ask(server.port, request_) == statuses


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_mistake_of_ours(server: Running) -> None:
    """Fuzzing found it: each such client wrote a whole traceback into the log, as an error of the server."""
    told: list[str] = []

    def hear(_: object, level: str, event: Any) -> Any:
        told.append(f"{level}: {event['event']}")
        raise structlog.DropEvent

    usual = structlog.get_config()
    structlog.configure(processors=[hear], cache_logger_on_first_use=False)
    try:
        for start in (POST + "Content-Length: 9\r\n\r\n{", CHUNKED + "9\r\n{"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(start.replace("$PORT", str(server.port)).encode())
            await writer.drain()
            # Another request on another connection is answered after this one has begun to wait for its body.
            assert await ask(server.port, SECOND) == [200]
            writer.write_eof()
            async with asyncio.timeout(ANSWER_S):
                await reader.read()
            writer.close()
        assert await ask(server.port, SECOND) == [200]
    finally:
        structlog.configure(**usual)
    assert not [line for line in told if line.startswith("error")], told


# -- every route of the API

Routes = list[tuple[str, str]]


@pytest.fixture
async def routed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Running, Routes]]:
    """A server, and the method and path of each of its routes."""
    routes: Routes = []
    add_routes = web.Application.add_routes

    def note(self: web.Application, added: Any) -> Any:
        routes.extend((route.method, route.path) for route in added)
        return add_routes(self, added)

    monkeypatch.setattr(web.Application, "add_routes", note)
    async with running(Config(port=0, data=tmp_path / "data")) as server:
        yield server, [route for route in routes if route[1].startswith("/api")]


def filled(path: str, workspace_id: str) -> str:
    return re.sub(r"\{[^}]*\}", "nothing1", path.replace("{workspace_id}", workspace_id))


async def assert_answered(response: aiohttp.ClientResponse, what: object) -> None:
    """Not our mistake; and where it is an error, one of the table, as JSON."""
    assert response.status < 500, what
    if response.status >= 400 and response.method != "HEAD":
        error = json.loads(await response.text())["error"]
        assert error["name"] == Code(error["code"]).name.lower(), what
        assert TABLE[Code(error["code"])].http_status == response.status, what


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


async def test_every_route_answers_every_method(routed: tuple[Running, Routes], http: aiohttp.ClientSession) -> None:
    server, routes = routed
    assert len(routes) > 15
    url = server.address.partition("#")[0].rstrip("/")
    workspace_id, keys = await create_workspace(http, url)
    headers = {"Authorization": f"Bearer {keys['viewer']}"}
    for path in sorted({path for _, path in routes}):
        for method in METHODS:
            async with http.request(method, url + filled(path, workspace_id), headers=headers) as response:
                await assert_answered(response, (method, path))


FIELDS: dict[str, dict[str, Any]] = {
    "/api/workspaces": {"title": "t", "files": {"a": "b"}},
    "/api/workspaces/{workspace_id}": {"title": "t"},
    "/api/workspaces/{workspace_id}/links": {"role": "viewer", "name": "n", "expires_at_ms": 2**52},
    "/api/workspaces/{workspace_id}/files": {"files": {"f": "g"}, "person": "p"},
}
"""The JSON that each path takes. A new route that takes some belongs here."""

WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e300, 2**53, 2**64, -(2**70), "", "\0", "\u202e", "\ud800", "x" * 5_000, [], [[]], {},
    {"": ""}, {"a": 1}, {"a/../b": ""}, {"a": None}, {"a": "\ud800"}, {"\ud83d": "x"}, ["a"], {"a": {"b": {}}},
)  # fmt: skip


async def test_every_field_of_every_body_takes_every_wrong_value_without_a_mistake(
    routed: tuple[Running, Routes], http: aiohttp.ClientSession
) -> None:
    server, routes = routed
    url = server.address.partition("#")[0].rstrip("/")
    workspace_id, keys = await create_workspace(http, url)
    headers = {"Authorization": f"Bearer {keys['owner']}", "Content-Type": "application/json"}
    tried = 0
    for method, path in routes:
        for body in bodies(FIELDS.get(path, {})) if method in {"POST", "PATCH"} else ():
            if "{name}" in path or path.endswith("purge"):
                continue
            async with http.request(method, url + filled(path, workspace_id), data=body, headers=headers) as response:
                await assert_answered(response, (method, path, body[:200]))
            tried += 1
    assert tried > 250


def bodies(fields: dict[str, Any]) -> list[bytes]:
    """Each field wrong in each way, missing, and beside one too many; and bodies that are no object at all."""
    out = [b"", b"{", b"null", b"[]", b'"x"', b"1e999", b"\xff\xfe{}", b"[" * 20_000, b'{"a":' * 20_000]
    if fields:
        out += [b'{"title":"a","title":"b","files":{},"role":"viewer"}', json.dumps({**fields, "more": 1}).encode()]
    for name in fields:
        out.append(json.dumps({each: fields[each] for each in fields if each != name}).encode())
        out += [json.dumps({**fields, name: value}).encode() for value in WRONG]
    return out


async def test_numbers_of_a_query_are_numbers_or_refused(server: Running, http: aiohttp.ClientSession) -> None:
    url = server.address.partition("#")[0].rstrip("/")
    workspace_id, keys = await create_workspace(http, url)
    chat = f"{url}/api/workspaces/{workspace_id}/chat"
    headers = {"Authorization": f"Bearer {keys['viewer']}"}
    for value in (
        "",
        "-1",
        "+1",
        " 1",
        "1e3",
        "0x1",
        "²",
        "١",
        "NaN",
        "9" * 400,
        "1" * 16,
        "\0",
        "\ud83d",
        "1&before=2",
    ):
        for name in ("before", "count"):
            query = {name: value.encode(errors="replace").decode()}
            async with http.get(chat, params=query, headers=headers) as response:
                await assert_answered(response, query)
                assert response.status in {200, 400}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_any_json_gets_an_answer_at_every_route_that_takes_some(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        serving = running(Config(port=0, data=tmp_path / "data"))
        server = runner.run(serving.__aenter__())
        url = server.address.partition("#")[0].rstrip("/")

        async def begin() -> tuple[aiohttp.ClientSession, str, str]:
            session = aiohttp.ClientSession()
            workspace_id, keys = await create_workspace(session, url)
            return session, workspace_id, keys["owner"]

        session, workspace_id, key = runner.run(begin())

        async def send(path: str, body: object) -> None:
            method = "PATCH" if path.endswith("}") else "POST"
            headers = {"Authorization": f"Bearer {key}"}
            async with session.request(
                method, url + filled(path, workspace_id), json=body, headers=headers
            ) as response:
                await assert_answered(response, (path, body))

        @settings(derandomize=True, max_examples=50, deadline=None)
        @given(
            path=st.sampled_from(sorted(FIELDS)),
            body=JSON
            | st.dictionaries(st.sampled_from(("title", "files", "role", "name", "person", "expires_at_ms")), JSON),
        )
        def try_it(path: str, body: object) -> None:
            runner.run(send(path, body))

        try:
            try_it()
        finally:
            runner.run(session.close())
            runner.run(serving.__aexit__(None, None, None))
