"""P7: a stock `y-websocket` client, unmodified and with its defaults, is a member like any other.

Here is the one place where the real third-party client is asked, instead of what we believe about it: what it does
with awareness, with its BroadcastChannel between tabs, with silence and with our close codes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from carets.server import Running
from tests.lonely import ALONE_S, Lonely
from tests.peer import connect, create_workspace
from tests.serving import serving
from tests.stock_browser import StockBrowser, stock_browser, why_no_browser

pytestmark = pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser())

BACKOFFS_MS = 3_000
"""In this time a y-websocket that tries again tries four times: after 0.2, 0.4, 0.8 and 1.6 s."""


@pytest.fixture
async def browser() -> AsyncIterator[StockBrowser]:
    async with stock_browser() as browser:
        yield browser


@pytest.fixture
def url(server: Running) -> str:
    return f"http://127.0.0.1:{server.port}"


async def test_a_stock_client_and_a_page_member_see_each_others_edits(
    url: str, http: aiohttp.ClientSession, browser: StockBrowser
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"src/a b.py": "start"})
    async with connect(url, workspace_id, keys["editor"]) as peer:
        replica = await peer.open_file(1)
        by_path = browser.open("path", url, workspace_id, "src/a%20b.py", keys["editor"])
        by_id = browser.open("id", url, workspace_id, "~1", "", protocols=["yjs", keys["editor"]])
        await by_path.until_text("start")
        await by_id.until_text("start")
        by_path.insert(" 😀stock")
        await peer.until(lambda: str(replica) == "start 😀stock")
        replica.append(" page")
        await by_id.until_text("start 😀stock page")
        by_id.insert("<", 0)
        await by_path.until_text("<start 😀stock page")
        await peer.until(lambda: str(replica) == by_path.text)


async def test_awareness_goes_both_ways_and_names_are_the_servers_word(
    url: str, http: aiohttp.ClientSession, browser: StockBrowser
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    async with connect(url, workspace_id, keys["owner"], name="Pat", color="#112233") as peer:
        replica = await peer.open_file(1)
        user = {"name": "Zoë\u202e", "color": "#a1b2c3", "id": peer.welcome["member_id"], "role": "owner"}
        tab = browser.open("a", url, workspace_id, "a.py", keys["editor"], user=user)
        other = browser.open("b", url, workspace_id, "~1", keys["viewer"], user={"name": "Vi", "color": "red"})

        def users() -> dict[str, dict[str, object]]:
            return {state["user"]["name"]: state["user"] for state in replica.presence.values() if state}

        await peer.until(lambda: {"Zoë", "Vi"} <= users().keys())
        assert users()["Zoë"]["role"] == "editor"
        assert users()["Zoë"]["color"] == "#a1b2c3"
        assert users()["Zoë"]["id"] != peer.welcome["member_id"]
        assert users()["Vi"]["role"] == "viewer"
        assert users()["Vi"]["color"] != "red"
        peer.send_presence(1, {"cursor": None})
        for each in (tab, other):
            await each.until_seen(peer.welcome["member_id"])
            seen = each.states[peer.welcome["member_id"]]["user"]
            assert (seen["name"], seen["color"], seen["role"]) == ("Pat", "#112233", "owner")
        await other.until_seen(tab.client_id)
        assert other.states[tab.client_id]["user"]["role"] == "editor"
        tab.do("set_user", user={"name": "Pat", "color": "#112233"})
        tab.do("close")
        await peer.until(lambda: "Zoë" not in users())
        assert "Pat" not in users() or users()["Pat"]["id"] == peer.welcome["member_id"]


async def test_a_tab_carries_what_a_neighbour_could_not_send(
    url: str, http: aiohttp.ClientSession, browser: StockBrowser
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    async with connect(url, workspace_id, keys["editor"]) as peer:
        replica = await peer.open_file(1)
        cut = browser.open("cut", url, workspace_id, "a.py", keys["editor"], connect=False)
        online = browser.open("online", url, workspace_id, "a.py", keys["editor"])
        await online.until_synced()
        cut.insert("typed without a line,")
        await online.until_text("typed without a line,")
        online.insert(" and on top of that")
        await peer.until(lambda: str(replica) == "typed without a line, and on top of that")
        assert cut.attempts == 0
        replica.append(".")
        cut.do("connect")
        for tab in (cut, online):
            await tab.until_text("typed without a line, and on top of that.")
            assert (tab.attempts, tab.lost) == (1, [])


async def test_after_a_crash_stock_clients_come_back_with_what_they_and_a_closed_tab_had_not_sent(
    tmp_path: Path, http: aiohttp.ClientSession, browser: StockBrowser
) -> None:
    async with serving(tmp_path / "data") as server:
        workspace_id, keys = await create_workspace(http, server.url, {"a.py": "0"})
        tabs = [browser.open(name, server.url, workspace_id, "a.py", keys["editor"]) for name in ("one", "two")]
        for tab in tabs:
            await tab.until_synced()
        tabs[0].insert("1")
        async with connect(server.url, workspace_id, keys["viewer"]) as reader:
            replica = await reader.open_file(1)
            await reader.until(lambda: str(replica) == "01")
        await server.kill()
        for tab in tabs:
            await tab.until_lost()
        tabs[0].insert("2")
        tabs[1].insert("3")
        for tab in tabs:
            await tab.until_holds("2", "3")
        tabs[0].do("close")
        await server.start()
        await tabs[1].until_synced()
        async with connect(server.url, workspace_id, keys["viewer"]) as reader:
            replica = await reader.open_file(1)
            await reader.until(lambda: sorted(str(replica)) == ["0", "1", "2", "3"])
            tabs[1].insert("4")
            await reader.until(lambda: str(replica) == tabs[1].text and "4" in tabs[1].text)


async def test_a_stock_viewer_is_denied_and_stays(url: str, http: aiohttp.ClientSession, browser: StockBrowser) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": "kept"})
    async with connect(url, workspace_id, keys["editor"]) as peer:
        replica = await peer.open_file(1)
        viewer = browser.open("v", url, workspace_id, "a.py", keys["viewer"])
        await viewer.until_synced()
        for _ in range(5):
            viewer.insert("x", 0)
        await viewer.until(lambda: len(viewer.warnings) >= 5, "for permissionDenied")
        assert "4424" in viewer.warnings[0]
        replica.append(" and changed")
        await viewer.until_text("xxxxxkept and changed")
        await viewer.let_pass(BACKOFFS_MS)
        assert (viewer.attempts, viewer.lost) == (1, [])
        assert str(replica) == "kept and changed"


async def test_final_codes_end_a_stock_client_at_its_first_try(
    tmp_path: Path, http: aiohttp.ClientSession, browser: StockBrowser
) -> None:
    async with serving(tmp_path / "data") as server:
        url = server.url
        workspace_id, keys = await create_workspace(http, url, {"a.py": "", "gone.py": ""})
        async with connect(url, workspace_id, keys["owner"]) as owner:
            await owner.ask(type="delete_file", file_id=owner.file_id("gone.py"))
        unknown = "A" * len(workspace_id)
        expected = {
            browser.open("key", url, workspace_id, "a.py", "A" * len(keys["editor"])): {4421},
            browser.open("no key", url, workspace_id, "a.py", ""): {4421},
            browser.open("workspace", url, unknown, "a.py", keys["editor"]): {4420},
            browser.open("no id", url, "~", "a.py", keys["editor"]): {4420},
            browser.open("path", url, workspace_id, "other.py", keys["editor"]): {4425},
            browser.open("deleted", url, workspace_id, "gone.py", keys["editor"]): {4425, 4426},
            browser.open("deleted id", url, workspace_id, "~2", keys["editor"]): {4426},
            browser.open("owner", url, workspace_id, "a.py", keys["owner"]): {4436},
        }
        for tab, codes in expected.items():
            assert await tab.until_closed() in codes, tab.name
        await next(iter(expected)).let_pass(BACKOFFS_MS)
        assert {tab.name: (tab.attempts, tab.lost) for tab in expected} == {
            tab.name: (1, [tab.closed]) for tab in expected
        }
        assert server.log.count('"event": "refused"') == len(expected)
        assert not any(key in server.log for key in keys.values())


async def test_a_document_of_a_deleted_file_is_not_merged_into_its_successor(
    url: str, http: aiohttp.ClientSession, browser: StockBrowser
) -> None:
    workspace_id, keys = await create_workspace(http, url, {"a.py": ""})
    async with connect(url, workspace_id, keys["editor"]) as peer:
        tab = browser.open("old", url, workspace_id, "a.py", keys["editor"])
        await tab.until_synced()
        before = await peer.open_file(1)
        tab.insert("of the first file")
        await peer.until(lambda: str(before) == "of the first file")
        await peer.ask(type="delete_file", file_id=1)
        await tab.until(lambda: tab.closed == 4426, "for the deletion")
        successor = await peer.open_file(await peer.create_file("a.py"))
        successor.append("of the second file")
        await peer.until_saved()
        tab.do("connect")
        await tab.until(lambda: tab.closed == 4430, "for the refusal")
        await tab.let_pass(BACKOFFS_MS)
        assert tab.attempts == 2
        assert tab.text == "of the first file"
        assert str(successor) == "of the second file"
        fresh = browser.open("fresh", url, workspace_id, "~2", keys["editor"])
        await fresh.until_text("of the second file")


@pytest.mark.slow
@pytest.mark.timeout(ALONE_S + 60)
@pytest.mark.asyncio(loop_scope="session")
async def test_a_stock_client_stays_connected_while_it_is_alone(lonely: Lonely) -> None:
    tab = lonely.tab
    await tab.let_pass(max(1, round(lonely.left_s * 1000)))
    assert (tab.attempts, tab.lost) == (1, [])
    assert tab.is_synced
