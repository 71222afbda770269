"""Getting about by the keyboard: the palette, files by a few letters, lines, tabs, the language by hand."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LINES = "".join(f"line {number}\n" for number in range(1, 101))
FILES = {
    "README.md": "# Read me\n",
    "src/main.py": LINES,
    "src/deep/model.py": "class Model:\n    pass\n",
    "docs/remainder.txt": "nothing\n",
}

_CARET = """(content) => {
    const { state } = content.cmTile.view;
    const line = state.doc.lineAt(state.selection.main.head);
    return [line.number, state.selection.main.head - line.from + 1];
}"""
_ORDER = """() => [...document.querySelectorAll("[role=tab]")].map(
    (tab) => tab.getAttribute("aria-label").split(", not saved")[0],
)"""


def field(tab: WorkspacePage) -> Locator:
    """What one types into to choose from a list."""
    return tab.page.get_by_role("combobox")


async def choose(
    tab: WorkspacePage, keys: str, query: str, wanted: str | re.Pattern[str], *, leads_on: bool = False
) -> None:
    """Ask for a list by its keys, type, and take the first row once it is what is wanted; it may lead to a list."""
    await tab.page.keyboard.press(keys)
    await expect(field(tab)).to_be_focused()
    await tab.page.keyboard.type(query)
    await expect(tab.page.get_by_role("option", selected=True)).to_contain_text(wanted)
    await tab.page.keyboard.press("Enter")
    if leads_on:
        await expect(tab.page.get_by_role("option").filter(has_text=wanted)).to_have_count(0)
        await expect(field(tab)).to_be_focused()
    else:
        await expect(field(tab)).to_have_count(0)


async def open_by_name(tab: WorkspacePage, path: str) -> None:
    """Open a file as somebody does who knows its name."""
    await choose(tab, "Control+p", path, path.rpartition("/")[2])
    await expect(tab.editor(path)).to_be_focused()


async def until_caret(tab: WorkspacePage, path: str, line: int, column: int) -> None:
    """Wait until one's own caret is there."""
    await expect(tab.page.get_by_role("button", name=f"Ln {line}, Col {column}.")).to_be_visible()
    assert await tab.editor(path).evaluate(_CARET) == [line, column]


async def order(tab: WorkspacePage) -> list[str]:
    """The paths of the tabs from left to right."""
    found: list[str] = await tab.evaluate(_ORDER)
    return found


async def until_order(tab: WorkspacePage, paths: list[str]) -> None:
    """Wait until the tabs are these."""
    for at, path in enumerate(paths):
        await expect(tab.page.get_by_role("tab").nth(at)).to_have_accessible_name(
            re.compile(f"^{re.escape(path)}(, not saved yet)?$")
        )
    assert await order(tab) == paths


@pytest_asyncio.fixture(loop_scope="module")
async def ada(people: People, workspaces: Workspaces) -> WorkspacePage:
    """Somebody in a workspace of a few files."""
    workspace = await workspaces.make(FILES)
    return await people.tab("Ada", workspace.link())


async def test_a_file_is_opened_by_a_few_letters_of_its_path(ada: WorkspacePage) -> None:
    await choose(ada, "Control+p", "readmd", "README.md")
    await expect(ada.editor("README.md")).to_be_focused()
    await choose(ada, "Control+p", "deep mo", "model.py")
    await expect(ada.editor("src/deep/model.py")).to_be_focused()
    # The one before comes first: back and forth takes two keys.
    await choose(ada, "Control+p", "", "README.md")
    await expect(ada.editor("README.md")).to_be_focused()


async def test_the_list_of_files_is_told_to_those_who_hear_it(ada: WorkspacePage) -> None:
    await ada.page.keyboard.press("Control+p")
    await expect(field(ada)).to_have_attribute("aria-expanded", "true")
    await ada.page.keyboard.press("ArrowDown")
    active = await field(ada).get_attribute("aria-activedescendant")
    assert active == await ada.page.get_by_role("option", selected=True).get_attribute("id")
    await expect(ada.page.get_by_role("option").nth(1)).to_have_attribute("aria-selected", "true")
    await ada.page.keyboard.press("PageDown")
    await expect(ada.page.get_by_role("option").last).to_have_attribute("aria-selected", "true")
    await ada.page.keyboard.press("ArrowDown")
    await expect(ada.page.get_by_role("option").first).to_have_attribute("aria-selected", "true")
    await field(ada).fill("no such file")
    await expect(ada.page.get_by_role("dialog").get_by_role("status")).to_have_text("No file has such a path.")
    await ada.page.keyboard.press("Escape")
    await expect(field(ada)).to_have_count(0)


