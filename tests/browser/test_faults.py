"""A tour of what can go wrong in a browser: editing goes on, or the page says plainly that it does not (promise 3)."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import TimeoutError as BrowserTimeout
from playwright.async_api import expect

from carets.edges.pages import PAGE
from tests import peer
from tests.browser.chromium import People
from tests.browser.conftest import Workspace
from tests.browser.line import Line
from tests.browser.page import WorkspacePage
from tests.browser.test_light import NO_DATABASE
from tests.serving import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "
OLD_BUILD = "0123456789ab"
_OLD_MARK = 'meta[name="age"]'
# As careless workers are: everything, the document too, comes from the cache once it was there.
_OLD_WORKER = """
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
    if (event.request.method !== "GET") return;
    event.respondWith((async () => {
        const cache = await caches.open("old");
        const kept = await cache.match(event.request);
        if (kept !== undefined) return kept;
        const answer = await fetch(event.request);
        await cache.put(event.request, answer.clone());
        return answer;
    })());
});
"""
# Extensions of the editor, made from what hangs on its DOM.
_PLUGIN = """(content, kind) => {
    const { view } = content.cmTile;
    const EditorView = view.constructor;
    const StateEffect = EditorView.scrollIntoView(0).constructor;
    const fail = () => { throw new Error("a plugin broke"); };
    const extension = {
        listener: () => EditorView.updateListener.of(fail),
        handler: () => EditorView.domEventHandlers({ keydown: fail }),
    }[kind]();
    view.dispatch({ effects: StateEffect.appendConfig.of(extension) });
}"""
_RECTS = """() => {
    const { getClientRects } = Element.prototype;
    const range = Range.prototype.getClientRects;
    const fail = () => {
        Element.prototype.getClientRects = getClientRects;
        Range.prototype.getClientRects = range;
        throw new Error("measuring broke");
    };
    Element.prototype.getClientRects = Range.prototype.getClientRects = fail;
}"""
_WARMED = """async () => {
    const { active } = await navigator.serviceWorker.ready;
    const { port1, port2 } = new MessageChannel();
    const warmed = new Promise((resolve) => (port1.onmessage = resolve));
    active.postMessage({ warm: true }, [port2]);
    await warmed;
}"""
_NEW_WORKER = """async () => {
    const isThere = async () => {
        const { waiting, installing } = await navigator.serviceWorker.ready;
        const names = await caches.keys();
        return installing === null && (waiting !== null || names.some((name) => name.startsWith("carets ")));
    };
    while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, 50));
}"""
_DEAF = """(content) => {
    const { view } = content.cmTile;
    view.update = () => { throw new Error("the view broke"); };
}"""


class PageServer:
    """A server whose page is a copy that tests may spoil, on a port that stays."""

    def __init__(self, folder: Path) -> None:
        self.page = folder / "page"
        self._data = folder / "data"
        self._server: ServerProcess | None = None
        self._port = 0
        # Without what is packed beside it: that would be served in place of what was spoiled.
        shutil.copytree(PAGE, self.page, ignore=shutil.ignore_patterns("*.gz"))

    async def start(self, *, whole: bool = False) -> ServerProcess:
        """Serve the copy, or the page as it is built."""
        program = ("tests.page_server", str(PAGE if whole else self.page))
        self._server = ServerProcess(self._data, program=program, port=self._port)
        await self._server.start()
        self._port = self._server.port
        return self._server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def page_server(tmp_path: Path) -> AsyncIterator[PageServer]:
    """A page that may be spoiled."""
    server = PageServer(tmp_path)
    yield server
    await server.stop()


async def link_to(server: ServerProcess) -> tuple[str, str]:
    """A new workspace's editor link and id."""
    async with aiohttp.ClientSession() as http:
        workspace_id, keys = await peer.create_workspace(http, server.url, {FILE: BEGIN}, "Tests")
    return f"{server.url}/w/{workspace_id}#key={keys['editor']}", workspace_id


