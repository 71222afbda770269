"""Several tabs of one person: each is a member of its own, and what one leaves behind another brings home."""

from __future__ import annotations

import asyncio
import string

import pytest

from tests.browser.agreement import typed_by, until_agreed
from tests.browser.chromium import People
from tests.browser.conftest import Workspace
from tests.browser.line import Line

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "


async def test_two_tabs_of_one_person_type_in_the_same_file(people: People, workspace: Workspace) -> None:
    person = await people.person("Ada")
    first, second = await person.tab(workspace.link()), await person.tab(workspace.link())
    witness, replica = await workspace.witness(FILE)
    lower, upper = string.ascii_lowercase, string.ascii_uppercase
    await asyncio.gather(first.type(FILE, lower), second.type(FILE, upper))
    text = await until_agreed(FILE, len(BEGIN + lower + upper), [first, second], witness, replica)
    assert typed_by(text, upper) == upper
    assert typed_by(text[len(BEGIN) :], lower) == lower
    await first.until_people(3)


async def test_what_a_closed_tab_left_unsent_the_next_tab_sends(
    people: People, workspace: Workspace, line: Line
) -> None:
    person = await people.person("Ada")
    closed, other = await person.tab(workspace.link(line=line)), await person.tab(workspace.link(line=line))
    for tab in (closed, other):
        await tab.until_text(FILE, BEGIN)
    line.cut_sockets()
    await closed.type(FILE, "unsent")
    await closed.until_light("offline", "kept here · 6 edits")
    await other.type(FILE, "MINE")
    await other.until_light("offline", "kept here · 4 edits")
    await closed.close()

    later = await person.tab(workspace.link(line=line))
    await later.until_text(FILE, BEGIN + "unsent")
    await later.until_light("offline", "kept here · 6 edits")
    line.mend()
    witness, replica = await workspace.witness(FILE)
    text = await until_agreed(FILE, len(BEGIN) + 10, [later, other], witness, replica)
    assert "unsent" in text
    assert "MINE" in text


async def test_what_a_closed_tab_left_unsent_a_tab_that_stayed_open_sends_in_time(
    people: People, workspace: Workspace, line: Line
) -> None:
    person = await people.person("Ada")
    stays = await person.tab()
    await stays.page.clock.install()
    await stays.open(workspace.link(line=line))
    closed = await person.tab(workspace.link(line=line))
    for tab in (closed, stays):
        await tab.until_text(FILE, BEGIN)
    line.cut_sockets()
    await closed.type(FILE, "unsent")
    await closed.until_light("offline", "kept here · 6 edits")
    await closed.close()
    line.mend()
    witness, replica = await workspace.witness(FILE)
    # It looks every 30 to 90 s.
    await stays.page.clock.fast_forward(91_000)
    await witness.until(lambda: str(replica) == BEGIN + "unsent", "for what the closed tab left")
    await stays.until_text(FILE, BEGIN + "unsent")


async def test_a_tab_that_lives_keeps_its_own_edits_when_another_comes(people: People, workspace: Workspace) -> None:
    person = await people.person("Ada")
    first = await person.tab()
    await first.be_cuttable()
    await first.open(workspace.link())
    await first.until_text(FILE, BEGIN)
    await first.cut()
    await first.type(FILE, "first")
    await first.until_light("offline", "kept here · 5 edits")
    # The second asks who lives, and the first answers, which it can without a line.
    second = await person.tab(workspace.link())
    await second.until_text(FILE, BEGIN)
    await second.type(FILE, "SECOND")
    await second.until_saved()
    assert await second.text(FILE) == BEGIN + "SECOND"
    first.mend()
    witness, replica = await workspace.witness(FILE)
    text = await until_agreed(FILE, len(BEGIN) + 11, [first, second], witness, replica)
    assert "first" in text
    assert "SECOND" in text


async def test_a_file_closed_with_unsaved_edits_is_still_sent(people: People, workspace: Workspace, line: Line) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    line.cut()
    await ada.type(FILE, "and closed")
    await ada.until_light("offline", "kept here · 10 edits")
    await ada.page.get_by_role("button", name=f"Close {FILE}").click()
    line.mend()
    await ada.until_saved()
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "and closed"
