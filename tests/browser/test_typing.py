"""Several people type in one file at once: all see the same, and the server has it."""

from __future__ import annotations

import asyncio
import string

import pytest
from playwright.async_api import expect

from tests.browser.agreement import typed_by, until_agreed
from tests.browser.chromium import People
from tests.browser.conftest import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "
LOWER = string.ascii_lowercase * 4
UPPER = string.ascii_uppercase * 4


async def test_two_who_type_at_the_same_place_lose_nothing_and_converge(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness(FILE)
    await asyncio.gather(ada.type(FILE, LOWER, delay_ms=4), bob.type(FILE, UPPER, delay_ms=5))
    text = await until_agreed(FILE, len(BEGIN + LOWER + UPPER), [ada, bob], witness, replica)
    assert text.startswith(BEGIN)
    assert typed_by(text[len(BEGIN) :], string.ascii_lowercase) == LOWER
    assert typed_by(text, string.ascii_uppercase) == UPPER


async def test_three_who_write_delete_and_undo_in_different_lines_converge(
    people: People, workspace: Workspace
) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    witness, replica = await workspace.witness(FILE)

    async def ada_writes() -> None:
        await ada.type(FILE, "one\ntwo\nthree", at=0)
        for _ in "three":
            await ada.page.keyboard.press("Backspace")
        await ada.page.keyboard.type("drei\n")

    async def bob_writes() -> None:
        await bob.type(FILE, "\nand the end")
        await bob.page.keyboard.press("ControlOrMeta+z")
        await bob.page.keyboard.type("fin")

    async def witness_writes() -> None:
        for number in range(20):
            replica.insert(len(str(replica).encode()), str(number % 10))
            await witness.until_saved()

    await asyncio.gather(ada_writes(), bob_writes(), witness_writes())
    for page in (ada, bob):
        await page.until_saved()
    await witness.until(lambda: "drei" in str(replica) and "fin" in str(replica))
    text = str(replica)
    assert text.startswith("one\ntwo\ndrei\nbegin ")
    assert "and the end" not in text, "Bob's undo undoes Bob's words, and nobody else's"
    assert typed_by(text, string.digits) == "0123456789" * 2
    for page in (ada, bob):
        await page.until_text(FILE, text)


async def test_each_sees_who_else_is_here_and_where_their_caret_is(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.until_people(2)
    await bob.type(FILE, "x")
    await expect(ada.page.locator(".carets-caret")).to_have_text("Bob")
    await ada.people().click()
    await expect(ada.page.get_by_role("button", name="Bob, ")).to_be_visible()
    await bob.close()
    await ada.until_people(1)
    await expect(ada.page.locator(".carets-caret")).to_have_count(0)


async def test_a_new_name_reaches_the_others(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await bob.page.get_by_role("button", name="You and settings").click()
    await bob.page.get_by_label("Your name").fill("Robert")
    await bob.page.get_by_role("button", name="Save", exact=True).click()
    await ada.until_people(2)
    await ada.people().click()
    await expect(ada.page.get_by_role("button", name="Robert, ")).to_be_visible()


async def test_the_title_of_the_tab_says_what_is_open(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    await expect(ada.page).to_have_title("notes.txt · Tests · Carets")
    assert "#" not in ada.page.url, "nobody shares a link by copying the address"
