"""The page's files over HTTP: types, caches, packed siblings, and the policy that holds the sandbox."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from carets.config import Config
from carets.edges import pages
from carets.edges.headers import HEADERS
from carets.server import Running, running

WASM = b"\0asm\1\0\0\0" + bytes(4000)


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page as the build leaves it, in small."""
    page = tmp_path / "page"
    files = {
        "index.html": b"<html><head></head></html>",
        "secret": b"secret",
        "worker.js": b"// worker",
        "run/frame-0123456789ab.html": b"<!doctype html>",
        "run/frame.html": b"<!doctype html>",
        "run/frame-unpackaged00.html": b"<!doctype html>",
        "run/python-0123456789ab.js": b"// python",
        "run/pyodide-314.0.7/pyodide.mjs": b"// pyodide",
        "run/pyodide-314.0.7/pyodide.asm.wasm": WASM,
        "run/pyodide-314.0.7/python_stdlib.zip": b"PK",
        "run/pyodide-314.0.7/deep/er": b"deeper",
    }
    for name, content in files.items():
        (page / name).parent.mkdir(parents=True, exist_ok=True)
        (page / name).write_bytes(content)
    packed = page / "run/pyodide-314.0.7/pyodide.asm.wasm.gz"
    packed.write_bytes(gzip.compress(WASM))
    monkeypatch.setattr(pages, "PAGE", page)
    return page


@pytest.fixture
async def url(server: Running) -> str:
    return server.address.rstrip("/")


@pytest.mark.parametrize(
    "name,kind,lasts",
    [
        ("frame-0123456789ab.html", "text/html", True),
        ("frame.html", "text/html", False),
        ("frame-unpackaged00.html", "text/html", False),
        ("python-0123456789ab.js", "text/javascript", True),
        ("pyodide-314.0.7/pyodide.mjs", "text/javascript", True),
        ("pyodide-314.0.7/pyodide.asm.wasm", "application/wasm", True),
        ("pyodide-314.0.7/python_stdlib.zip", "application/zip", True),
    ],
)
async def test_the_sandbox_gets_its_files(
    url: str, http: aiohttp.ClientSession, name: str, kind: str, *, lasts: bool
) -> None:
    async with http.get(f"{url}/run/{name}", headers={"Origin": "null"}) as response:
        assert (response.status, response.content_type) == (200, kind)
        headers = response.headers
    assert ("immutable" in headers["Cache-Control"]) == lasts
    assert lasts or headers["Cache-Control"] == "no-cache"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'; ")


async def test_webassembly_travels_packed_to_those_who_take_it(url: str, http: aiohttp.ClientSession) -> None:
    wasm = f"{url}/run/pyodide-314.0.7/pyodide.asm.wasm"
    for taken, encoding in (("gzip, deflate", "gzip"), ("identity", None)):
        async with http.get(wasm, headers={"Accept-Encoding": taken}) as response:
            assert response.headers.get("Content-Encoding") == encoding
            assert response.content_type == "application/wasm"
            assert await response.read() == WASM


async def test_the_service_worker_is_asked_for_again(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(url + "/worker.js") as response:
        assert (response.status, response.content_type) == (200, "text/javascript")
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
        etag = response.headers["ETag"]
    async with http.get(url + "/worker.js", headers={"If-None-Match": etag}) as response:
        assert response.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "/run/none.js",
        "/run/..%2Fsecret",
        "/run/%2e%2e/secret",
        "/run/x/..%2F..%2Fsecret",
        "/run/pyodide-314.0.7",
        "/run/pyodide-314.0.7/",
        "/run/pyodide-314.0.7/deep/er",
        "/run/pyodide-314.0.7/deep%2Fer",
        "/run/pyodide-314.0.7/%00",
        "/run/" + "x" * 300,
        "/run/",
        "/run/.",
        "/assets/%2e%2e",
    ],
)
async def test_nothing_else_can_be_named(server: Running, url: str, http: aiohttp.ClientSession, path: str) -> None:
    # By hand, since clients tidy such addresses before they send them.
    async with http.get(URL(url + path, encoded=True)) as response:
        assert response.status == 404
        assert "secret" not in await response.text()


async def test_the_page_may_hold_the_frame_and_its_worker(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(url + "/") as response:
        policy = response.headers["Content-Security-Policy"]
    for words in ("frame-src 'self'", "worker-src 'self'", "frame-ancestors 'none'", "connect-src 'self'"):
        assert words in policy


def directive(policy: str, name: str) -> list[str]:
    """The sources of one directive."""
    return next(words[1:] for words in map(str.split, policy.split(";")) if words[0] == name)


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[str]:
    """A server with an address of its own outside."""
    config = Config(port=0, data=tmp_path / "data", public_url="https://code.example.org:8443", base_path="/carets")
    async with running(config) as server:
        yield f"http://127.0.0.1:{server.port}"


async def test_the_sandbox_may_reach_its_own_files_by_name_only(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(url + "/run/frame.html") as response:
        policy = response.headers["Content-Security-Policy"]
    own = f"{url.removeprefix('http://')}/run/"
    assert directive(policy, "connect-src") == [own]
    assert directive(policy, "script-src") == [own, "blob:", "'unsafe-eval'", "'wasm-unsafe-eval'"]
    assert directive(policy, "worker-src") == ["blob:"]
    assert "'self'" not in policy.replace("frame-ancestors 'self'", "")


async def test_behind_a_proxy_the_policy_has_the_public_name_too(behind: str, http: aiohttp.ClientSession) -> None:
    for host in ("code.example.org:8443", "127.0.0.1:8040"):
        async with http.get(behind + "/carets/run/frame.html", headers={"Host": host}) as response:
            policy = response.headers["Content-Security-Policy"]
        expected = dict.fromkeys([f"{host}/carets/run/", "code.example.org:8443/carets/run/"])
        assert directive(policy, "connect-src") == list(expected)


@pytest.mark.parametrize("host", ["[::1]:8040", "localhost:80;script-src *", "localhost:80 *", "localhost:"])
async def test_a_host_that_a_policy_cannot_name_is_not_in_it(url: str, http: aiohttp.ClientSession, host: str) -> None:
    async with http.get(url + "/run/frame.html", headers={"Host": host}) as response:
        policy = response.headers.get("Content-Security-Policy", "")
        if response.status != 200:
            return
    assert directive(policy, "connect-src") == []
    assert "*" not in policy
