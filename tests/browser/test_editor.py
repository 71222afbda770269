"""The editor as people use it together: keymaps, undo, folds, completion, many carets, languages, plugins that throw.

What a person sets is set as they left it in this browser (`carets.settings`); the rest is done by keys.
"""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import expect

from tests.browser.agreement import until_agreed
from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "
LINES = 400

_HEAD = """(content) => content.cmTile.view.state.selection.main.head"""
_LINE_SEEN = """(content) => {
    const { view } = content.cmTile;
    const box = view.scrollDOM.getBoundingClientRect();
    const at = view.coordsAtPos(view.state.selection.main.head);
    return at !== null && at.top >= box.top && at.bottom <= box.bottom;
}"""
_THROW = """(content) => {
    // The plugin of another part of the page: it throws at the first change.
    const { view } = content.cmTile;
    const known = view.plugins.find((each) => each.spec !== null).spec;
    const Plugin = (known.plugin ?? known).constructor;
    const Effect = view.constructor.scrollIntoView(0).constructor;
    window.thrown = 0;
    const bad = Plugin.define(() => ({
        update(update) {
            if (!update.docChanged) return;
            window.thrown += 1;
            throw new Error("a plugin of another part of the page");
        },
    }));
    view.dispatch({ effects: Effect.appendConfig.of(bad) });
}"""


def set_to(**settings: object) -> str:
    """A script by which a person's browser has these settings."""
    return f"try {{ localStorage.setItem('carets.settings', {json.dumps(json.dumps(settings))}) }} catch {{}}"


async def with_settings(people: People, name: str, workspace: Workspace, **settings: object) -> WorkspacePage:
    """Someone new whose browser is set so."""
    return await (await people.person(name, set_to(**settings))).tab(workspace.link())


async def press(page: WorkspacePage, *keys: str) -> None:
    for key in keys:
        await page.page.keyboard.press(key)


async def until_keys(page: WorkspacePage, path: str, mode: str) -> None:
    """Wait until the keymap that was fetched is in force."""
    await page.editor(path).focus()
    await expect(page.page.locator(f".cm-editor:has([aria-label='{path}']) .{mode}")).to_have_count(1)


async def is_in_sight(page: WorkspacePage, path: str) -> bool:
    return bool(await page.editor(path).evaluate(_LINE_SEEN))


def code(names: int) -> str:
    """Some Python that can be folded."""
    return "".join(f"def function_{number}():\n    return {number}\n\n" for number in range(names))


# -- vim


async def test_vim_types_undoes_and_deletes_lines_while_another_person_types(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make({FILE: "one\ntwo\nthree\n"})
    ada = await with_settings(people, "Ada", workspace, keymap="vim")
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, "one\ntwo\nthree\n")
    await until_keys(ada, FILE, "cm-vimMode")
    await ada.select(FILE, 0, 0)

    # Insert mode is one step of undo, however long it takes, and whatever others type meanwhile.
    await press(ada, "A")
    await ada.page.keyboard.type(" mine")
    await bob.type(FILE, "bob ", at=0)
    await ada.until_text(FILE, "bob one mine\ntwo\nthree\n")
    await ada.editor(FILE).focus()
    await ada.page.keyboard.type(" too")
    await press(ada, "Escape")
    await bob.until_text(FILE, "bob one mine too\ntwo\nthree\n")
    await press(ada, "u")
    await bob.until_text(FILE, "bob one\ntwo\nthree\n")
    await press(ada, "Control+r")
    await bob.until_text(FILE, "bob one mine too\ntwo\nthree\n")
    await press(ada, "u")

    # Two commands in a breath are two steps.
    await press(ada, "j", "d", "d", "d", "d")
    await bob.until_text(FILE, "bob one\n")
    await bob.type(FILE, "!", at=-1)
    await press(ada, "u")
    await bob.until_text(FILE, "bob one\nthree\n!")
    await press(ada, "u")
    await bob.until_text(FILE, "bob one\ntwo\nthree\n!")
    # All of it was theirs: what Bob typed is no step of Ada's.
    await press(ada, "u", "u")
    await bob.until_text(FILE, "bob one\ntwo\nthree\n!")


async def test_what_vim_repeats_is_not_what_others_type(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "one\ntwo\n"})
    ada = await with_settings(people, "Ada", workspace, keymap="vim")
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, "one\ntwo\n")
    await until_keys(ada, FILE, "cm-vimMode")
    await ada.select(FILE, 0, 0)
    await press(ada, "I", "-")
    await bob.type(FILE, "THEIRS", at=7)
    await ada.until_text(FILE, "-one\ntwTHEIRSo\n")
    await press(ada, "Escape", "j", ".")
    await bob.until_text(FILE, "-one\n-twTHEIRSo\n")