async def test_a_file_is_opened_at_a_line(ada: WorkspacePage) -> None:
    await choose(ada, "Control+p", "main:42:3", "line 42")
    await until_caret(ada, "src/main.py", 42, 3)
    await expect(ada.editor("src/main.py")).to_be_focused()
    await choose(ada, "Control+p", ":7", "Go to line 7")
    await until_caret(ada, "src/main.py", 7, 1)
    await ada.page.keyboard.press("Alt+g")
    line = ada.page.get_by_role("textbox", name="Line, or line:column")
    await expect(line).to_be_focused()
    await line.press_sequentially("99:2")
    await line.press("Enter")
    await until_caret(ada, "src/main.py", 99, 2)
    await expect(ada.editor("src/main.py")).to_be_focused()


async def test_an_editor_command_of_the_palette_works_in_the_editor(ada: WorkspacePage) -> None:
    await open_by_name(ada, "src/deep/model.py")
    await choose(ada, "F1", "comment", "Comment or uncomment")
    await ada.until_text("src/deep/model.py", "# class Model:\n    pass\n")
    await expect(ada.editor("src/deep/model.py")).to_be_focused()
    await choose(ada, "F1", "undo", "Undo")
    await ada.until_text("src/deep/model.py", FILES["src/deep/model.py"])
    # What was done last comes first; `>` leads here from the list of files.
    await choose(ada, "Control+p", ">", "Undo")
    await ada.page.keyboard.press("F1")
    await expect(ada.page.get_by_role("option").first).to_contain_text("Ctrl+Z")
    await ada.page.keyboard.press("Escape")
    await expect(ada.editor("src/deep/model.py")).to_be_focused()


async def test_tabs_are_put_in_another_order_by_the_keyboard_and_stay_so(ada: WorkspacePage) -> None:
    paths = ["README.md", "src/main.py", "docs/remainder.txt"]
    for path in paths:
        await open_by_name(ada, path)
    await ada.open_tab("docs/remainder.txt").focus()
    await ada.page.keyboard.press("Alt+Shift+ArrowLeft")
    await until_order(ada, ["README.md", "docs/remainder.txt", "src/main.py"])
    await expect(ada.open_tab("docs/remainder.txt")).to_be_focused()
    await expect(ada.page.get_by_text("docs/remainder.txt is tab 2 of 3 now")).to_be_attached()
    await ada.page.keyboard.press("Alt+Shift+ArrowLeft")
    await ada.page.keyboard.press("Alt+Shift+ArrowLeft")
    await until_order(ada, ["docs/remainder.txt", "README.md", "src/main.py"])
    await ada.reload()
    await until_order(ada, ["docs/remainder.txt", "README.md", "src/main.py"])


async def test_a_tab_is_dragged_to_another_place(ada: WorkspacePage) -> None:
    for path in ("README.md", "src/main.py", "docs/remainder.txt"):
        await open_by_name(ada, path)
    box = await ada.open_tab("docs/remainder.txt").bounding_box()
    assert box is not None
    await ada.open_tab("README.md").drag_to(
        ada.open_tab("docs/remainder.txt"), target_position={"x": box["width"] - 2, "y": 8}
    )
    await until_order(ada, ["src/main.py", "docs/remainder.txt", "README.md"])


async def test_tabs_are_closed_and_opened_again(ada: WorkspacePage) -> None:
    paths = ["README.md", "src/main.py", "src/deep/model.py", "docs/remainder.txt"]
    for path in paths:
        await open_by_name(ada, path)
    await ada.page.keyboard.press("Alt+2")
    await expect(ada.editor("src/main.py")).to_be_focused()
    await ada.page.keyboard.press("Alt+w")
    await until_order(ada, ["README.md", "src/deep/model.py", "docs/remainder.txt"])
    await ada.open_tab("docs/remainder.txt").click(button="middle")
    await until_order(ada, ["README.md", "src/deep/model.py"])
    await ada.page.keyboard.press("Alt+Shift+w")
    await expect(ada.editor("docs/remainder.txt")).to_be_focused()
    await ada.page.keyboard.press("Alt+Shift+w")
    await until_order(ada, ["README.md", "src/deep/model.py", "docs/remainder.txt", "src/main.py"])
    await ada.open_tab("src/deep/model.py").click(button="right")
    await ada.page.get_by_role("menuitem", name="Close the tabs to the right").click()
    await until_order(ada, ["README.md", "src/deep/model.py"])
    await ada.open_tab("README.md").focus()
    await ada.page.keyboard.press("Shift+F10")
    await expect(ada.page.get_by_role("menuitem", name="Close", exact=True)).to_be_focused()
    await ada.page.keyboard.press("ArrowDown")
    await ada.page.keyboard.press("Enter")
    await until_order(ada, ["README.md"])


