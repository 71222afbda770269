"""Lines that break and servers that restart: people type on, and nothing is lost (promise 3)."""

from __future__ import annotations

import asyncio
import string

import pytest
from playwright.async_api import Error as BrowserError
from playwright.async_api import expect

from tests.browser.agreement import typed_by, until_agreed
from tests.browser.chromium import People
from tests.browser.conftest import Workspace
from tests.browser.line import Line
from tests.serving import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "


async def test_what_is_typed_without_a_line_survives_reloads_and_comes_back(
    people: People, workspace: Workspace, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    bob = await people.tab("Bob", workspace.link())
    await ada.type(FILE, "online ")
    await bob.until_text(FILE, BEGIN + "online ")

    line.cut_sockets()
    await ada.type(FILE, "cut ")
    await ada.until_light("offline", "kept here · 4 edits")
    await bob.type(FILE, "BOB ")
    await bob.until_saved()

    await ada.reload()
    await ada.until_text(FILE, BEGIN + "online cut ")
    await ada.until_light("offline", "kept here · 4 edits")
    await ada.type(FILE, "reloaded ")
    await ada.until_light("offline", "kept here · 13 edits")
    await ada.reload()
    await ada.until_text(FILE, BEGIN + "online cut reloaded ")

    line.mend()
    await ada.page.get_by_role("button", name="Retry now").click()
    witness, replica = await workspace.witness(FILE)
    units = len(BEGIN + "online cut reloaded BOB ")
    text = await until_agreed(FILE, units, [ada, bob], witness, replica)
    assert typed_by(text, string.ascii_lowercase + " ").replace("  ", " ") == BEGIN + "online cut reloaded "
    assert "BOB " in text


async def test_a_reload_without_a_server_shows_the_files_that_were_opened_and_editing_goes_on(
    people: People, workspace: Workspace, line: Line
) -> None:
    person = await people.person("Ada")
    ada = await person.tab(workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    await ada.until_saved()
    await ada.until_openable_offline()
    line.cut()
    await person.context.set_offline(True)
    await ada.type(FILE, "kept")
    await ada.until_light("offline", "kept here · 4 edits")
    await ada.reload()
    await ada.until_text(FILE, BEGIN + "kept")
    await ada.type(FILE, " more")
    await ada.until_light("offline", "kept here · 9 edits")
    # A tab that was never open finds it, too, and so does the start page.
    second = await person.tab(ada.page.url)
    await second.open_file(FILE)
    await second.close()
    start = await person.tab()
    await start.page.goto(f"{line.url}/")
    await expect(start.page.get_by_role("link", name="Tests")).to_be_visible()
    # What is not the page itself is never answered from a cache.
    with pytest.raises(BrowserError):
        await ada.evaluate("async () => (await fetch('/api/server')).status")
    line.mend()
    await person.context.set_offline(False)
    await ada.until_saved()
    witness, replica = await workspace.witness(FILE)
    await witness.until(lambda: str(replica) == BEGIN + "kept more")


async def test_a_killed_server_is_no_reason_for_a_reload_to_fail(
    people: People, workspace: Workspace, server: ServerProcess
) -> None:
    ada = await people.tab("Ada", workspace.link())
    await ada.until_text(FILE, BEGIN)
    await ada.until_saved()
    await ada.until_openable_offline()
    await server.kill()
    await ada.reload()
    await ada.until_text(FILE, BEGIN)
    await ada.type(FILE, "typed")
    await ada.until_light("offline", "kept here · 5 edits")
    await server.start()
    await ada.until_saved()
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "typed"


async def test_a_silent_server_is_waited_for_a_few_seconds_only(
    people: People, workspace: Workspace, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    await ada.until_openable_offline()
    line.silence()
    await ada.reload()
    await ada.until_text(FILE, BEGIN)
    line.mend()
    await ada.until_saved()


async def test_a_page_comes_back_at_once_when_the_browser_says_that_the_network_is_back(
    people: People, workspace: Workspace, line: Line
) -> None:
    person = await people.person("Ada")
    ada = await person.tab()
    await ada.page.clock.install()
    await ada.open(workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    line.cut()
    await person.context.set_offline(True)
    await ada.until_light("offline")
    await ada.type(FILE, "away")
    await ada.pause_clock()
    line.mend()
    # Its clock stands, so no wait for the next attempt ends: only the browser's word brings it back.
    await person.context.set_offline(False)
    witness, replica = await workspace.witness(FILE)
    await witness.until(lambda: str(replica) == BEGIN + "away")
    await ada.page.clock.resume()
    await ada.until_saved()


async def test_a_line_that_falls_silent_is_noticed_and_left(people: People, workspace: Workspace, line: Line) -> None:
    person = await people.person("Ada")
    ada = await person.tab()
    await ada.page.clock.install()
    await ada.open(workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    line.silence()
    await ada.type(FILE, "unheard")
    await ada.until_light("unsaved")
    for _ in range(3):
        await ada.page.clock.fast_forward(10_000)
    await ada.until_light("offline", "kept here · 7 edits")
    line.mend()
    await ada.page.get_by_role("button", name="Retry now").click()
    witness, replica = await workspace.witness(FILE)
    await witness.until(lambda: str(replica) == BEGIN + "unheard")
    await ada.page.clock.fast_forward(1_000)
    await ada.until_saved()


async def test_a_restart_under_both_is_survived_without_a_hand(
    people: People, workspace: Workspace, server: ServerProcess
) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.type(FILE, "before ")
    await bob.until_text(FILE, BEGIN + "before ")
    await server.stop()
    await asyncio.gather(ada.type(FILE, "while "), bob.type(FILE, "DOWN "))
    await ada.until_light("offline", "kept here · 6 edits")
    await bob.until_light("offline", "kept here · 5 edits")
    await server.start()
    for page in (ada, bob):
        await page.until_saved()
    witness, replica = await workspace.witness(FILE)
    units = len(BEGIN + "before while DOWN ")
    text = await until_agreed(FILE, units, [ada, bob], witness, replica)
    assert typed_by(text, string.ascii_uppercase) == "DOWN"
    assert "while " in text
    await ada.until_people(3)


async def test_a_killed_server_takes_nothing_with_it(
    people: People, workspace: Workspace, server: ServerProcess
) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    letters = string.ascii_lowercase * 3

    async def kill() -> None:
        await expect(bob.editor(FILE)).to_contain_text("xyz", timeout=20_000)
        await server.kill()
        await server.start()

    await asyncio.gather(ada.type(FILE, letters, delay_ms=10), kill())
    witness, replica = await workspace.witness(FILE)
    text = await until_agreed(FILE, len(BEGIN + letters), [ada, bob], witness, replica)
    assert text == BEGIN + letters


async def test_files_cannot_be_made_without_a_line_and_the_page_says_so(
    people: People, workspace: Workspace, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    await ada.until_saved()
    line.cut()
    await ada.until_light("offline", "Offline, all saved")
    new = ada.page.get_by_role("button", name="New file")
    await expect(new).to_be_disabled()
    await expect(new).to_have_attribute("title", "Creating, renaming and deleting need a connection.")
    line.mend()
    await ada.until_saved()
    await expect(new).to_be_enabled()