async def test_vim_writes_by_itself_and_lets_the_keyboard_out(people: People, workspace: Workspace) -> None:
    ada = await with_settings(people, "Ada", workspace, keymap="vim")
    await ada.until_text(FILE, BEGIN)
    await until_keys(ada, FILE, "cm-vimMode")
    await expect(ada.page.locator(".cm-vim-panel")).to_contain_text("NORMAL")
    await press(ada, ":", "w", "Enter")
    await expect(ada.page.get_by_text("saved by itself")).to_be_visible()
    await ada.editor(FILE).focus()
    await press(ada, "Escape", "Tab")
    await expect(ada.editor(FILE)).not_to_be_focused()
    assert await ada.text(FILE) == BEGIN


async def test_vim_deletes_an_emoji_whole(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "a😀b"})
    ada = await with_settings(people, "Ada", workspace, keymap="vim")
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, "a😀b")
    await until_keys(ada, FILE, "cm-vimMode")
    await ada.select(FILE, 1, 1)
    await press(ada, "x")
    await bob.until_text(FILE, "ab")
    await press(ada, "u")
    await bob.until_text(FILE, "a😀b")


# -- emacs


async def test_emacs_kills_yanks_and_undoes_while_another_person_types(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "one two\nthree\n"})
    ada = await with_settings(people, "Ada", workspace, keymap="emacs")
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, "one two\nthree\n")
    await until_keys(ada, FILE, "cm-emacsMode")
    await ada.select(FILE, 3, 3)
    await press(ada, "Control+k")
    await bob.until_text(FILE, "one\nthree\n")
    await bob.type(FILE, "bob ", at=0)
    await ada.until_text(FILE, "bob one\nthree\n")
    await ada.editor(FILE).focus()
    await press(ada, "Alt+Shift+Period", "Control+y")
    await bob.until_text(FILE, "bob one\nthree\n two")
    await press(ada, "Control+/")
    await bob.until_text(FILE, "bob one\nthree\n")
    await press(ada, "Control+/")
    await bob.until_text(FILE, "bob one two\nthree\n")
    await press(ada, "Control+/")
    await bob.until_text(FILE, "bob one two\nthree\n")


async def test_emacs_keeps_its_mark_while_others_type(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "one two three"})
    ada = await with_settings(people, "Ada", workspace, keymap="emacs")
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, "one two three")
    await until_keys(ada, FILE, "cm-emacsMode")
    await ada.select(FILE, 4, 4)
    await press(ada, "Control+Space")
    await bob.type(FILE, "bob ", at=0)
    await ada.until_text(FILE, "bob one two three")
    await ada.editor(FILE).focus()
    await press(ada, "Control+e", "Control+w")
    await bob.until_text(FILE, "bob one ")


# -- undo


async def test_undo_scrolls_to_where_it_happens_and_unfolds_it(people: People, workspaces: Workspaces) -> None:
    text = code(LINES)
    workspace = await workspaces.make({"long.py": text})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text("long.py", text)
    inside = text.index("return 0") + len("return 0")
    await ada.type("long.py", "+1", at=inside)
    await bob.until_text("long.py", text[:inside] + "+1" + text[inside:])
    # She folds it, and goes far away.
    await expect(ada.page.locator(".cm-foldGutter [title='Fold']").first).to_be_visible()
    await ada.select("long.py", 0, 0)
    await press(ada, "Control+Shift+BracketLeft")
    await expect(ada.page.locator(".cm-foldPlaceholder")).to_have_count(1)
    await press(ada, "Control+End")
    assert await is_in_sight(ada, "long.py")
    await expect(ada.page.locator(".cm-foldPlaceholder")).to_have_count(0)
    # Someone else's edits go on and are not hers to undo.
    await bob.type("long.py", "# bob", at=-1)
    await ada.until_text("long.py", text[:inside] + "+1" + text[inside:] + "# bob")
    await ada.editor("long.py").focus()
    await press(ada, "ControlOrMeta+z")
    await bob.until_text("long.py", text + "# bob")
    await expect(ada.page.locator(".cm-line", has_text="return 0").first).to_be_in_viewport()
    await expect(ada.page.locator(".cm-foldPlaceholder")).to_have_count(0)
    assert await ada.editor("long.py").evaluate(_HEAD) == inside


# -- text


