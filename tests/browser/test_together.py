"""Together: chat that is kept, people and where they are, following, and a word when somebody comes."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.line import Line
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
LONG = "".join(f"line {number}\n" for number in range(1, 401))


async def open_chat(tab: WorkspacePage) -> Locator:
    """Show the chat; its messages."""
    await tab.page.get_by_role("button", name="Chat").click()
    return tab.page.get_by_role("log", name="Chat")


async def say(tab: WorkspacePage, text: str) -> None:
    field = tab.page.get_by_label("Message")
    await field.fill(text)
    await field.press("Enter")


async def open_people(tab: WorkspacePage) -> None:
    await tab.people().click()


async def is_in_sight(tab: WorkspacePage, line: int) -> None:
    """A line of the text is on the screen."""
    await expect(tab.page.locator(".cm-line", has_text=f"line {line}").first).to_be_in_viewport()


async def test_what_is_said_is_kept_and_marked_as_unread_until_it_is_seen(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await open_chat(ada)
    await say(ada, "Good morning")
    await say(ada, "  ")
    await say(ada, "<img src=x onerror=alert(1)> is text")
    await expect(bob.page.get_by_role("button", name="Chat: 2 unread")).to_be_visible()
    log = await open_chat(bob)
    await expect(log.get_by_text("Good morning")).to_be_visible()
    await expect(log.get_by_text("<img src=x onerror=alert(1)> is text")).to_be_visible()
    await expect(bob.page.get_by_role("button", name="Chat", exact=True)).to_be_visible()
    # Neither a reload nor an empty room takes it away, and what was seen stays seen.
    await bob.reload()
    await expect(bob.page.get_by_role("button", name="Chat", exact=True)).to_be_visible()
    cem = await people.tab("Cem", workspace.link())
    await expect((await open_chat(cem)).get_by_text("Good morning")).to_be_visible()


async def test_a_message_without_a_line_goes_out_once_when_it_is_back(
    people: People, workspace: Workspace, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link("editor", line))
    bob = await people.tab("Bob", workspace.link())
    await open_chat(ada)
    log = await open_chat(bob)
    line.cut()
    await ada.until_light("offline")
    await say(ada, "are you there?")
    await expect(ada.page.get_by_text("1 message goes out when the connection is back.")).to_be_visible()
    line.mend()
    await expect(log.get_by_text("are you there?")).to_have_count(1)
    await say(ada, "yes?")
    await expect(log.get_by_text("yes?")).to_be_visible()
    await expect(log.get_by_text("are you there?")).to_have_count(1)


async def test_a_place_in_a_message_jumps_there(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"long.txt": LONG, FILE: "begin"})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.open_file("long.txt")
    await ada.select("long.txt", LONG.index("line 300"), LONG.index("line 300"))
    await open_chat(ada)
    await ada.page.get_by_role("button", name="Point at the line of the caret").click()
    await expect(ada.page.get_by_label("Message")).to_have_value("long.txt:300 ")
    await ada.page.get_by_label("Message").press("Enter")
    log = await open_chat(bob)
    await log.get_by_role("button", name="long.txt:300").click()
    await expect(bob.editor("long.txt")).to_be_visible()
    await is_in_sight(bob, 300)


async def test_a_viewer_reads_the_chat_and_cannot_write(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    reader = await people.tab("Reader", workspace.link("viewer"))
    log = await open_chat(reader)
    await open_chat(ada)
    await say(ada, "for all")
    await expect(log.get_by_text("for all")).to_be_visible()
    await expect(reader.page.get_by_label("Message")).to_have_count(0)
    await expect(reader.page.get_by_text("You can read the chat.")).to_be_visible()


async def test_earlier_messages_come_when_asked_for(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    await open_chat(ada)
    for number in range(60):
        await say(ada, f"message {number}.")
    await expect(ada.page.get_by_role("log").get_by_text("message 59.")).to_be_visible()
    bob = await people.tab("Bob", workspace.link())
    log = await open_chat(bob)
    await expect(log.get_by_text("message 59.")).to_be_visible()
    await expect(log.get_by_text("message 0.")).to_have_count(0)
    await log.get_by_role("button", name="Show earlier messages").click()
    await expect(log.get_by_text("message 0.")).to_have_count(1)
    await expect(log.get_by_text("message 59.")).to_have_count(1)
    await expect(log.get_by_role("button", name="Show earlier messages")).to_have_count(0)


async def test_the_list_of_people_says_where_each_is_and_leads_there(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"long.txt": LONG, FILE: "begin"})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.open_file("long.txt")
    await ada.select("long.txt", LONG.index("line 350"), LONG.index("line 350"))
    await ada.editor("long.txt").focus()
    await open_people(bob)
    await bob.page.get_by_role("button", name="Ada, long.txt. Go to the caret").click()
    await is_in_sight(bob, 350)
    await expect(bob.page.get_by_text("Following")).to_have_count(0)


async def test_who_follows_goes_along_until_they_do_something_themselves(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make({"long.txt": LONG, FILE: "begin"})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.open_file("long.txt")
    await open_people(bob)
    await bob.page.get_by_role("button", name="Follow Ada").click()
    following = bob.page.get_by_text("Following Ada")
    await expect(following).to_be_visible()
    await expect(bob.editor("long.txt")).to_be_visible()
    for line in (250, 10, 399):
        await ada.select("long.txt", LONG.index(f"line {line}"), LONG.index(f"line {line}"))
        await is_in_sight(bob, line)
    await ada.open_file(FILE)
    await expect(bob.editor(FILE)).to_be_visible()
    # Ada's typing does not end it; Bob's does.
    await ada.type(FILE, " more")
    await bob.until_text(FILE, "begin more")
    await expect(following).to_be_visible()
    await bob.type(FILE, "!")
    await expect(following).to_have_count(0)
    # A wheel of one's own ends it, too.
    await ada.open_tab("long.txt").click()
    await open_people(bob)
    await bob.page.get_by_role("button", name="Follow Ada").click()
    await expect(bob.editor("long.txt")).to_be_visible()
    await bob.editor("long.txt").hover()
    await bob.page.mouse.wheel(0, 400)
    await expect(following).to_have_count(0)


async def test_a_word_is_said_when_somebody_comes_and_goes(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    await ada.until_people(1)
    bob = await people.tab("Bob", workspace.link())
    await expect(ada.page.get_by_text("Bob joined")).to_be_visible()
    await bob.close()
    await expect(ada.page.get_by_text("Bob left")).to_be_visible()
    # Who was there already is no news for those who come.
    cem = await people.tab("Cem", workspace.link())
    await cem.until_people(2)
    await expect(cem.page.get_by_text("Ada joined")).to_have_count(0)
