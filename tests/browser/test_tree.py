"""The file tree: by keyboard alone, moved by mouse and by dialog, folders renamed and deleted for everybody."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Locator, expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspaces
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PROJECT = {
    "README.md": "# Read me",
    "docs/guide.md": "guide",
    "src/api/routes.py": "routes",
    "src/main.py": "main",
}


async def middle(row: Locator) -> tuple[float, float]:
    box = await row.bounding_box()
    assert box is not None
    return box["x"] + 60, box["y"] + box["height"] / 2


async def drag(tab: WorkspacePage, path: str, to: Locator) -> None:
    """With the mouse, in steps, as a hand does."""
    mouse = tab.page.mouse
    await mouse.move(*await middle(tab.row(path)))
    await mouse.down()
    await mouse.move(*await middle(to), steps=6)
    await mouse.up()


async def test_the_keyboard_alone_reaches_folds_opens_and_renames(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link())
    press = ada.page.keyboard.press
    await expect(ada.page.get_by_role("treeitem")).to_have_count(7)
    await ada.row("docs").focus()
    await expect(ada.row("docs")).to_have_attribute("aria-expanded", "true")
    await press("ArrowLeft")
    await expect(ada.row("docs")).to_have_attribute("aria-expanded", "false")
    await expect(ada.row("docs/guide.md")).to_have_count(0)
    await press("ArrowDown")
    await expect(ada.row("src")).to_be_focused()
    await press("ArrowRight")
    await press("ArrowRight")
    await expect(ada.row("src/api/routes.py")).to_be_focused()
    await expect(ada.row("src/api/routes.py")).to_have_attribute("aria-level", "3")
    await press("ArrowLeft")
    await expect(ada.row("src/api")).to_be_focused()
    # Letters go to what begins with them.
    await press("m")
    await expect(ada.row("src/main.py")).to_be_focused()
    await press("Home")
    await press("End")
    await expect(ada.row("README.md")).to_be_focused()
    await press("F2")
    await expect(ada.page.get_by_label("New path of README.md")).to_be_focused()
    await ada.page.keyboard.type("START")
    await press("Enter")
    await expect(ada.row("START.md")).to_be_focused()
    await press("Enter")
    await expect(ada.editor("START.md")).to_be_focused()
    # What is folded stays so over a reload.
    await ada.reload()
    await expect(ada.row("docs")).to_have_attribute("aria-expanded", "false")


async def test_the_menu_is_reached_and_left_by_keys(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link())
    await ada.row("src/main.py").focus()
    await ada.page.keyboard.press("Shift+F10")
    await expect(ada.page.get_by_role("menuitem", name="Open")).to_be_focused()
    await ada.page.keyboard.press("Escape")
    await expect(ada.page.get_by_role("menu")).to_have_count(0)
    await expect(ada.row("src/main.py")).to_be_focused()
    await ada.page.keyboard.press("Shift+F10")
    await ada.page.keyboard.press("d")
    await ada.page.keyboard.press("Enter")
    await expect(ada.row("src/main (2).py")).to_be_visible()
    await ada.until_text("src/main (2).py", "main")


async def test_a_file_is_moved_by_mouse_and_back_by_undo(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await drag(ada, "src/main.py", ada.row("docs"))
    await expect(bob.row("docs/main.py")).to_be_visible()
    await expect(ada.page.get_by_text("Moved src/main.py to docs/")).to_be_visible()
    # The press that carried opened nothing.
    await expect(ada.page.get_by_role("tab")).to_have_count(0)
    await ada.page.get_by_role("button", name="Undo").click()
    await expect(bob.row("src/main.py")).to_be_visible()
    # A folder, onto a file at the top: to the top.
    await drag(ada, "src/api", ada.row("README.md"))
    await expect(bob.row("api/routes.py")).to_be_visible()
    # Nothing is moved where it is already, nor by a drag that Escape ends, nor into itself.
    await ada.page.mouse.move(*await middle(ada.row("README.md")))
    await ada.page.mouse.down()
    await ada.page.mouse.move(*await middle(ada.row("docs")), steps=6)
    await ada.page.keyboard.press("Escape")
    await ada.page.mouse.up()
    await drag(ada, "api", ada.row("api/routes.py"))
    # Carried away and back is no click either.
    await ada.page.mouse.move(*await middle(ada.row("README.md")))
    await ada.page.mouse.down()
    await ada.page.mouse.move(*await middle(ada.row("docs")), steps=6)
    await ada.page.mouse.move(*await middle(ada.row("README.md")), steps=6)
    await ada.page.mouse.up()
    await expect(ada.page.get_by_role("tab")).to_have_count(0)
    await expect(ada.row("README.md")).to_be_visible()
    await expect(ada.row("api/routes.py")).to_be_visible()
    await expect(ada.page.get_by_role("alert")).to_have_count(0)


async def test_a_drag_waits_over_a_folded_folder_until_it_unfolds(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link())
    await ada.row("src").click()
    await expect(ada.row("src/api")).to_have_count(0)
    await ada.page.mouse.move(*await middle(ada.row("README.md")))
    await ada.page.mouse.down()
    await ada.page.mouse.move(*await middle(ada.row("src")), steps=6)
    await expect(ada.row("src/api")).to_be_visible()
    await ada.page.mouse.move(*await middle(ada.row("src/api")), steps=6)
    await ada.page.mouse.up()
    await expect(ada.row("src/api/README.md")).to_be_visible()


async def test_what_is_chosen_together_moves_together_by_the_dialog(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.row("README.md").focus()
    await ada.page.keyboard.press("Space")
    await ada.row("docs/guide.md").focus()
    await ada.page.keyboard.press("Space")
    await expect(ada.row("README.md")).to_have_attribute("aria-selected", "true")
    await expect(ada.row("docs/guide.md")).to_have_attribute("aria-selected", "true")
    await ada.page.keyboard.press("Shift+F10")
    await ada.page.keyboard.press("Enter")
    dialog = ada.page.get_by_role("dialog", name="Move 2 files and folders")
    await expect(dialog.get_by_label("Find a folder, or name a new one")).to_be_focused()
    await ada.page.keyboard.type("old/notes")
    await expect(dialog.get_by_role("radio", name="old/notes")).to_be_checked()
    await ada.page.keyboard.press("Enter")
    await expect(bob.row("old/notes/README.md")).to_be_visible()
    await expect(bob.row("old/notes/guide.md")).to_be_visible()
    await expect(bob.row("docs")).to_have_count(0)


async def test_a_folder_is_renamed_for_everybody_and_its_open_files_with_it(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await bob.open_file("src/main.py")
    await ada.rename_row("src", "lib/core")
    await expect(bob.editor("lib/core/main.py")).to_be_visible()
    await bob.type("lib/core/main.py", "!")
    await expect(ada.row("lib/core/api/routes.py")).to_be_visible()
    await expect(ada.row("src")).to_have_count(0)
    await ada.open_file("lib/core/main.py")
    await ada.until_text("lib/core/main.py", "main!")
    # Into itself it does not go, and that is said where it was typed.
    await ada.rename_row("lib", "lib/inner")
    await expect(ada.page.get_by_role("alert")).to_contain_text("into itself")


async def test_a_deleted_folder_comes_back_whole(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.row("src").focus()
    await ada.page.keyboard.press("Delete")
    await expect(bob.row("src")).to_have_count(0)
    await expect(ada.row("README.md")).to_be_focused()
    await expect(ada.page.get_by_text("Deleted src", exact=True)).to_be_visible()
    await ada.page.get_by_role("button", name="Restore", exact=True).click()
    await expect(bob.row("src/api/routes.py")).to_be_visible()
    await bob.open_file("src/main.py")
    await bob.until_text("src/main.py", "main")


async def test_a_new_folder_waits_on_this_page_until_a_file_is_in_it(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.page.get_by_role("button", name="More for files").click()
    await ada.page.get_by_role("menuitem", name="New folder").click()
    field = ada.page.get_by_label("Path of the new folder")
    await field.fill("docs")
    await field.press("Enter")
    await expect(ada.page.get_by_role("alert")).to_contain_text("docs is there already")
    await field.fill("plans")
    await field.press("Enter")
    empty = ada.page.get_by_role("treeitem", name="plans, empty")
    await expect(empty).to_be_focused()
    await ada.reload()
    await expect(empty).to_be_visible()
    await drag(ada, "README.md", empty)
    await expect(ada.row("plans")).to_be_visible()
    await expect(bob.row("plans/README.md")).to_be_visible()


async def test_a_viewer_can_look_and_take_along_and_change_nothing(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PROJECT)
    ada = await people.tab("Ada", workspace.link("viewer"))
    await ada.row("src/main.py").click(button="right")
    await expect(ada.page.get_by_role("menuitem")).to_have_count(3)
    for item in ("Open", "Copy path", "Download"):
        await expect(ada.page.get_by_role("menuitem", name=item, exact=True)).to_be_visible()
    await ada.page.keyboard.press("Escape")
    await ada.page.keyboard.press("F2")
    await ada.page.keyboard.press("Delete")
    await drag(ada, "src/main.py", ada.row("docs"))
    await expect(ada.page.get_by_role("textbox")).to_have_count(0)
    await expect(ada.row("src/main.py")).to_be_visible()


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_thousand_files_are_listed_and_only_the_one_looked_at_is_loaded(
    people: People, workspaces: Workspaces
) -> None:
    files = {f"part{number % 20:02}/file{number:04}.txt": f"{number} " + "x" * 10_000 for number in range(1_000)}
    workspace = await workspaces.make(files)
    ada = await people.tab("Ada", workspace.link())
    # So many begin folded.
    await expect(ada.page.get_by_role("treeitem")).to_have_count(20)
    await ada.row("part07").click()
    await expect(ada.row("part07")).to_have_attribute("aria-setsize", "20")
    await ada.row("part07").press("*")
    # Far below what is there, whatever is unfolded.
    assert await ada.page.get_by_role("treeitem").count() < 250
    await ada.page.keyboard.press("End")
    last = ada.row("part19/file0999.txt")
    await expect(last).to_be_focused()
    await expect(last).to_be_in_viewport()
    await ada.page.keyboard.press("Home")
    await ada.page.keyboard.type("file0507")
    await expect(ada.row("part07/file0507.txt")).to_be_focused()
    await ada.page.keyboard.press("Enter")
    await ada.until_text("part07/file0507.txt", files["part07/file0507.txt"])
    frames = [json.loads(frame.text) for frame in ada.sent if frame.text]
    assert [frame["type"] for frame in frames if frame["type"] == "open_file"] == ["open_file"]
