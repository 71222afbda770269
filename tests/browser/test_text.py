"""Any script, any way of entering it: emoji, CJK, input methods, Windows line ends, large pastes."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.browser.agreement import until_agreed
from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "
FAMILY = "👩‍👩‍👧‍👦"
SCRIPTS = f"漢字かな한국어 żółw עברית 👍🏽 {FAMILY} 𝒳"

_INSERT = """(content, [from, insert]) => content.cmTile.view.dispatch({ changes: { from, insert } })"""


async def test_any_script_arrives_as_it_was_typed(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness(FILE)
    await ada.type(FILE, SCRIPTS)
    await until_agreed(FILE, len(BEGIN + SCRIPTS), [ada, bob], witness, replica)
    assert str(replica) == BEGIN + SCRIPTS


async def test_an_emoji_is_never_cut_in_half(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness(FILE)
    await ada.type(FILE, "😀😃")
    await bob.until_text(FILE, BEGIN + "😀😃")
    # Between the halves of the first, in UTF-16 units: no key goes there, but commands of an editor may.
    await bob.editor(FILE).evaluate(_INSERT, [len(BEGIN) + 1, "x"])
    await ada.page.keyboard.press("Backspace")
    # What came before the key took effect is as long, or longer.
    await witness.until(lambda: str(replica) == BEGIN + "😀x", "for both changes")
    assert await until_agreed(FILE, len(BEGIN) + 2, [ada, bob], witness, replica) == BEGIN + "😀x"


async def test_composed_text_survives_another_person_in_the_same_line(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness(FILE)
    await bob.until_text(FILE, BEGIN)
    await ada.type(FILE, "")
    keys = await ada.page.context.new_cdp_session(ada.page)
    compositions = ["n", "に", "にh", "にほ", "にほn", "にほん", "日本"]
    for number, composition in enumerate(compositions):
        units = len(composition)
        await keys.send(
            "Input.imeSetComposition", {"text": composition, "selectionStart": units, "selectionEnd": units}
        )
        # The other one types before, in the same line, while the composition stands.
        await bob.type(FILE, str(number), at=0)
        expected = "".join(str(each) for each in range(number, -1, -1))
        await expect(ada.editor(FILE)).to_contain_text(expected)
    await keys.send("Input.insertText", {"text": "日本語"})
    await ada.page.keyboard.type("!")
    text = await until_agreed(FILE, len("6543210" + BEGIN + "日本語!"), [ada, bob], witness, replica)
    assert text == "6543210" + BEGIN + "日本語!"


async def test_a_composition_that_is_given_up_leaves_nothing(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    witness, replica = await workspace.witness(FILE)
    await ada.type(FILE, "")
    keys = await ada.page.context.new_cdp_session(ada.page)
    await keys.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    await witness.until(lambda: str(replica) == BEGIN + "にほん")
    await keys.send("Input.imeSetComposition", {"text": "", "selectionStart": 0, "selectionEnd": 0})
    await witness.until(lambda: str(replica) == BEGIN)
    await until_agreed(FILE, len(BEGIN), [ada], witness, replica)


async def test_a_windows_file_stays_whole_under_edits(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"dos.txt": "one\r\ntwo\r\nthree\r\n"})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness("dos.txt")
    await ada.until_text("dos.txt", "one\ntwo\nthree\n")
    await expect(ada.page.get_by_text("CRLF", exact=True)).to_be_visible()
    await asyncio.gather(ada.type("dos.txt", "four\nfive"), bob.type("dos.txt", "2 ", at=4))
    expected = "one\n2 two\nthree\nfour\nfive"
    assert await until_agreed("dos.txt", len(expected), [ada, bob], witness, replica) == expected
    assert "CRLF" in await ada.page.get_by_role("contentinfo").inner_text(), "it is exported as it came"


async def test_pasted_windows_lines_end_as_all_others_do(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness(FILE)
    await ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ada.type(FILE, "")
    await ada.paste(FILE, "a\r\nb\rc\n")
    await ada.page.keyboard.type("end")
    expected = BEGIN + "a\nb\nc\nend"
    assert await until_agreed(FILE, len(expected), [ada, bob], witness, replica) == expected


async def test_a_paste_of_a_megabyte_arrives_whole(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness(FILE)
    await bob.until_text(FILE, BEGIN)
    pasted = "".join(f"{number:06} a line of text, 一行, 👍\n" for number in range(30_000))
    assert len(pasted.encode()) > 1_000_000
    await ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await ada.type(FILE, "")
    await ada.paste(FILE, pasted)
    await ada.page.keyboard.type("end")
    await bob.type(FILE, "TOP ", at=0)
    expected = "TOP " + BEGIN + pasted + "end"
    assert await until_agreed(FILE, len(expected), [ada, bob], witness, replica) == expected
    assert (ada.sockets, bob.sockets) == (1, 1), "nobody had to reconnect"
