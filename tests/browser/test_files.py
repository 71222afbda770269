"""Files: made, renamed, deleted and restored by one, seen by all; and the row of open ones."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.line import Line

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "


async def test_a_new_file_is_there_for_everybody(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.new_file("src/main.txt")
    await ada.type("src/main.txt", "print")
    await bob.open_file("src/main.txt")
    await bob.until_text("src/main.txt", "print")
    await bob.type("src/main.txt", " me")
    await ada.until_text("src/main.txt", "print me")
    # The caret is where it was put, in each file.
    await ada.open_tab(FILE).click()
    await ada.until_text(FILE, BEGIN)


async def test_a_path_that_is_taken_is_refused_where_it_was_typed(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    await ada.page.get_by_role("button", name="New file").click()
    field = ada.page.get_by_label("Path of the new file")
    await field.fill(FILE)
    await field.press("Enter")
    await expect(ada.page.get_by_role("alert")).to_be_visible()
    await expect(field).to_have_attribute("aria-invalid", "true")
    await field.press("Escape")
    await expect(field).to_have_count(0)


async def test_a_file_that_is_renamed_stays_open_and_whole(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await bob.type(FILE, "old ")
    await ada.rename_row(FILE, "docs/guide.txt")
    await expect(bob.editor("docs/guide.txt")).to_be_visible()
    await bob.type("docs/guide.txt", "new")
    await ada.until_text("docs/guide.txt", BEGIN + "old new")
    await expect(ada.row("docs/guide.txt")).to_be_visible()
    await expect(ada.row(FILE)).to_have_count(0)


async def test_a_deleted_file_can_be_restored_with_all_that_was_in_it(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await bob.type(FILE, "precious")
    await bob.until_saved()
    await ada.delete_row(FILE)
    await expect(bob.page.get_by_text("This file was deleted.")).to_be_visible()
    await expect(bob.editor(FILE)).to_have_attribute("aria-readonly", "true")
    await bob.page.get_by_role("button", name="Restore it").click()
    await expect(bob.page.get_by_text("This file was deleted.")).to_have_count(0)
    await bob.type(FILE, "!")
    await bob.until_text(FILE, BEGIN + "precious!")
    await ada.until_text(FILE, BEGIN + "precious!")

    await ada.delete_row(FILE)
    await ada.page.get_by_text("Deleted files (1)").click()
    await ada.page.get_by_role("navigation").get_by_role("button", name=f"Restore {FILE}").click()
    await expect(ada.row(FILE)).to_be_visible()
    await ada.until_text(FILE, BEGIN + "precious!")


async def test_open_files_come_back_after_a_reload(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"a.txt": "A", "b.txt": "B", "c.txt": "C"})
    ada = await people.tab("Ada", workspace.link())
    for path in ("a.txt", "b.txt", "c.txt"):
        await ada.open_file(path)
    await ada.open_tab("b.txt").click()
    await ada.page.get_by_role("button", name="Close a.txt").click()
    await expect(ada.open_tab("a.txt")).to_have_count(0)
    await ada.reload()
    await expect(ada.open_tab("b.txt")).to_have_attribute("aria-selected", "true")
    await expect(ada.page.get_by_role("tab")).to_have_count(2)
    await ada.until_text("b.txt", "B")
    # By keyboard: the arrow takes the next one, Delete closes it.
    await ada.open_tab("b.txt").focus()
    await ada.page.keyboard.press("ArrowRight")
    await expect(ada.open_tab("c.txt")).to_have_attribute("aria-selected", "true")
    await ada.open_tab("c.txt").focus()
    await ada.page.keyboard.press("Delete")
    await expect(ada.page.get_by_role("tab")).to_have_count(1)


async def test_undo_and_the_caret_outlive_a_change_of_tab(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"a.txt": "A", "b.txt": "B"})
    ada = await people.tab("Ada", workspace.link())
    await ada.open_file("a.txt")
    await ada.type("a.txt", " undone")
    await ada.open_file("b.txt")
    await ada.open_tab("a.txt").click()
    await ada.type("a.txt", "", at=None)
    await ada.page.keyboard.press("ControlOrMeta+z")
    await ada.until_text("a.txt", "A")
    await ada.page.keyboard.press("ControlOrMeta+Shift+Z")
    await ada.until_text("a.txt", "A undone")
    await ada.until_saved()


async def test_what_was_typed_into_a_file_that_is_deleted_meanwhile_is_kept_and_can_be_brought_back(
    people: People, workspace: Workspace, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link(line=line))
    await bob.until_text(FILE, BEGIN)
    line.cut()
    await bob.until_light("offline")
    await bob.type(FILE, "late")
    await ada.delete_row(FILE)
    await expect(ada.row(FILE)).to_have_count(0)
    line.mend()
    await expect(bob.page.get_by_role("alert").filter(has_text="What you typed stays in this browser")).to_be_visible(
        timeout=20_000
    )
    assert await bob.text(FILE) == BEGIN + "late"
    await bob.page.get_by_role("button", name="Restore it").click()
    await bob.until_saved()
    await expect(bob.page.get_by_role("alert")).to_have_count(0)
    await ada.open_file(FILE)
    await ada.until_text(FILE, BEGIN + "late")


async def test_the_keyboard_walks_and_closes_tabs_without_touching_a_text(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make({"a.txt": "A", "b.txt": "B", "c.txt": "C"})
    ada = await people.tab("Ada", workspace.link())
    for path in ("a.txt", "b.txt", "c.txt"):
        await ada.open_file(path)
        await expect(ada.editor(path)).to_be_focused()
    await ada.open_tab("c.txt").focus()
    for path in ("a.txt", "b.txt"):
        await ada.page.keyboard.press("ArrowRight")
        await expect(ada.open_tab(path)).to_be_focused()
        await expect(ada.open_tab(path)).to_have_attribute("aria-selected", "true")
    await ada.page.keyboard.press("Delete")
    await expect(ada.open_tab("c.txt")).to_be_focused()
    await ada.page.keyboard.press("Delete")
    await expect(ada.open_tab("a.txt")).to_be_focused()
    await ada.until_text("a.txt", "A")
    await ada.page.keyboard.press("Enter")
    await expect(ada.editor("a.txt")).to_be_focused()
    _, replica = await workspace.witness("c.txt")
    assert str(replica) == "C"


async def test_nobody_is_torn_from_a_name_being_typed_and_half_a_name_makes_no_file(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make()
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.page.get_by_role("button", name="New file").click()
    field = ada.page.get_by_label("Path of the new file")
    await field.press_sequentially("half")
    await bob.new_file("bob.txt")
    await expect(ada.row("bob.txt")).to_be_visible()
    await expect(field).to_be_focused()
    await expect(ada.page.get_by_role("tab")).to_have_count(0)
    await ada.row("bob.txt").click()
    await expect(ada.editor("bob.txt")).to_be_focused()
    await expect(field).to_have_count(0)
    # Enter makes one file, and nothing is said of a path that is taken; the keyboard is in its editor.
    await ada.new_file("ada.txt")
    await expect(ada.editor("ada.txt")).to_be_focused()
    await expect(ada.page.get_by_role("alert")).to_have_count(0)
    await expect(bob.row("ada.txt")).to_be_visible()
    await expect(bob.page.locator("nav [data-row]")).to_have_count(2)


async def test_the_file_list_is_one_stop_for_tab_and_goes_on_after_a_deletion(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make({"__proto__/x.txt": "X", "a.txt": "A", "b.txt": "B"})
    ada = await people.tab("Ada", workspace.link())
    await ada.row("__proto__").click()
    await expect(ada.row("__proto__/x.txt")).to_have_count(0)
    await ada.page.keyboard.press("ArrowDown")
    await expect(ada.row("a.txt")).to_be_focused()
    await ada.page.keyboard.press("Tab")
    await expect(ada.page.locator("nav [data-row]:focus, nav [data-row] :focus")).to_have_count(0)
    await ada.page.keyboard.press("Shift+Tab")
    await expect(ada.row("a.txt")).to_be_focused()
    await ada.page.keyboard.press("Delete")
    await expect(ada.row("b.txt")).to_be_focused()
    await expect(ada.row("a.txt")).to_have_count(0)
