"""What a link grants, the page keeps to: viewers send nothing, and a link that does not open says why (promise 5)."""

from __future__ import annotations

import aiohttp
import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace
from tests.browser.line import Line
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "

# As an extension might, past the read-only state of the editor.
_FORCE = """(content) => {
    const { view } = content.cmTile;
    view.dispatch({ changes: { from: view.state.doc.length, insert: "FORGED" }, filter: false });
}"""


async def try_to_write(viewer: WorkspacePage) -> None:
    """By the keyboard, by a paste, and past the editor."""
    await viewer.editor(FILE).focus()
    await viewer.page.keyboard.type("typed")
    await viewer.page.keyboard.press("Enter")
    await viewer.page.keyboard.press("Delete")
    await viewer.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await viewer.paste(FILE, "pasted")
    assert await viewer.text(FILE) == BEGIN
    await viewer.editor(FILE).evaluate(_FORCE)


async def test_an_owner_who_opens_a_viewers_link_is_a_viewer_in_that_tab_only(
    people: People, workspace: Workspace
) -> None:
    person = await people.person("Ada")
    own = await person.tab(workspace.link("owner"))
    await own.until_text(FILE, BEGIN)
    viewing = await person.tab(workspace.link("viewer"))
    await expect(viewing.page.get_by_text("You can read this workspace, not change it.")).to_be_visible()
    await expect(viewing.editor(FILE)).to_have_attribute("aria-readonly", "true")
    await expect(viewing.page.get_by_role("button", name="New file")).to_have_count(0)
    await own.type(FILE, "owner ")
    await viewing.until_text(FILE, BEGIN + "owner ")
    for tab in (own, viewing):
        await tab.reload()
        await tab.until_text(FILE, BEGIN + "owner ")
    await expect(viewing.editor(FILE)).to_have_attribute("aria-readonly", "true")
    await own.type(FILE, "still")
    await own.until_saved()
    await viewing.until_text(FILE, BEGIN + "owner still")
    assert viewing.edits_sent() == []


async def test_an_owner_comes_back_as_owner_without_the_key_in_the_address(
    people: People, workspace: Workspace
) -> None:
    person = await people.person("Ada")
    await person.tab(workspace.link("owner"))
    await person.tab(workspace.link("viewer"))
    back = await person.tab(workspace.link().split("#")[0])
    await back.until_text(FILE, BEGIN)
    await back.type(FILE, "mine")
    await back.until_saved()
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "mine"


async def test_what_a_viewer_forces_into_the_page_reaches_nobody(people: People, workspace: Workspace) -> None:
    viewer = await people.tab("Vera", workspace.link("viewer"))
    bob = await people.tab("Bob", workspace.link())
    await viewer.until_text(FILE, BEGIN)
    await try_to_write(viewer)
    await bob.type(FILE, "bob")
    await bob.until_saved()
    await expect(viewer.editor(FILE)).to_contain_text("bob")
    await bob.until_text(FILE, BEGIN + "bob")
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "bob"
    assert viewer.edits_sent() == []
    await viewer.until_light("saved")


async def test_a_viewer_sends_nothing_after_a_reconnect_either(
    people: People, workspace: Workspace, line: Line
) -> None:
    viewer = await people.tab("Vera", workspace.link("viewer", line))
    await viewer.until_text(FILE, BEGIN)
    line.cut_sockets()
    await viewer.until_light("offline")
    await try_to_write(viewer)
    line.mend()
    await viewer.until_saved()
    await viewer.reload()
    await viewer.until_text(FILE, BEGIN)
    await viewer.until_saved()
    assert viewer.edits_sent() == []
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN


async def test_a_viewer_who_follows_an_editors_link_may_write(people: People, workspace: Workspace) -> None:
    viewer = await people.tab("Vera", workspace.link("viewer"))
    await viewer.until_text(FILE, BEGIN)
    # Pasted into the address bar of the same tab: only the fragment differs, so nothing is loaded.
    await viewer.page.evaluate("(hash) => (location.hash = hash)", f"#key={workspace.keys['editor']}")
    await expect(viewer.page.get_by_role("button", name="New file")).to_be_visible()
    await viewer.until_text(FILE, BEGIN)
    await viewer.type(FILE, "now")
    await viewer.until_saved()
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "now"


@pytest.mark.parametrize(
    "address,words",
    [
        ("{base}/w/{id}#key=AAAAAAAAAAAAAAAAAAAAAA", "This link does not open this workspace"),
        ("{base}/w/{id}", "This link has no key"),
        ("{base}/w/AAAAAAAAAAAAAAAA#key=AAAAAAAAAAAAAAAAAAAAAA", "There is no such workspace"),
    ],
    ids=["wrong-key", "no-key", "unknown-workspace"],
)
async def test_a_link_that_does_not_open_says_why(
    people: People, workspace: Workspace, address: str, words: str
) -> None:
    tab = await (await people.person("Ada")).tab()
    await tab.page.goto(address.format(base=workspace.server.url, id=workspace.workspace_id))
    await expect(tab.page.get_by_role("heading", name=words)).to_be_visible(timeout=20_000)
    await expect(tab.page.get_by_role("link", name="All workspaces")).to_be_visible()
    assert tab.sockets == 1, "a final answer is not asked for again"


async def test_a_link_that_is_revoked_ends_the_session_and_keeps_the_text(people: People, workspace: Workspace) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {workspace.keys['owner']}"}) as owner:
        links = f"{workspace.server.url}/api/workspaces/{workspace.workspace_id}/links"
        async with owner.post(links, json={"role": "editor", "name": "guests"}) as response:
            made = await response.json()
        guest = await people.tab("Guest", made["url"])
        await guest.type(FILE, "guest was here")
        await guest.until_saved()
        async with owner.delete(f"{links}/{made['link_id']}") as response:
            assert response.status == 204
    await guest.until_light("closed")
    await expect(guest.page.get_by_role("alert").filter(has_text="This link was revoked")).to_be_visible()
    await expect(guest.editor(FILE)).to_have_attribute("aria-readonly", "true")
    assert await guest.text(FILE) == BEGIN + "guest was here"

    stranger = await (await people.person("Stranger")).tab()
    await stranger.page.goto(made["url"])
    await expect(stranger.page.get_by_role("heading", name="This link was revoked")).to_be_visible(timeout=20_000)
