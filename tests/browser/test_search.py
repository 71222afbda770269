"""Searching and replacing in all files of a workspace, while others write in them: nothing that is typed is lost."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Locator, expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.line import Line
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILES = {
    "a.py": "old = 1\nprint(old)\n",
    "lib/b.py": "from a import old\n",
    "lib/c.md": "nothing here\nbut old\n",
    "notes.txt": "begin ",
}
SLOW = "a" * 50_000 + "!"
"""Of `(a+)+$` a backtracking engine never finishes this."""

_TICKS = """() => {
    window.worst = 0;
    let last = performance.now();
    setInterval(() => {
        const now = performance.now();
        window.worst = Math.max(window.worst, now - last);
        last = now;
    }, 20);
}"""


async def search(tab: WorkspacePage, text: str) -> None:
    """Search in all files, from wherever the keyboard is."""
    await tab.page.keyboard.press("Control+Shift+f")
    await expect(query(tab)).to_be_focused()
    await query(tab).fill(text)
    await query(tab).press("Enter")


def query(tab: WorkspacePage) -> Locator:
    return tab.page.get_by_role("textbox", name="Search for")


def rows(tab: WorkspacePage) -> Locator:
    return tab.page.get_by_role("tree", name="Matches").get_by_role("treeitem")


def report(tab: WorkspacePage, text: str) -> Locator:
    return tab.page.get_by_role("status").filter(has_text=text)


async def open_beside(tab: WorkspacePage, path: str) -> None:
    """Open a file while the search has the place of the list."""
    await tab.page.keyboard.press("Control+p")
    await expect(tab.page.get_by_role("combobox")).to_be_focused()
    await tab.page.keyboard.type(path)
    await tab.page.keyboard.press("Enter")
    await expect(tab.editor(path)).to_be_focused()


async def ask_to_replace(tab: WorkspacePage, text: str, by: str) -> None:
    await search(tab, text)
    await tab.page.get_by_role("button", name="Show or hide replacing").click()
    await tab.page.get_by_role("textbox", name="Replace with").fill(by)


async def test_open_and_closed_files_are_searched_and_a_match_is_a_key_away(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make(FILES)
    ada = await people.tab("Ada", workspace.link())
    await ada.open_file("notes.txt")
    await ada.type("notes.txt", "an old word")
    await search(ada, "old")
    await expect(report(ada, "5 matches in 4 files")).to_be_attached()
    await expect(rows(ada).filter(has_text="an old word")).to_be_visible()
    await query(ada).press("ArrowDown")
    await ada.page.keyboard.press("ArrowDown")
    await ada.page.keyboard.press("ArrowDown")
    await expect(rows(ada).and_(ada.page.locator("[aria-selected=true]"))).to_have_accessible_name("Line 2: print(old)")
    await ada.page.keyboard.press("Enter")
    await expect(ada.editor("a.py")).to_be_focused()
    await expect(ada.page.get_by_role("button", name="Ln 2, Col 10.")).to_be_visible()


async def test_results_follow_what_is_typed(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(FILES)
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.open_file("notes.txt")
    await search(ada, "old")
    await expect(report(ada, "4 matches in 3 files")).to_be_attached()
    await bob.open_file("notes.txt")
    await bob.type("notes.txt", "old and older")
    await expect(report(ada, "6 matches in 4 files")).to_be_attached()


async def test_words_case_patterns_and_paths_narrow_it_down(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"a.py": "old Old older\n", "b.md": "old\n"})
    ada = await people.tab("Ada", workspace.link())
    await search(ada, "old")
    await expect(report(ada, "4 matches in 2 files")).to_be_attached()
    await ada.page.get_by_role("button", name="Match case").click()
    await expect(report(ada, "3 matches in 2 files")).to_be_attached()
    await ada.page.get_by_role("button", name="Whole words").click()
    await expect(report(ada, "2 matches in 2 files")).to_be_attached()
    await ada.page.get_by_role("button", name="Which files").click()
    await ada.page.get_by_role("textbox", name="Not in").fill("*.md")
    await expect(report(ada, "1 match in 1 file")).to_be_attached()
    await ada.page.get_by_role("button", name="Regular expression").click()
    await query(ada).fill("o(ld")
    await expect(ada.page.get_by_role("alert")).to_contain_text("Not a regular expression")


async def test_a_pattern_that_takes_forever_does_not_hold_up_the_page(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"large.txt": SLOW, "small.txt": "aaa"})
    ada = await people.tab("Ada", workspace.link())
    await search(ada, "(a+)+$")
    await ada.evaluate(_TICKS)
    await ada.page.get_by_role("button", name="Regular expression").click()
    await expect(ada.page.get_by_text("The pattern takes too long in large.txt.")).to_be_visible()
    await expect(report(ada, "1 match in 1 file")).to_be_attached()
    # The page ticked all the while; the bound leaves room for a busy machine, and is far below the pattern's time.
    assert await ada.evaluate("() => window.worst") < 1_500
    await open_beside(ada, "small.txt")
    await ada.type("small.txt", "b")
    await ada.until_saved()


async def test_all_is_replaced_but_what_was_left_out(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(FILES)
    ada = await people.tab("Ada", workspace.link())
    await ada.open_file("a.py")
    await ada.until_text("a.py", FILES["a.py"])
    await ask_to_replace(ada, "old", "new")
    await expect(ada.page.get_by_role("button", name="Replace 4 matches in 3 files")).to_be_visible()
    await expect(rows(ada).nth(1)).to_have_accessible_name("Line 1: old = 1. old becomes new")
    await query(ada).press("ArrowDown")
    await ada.page.keyboard.press("ArrowDown")
    await ada.page.keyboard.press("Space")
    await expect(rows(ada).nth(1)).to_have_accessible_name("Line 1: old = 1. left out")
    await ada.page.get_by_role("button", name="Replace 3 matches in 3 files").click()
    await expect(report(ada, "Replaced 3 matches in 3 files.")).to_be_visible()
    await ada.until_saved()
    await ada.until_text("a.py", "old = 1\nprint(new)\n")
    witness = await workspace.peer()
    b = await witness.open_file(witness.file_id("lib/b.py"))
    assert str(b) == "from a import new\n"
    # Of an open file it is a step of one's own undo; all of it is taken back by one button.
    await ada.editor("a.py").focus()
    await ada.page.keyboard.press("Control+z")
    await ada.until_text("a.py", FILES["a.py"])
    await ada.page.keyboard.press("Control+y")
    await ada.until_text("a.py", "old = 1\nprint(new)\n")
    await ada.page.get_by_role("button", name="Undo", exact=True).click()
    await expect(report(ada, "Undone in 3 files.")).to_be_visible()
    await ada.until_saved()
    await ada.until_text("a.py", FILES["a.py"])
    await witness.until(lambda: str(b) == FILES["lib/b.py"], "for what was undone")


async def test_one_file_is_replaced_in_alone(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(FILES)
    ada = await people.tab("Ada", workspace.link())
    await ask_to_replace(ada, "old", "new")
    await ada.page.get_by_role("button", name="Replace in lib/b.py").click()
    await expect(report(ada, "Replaced 1 match in 1 file.")).to_be_visible()
    await expect(report(ada, "3 matches in 2 files")).to_be_attached()


async def test_replacing_while_somebody_types_in_the_same_files_loses_nothing(
    people: People, workspaces: Workspaces
) -> None:
    lines = 40
    text = "old\n" * lines
    workspace = await workspaces.make({"open.py": text, "shut.py": text})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.open_file("open.py")
    for path in ("open.py", "shut.py"):
        await bob.open_file(path)
        await bob.until_text(path, text)
    await ask_to_replace(ada, "old", "new")
    await expect(ada.page.get_by_role("button", name="Replace 80 matches in 2 files")).to_be_visible()
    typed = "typed by somebody else all the while"

    async def type_in_both() -> None:
        for path in ("shut.py", "open.py"):
            await bob.open_file(path)
            await bob.type(path, typed, at=-1, delay_ms=15)

    async def replace() -> None:
        for _ in range(8):
            button = ada.page.get_by_role("button", name="matches in").and_(ada.page.locator("button.primary"))
            if await button.count() == 0:
                return
            await button.click()
            await expect(ada.page.get_by_text("Replacing…")).to_have_count(0)

    await asyncio.gather(type_in_both(), replace())
    await ada.until_saved()
    await bob.until_saved()
    witness = await workspace.peer()
    for path in ("open.py", "shut.py"):
        replica = await witness.open_file(witness.file_id(path))
        assert typed in str(replica)
        assert str(replica).replace(typed, "") in (text, text.replace("old", "new"))
        await bob.until_text(path, str(replica))
    await ada.until_text("open.py", "new\n" * lines + typed)


async def test_a_viewer_searches_and_cannot_replace(people: People, workspace: Workspace) -> None:
    viewer = await people.tab("Vera", workspace.link("viewer"))
    await search(viewer, "begin")
    await expect(report(viewer, "1 match in 1 file")).to_be_attached()
    await expect(viewer.page.get_by_role("button", name="Show or hide replacing")).to_have_count(0)
    await viewer.page.keyboard.press("Control+Shift+h")
    await expect(viewer.page.get_by_role("textbox", name="Replace with")).to_have_count(0)


async def test_offline_what_this_browser_has_is_searched_and_the_rest_is_counted(
    people: People, workspaces: Workspaces, line: Line
) -> None:
    workspace = await workspaces.make(FILES)
    ada = await people.tab("Ada", workspace.link(line=line))
    await search(ada, "nowhere")
    await expect(report(ada, "Nothing found.")).to_be_attached()
    await open_beside(ada, "a.py")
    await ada.until_text("a.py", FILES["a.py"])
    await ada.page.wait_for_load_state("networkidle")
    line.cut()
    await ada.until_light("offline")
    await search(ada, "old")
    await expect(report(ada, "2 matches in 1 file")).to_be_attached()
    await expect(ada.page.get_by_text("3 files could not be read.")).to_be_visible()
    line.mend()
    await ada.until_light("saved")
    await expect(report(ada, "4 matches in 3 files")).to_be_attached()
    await expect(ada.page.get_by_text("could not be read.")).to_have_count(0)
