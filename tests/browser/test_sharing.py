"""Sharing: links for particular people, who is on which, revoking; the title and the end of a workspace."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"


async def make_link(owner: WorkspacePage, name: str, role: str, ends: str) -> str:
    """In the open dialog; the link's address."""
    page = owner.page
    await page.get_by_label("Who or what it is for").fill(name)
    await page.get_by_label("Role", exact=True).select_option(role)
    await page.get_by_label("Expires", exact=True).select_option(ends)
    await page.get_by_role("button", name="Create link").click()
    made = page.get_by_label(f"Link “{name}” is made.")
    await expect(made).to_be_visible()
    return await made.input_value()


async def test_a_named_link_brings_somebody_in_and_out(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link("owner"))
    await ada.page.get_by_role("button", name="Share").click()
    link = await make_link(ada, "Interview", "editor", "In an hour")
    bob = await people.tab("Bob", link)
    await bob.type(FILE, "mine")
    await bob.until_saved()
    row = ada.page.get_by_role("listitem").filter(has_text="Interview")
    await expect(row).to_contain_text("Editor · expires")
    await expect(row).to_contain_text("Bob")
    await ada.page.get_by_role("button", name="Revoke link Interview").click()
    await ada.page.get_by_role("button", name="Revoke and disconnect 1").click()
    await bob.until_light("closed")
    await expect(bob.page.get_by_role("alert").filter(has_text="This link was revoked")).to_be_visible()
    await expect(row).to_contain_text("revoked")
    # What was typed stays, and so do those on other links.
    await ada.page.keyboard.press("Escape")
    await ada.until_text(FILE, "begin mine")
    await ada.until_saved()


async def test_an_editor_is_offered_no_links_above_their_own(people: People, workspace: Workspace) -> None:
    bob = await people.tab("Bob", workspace.link("editor"))
    await bob.page.get_by_role("button", name="Share").click()
    dialog = bob.page.get_by_role("dialog")
    await expect(dialog.get_by_label("Editor link", exact=True)).to_be_visible()
    await expect(dialog.get_by_label("Owner link", exact=True)).to_have_count(0)
    await expect(dialog.get_by_role("button", name="Create link")).to_have_count(0)


async def open_workspace_dialog(tab: WorkspacePage) -> None:
    await tab.page.keyboard.press("F1")
    await tab.page.get_by_role("combobox").fill("rename or delete")
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_role("dialog", name="This workspace")).to_be_visible()


async def test_an_owner_renames_the_workspace_for_everybody(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link("owner"))
    bob = await people.tab("Bob", workspace.link("editor"))
    await open_workspace_dialog(ada)
    await ada.page.get_by_label("Title").fill("Weather <b>station</b>")
    await ada.page.get_by_role("button", name="Save", exact=True).click()
    await expect(bob.page.get_by_role("heading", level=1)).to_have_text("Weather <b>station</b>")
    await bob.reload()
    await expect(bob.page.get_by_role("heading", level=1)).to_have_text("Weather <b>station</b>")


async def test_a_deleted_workspace_is_closed_for_all_and_restored_whole_by_its_owner(
    people: People, workspace: Workspace
) -> None:
    ada = await people.tab("Ada", workspace.link("owner"))
    bob = await people.tab("Bob", workspace.link("editor"))
    await bob.type(FILE, "precious")
    await bob.until_saved()
    await open_workspace_dialog(ada)
    delete = ada.page.get_by_role("button", name="Delete workspace")
    await expect(delete).to_be_disabled()
    await ada.page.get_by_label("Type “Tests” to confirm").fill("Tests")
    await delete.click()
    for tab in (ada, bob):
        await expect(tab.page.get_by_text("This workspace was deleted").first).to_be_visible()
        await tab.until_light("closed")
    # Without an owner's key there is nothing to press.
    await expect(bob.page.get_by_role("button", name="Restore it")).to_have_count(0)
    await bob.page.reload()
    await expect(bob.page.get_by_role("button", name="Restore it")).to_have_count(0)
    async with ada.page.expect_event("load"):
        await ada.page.get_by_role("button", name="Restore it").click()
    await ada.until_text(FILE, "begin precious")
    await bob.page.reload()
    await bob.type(FILE, "!")
    await ada.until_text(FILE, "begin precious!")


async def test_keyboard_alone_goes_from_the_home_page_to_a_shared_link(people: People, workspace: Workspace) -> None:
    """A walk without a pointer: create a workspace and a file, write, and take a link."""
    ada = await people.person("Ada", permissions=["clipboard-read", "clipboard-write"])
    tab = await ada.tab()
    page = tab.page
    await page.goto(workspace.server.url + "/")

    async def to(role: str, name: str) -> None:
        """Tab until the control of this name has the keyboard."""
        wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
        await expect(wanted).to_be_visible()
        for _ in range(60):
            if await wanted.evaluate("(node) => node === document.activeElement"):
                return
            await page.keyboard.press("Tab")
        raise AssertionError(f"Tab never came to the {role} {name!r}")

    await to("textbox", "Title")
    await page.keyboard.type("By keys")
    await to("button", "Create workspace")
    await page.keyboard.press("Enter")
    await expect(tab.light()).to_be_visible()
    await to("button", "New file")
    await page.keyboard.press("Enter")
    await page.keyboard.type("hello.py")
    await page.keyboard.press("Enter")
    await expect(tab.editor("hello.py")).to_be_focused()
    await page.keyboard.type("print(1)")
    await tab.until_saved()
    # Out of the editor as it says: Escape, then Tab.
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")
    await to("button", "Share")
    await page.keyboard.press("Enter")
    await to("button", "Copy editor link")
    await page.keyboard.press("Enter")
    link = str(await page.evaluate("() => navigator.clipboard.readText()"))
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    bob = await people.tab("Bob", link)
    await bob.until_text("hello.py", "print(1)")