async def details(tab: WorkspacePage) -> str:
    """What the light's details say."""
    await tab.light().get_by_role("button").click()
    dialog = tab.page.get_by_role("dialog", name="What is saved")
    await expect(dialog).not_to_contain_text("is being made ready")
    words = await dialog.inner_text()
    await tab.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    return words


async def test_a_worker_that_does_not_load_costs_offline_opening_and_nothing_else(
    people: People, page_server: PageServer
) -> None:
    (page_server.page / "worker.js").unlink()
    link, _ = await link_to(await page_server.start())
    ada = await people.tab("Ada", link)
    await ada.type(FILE, "typed")
    await ada.until_saved()
    assert "This page cannot open offline: its files could not be kept" in await details(ada)


async def test_a_worker_that_throws_costs_nothing_either(people: People, page_server: PageServer) -> None:
    (page_server.page / "worker.js").write_text("throw new Error('broken');")
    link, _ = await link_to(await page_server.start())
    ada = await people.tab("Ada", link)
    await ada.type(FILE, "typed")
    await ada.until_saved()
    assert "This page cannot open offline" in await details(ada)


async def test_a_part_of_the_shell_that_is_missing_is_no_half_page(people: People, page_server: PageServer) -> None:
    worker = page_server.page / "worker.js"
    text = worker.read_text()
    first = next((page_server.page / "assets").glob("index-*.css")).name
    assert first in text
    worker.write_text(text.replace(first, "missing-00000000.css"))
    link, _ = await link_to(await page_server.start())
    ada = await people.tab("Ada", link)
    await ada.type(FILE, "typed")
    await ada.until_saved()
    assert "This page cannot open offline" in await details(ada)
    assert await ada.evaluate("async () => (await caches.keys()).length") == 0


async def test_an_older_worker_that_answers_everything_from_its_cache_gives_way_to_the_new_build(
    people: People, page_server: PageServer
) -> None:
    build = str(json.loads((PAGE / "build.json").read_text())["build"])
    for path in (page_server.page / "assets").glob("*.js"):
        path.write_text(path.read_text().replace(build, OLD_BUILD))
    (page_server.page / "build.json").write_text(json.dumps({"build": OLD_BUILD}))
    html = page_server.page / "index.html"
    html.write_text(html.read_text().replace("<head>", '<head>\n    <meta name="age" content="old" />'))
    (page_server.page / "worker.js").write_text(_OLD_WORKER)
    link, _ = await link_to(await page_server.start())
    person = await people.person("Ada")
    ada = await person.tab(link)
    await ada.until_openable_offline()
    # Its documents are in its cache from here on.
    await ada.reload()
    await ada.type(FILE, "old ")
    await ada.until_saved()
    await page_server.stop()
    await page_server.start(whole=True)
    other = await person.tab(ada.page.url)
    await expect(other.page.locator(_OLD_MARK)).to_have_count(1)
    # The old worker answered. At the load the page asked for a newer one, which takes over when it is whole and this
    # one rests. Chromium under these tools leaves a load hanging that it changes workers under; the next one is well.
    while await other.page.locator(_OLD_MARK).count() > 0:
        await other.evaluate(_NEW_WORKER)
        await other.close()
        passing = await person.tab()
        with contextlib.suppress(BrowserTimeout):
            await passing.page.goto(ada.page.url, timeout=5_000)
        await passing.close()
        other = await person.tab(ada.page.url)
    await other.open_file(FILE)
    await other.until_text(FILE, BEGIN + "old ")
    await other.type(FILE, "new ")
    await other.until_saved()
    # The page that was open all the time goes on, and says that there is a newer one.
    await ada.until_text(FILE, BEGIN + "old new ")
    await ada.type(FILE, "both")
    await ada.until_saved()
    await expect(ada.page.get_by_text("A newer version of Carets is running.")).to_be_visible()
    await other.until_text(FILE, BEGIN + "old new both")
    await ada.page.get_by_role("button", name="Reload").click()
    await expect(ada.page.locator(_OLD_MARK)).to_have_count(0)
    await ada.until_text(FILE, BEGIN + "old new both")


