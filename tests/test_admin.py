"""The operator's API: nobody without the admin token learns anything, and who has it sees every workspace."""

from __future__ import annotations

import aiohttp
import pytest

from carets.errors import Code
from carets.server import Running
from tests.peer import connect, create_workspace

ROUTES = [("GET", "/api/admin/usage"), ("GET", "/api/admin/workspaces")]


@pytest.fixture
def url(server: Running) -> str:
    return server.address.rstrip("/")


@pytest.fixture
def admin(server: Running) -> dict[str, str]:
    """The operator's header."""
    return {"Authorization": f"Bearer {server.tokens.admin.value}"}


@pytest.mark.parametrize("method, path", ROUTES)
@pytest.mark.parametrize("shown", [None, "", "Bearer", "Bearer wrong", "Basic {token}", "Bearer {token}x"])
async def test_whoever_has_not_the_admin_token_is_refused(
    method: str, path: str, shown: str | None, server: Running, url: str, http: aiohttp.ClientSession
) -> None:
    headers = {"Authorization": shown.format(token=server.tokens.admin.value)} if shown is not None else {}
    async with http.request(method, url + path, headers=headers, json={}) as response:
        assert response.status == 401
        assert (await response.json())["error"]["code"] == Code.ADMIN_TOKEN_WRONG


async def test_neither_an_owners_key_nor_the_create_token_administers(
    server: Running, url: str, http: aiohttp.ClientSession
) -> None:
    _, keys = await create_workspace(http, url)
    assert server.tokens.create is None, "on loopback nobody needs one"
    for token in (keys["owner"], "create"):
        async with http.get(url + "/api/admin/usage", headers={"Authorization": f"Bearer {token}"}) as response:
            assert response.status == 401


async def test_the_operator_sees_every_workspace_and_who_is_in_it(
    url: str, http: aiohttp.ClientSession, admin: dict[str, str]
) -> None:
    first, keys = await create_workspace(http, url, {"a.py": "x", "b.py": ""}, title="One")
    second, _ = await create_workspace(http, url, title="Two")
    async with connect(url, first, keys["editor"]) as peer:
        replica = await peer.open_file(1)
        replica.append("y" * 1000)
        await peer.until_saved()
        async with http.get(url + "/api/admin/workspaces", headers=admin) as response:
            told = await response.json()
    assert told["next"] is None
    one, two = told["workspaces"]
    assert (one["workspace_id"], one["title"], one["files"], one["members"]) == (first, "One", 2, 1)
    assert (two["workspace_id"], two["title"], two["files"], two["members"]) == (second, "Two", 0, 0)
    assert one["log_bytes"] > 1000 > two["log_bytes"] == 0
    assert one["changed_at_ms"] > one["created_at_ms"]
    assert two["changed_at_ms"] == two["created_at_ms"]
    async with http.get(f"{url}/api/admin/workspaces?after={one['number']}", headers=admin) as response:
        assert [each["workspace_id"] for each in (await response.json())["workspaces"]] == [second]


async def test_usage_counts_what_is_there(url: str, http: aiohttp.ClientSession, admin: dict[str, str]) -> None:
    await create_workspace(http, url, {"a.py": "x" * 5000})
    async with http.get(url + "/api/admin/usage", headers=admin) as response:
        told = await response.json()
    assert (told["workspaces"], told["deleted_workspaces"], told["files"], told["members"]) == (1, 0, 1, 0)
    assert told["log_bytes"] > 5000
    assert told["store_bytes"] >= told["free_bytes"] >= 0
