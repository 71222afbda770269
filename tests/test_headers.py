"""What every answer tells browsers: no other site may show, read or time it, and nothing keeps what is in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from carets.config import Config
from carets.edges.headers import HEADERS
from carets.errors import Code
from carets.server import Running, running
from tests.peer import create_workspace
from tests.test_tls import pair, trusting


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> list[web.RouteDef]:
    """The routes of the server that is started next."""
    found: list[web.RouteDef] = []
    add = web.Application.add_routes

    def note(app: web.Application, routes: list[web.RouteDef]) -> list[web.AbstractRoute]:
        found.extend(routes)
        return add(app, routes)

    monkeypatch.setattr(web.Application, "add_routes", note)
    return found


def look(response: aiohttp.ClientResponse) -> None:
    """It has all headers, and what it says itself is no weaker."""
    is_sandbox = response.headers["Content-Security-Policy"].startswith("sandbox allow-scripts;")
    its_own = {"Content-Security-Policy", "Cross-Origin-Resource-Policy"} if is_sandbox else set()
    for name in HEADERS.keys() - its_own - {"Cache-Control"}:
        assert response.headers.getall(name) == [HEADERS[name]], (response.url, name)
    is_of_the_page = response.content_type in ("text/html", "text/javascript")
    assert response.headers["Cache-Control"] == "no-store" or is_of_the_page, response.url
    assert "Strict-Transport-Security" not in response.headers


async def test_every_route_answers_with_the_headers(
    routes: list[web.RouteDef], server: Running, http: aiohttp.ClientSession
) -> None:
    url = server.address.rstrip("/")
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    words = {"workspace_id": workspace_id, "link_id": "A" * 12, "name": "frame.html", "path": "a.py"}
    assert len(routes) > 20
    statuses = set()
    # Deleting comes last, else all else would be gone.
    for route in sorted(routes, key=lambda route: route.method == "DELETE"):
        path = re.sub(r"\{(\w+)[^}]*\}", lambda found: words.get(found[1], "x"), route.path)
        for token in ("", keys["owner"], server.tokens.admin.value):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with http.request(route.method, url + path, headers=headers, json={}) as response:
                look(response)
                statuses.add(response.status)
    assert {200, 201, 204, 400, 401, 403, 404, 410} <= statuses


async def test_what_does_not_exist_is_told_with_a_number(server: Running, http: aiohttp.ClientSession) -> None:
    url = server.address.rstrip("/")
    for method, path, status, code in (
        ("GET", "/none", 404, Code.ADDRESS_UNKNOWN),
        ("GET", "/api/none", 404, Code.ADDRESS_UNKNOWN),
        ("GET", "/assets/none.js", 404, Code.ADDRESS_UNKNOWN),
        ("PUT", "/api/workspaces", 405, Code.METHOD_UNKNOWN),
        ("POST", "/", 405, Code.METHOD_UNKNOWN),
    ):
        async with http.request(method, url + path) as response:
            look(response)
            assert response.status == status
            error = (await response.json())["error"]
            assert (error["code"], error["name"]) == (code, code.name.lower())
            assert error["text"]
            if status == 405:
                assert response.headers["Allow"]


async def test_refusals_at_the_door_have_the_headers(server: Running, http: aiohttp.ClientSession) -> None:
    for headers, status in (({"Host": "evil.example"}, 421), ({"Expect": "cake"}, 400)):
        async with http.post(server.address, headers=headers) as response:
            assert response.status == status
            look(response)


async def test_a_request_that_cannot_be_read_is_told_so_with_the_headers(server: Running) -> None:
    for broken in (
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(broken)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.close()
        assert re.match(r"HTTP/1\.[01] 400 ", head), head
        assert not [name for name, value in HEADERS.items() if f"\r\n{name}: {value}\r\n" not in head]


# -- frames


def ancestors(policy: str) -> list[str]:
    return next(part.split()[1:] for part in policy.split(";") if part.split()[0] == "frame-ancestors")


async def test_only_named_sites_may_show_the_page_and_the_sandbox_in_it(
    tmp_path: Path, server: Running, http: aiohttp.ClientSession
) -> None:
    async with http.get(server.address) as response:
        assert ancestors(response.headers["Content-Security-Policy"]) == ["'none'"]
    names = ("https://a.example", "http://b.example:81")
    async with running(Config(port=0, data=tmp_path / "framed", frame_ancestors=names)) as framed:
        async with http.get(framed.address) as response:
            policy = response.headers["Content-Security-Policy"]
            assert ancestors(policy) == list(names)
            assert (
                policy.partition("frame-ancestors")[0]
                == HEADERS["Content-Security-Policy"].partition("frame-ancestors")[0]
            )
        sandbox = next((Path("src/carets/page") / "run").glob("frame-*.html"), None)
        if sandbox is None:
            pytest.skip("no page is built: CARETS_SKIP_PAGE")
        async with http.get(f"{framed.address}run/{sandbox.name}") as response:
            # Every ancestor counts, so also the one around ours.
            assert ancestors(response.headers["Content-Security-Policy"]) == ["'self'", *names]


# -- HSTS

HSTS = "Strict-Transport-Security"


async def test_hsts_is_told_over_https_when_it_was_asked_for(tmp_path: Path) -> None:
    given = pair(tmp_path, "given")
    for wanted in (True, False):
        config = given.config
        config = Config(port=0, data=config.data, tls_cert=config.tls_cert, tls_key=config.tls_key, hsts=wanted)
        connector = aiohttp.TCPConnector(ssl=trusting(given.cert))
        async with running(config) as server, aiohttp.ClientSession(connector=connector) as http:
            for path in ("", "none", "api/server"):
                async with http.get(server.address + path) as response:
                    assert response.headers.get(HSTS) == ("max-age=31536000" if wanted else None)


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Running]:
    """A server behind a proxy that speaks HTTPS."""
    async with running(Config(port=0, data=tmp_path / "behind", public_url="https://c.example", hsts=True)) as server:
        yield server


async def test_hsts_behind_a_proxy_is_for_its_name_only(behind: Running, http: aiohttp.ClientSession) -> None:
    url = URL(f"http://127.0.0.1:{behind.port}/healthz")
    async with http.get(url, headers={"Host": "C.example"}) as response:
        assert response.headers[HSTS] == "max-age=31536000"
    async with http.get(url) as response:
        assert HSTS not in response.headers, "who speaks plain HTTP with this machine must not be told"
