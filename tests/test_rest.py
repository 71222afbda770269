"""Plain HTTP: workspaces, links, the server's own state, the page."""

from __future__ import annotations

import errno
from pathlib import Path

import aiohttp
import pytest

import carets
from carets import limits
from carets.config import Config
from carets.edges import pages
from carets.edges.call import error_response
from carets.edges.port import why_not
from carets.errors import TABLE, CaretsError, Code
from carets.server import Running, running
from tests.peer import connect, create_workspace


@pytest.fixture
def url(server: Running) -> str:
    return server.address.rstrip("/")


@pytest.fixture
async def bearer(url: str, http: aiohttp.ClientSession) -> tuple[str, dict[str, str]]:
    """The address of a workspace's links, and its owner's header."""
    workspace_id, keys = await create_workspace(http, url, {"a.py": "x"}, title="Ours")
    return f"{url}/api/workspaces/{workspace_id}/links", {"Authorization": f"Bearer {keys['owner']}"}


async def test_a_workspace_is_created_with_its_files_and_links(url: str, http: aiohttp.ClientSession) -> None:
    body = {"title": " Ours\u202e ", "files": {"a.py": "x = 1\r\n", "d/b.md": "é😀"}}
    async with http.post(url + "/api/workspaces", json=body) as response:
        assert (response.status, response.content_type) == (201, "application/json")
        told = await response.json()
    assert (told["title"], set(told), set(told["links"])) == (
        "Ours",
        {"workspace_id", "title", "links"},
        {"owner", "editor", "viewer"},
    )
    for role, link in told["links"].items():
        assert link.startswith(f"{url}/w/{told['workspace_id']}#key=")
        async with connect(url, told["workspace_id"], link.split("#key=")[1]) as peer:
            assert peer.welcome["role"] == role
            assert [file["path"] for file in peer.welcome["files"]] == ["a.py", "d/b.md"]
            assert str(await peer.open_file(1)) == "x = 1\n"
            assert str(await peer.open_file(2)) == "é😀"


async def test_an_empty_workspace_has_a_title(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(url + "/api/workspaces", json={}) as response:
        assert (await response.json())["title"] == "Untitled workspace"


async def test_a_new_title_is_as_long_as_a_title_may_be(
    bearer: tuple[str, dict[str, str]], http: aiohttp.ClientSession
) -> None:
    links, owner = bearer
    body = {"title": "x" * (limits.TITLE_UNITS_MAX + 1)}
    async with http.patch(links.removesuffix("/links"), json=body, headers=owner) as response:
        assert (await response.json())["title"] == "x" * limits.TITLE_UNITS_MAX


async def test_links_are_made_listed_and_revoked(
    bearer: tuple[str, dict[str, str]], http: aiohttp.ClientSession
) -> None:
    links, owner = bearer
    async with http.post(
        links, json={"role": "editor", "name": "class", "expires_at_ms": 2**52}, headers=owner
    ) as response:
        assert response.status == 201
        made = await response.json()
    assert made["url"].startswith(links.split("/api/")[0] + "/w/")
    async with http.get(links, headers=owner) as response:
        listed = (await response.json())["links"]
    assert [link["role"] for link in listed] == ["viewer", "editor", "owner", "editor"]
    assert listed[-1] == {key: value for key, value in made.items() if key != "url"} | {"members": []}
    assert set(listed[0]) == {"link_id", "role", "name", "created_at_ms", "expires_at_ms", "revoked_at_ms", "members"}
    for _ in range(2):
        async with http.delete(f"{links}/{made['link_id']}", headers=owner) as response:
            assert response.status == 204
    async with http.get(links, headers=owner) as response:
        assert (await response.json())["links"][-1]["revoked_at_ms"] > 0


async def test_the_server_says_what_it_is(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(url + "/api/server") as response:
        assert await response.json() == {"build": pages.page_build(), "version": carets.__version__, "create": "open"}


async def test_nothing_is_created_while_draining(server: Running, url: str, http: aiohttp.ClientSession) -> None:
    server.lobby.is_draining = True
    async with http.post(url + "/api/workspaces", json={}) as response:
        assert (await response.json())["error"]["code"] == Code.DRAINING


async def test_a_body_that_comes_compressed_is_the_clients_mistake(url: str, http: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with http.post(url + "/api/workspaces", data=b"no gzip at all", headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, Code.BODY_MALFORMED)


async def test_an_open_server_lets_editors_in_without_a_key_and_owners_never(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with running(Config(port=0, data=tmp_path / "data", open=True)) as server:
        url = server.address.rstrip("/")
        workspace_id, keys = await create_workspace(http, url)
        async with connect(url, workspace_id, "") as peer:
            assert peer.welcome["role"] == "editor"
        async with connect(url, workspace_id, keys["viewer"]) as peer:
            assert peer.welcome["role"] == "viewer"
        async with http.get(f"{url}/api/workspaces/{workspace_id}/links") as response:
            assert response.status == 403


async def test_a_mistake_of_ours_is_told_as_one_and_the_server_goes_on(
    server: Running, url: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("a secret detail")

    with monkeypatch.context() as patch:
        patch.setattr(server.lobby, "create", fail)
        async with http.post(url + "/api/workspaces", json={}) as response:
            assert response.status == 500
            assert "secret" not in await response.text()
    async with http.post(url + "/api/workspaces", json={}) as response:
        assert response.status == 201


async def test_the_page_is_the_same_at_every_depth_and_its_assets_stay(
    url: str, http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", tmp_path)
    async with http.get(url + "/") as response:
        assert response.status == 503
        assert "make serve" in await response.text()
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a-1.js").write_text("1")
    (tmp_path / "secret").write_text("2")
    (tmp_path / "index.html").write_text("<html><head></head></html>")
    for path in ("/", "/w/xxxxxxxxxxxx"):
        async with http.get(url + path) as response:
            assert '<base href="/" />' in await response.text()
            assert response.headers["Cache-Control"] == "no-cache"
    async with http.get(url + "/assets/a-1.js") as response:
        assert "immutable" in response.headers["Cache-Control"]
    for name in ("b.js", "..%2Fsecret", "%2e%2e%2fsecret"):
        async with http.get(f"{url}/assets/{name}") as response:
            assert response.status == 404


def test_a_page_that_was_not_built_has_no_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE", tmp_path)
    assert pages.page_build() == "none"
    (tmp_path / "build.json").write_text("{")
    assert pages.page_build() == "none"


@pytest.mark.parametrize("code", Code)
def test_every_error_has_its_status(code: Code) -> None:
    assert error_response(CaretsError(code)).status == TABLE[code].http_status


@pytest.mark.parametrize(
    "number,words",
    [(errno.EADDRINUSE, "is taken"), (errno.EACCES, "above 1023"), (errno.EADDRNOTAVAIL, "Check --host")],
)
def test_a_port_that_cannot_be_had_is_explained_in_one_line(number: int, words: str) -> None:
    text = why_not(OSError(number, "reason"), "127.0.0.1", 80)
    assert words in text
    assert "\n" not in text