async def test_all_tabs_are_listed_where_they_have_no_room(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(FILES)
    person = await people.person("Ada", viewport={"width": 360, "height": 700})
    ada = await person.tab(workspace.link())
    for path in FILES:
        await open_by_name(ada, path)
    await ada.page.get_by_role("button", name="All open files").click()
    row = ada.page.get_by_role("menuitemradio")
    await expect(row).to_have_count(len(FILES))
    await expect(ada.page.get_by_role("menuitemradio", checked=True)).to_be_focused()
    await row.filter(has_text="README.md").click()
    await expect(ada.editor("README.md")).to_be_visible()


async def test_a_language_is_chosen_by_hand_and_stays_with_the_tab(ada: WorkspacePage) -> None:
    await open_by_name(ada, "docs/remainder.txt")
    await ada.page.get_by_role("button", name="Language: Plain text.").click()
    await expect(field(ada)).to_be_focused()
    await ada.page.keyboard.type("pyth")
    await ada.page.keyboard.press("Enter")
    await expect(ada.page.get_by_role("button", name="Language: Python.")).to_be_visible()
    await ada.page.keyboard.press("Alt+w")
    await expect(ada.editor("docs/remainder.txt")).to_have_count(0)
    await ada.page.keyboard.press("Alt+Shift+w")
    await expect(ada.page.get_by_role("button", name="Language: Python.")).to_be_visible()
    await choose(ada, "F1", "language of the file", "Choose the language", leads_on=True)
    await ada.page.keyboard.type("by the file")
    await ada.page.keyboard.press("Enter")
    await expect(ada.page.get_by_role("button", name="Language: Plain text.")).to_be_visible()


async def test_indentation_in_force_is_shown_and_chosen(ada: WorkspacePage) -> None:
    await open_by_name(ada, "src/deep/model.py")
    await ada.page.get_by_role("button", name="Indentation: 4 spaces.").click()
    await expect(field(ada)).to_be_focused()
    await ada.page.keyboard.type("tabs")
    await ada.page.keyboard.press("Enter")
    await expect(ada.page.get_by_role("button", name="Indentation: Tabs.")).to_be_visible()


async def test_keys_of_emacs_stay_the_editors_while_it_has_the_keyboard(ada: WorkspacePage) -> None:
    await choose(ada, "F1", "key emacs", "Key bindings: Emacs")
    await choose(ada, "Control+p", "main:3", "line 3")
    await expect(ada.page.get_by_role("button", name="Key bindings: Emacs.")).to_be_visible()
    await until_caret(ada, "src/main.py", 3, 1)
    await ada.page.keyboard.press("Control+p")
    await until_caret(ada, "src/main.py", 2, 1)
    await expect(field(ada)).to_have_count(0)
    # Elsewhere the keys are the page's.
    await ada.open_tab("src/main.py").focus()
    await ada.page.keyboard.press("Control+p")
    await expect(field(ada)).to_be_focused()


async def test_settings_take_effect_at_once_and_outlive_the_page(ada: WorkspacePage) -> None:
    await open_by_name(ada, "src/main.py")
    await ada.page.keyboard.press("Control+,")
    await ada.page.get_by_role("combobox", name="Key bindings").select_option("Vim")
    await ada.page.get_by_role("checkbox", name="Wrap long lines").check()
    before = await ada.page.get_by_role("status").filter(has_text="px").inner_text()
    await ada.page.get_by_role("button", name="Larger font").click()
    await expect(ada.page.get_by_role("status").filter(has_text="px")).not_to_have_text(before)
    await ada.page.keyboard.press("Escape")
    await expect(ada.page.get_by_role("button", name="Key bindings: Vim.")).to_be_visible()
    await ada.reload()
    await expect(ada.page.get_by_role("button", name="Key bindings: Vim.")).to_be_visible()
    await expect(ada.page.get_by_role("button", name="Wrap lines")).to_have_attribute("aria-pressed", "true")


async def test_a_viewer_is_told_once_that_it_is_read_only(people: People, workspace: Workspace) -> None:
    viewer = await people.tab("Vera", workspace.link("viewer"))
    await expect(viewer.page.get_by_text("Read only", exact=True)).to_have_count(1)
    await viewer.page.keyboard.press("F1")
    await expect(viewer.page.get_by_role("option", name="Find and replace in this file")).to_be_visible()
    await expect(viewer.page.get_by_role("option", name="Replace in all files")).to_have_count(0)
    await expect(viewer.page.get_by_role("option", name="Undo")).to_have_count(0)


async def test_a_file_is_found_among_a_thousand(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({f"part{at % 50}/folder/module{at}.py": "" for at in range(1_000)})
    ada = await people.tab("Ada", workspace.link())
    await choose(ada, "Control+p", "", "module")
    await ada.page.keyboard.press("Control+p")
    await expect(field(ada)).to_be_focused()
    # What is listed is what somebody may read: the time that a letter takes does not grow with the files.
    assert await ada.page.get_by_role("option").count() < 100
    await expect(ada.page.get_by_text(re.compile(r"^\d+ more: type on"))).to_be_visible()
    await ada.page.keyboard.type("p7modu757")
    await expect(ada.page.get_by_role("option", selected=True)).to_contain_text("module757.py")
