"""The audit log: what is in it, on whose word, and that it never holds a key."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from carets.audit import Action
from carets.errors import Code
from carets.server import Running
from tests.peer import connect, create_workspace, join

OPERATING = Path(__file__).parent.parent / "docs" / "OPERATING.md"


class Entries(list[dict[str, Any]]):
    """What the server's audit was told, with a way to wait for it."""

    def __init__(self, server: Running) -> None:
        super().__init__()
        self._more = asyncio.Event()
        server.lobby.around.audit._take = self._add

    def _add(self, action: str, fields: dict[str, object]) -> None:
        self.append({"action": action, **fields})
        self._more.set()

    async def until(self, action: str, count: int) -> None:
        async with asyncio.timeout(10):
            while len(told(self, action)) < count:
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def entries(server: Running) -> Entries:
    return Entries(server)


def told(entries: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """The entries of these actions, whose connection and address are known."""
    found = [entry for entry in entries if entry["action"] in names]
    for entry in found:
        assert len(entry["connection"]) == 10
        assert entry["address"] == "127.0.0.1"
    return found


async def test_what_owners_do_is_told_with_the_link_by_which_they_came(
    server: Running, http: aiohttp.ClientSession, entries: Entries
) -> None:
    url = server.address.rstrip("/")
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    (made,) = told(entries, "workspace_created")
    assert (made["workspace"], made["files"]) == (workspace_id, 1)
    api = f"{url}/api/workspaces/{workspace_id}"
    owner = {"Authorization": f"Bearer {keys['owner']}"}
    async with http.post(f"{api}/links", json={"role": "editor"}, headers=owner) as response:
        link_id = (await response.json())["link_id"]
    async with http.get(f"{api}/links", headers=owner) as response:
        links = {link["role"]: link["link_id"] for link in (await response.json())["links"][:3]}
    await http.patch(api, json={"title": "Other"}, headers=owner)
    await http.delete(f"{api}/links/{link_id}", headers=owner)
    await http.post(f"{api}/files", json={"files": {"b.py": "", "c.py": ""}}, headers=owner)
    await http.get(f"{api}/export.zip", headers=owner)
    await http.delete(api, headers=owner)
    await http.post(f"{api}/restore", headers=owner)
    done = [entry for entry in entries if entry.get("link") == links["owner"]]
    assert [entry["action"] for entry in told(done, *get_args(Action))] == [
        *("link_made", "workspace_renamed", "link_revoked", "files_imported", "workspace_exported"),
        *("workspace_deleted", "workspace_restored"),
    ]
    assert all(entry["workspace"] == workspace_id for entry in done)
    assert len({entry["connection"] for entry in done}) == len(done), "each request has an id of its own"
    assert [entry["target"] for entry in told(done, "link_made", "link_revoked")] == [link_id, link_id]
    assert not [key for key in keys.values() if key in str(entries)]


async def test_who_comes_and_goes_is_told_with_role_and_link(
    server: Running, http: aiohttp.ClientSession, entries: Entries
) -> None:
    url = server.address.rstrip("/")
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    async with connect(url, workspace_id, keys["editor"], person="forged") as peer:
        member_id = peer.welcome["member_id"]
        author = peer.welcome["author"]
    stock = await http.ws_connect(f"{url}/yjs/{workspace_id}/a.py", protocols=("yjs", keys["viewer"]))
    await stock.close()
    await entries.until("member_left", 2)
    came, stock_came = told(entries, "member_joined")
    (forged,) = told(entries, "token_forged")
    left, stock_left = told(entries, "member_left")
    assert (came["member"], came["role"], came["person"]) == (member_id, "editor", author)
    assert (stock_came["role"], stock_came["person"]) == ("viewer", f"link:{stock_came['link']}")
    for key in ("connection", "workspace", "link", "member"):
        assert came[key] == forged[key] == left[key]
        assert stock_came[key] == stock_left[key]
    assert left["reason"] == "closed by peer: 1000"


async def test_a_link_whose_time_is_over_is_told_once(
    server: Running, http: aiohttp.ClientSession, entries: Entries
) -> None:
    url = server.address.rstrip("/")
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    owner = {"Authorization": f"Bearer {keys['owner']}"}
    links = f"{url}/api/workspaces/{workspace_id}/links"
    ends_at_ms = server.lobby.around.now_ms() + 500
    async with http.post(links, json={"role": "viewer", "expires_at_ms": ends_at_ms}, headers=owner) as response:
        made = await response.json()
    key = made["url"].split("#key=")[1]
    peers = [await join(http, url, workspace_id, key) for _ in range(2)]
    assert [await peer.until_closed() for peer in peers] == [Code.LINK_EXPIRED] * 2
    await entries.until("member_left", 2)
    ended = [entry for entry in entries if entry["action"] == "link_expired"]
    assert [(entry["workspace"], entry["target"]) for entry in ended] == [(workspace_id, made["link_id"])]
    assert "connection" not in ended[0], "nobody did it"
    for peer in peers:
        await peer.close()


async def test_refusals_of_rights_are_told_and_others_are_not(
    server: Running, http: aiohttp.ClientSession, entries: Entries
) -> None:
    url = server.address.rstrip("/")
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    api = f"{url}/api/workspaces/{workspace_id}"
    await http.get(f"{api}/links", headers={"Authorization": "Bearer wrong"})
    await http.get(f"{api}/links", headers={"Authorization": f"Bearer {keys['editor']}"})
    await http.get(f"{url}/api/server", headers={"Host": "evil.example"})
    await (await http.ws_connect(f"{url}/yjs/{workspace_id}/a.py?key={keys['owner']}")).receive()
    async with connect(url, workspace_id, keys["viewer"]) as viewer:
        await viewer.ask(type="create_file", path="b.py")
        replica = await viewer.open_file(1)
        replica.append("typed all the same")
        await viewer.until(lambda: len(viewer.refusals) == 2)
    codes = [int(entry["error"].split()[0]) for entry in told(entries, "refused")]
    assert codes == [
        *(Code.KEY_WRONG, Code.ROLE_TOO_LOW, Code.HOST_UNKNOWN, Code.OWNER_KEY_IN_QUERY),
        *(Code.ROLE_TOO_LOW, Code.ROLE_TOO_LOW),
    ]
    async with http.get(f"{url}/api/workspaces/{'A' * 16}/links") as response:
        assert response.status == 404
    assert len(told(entries, "refused")) == len(codes)
    assert not [key for key in keys.values() if key in json.dumps(entries)]


async def test_a_refused_name_or_site_is_told_as_far_as_it_is_plain(
    server: Running, http: aiohttp.ClientSession, entries: Entries
) -> None:
    """The log said 4437 and 4446, and not of what: so nobody knew which name to give to --public-url."""
    url = f"{server.address}api/server"
    for host in ("code.lan:8040", "user@code.lan"):
        async with http.get(url, headers={"Host": host}) as response:
            assert response.status == 421
            assert host not in await response.text()
    for origin in ("https://lms.example", "null", "https://lms.example/" + "k" * 22):
        async with http.post(url, headers={"Origin": origin}) as response:
            assert response.status == 403
    assert [(entry.get("host"), entry.get("origin")) for entry in told(entries, "refused")] == [
        *(("code.lan:8040", None), (None, None)),
        *((None, "https://lms.example"), (None, "null"), (None, None)),
    ]


def test_every_action_is_in_the_operators_page() -> None:
    page = OPERATING.read_text()
    assert not [action for action in get_args(Action) if f"`{action}`" not in page]
