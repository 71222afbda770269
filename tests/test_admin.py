"""The operator's API: nobody without the admin token learns anything, and who has it sees every workspace."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from carets.config import Config
from carets.edges.admin import Admin
from carets.edges.site import Site
from carets.errors import Code
from carets.rooms.steward import Steward
from carets.server import Running, running
from tests.peer import connect, create_workspace

ROUTES = [
    ("GET", "/api/admin/usage"),
    ("GET", "/api/admin/workspaces"),
    ("DELETE", "/api/admin/workspaces/workspace-1"),
    ("POST", "/api/admin/workspaces/workspace-1/restore"),
    ("POST", "/api/admin/workspaces/workspace-1/links"),
    ("POST", "/api/admin/purge"),
    ("POST", "/api/admin/tokens/admin"),
]


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


async def test_these_are_all_routes_of_the_operator(server: Running) -> None:
    """A new one must be tried without the token, too."""
    site, tokens = Site(), server.tokens
    routes = Admin(Steward(server.lobby, None), site, tokens).routes()  # type: ignore[arg-type]
    named = [(route.method, re.sub(r"{workspace_id}", "workspace-1", route.path)) for route in routes]
    assert sorted(named) == sorted((method, path.replace("tokens/admin", "tokens/{name}")) for method, path in ROUTES)


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


async def test_links_that_are_made_anew_open_and_the_old_ones_are_revoked_when_asked(
    url: str, http: aiohttp.ClientSession, admin: dict[str, str]
) -> None:
    workspace_id, keys = await create_workspace(http, url)
    async with connect(url, workspace_id, keys["editor"]) as peer:
        for revoke_old in (False, True):
            links = f"{url}/api/admin/workspaces/{workspace_id}/links"
            async with http.post(links, headers=admin, json={"revoke_old": revoke_old}) as response:
                assert response.status == 201
                told = await response.json()
            assert set(told["links"]) == {"owner", "editor", "viewer"}
            for role, link in told["links"].items():
                async with connect(url, workspace_id, link.split("#key=")[1]) as other:
                    assert other.welcome["role"] == role
            if not revoke_old:
                (await peer.open_file(await peer.create_file("still.py"))).append("here")
                await peer.until_saved()
        assert await peer.until_closed() == Code.LINK_REVOKED


async def test_the_operator_deletes_and_restores_without_a_key(
    url: str, http: aiohttp.ClientSession, admin: dict[str, str]
) -> None:
    workspace_id, keys = await create_workspace(http, url, title="Ours")
    workspace = f"{url}/api/admin/workspaces/{workspace_id}"
    async with connect(url, workspace_id, keys["editor"]) as peer:
        async with http.delete(workspace, headers=admin) as response:
            assert response.status == 204
        assert await peer.until_closed() == Code.WORKSPACE_DELETED
    async with http.delete(workspace, headers=admin) as response:
        assert (await response.json())["error"]["code"] == Code.WORKSPACE_DELETED
    async with http.post(f"{workspace}/restore", headers=admin) as response:
        assert await response.json() == {"workspace_id": workspace_id, "title": "Ours"}
    async with connect(url, workspace_id, keys["editor"]):
        pass
    async with http.post(f"{url}/api/admin/workspaces/nix-nix-nix/restore", headers=admin) as response:
        assert (await response.json())["error"]["code"] == Code.WORKSPACE_UNKNOWN


async def test_a_token_that_is_made_anew_takes_the_place_of_the_one_before_at_once(
    server: Running, url: str, http: aiohttp.ClientSession, admin: dict[str, str]
) -> None:
    async with http.post(url + "/api/admin/tokens/admin", headers=admin) as response:
        assert response.status == 201
        token = (await response.json())["token"]
    async with http.get(url + "/api/admin/usage", headers=admin) as response:
        assert response.status == 401
    async with http.get(url + "/api/admin/usage", headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 200
    async with http.post(
        url + "/api/admin/tokens/person_secret", headers={"Authorization": f"Bearer {token}"}
    ) as response:
        assert response.status == 400


async def test_a_create_token_that_is_made_anew_counts_at_once(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    config = Config(port=0, data=tmp_path / "lan", public_url="http://localhost")
    async with running(config) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert server.tokens.create is not None
        old = server.tokens.create.value
        admin = {"Authorization": f"Bearer {server.tokens.admin.value}"}
        async with http.post(url + "/api/admin/tokens/create", headers=admin) as response:
            new = (await response.json())["token"]
        for token, status in ((old, 401), (new, 201)):
            headers = {"Authorization": f"Bearer {token}"}
            async with http.post(url + "/api/workspaces", headers=headers, json={}) as response:
                assert response.status == status
    async with running(config) as server:
        assert server.tokens.create is not None
        assert server.tokens.create.value == new, "over restarts, too"


async def test_all_that_the_operator_changes_is_in_the_audit_log(
    url: str, http: aiohttp.ClientSession, admin: dict[str, str]
) -> None:
    workspace_id, _ = await create_workspace(http, url)
    with capture_logs() as logs:
        workspace = f"{url}/api/admin/workspaces/{workspace_id}"
        for method, path, body in (
            ("POST", f"{workspace}/links", {"revoke_old": False}),
            ("DELETE", workspace, None),
            ("POST", f"{workspace}/restore", None),
            ("POST", f"{url}/api/admin/purge", None),
            ("POST", f"{url}/api/admin/tokens/admin", None),
        ):
            async with http.request(method, path, headers=admin, json=body) as response:
                assert response.status in (200, 201, 204)
    whats = [log["what"] for log in logs if log["event"] == "admin"]
    assert whats == ["links_made", "workspace_deleted", "workspace_restored", "purged", "admin_token_made"]
