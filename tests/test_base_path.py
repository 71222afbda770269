"""Carets below a path: behind a proxy that strips it, behind one that does not, and without any."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from carets.config import TOP_NAMES, Config
from carets.edges import pages
from carets.edges.listener import Listener
from carets.edges.site import Site
from carets.engines.sqlite_inventory import SqliteInventory
from carets.rooms.steward import Steward
from carets.server import Running, running
from tests.peer import connect, create_workspace
from tests.proxy import proxied

BASE = "/team/carets"
STEP_1 = b"\x00\x00\x01\x00"
"""y-protocols' "what do you have", from one who has nothing."""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Config(port=0, data=tmp_path / "data", base_path=BASE)) as server:
        yield server


@pytest.fixture(params=["strips", "keeps", "direct", "direct, without"])
async def url(request: pytest.FixtureRequest, server: Running) -> AsyncIterator[str]:
    """The address below which everything is, as whoever is outside sees it."""
    if request.param.startswith("direct"):
        origin = f"http://127.0.0.1:{server.port}"
        yield origin if "without" in request.param else origin + BASE
        return
    async with proxied(server.port, BASE, strips=request.param == "strips") as origin:
        yield origin + BASE


async def test_everything_is_below_the_base_path(url: str, http: aiohttp.ClientSession) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": "x\n"})
    async with connect(url, workspace_id, keys["editor"]) as peer, connect(url, workspace_id, keys["viewer"]) as other:
        (await peer.open_file(1)).append("y\n")
        replica = await other.open_file(1)
        await other.until(lambda: str(replica) == "x\ny\n")
    bearer = {"Authorization": f"Bearer {keys['editor']}"}
    async with http.get(f"{url}/api/workspaces/{workspace_id}/export.zip", headers=bearer) as response:
        with zipfile.ZipFile(io.BytesIO(await response.read())) as archive:
            assert archive.read("a.py") == b"x\ny\n"
    async with http.ws_connect(f"{url}/yjs/{workspace_id}/a.py?key={keys['viewer']}") as socket:
        await socket.send_bytes(STEP_1)
        assert (await socket.receive()).type is aiohttp.WSMsgType.BINARY
    for path in ("/healthz", "/readyz", "/metrics", "/api/server"):
        async with http.get(url + path) as response:
            assert response.status == 200


async def test_told_addresses_have_the_base_path(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(url + "/api/workspaces", json={}) as response:
        told = await response.json()
    origin = url.removesuffix(BASE)
    for link in told["links"].values():
        assert link.startswith(f"{origin}{BASE}/w/{told['workspace_id']}#key=")
    owner = {"Authorization": "Bearer " + told["links"]["owner"].split("#key=")[1]}
    links = f"{url}/api/workspaces/{told['workspace_id']}/links"
    async with http.post(links, json={"role": "viewer"}, headers=owner) as response:
        assert (await response.json())["url"].startswith(f"{origin}{BASE}/w/")


async def test_the_page_and_its_files_are_below_the_base_path(
    url: str, http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", tmp_path)
    (tmp_path / "index.html").write_text("<html><head></head></html>")
    for name in ("assets/a-12345678.js", "worker.js", "run/frame.html", "run/python-1/a.mjs"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
        async with http.get(f"{url}/{name}") as response:
            assert (response.status, await response.text()) == (200, "1")
    for path in ("/", "/w/xxxxxxxxxxxx"):
        async with http.get(url + path) as response:
            assert f'<base href="{BASE}/" />' in await response.text()


async def test_the_base_path_without_its_slash_leads_to_it(server: Running, http: aiohttp.ClientSession) -> None:
    for query in ("", "?key=a"):
        url = f"http://127.0.0.1:{server.port}{BASE}{query}"
        async with http.get(url, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (308, f"{BASE}/")


async def test_the_printed_address_has_the_base_path(server: Running, tmp_path: Path) -> None:
    assert server.address == f"http://127.0.0.1:{server.port}{BASE}/"
    config = Config(port=0, data=tmp_path / "other", base_path=BASE, public_url="https://code.example.org")
    async with running(config) as other:
        assert other.address.startswith(f"https://code.example.org{BASE}/#create=")


async def test_no_base_path_can_hide_an_address_of_ours(server: Running) -> None:
    steward = Steward(server.lobby, SqliteInventory(server.lobby.around.store))  # type: ignore[arg-type]
    listener = Listener(server.lobby, Site(), steward, server.tokens)
    ours = {resource.canonical.split("/")[1] for resource in listener._runner.app.router.resources()}
    assert ours - {""} == set(TOP_NAMES)