async def test_a_page_whose_build_is_gone_from_the_server_still_finds_its_parts(
    people: People, page_server: PageServer
) -> None:
    link, _ = await link_to(await page_server.start())
    ada = await people.tab("Ada", link)
    await ada.until_text(FILE, BEGIN)
    await ada.until_openable_offline()
    await ada.evaluate(_WARMED)
    shutil.rmtree(page_server.page / "assets")
    await ada.light().get_by_role("button").click()
    await expect(ada.page.get_by_role("dialog", name="What is saved")).to_be_visible()


@pytest.mark.parametrize("kind", ["listener", "handler"])
async def test_a_plugin_that_throws_takes_no_edit_with_it(people: People, workspace: Workspace, kind: str) -> None:
    person = await people.person("Ada")
    ada = await person.tab(workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, BEGIN)
    await ada.editor(FILE).evaluate(_PLUGIN, kind)
    await ada.type(FILE, "typed ")
    await ada.until_saved()
    await bob.until_text(FILE, BEGIN + "typed ")
    await bob.type(FILE, "BOB")
    await ada.until_text(FILE, BEGIN + "typed BOB")
    assert person.complaints, "the fault is not hidden from whoever looks for it"
    person.expected = "a plugin broke"


async def test_measuring_that_throws_takes_no_edit_with_it(people: People, workspace: Workspace) -> None:
    person = await people.person("Ada")
    ada = await person.tab(workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, BEGIN)
    for word in ("one ", "two ", "three "):
        await ada.evaluate(_RECTS)
        await ada.type(FILE, word)
    await ada.until_saved()
    await bob.until_text(FILE, BEGIN + "one two three ")
    person.expected = "measuring broke"


async def test_a_view_that_takes_no_edits_any_more_says_so_and_is_opened_anew(
    people: People, workspace: Workspace
) -> None:
    """yjs#650: when the view throws while it takes in someone's edit, it and the text part ways for good."""
    person = await people.person("Ada")
    ada = await person.tab(workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.type(FILE, "ada ")
    await ada.until_saved()
    await ada.editor(FILE).evaluate(_DEAF)
    await bob.type(FILE, "BOB ", 0)
    await expect(ada.light()).to_contain_text("A view broke")
    await expect(ada.page.get_by_role("alert").filter(has_text="This view of the file broke")).to_be_visible()
    # What cannot be kept is not taken.
    await ada.editor(FILE).focus()
    await ada.page.keyboard.type("lost")
    assert await ada.text(FILE) == BEGIN + "ada "
    assert "A view broke" in await details(ada)
    await ada.page.get_by_role("button", name="Reopen the file").click()
    await ada.until_text(FILE, "BOB " + BEGIN + "ada ")
    await ada.type(FILE, "again")
    await ada.until_saved()
    await bob.until_text(FILE, "BOB " + BEGIN + "ada again")
    person.expected = "the view broke"


async def test_without_storage_a_revoked_link_still_leads_to_the_text(
    people: People, workspace: Workspace, line: Line
) -> None:
    person = await people.person("Guest", NO_DATABASE)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {workspace.keys['owner']}"}) as owner:
        links = f"{workspace.server.url}/api/workspaces/{workspace.workspace_id}/links"
        async with owner.post(links, json={"role": "editor", "name": "guests"}) as response:
            made = await response.json()
        guest = await person.tab(line.through(made["url"]))
        await guest.until_text(FILE, BEGIN)
        await guest.until_saved()
        line.cut_sockets()
        await guest.type(FILE, "typed")
        await guest.until_light("offline", "only in this tab · 5 edits")
        async with owner.delete(f"{links}/{made['link_id']}") as response:
            assert response.status == 204
    line.mend()
    await guest.until_light("closed", "5 edits")
    await guest.light().get_by_role("button").click()
    dialog = guest.page.get_by_role("dialog", name="What is saved")
    await expect(dialog).to_contain_text("Only in this tab")
    await expect(dialog.get_by_role("listitem").filter(has_text=FILE)).to_contain_text("5 edits")
    await guest.page.keyboard.press("Escape")
    assert await guest.text(FILE) == BEGIN + "typed"