async def test_many_carets_type_emoji_that_reach_the_other_person_whole(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "item 😀\nitem 😀\nitem 😀\n"})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness(FILE)
    await ada.until_text(FILE, "item 😀\nitem 😀\nitem 😀\n")
    await ada.editor(FILE).focus()
    await ada.select(FILE, 0, 0)
    # The word at the caret, then the next one, then all; then a caret below by keys.
    await press(ada, "ControlOrMeta+d", "ControlOrMeta+d", "ControlOrMeta+d")
    await bob.type(FILE, "top\n", at=0)
    await ada.until_text(FILE, "top\nitem 😀\nitem 😀\nitem 😀\n")
    await ada.editor(FILE).focus()
    await ada.page.keyboard.insert_text("👩‍👩‍👧")
    await press(ada, "End", "Backspace")
    await ada.page.keyboard.type("xy")  # two letters for one: the others are read once they have as many as that
    expected = "top\n" + "👩‍👩‍👧 xy\n" * 3
    await ada.until_text(FILE, expected)
    assert await until_agreed(FILE, len(expected), [ada, bob], witness, replica) == expected
    # One key for all of them, one step back for all of them.
    await press(ada, "ControlOrMeta+z", "ControlOrMeta+z", "ControlOrMeta+z")
    await bob.until_text(FILE, "top\nitem 😀\nitem 😀\nitem 😀\n")


async def test_a_click_with_alt_and_a_key_add_carets(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "aa\nbb\ncc\n"})
    ada = await people.tab("Ada", workspace.link())
    await ada.until_text(FILE, "aa\nbb\ncc\n")
    await ada.editor(FILE).focus()
    await ada.select(FILE, 0, 0)
    await press(ada, "Control+Alt+ArrowDown")
    third = ada.page.locator(".cm-line").nth(2)
    await third.click(modifiers=["Alt"], position={"x": 100, "y": 8})
    await ada.page.keyboard.type("!")
    await ada.until_text(FILE, "!aa\n!bb\ncc!\n")


async def test_a_word_of_another_file_is_completed(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"a.py": "def remarkable_name():\n    pass\n", "b.py": "# comment\n"})
    ada = await people.tab("Ada", workspace.link())
    await ada.open_file("a.py")
    await ada.open_file("b.py")
    await ada.type("b.py", "rema", delay_ms=30)
    option = ada.page.get_by_role("option", name="remarkable_name")
    await expect(option).to_be_visible()
    # It takes no key in the first moments, so that a list that comes up takes none that was meant for the text.
    await expect(options := ada.page.locator(".cm-tooltip-autocomplete")).to_be_visible()
    await ada.page.wait_for_function("() => new Promise((done) => setTimeout(() => done(true), 120))")
    await press(ada, "Enter")
    await expect(options).to_have_count(0)
    await ada.until_text("b.py", "# comment\nremarkable_name")
    # In a comment people write sentences; there it is offered when asked for.
    await ada.page.keyboard.type("\n# rema")
    await expect(option).to_have_count(0)
    await press(ada, "Control+Space")
    await expect(option).to_be_visible()


async def test_a_file_is_indented_as_its_text_is(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"tabs.py": "if a:\n\tb\n", "two.py": "if a:\n  b\n"})
    ada = await people.tab("Ada", workspace.link())
    await ada.open_file("tabs.py")
    await ada.type("tabs.py", "if c:\nd")
    await ada.until_text("tabs.py", "if a:\n\tb\nif c:\n\td")
    await ada.open_file("two.py")
    await ada.type("two.py", "if c:\nd")
    await ada.until_text("two.py", "if a:\n  b\nif c:\n  d")


async def test_whitespace_is_marked_when_wanted(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "a b\tc  \n"})
    ada = await with_settings(people, "Ada", workspace, whitespace=True)
    await ada.until_text(FILE, "a b\tc  \n")
    await expect(ada.page.locator(".cm-highlightTab")).to_have_count(1)
    await expect(ada.page.locator(".cm-highlightSpace").first).to_be_attached()
    await expect(ada.page.locator(".cm-trailingSpace")).to_have_count(1)
    bob = await people.tab("Bob", workspace.link())
    await bob.until_text(FILE, "a b\tc  \n")
    await expect(bob.page.locator(".cm-highlightTab")).to_have_count(0)


async def test_characters_that_turn_the_order_of_a_line_around_are_seen(people: People, workspaces: Workspaces) -> None:
    controls = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u200b\u2060\u3164"
    text = f"{controls}\nمرحبا bonjour 👩\u200d👩 ❤\ufe0f\n"
    workspace = await workspaces.make({FILE: text})
    ada = await people.tab("Ada", workspace.link())
    await ada.until_text(FILE, text)
    await expect(ada.page.locator(".cm-specialChar")).to_have_count(len(controls))
    # In prose a line that begins in Arabic runs from right to left.
    directions = (
        "(content) => [...content.querySelectorAll('.cm-line')].map((line) => getComputedStyle(line).direction)"
    )
    assert await ada.editor(FILE).evaluate(directions) == ["ltr", "rtl", "ltr"]


