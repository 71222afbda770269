"""Pages of other sites, in the browser of somebody who has links: foreign origins and rebound names."""

from __future__ import annotations

import json

import pytest

from carets.errors import Code
from tests.attacks.scene import Scene, error_of, http_answer

EVIL = "http://evil.example"

ORIGINS = [
    EVIL,
    "null",
    "http://localhost.evil.example",
    "http://localhost:1",
    "file://",
    "",
]


async def upgrade(scene: Scene, path: str, **headers: str) -> tuple[int, int]:
    """Ask for a WebSocket as a browser does: the status, and the number of the error or 0."""
    asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    asked |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "carets.v1"}
    async with scene.http.get(scene.url + path, headers=asked | headers) as response:
        told = response.status, await error_of(response)
        response.close()
        return told


@pytest.mark.parametrize("origin", ORIGINS)
async def test_no_page_of_another_site_speaks_through_somebodys_browser(scene: Scene, origin: str) -> None:
    """Somebody in the office opens evil.example, whose script connects to the Carets of the office.

    Browsers let any page open a WebSocket anywhere, and post forms: on a server that listens to its network only, or
    with --open, that page would read and write all. Browsers say whose page it is: 4446, at both doors and for every
    call that changes something; a sandbox or file ("null") is no page of ours either.
    """
    told = origin.format(port=scene.server.port)
    refused = http_answer(Code.ORIGIN_FOREIGN)
    assert await upgrade(scene, f"/ws/{scene.workspace_id}", Origin=told) == refused
    assert await upgrade(scene, f"/yjs/{scene.workspace_id}/a.py?key={scene.keys['editor']}", Origin=told) == refused
    headers = {"Origin": told}
    for method, url in (("POST", f"{scene.url}/api/workspaces"), ("DELETE", scene.api), ("POST", f"{scene.api}/files")):
        assert await scene.call(method, url, "owner", headers=headers, json={}) == refused


async def test_a_page_of_another_site_reads_no_answer(scene: Scene) -> None:
    """evil.example asks for the list of links, of which GET changes nothing, and for leave to send its own headers.

    What it may not read it cannot use: no answer names its origin, and the question before a call with a key is not
    answered with a yes.
    """
    for url in (f"{scene.api}/links", f"{scene.url}/api/server", f"{scene.url}/"):
        async with scene.http.get(url, headers={"Origin": EVIL}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
    asked = {
        "Origin": EVIL,
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization",
    }
    async with scene.http.options(scene.api, headers=asked) as response:
        assert response.status >= 400
        assert not [name for name in response.headers if name.startswith("Access-Control-Allow")]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_form_of_another_site_creates_nothing(scene: Scene, content_type: str) -> None:
    """evil.example posts a form or a text to /api/workspaces, for which a browser asks nobody.

    On loopback creating takes no token, so that each visit would fill the disk. A body that a form can send is no body
    here (4440), also where no Origin comes with it.
    """
    rooms = len(scene.server.lobby.rooms)
    headers = {"Content-Type": content_type}
    answer = await scene.call("POST", f"{scene.url}/api/workspaces", data=b'{"title":"x"}', headers=headers)
    assert answer == http_answer(Code.BODY_MALFORMED)
    assert len(scene.server.lobby.rooms) == rooms


NAMES = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "evil.example#localhost",
    "localhost@evil.example",
    "evil.example\\@localhost",
    "localhost\t.evil.example",
    "0x7f.1.evil.example",
    "xn--lcalhost-54a",
    "localhost, evil.example",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_was_rebound_to_us_is_not_ours(scene: Scene, name: str) -> None:
    """evil.example answers DNS with its own address first, then with 127.0.0.1: its page is then of the same origin.

    Origin and Host agree, so that no check of origins helps; the page would read and write as if it were ours. A server
    answers only to addresses, to localhost and to its public name: 4437, at every door but the two that tell
    nobody anything, whether it lives and whether it is ready.
    """
    host = name.format(port=scene.server.port)
    for path in (
        "/",
        "/api/server",
        f"/ws/{scene.workspace_id}",
        "/api/admin/describe",
        "/worker.js",
        "/run/x",
        "/metrics",
    ):
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\r\n"
        answer = await scene.raw(request.encode())
        if answer.startswith(b"HTTP/1.1 421"):
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == Code.HOST_UNKNOWN
        else:
            assert b" 400 " in answer.split(b"\r\n", 1)[0], answer[:100]


async def test_a_request_with_two_hosts_or_a_whole_address_is_not_let_in_by_the_other(scene: Scene) -> None:
    """Mallory sends two Host headers, or a foreign address in the request line with our Host beside it.

    A check that reads one and a proxy that reads the other would disagree. Two are no request; and an address in the
    line brings nobody anywhere but to our own pages.
    """
    two = b"GET /api/server HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    answer = await scene.raw(two)
    assert answer.split(b" ", 2)[1] in (b"400", b"421"), answer[:200]
    whole = b"GET http://evil.example/api/server HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert (await scene.raw(whole)).split(b" ", 2)[1] == b"421"


async def test_forwarded_headers_of_a_stranger_are_not_believed(scene: Scene) -> None:
    """Mallory sends X-Forwarded-Host and -For, as proxies do, to be taken for somebody at a trusted name and address.

    Without --trusted-proxy nobody's are read: links are told with the address that was asked, and the Host counts.
    """
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.1"}
    async with scene.http.post(f"{scene.url}/api/workspaces", json={}, headers=forged) as response:
        links = (await response.json())["links"]
    assert all(link.startswith(f"{scene.url}/w/") for link in links.values())
    answer = await scene.call("GET", f"{scene.url}/api/server", headers={**forged, "Host": "evil.example"})
    assert answer == http_answer(Code.HOST_UNKNOWN)
