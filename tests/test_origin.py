"""Pages of other sites, in the browser of somebody who can reach this server: they act by no road, and read nothing.

A browser sends ``Origin`` with every upgrade and with whatever changes something, and no page can write it; these
tests write what a browser would.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from carets.config import Config
from carets.errors import Code
from carets.server import Running, running
from tests.peer import Peer, connect, create_workspace, join

FRIEND = "https://friend.example:8443"

FOREIGN = [
    "http://evil.example",
    "https://evil.example",
    "null",
    "",
    "file://",
    "http://localhost",  # another port is another site
    "http://localhost:1",
    "http://127.0.0.1.evil.example:{port}",
    "http://evil.example/http://localhost:{port}",
    "http://localhost:{port}@evil.example",
    "http://localhost:{port}/",
    "http://localhost.:{port}",
    "http://localhost:{port}, http://evil.example",
    "http://user@localhost:{port}",
    "chrome-extension://localhost:{port}",
    "ws://localhost:{port}",
    "//localhost:{port}",
    "localhost:{port}",
    "http://[::1]:{port}",
    "http://friend.example:8443",
    "https://friend.example",
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Config(port=0, data=tmp_path / "data", allow_origin=(FRIEND,))) as server:
        yield server


@pytest.fixture
def url(server: Running) -> str:
    return f"http://localhost:{server.port}"


async def code_of(response: aiohttp.ClientResponse) -> int:
    return int((await response.json())["error"]["code"])


async def upgrade(http: aiohttp.ClientSession, url: str, **headers: str) -> int:
    """The status of an upgrade."""
    asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    asked |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "carets.v1"}
    async with http.get(url, headers=asked | headers) as response:
        if response.status == 403:
            assert await code_of(response) == Code.ORIGIN_FOREIGN
        response.close()
        return response.status


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_page_acts_by_no_road_and_nobody_notices(
    server: Running, url: str, http: aiohttp.ClientSession, origin: str
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    async with connect(url, workspace_id, keys["editor"]) as bystander:
        text = await bystander.open_file(1)
        text.append("before ")
        headers = {"Origin": origin.format(port=server.port), "Authorization": f"Bearer {keys['owner']}"}
        assert await upgrade(http, f"{url}/ws/{workspace_id}", **headers) == 403
        assert await upgrade(http, f"{url}/yjs/{workspace_id}/a.py?key={keys['editor']}", **headers) == 403
        text.append("during ")
        one = f"{url}/api/workspaces/{workspace_id}"
        for method, at in (
            ("POST", f"{url}/api/workspaces"),
            ("PATCH", one),
            ("DELETE", one),
            ("PUT", one),
            ("POST", f"{one}/links"),
            ("POST", f"{one}/files"),
            ("POST", f"{one}/nowhere"),
        ):
            async with http.request(method, at, json={}, headers=headers) as response:
                assert (response.status, await code_of(response)) == (403, Code.ORIGIN_FOREIGN), (method, at)
                assert "Access-Control-Allow-Origin" not in response.headers
        async with http.get(f"{one}/links", headers=headers) as response:
            assert response.status == 200, "whoever sends a key can read: a page cannot, without an answer to OPTIONS"
            assert "Access-Control-Allow-Origin" not in response.headers
            assert response.headers["Vary"] == "Origin"
        text.append("after")
        await bystander.until_saved()
        assert str(text) == "before during after"
        assert (bystander.refusals, len(bystander.members)) == ([], 1)


async def test_our_own_pages_and_those_allowed_act(server: Running, url: str, http: aiohttp.ClientSession) -> None:
    for origin, host in (
        (url, f"localhost:{server.port}"),
        (f"http://LOCALHOST:{server.port}", f"localhost:{server.port}"),
        (f"http://127.0.0.1:{server.port}", f"127.0.0.1:{server.port}"),
        (f"https://127.0.0.1:{server.port}", f"127.0.0.1:{server.port}"),  # a proxy that we were not told of has TLS
        ("https://127.0.0.1", "127.0.0.1"),
        ("https://127.0.0.1", "127.0.0.1:443"),
        ("http://127.0.0.1", "127.0.0.1:80"),
        ("http://[::1]:8040", "[::1]:8040"),
        (FRIEND, f"localhost:{server.port}"),
    ):
        headers = {"Origin": origin, "Host": host}
        async with http.post(f"{url}/api/workspaces", json={}, headers=headers) as response:
            assert response.status == 201, (origin, host)
            workspace_id = (await response.json())["workspace_id"]
        assert await upgrade(http, f"{url}/ws/{workspace_id}", **headers) == 101, (origin, host)


async def test_who_is_no_page_acts(url: str, http: aiohttp.ClientSession) -> None:
    workspace_id, keys = await create_workspace(http, url)
    peer: Peer = await join(http, url, workspace_id, keys["editor"])
    await peer.close()


async def test_two_origins_are_none(url: str, http: aiohttp.ClientSession) -> None:
    for pair in ((FRIEND, "https://evil.example"), (FRIEND, FRIEND)):
        headers = [("Origin", origin) for origin in pair]
        async with http.post(f"{url}/api/workspaces", json={}, headers=headers) as response:
            assert response.status in (400, 403)


# -- CORS


async def test_an_allowed_page_asks_and_reads(url: str, http: aiohttp.ClientSession) -> None:
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization,content-type"
    async with http.options(f"{url}/api/workspaces", headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == FRIEND
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        assert response.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in response.headers
    for path, status in (("/api/server", 200), ("/api/workspaces/nowhere/links", 404)):
        async with http.get(url + path, headers={"Origin": FRIEND}) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == FRIEND, "errors are read, too"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://friend.example"])
async def test_a_foreign_page_that_asks_gets_no_answer(url: str, http: aiohttp.ClientSession, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with http.options(f"{url}/api/workspaces", headers=asked) as response:
        assert response.status == 405
        assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_without_allowed_origins_nothing_is_shared(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with running(Config(port=0, data=tmp_path / "other")) as server:
        asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
        for call in (http.options, http.get):
            async with call(f"{server.address}api/server", headers=asked) as response:
                assert not [name for name in response.headers if name.startswith("Access-Control")]
                assert "Vary" not in response.headers


# -- behind proxies, below paths


async def test_a_public_address_counts_where_a_proxy_changes_host(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    config = Config(
        port=0, data=tmp_path / "data", create="open", public_url="https://code.example.org", base_path="/carets"
    )
    async with running(config) as server:
        for path in ("/carets/api/workspaces", "/api/workspaces"):
            url = f"http://127.0.0.1:{server.port}{path}"
            for origin, status in (
                ("https://code.example.org", 201),
                ("https://code.example.org:443", 201),
                ("http://code.example.org", 403),
                ("https://code.example.org:444", 403),
                ("https://code.example.org.evil.example", 403),
            ):
                async with http.post(url, json={}, headers={"Origin": origin}) as response:
                    assert response.status == status, origin
        headers = {"Origin": "https://evil.example"}
        assert await upgrade(http, f"http://127.0.0.1:{server.port}/carets/ws/x", **headers) == 403


async def test_where_the_client_is_known_to_speak_https_a_page_of_http_is_foreign(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    config = Config(port=0, data=tmp_path / "data", trusted_proxy=(ipaddress.ip_network("127.0.0.1"),))
    async with running(config) as server:
        for scheme, status in (("https", 201), ("http", 403)):
            headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "192.0.2.7"}
            headers["Origin"] = f"{scheme}://192.0.2.7"
            async with http.post(f"{server.address}api/workspaces", json={}, headers=headers) as response:
                assert response.status == status