async def test_finding_counts_steps_and_replaces(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "one two One\n"})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, "one two One\n")
    await ada.editor(FILE).focus()
    await press(ada, "ControlOrMeta+f")
    panel = ada.page.get_by_role("search", name="Find in this file")
    await ada.page.keyboard.type("one")
    await expect(panel.get_by_role("status")).to_have_text("2 matches")
    await press(ada, "Enter")
    await expect(panel.get_by_role("status")).to_have_text("1 of 2")
    await panel.get_by_role("button", name="Match case").click()
    await expect(panel.get_by_role("status")).to_have_text("1 of 1")
    await panel.get_by_role("button", name="Show or hide replacing").click()
    await panel.get_by_label("Replace with").fill("1")
    await panel.get_by_role("button", name="Replace all").click()
    await bob.until_text(FILE, "1 two One\n")
    await press(ada, "Escape")
    await expect(panel).to_have_count(0)
    await expect(ada.editor(FILE)).to_be_focused()


async def test_a_language_is_told_by_the_first_line_or_chosen_by_hand(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"run": "#!/usr/bin/env python3\nimport os\n"})
    ada = await people.tab("Ada", workspace.link())
    await ada.until_text("run", "#!/usr/bin/env python3\nimport os\n")
    chosen = ada.page.get_by_role("button", name=re.compile("^Language: "))
    await expect(chosen).to_contain_text("Python")
    await expect(ada.page.locator(".cm-line span", has_text="import")).to_have_count(1)
    await chosen.click()
    await ada.page.get_by_placeholder("Search the languages").fill("cobol")
    await press(ada, "Enter")
    await expect(chosen).to_contain_text("Cobol")
    # It is this person's choice, and by hand stays so.
    await ada.type("run", "#", at=0)
    await expect(chosen).to_contain_text("Cobol")


async def test_a_line_is_gone_to_by_its_number(people: People, workspaces: Workspaces) -> None:
    text = code(LINES)
    workspace = await workspaces.make({"long.py": text})
    ada = await people.tab("Ada", workspace.link())
    await ada.until_text("long.py", text)
    await ada.editor("long.py").focus()
    await press(ada, "Control+g")
    await ada.page.get_by_label("Line, or line:column").fill("1000:3")
    await press(ada, "Enter")
    await expect(ada.page.get_by_text("Ln 1000, Col 3")).to_be_visible()
    await expect(ada.editor("long.py")).to_be_focused()
    assert await is_in_sight(ada, "long.py")


# -- plugins that throw (yjs#650)


async def test_a_plugin_that_throws_costs_no_letter(people: People, workspace: Workspace) -> None:
    person = await people.person("Ada")
    ada = await person.tab(workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await bob.until_text(FILE, BEGIN)
    await ada.until_text(FILE, BEGIN)
    await ada.editor(FILE).evaluate(_THROW)
    await ada.type(FILE, "typed after it threw")
    await bob.until_text(FILE, BEGIN + "typed after it threw")
    await bob.type(FILE, ", and back")
    await ada.until_text(FILE, BEGIN + "typed after it threw, and back")
    assert await ada.evaluate("() => window.thrown") == 1, "CodeMirror takes a plugin out that threw"
    await expect(ada.page.get_by_text("This view of the file broke")).to_have_count(0)
    person.complaints.clear()


# -- together


async def test_names_show_for_a_moment_and_near_the_pointer(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({FILE: "one\ntwo\nthree\nfour\n"})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.until_text(FILE, "one\ntwo\nthree\nfour\n")
    await bob.type(FILE, "!", at=13)
    name = ada.page.locator(".carets-caret > span")
    await expect(name).to_have_text("Bob")
    await expect(name).to_have_css("opacity", "1")
    await expect(name).to_have_css("opacity", "0")
    box = await ada.page.locator(".carets-caret").bounding_box()
    assert box is not None
    await ada.page.mouse.move(box["x"] + 3, box["y"] + 5)
    await expect(name).to_have_css("opacity", "1")
    # He is in the third line: in the second, where she comes to type, no name is in her way.
    third = ada.page.locator(".cm-line").nth(2)
    await ada.select(FILE, 5, 5)
    low = await name.bounding_box()
    line = await third.bounding_box()
    assert low is not None
    assert line is not None
    assert low["y"] >= line["y"] + line["height"] - 3
