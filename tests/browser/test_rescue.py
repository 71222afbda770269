"""Edits that can no longer be merged: shown beside the file as it is, applied or discarded by a person (promise 3)."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Locator, expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace
from tests.browser.line import Line
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "
# As a database of a page is whose file was restored from a backup meanwhile: the edits are of another history.
_OTHER_EPOCH = """() => new Promise((resolve, reject) => {
    const opening = indexedDB.open("carets");
    opening.onsuccess = () => {
        const database = opening.result;
        const writing = database.transaction(["pending", "documents", "changes", "workspaces"], "readwrite");
        for (const name of ["pending", "documents", "changes", "workspaces"]) {
            const store = writing.objectStore(name);
            store.openCursor().onsuccess = ({ target }) => {
                const cursor = target.result;
                if (cursor === null) return;
                const epoch = "0000000000000000";
                const value = cursor.value;
                if (name !== "workspaces") cursor.update({ ...value, epoch });
                else cursor.update({ ...value, files: value.files.map((file) => ({ ...file, epoch })) });
                cursor.continue();
            };
        }
        writing.oncomplete = () => { database.close(); resolve(); };
        writing.onabort = () => reject(writing.error);
    };
})"""


def drawer(tab: WorkspacePage) -> Locator:
    """The rescue drawer."""
    return tab.page.get_by_role("dialog", name="Edits that need you")


async def set_aside(ada: WorkspacePage, line: Line, typed: str) -> None:
    """Type without a line, and come back to a file of another history."""
    await ada.until_text(FILE, BEGIN)
    await ada.until_saved()
    line.cut_sockets()
    await ada.type(FILE, typed)
    await ada.until_light("offline", "kept here")
    url = ada.page.url
    await ada.page.goto(f"{line.url}/healthz")
    await ada.page.evaluate(_OTHER_EPOCH)
    line.mend()
    await ada.open(url)


async def test_what_fits_another_history_is_compared_and_put_into_the_file(
    people: People, workspace: Workspace, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    bob = await people.tab("Bob", workspace.link())
    await set_aside(ada, line, "typed")
    await bob.type(FILE, "BOB ", 0)
    await bob.until_saved()
    alert = ada.page.get_by_role("alert").filter(has_text="could not be put into their files")
    await alert.get_by_role("button", name="Look at them").click()
    await expect(drawer(ada)).to_contain_text("has another history now")
    await expect(drawer(ada).get_by_role("textbox", name="The file as it is")).to_have_text("BOB begin ")
    await expect(drawer(ada).get_by_role("textbox", name="With your edits")).to_have_text("BOB begin typed")
    await drawer(ada).get_by_role("button", name="Put into the file").click()
    await expect(drawer(ada)).to_contain_text("Nothing was set aside")
    await drawer(ada).get_by_role("button", name="Close").click()
    await bob.until_text(FILE, "BOB begin typed")
    await ada.until_saved()
    await expect(alert).to_have_count(0)


async def test_a_change_that_is_left_out_stays_out(people: People, workspace: Workspace, line: Line) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    await ada.type(FILE, "\n" + "\n".join(f"line {number}" for number in range(20)))
    await ada.until_saved()
    saved = await ada.text(FILE)
    line.cut_sockets()
    await ada.type(FILE, "first ", 0)
    await ada.type(FILE, " last")
    await ada.until_light("offline", "kept here")
    url = ada.page.url
    await ada.page.goto(f"{line.url}/healthz")
    await ada.page.evaluate(_OTHER_EPOCH)
    line.mend()
    await ada.open(url)
    await ada.page.get_by_role("button", name="Look at them").click()
    leave_out = drawer(ada).get_by_role("button", name="Leave this change out")
    await expect(leave_out).to_have_count(2)
    await leave_out.first.focus()
    await ada.page.keyboard.press("Enter")
    await expect(leave_out).to_have_count(1)
    await drawer(ada).get_by_role("button", name="Put into the file").click()
    await expect(drawer(ada)).to_contain_text("Nothing was set aside")
    witness, replica = await workspace.witness(FILE)
    await witness.until(lambda: str(replica) == saved + " last")


async def test_discarding_takes_two_presses_and_the_text_can_be_taken_before(
    people: People, workspace: Workspace, line: Line, tmp_path: Path
) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    await set_aside(ada, line, "typed")
    await ada.page.get_by_role("button", name="Look at them").click()
    async with ada.page.expect_download() as downloading:
        await drawer(ada).get_by_role("button", name="Download").click()
    download = await downloading.value
    await download.save_as(tmp_path / "taken")
    assert (download.suggested_filename, (tmp_path / "taken").read_text()) == (FILE, "begin typed")
    await drawer(ada).get_by_role("button", name="Discard").click()
    await expect(drawer(ada).get_by_role("textbox", name="With your edits")).to_be_visible()
    await drawer(ada).get_by_role("button", name="Discard for good").click()
    await expect(drawer(ada)).to_contain_text("Nothing was set aside")
    await ada.page.keyboard.press("Escape")
    await ada.until_saved()
    await ada.reload()
    await ada.until_saved()
    await ada.until_text(FILE, BEGIN)


async def test_edits_of_a_deleted_file_are_named_after_a_reload_and_go_up_when_it_is_restored(
    people: People, workspace: Workspace, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    await ada.until_saved()
    line.cut_sockets()
    await ada.type(FILE, "typed")
    await ada.until_light("offline", "kept here")
    witness = await workspace.peer()
    await witness.ask(type="delete_file", file_id=witness.file_id(FILE))
    await ada.reload()
    line.mend()
    await ada.until_light("unsaved", "5 edits not saved yet")
    await ada.light().get_by_role("button").click()
    details = ada.page.get_by_role("dialog", name="What is saved")
    await expect(details.get_by_role("listitem").filter(has_text=FILE)).to_contain_text("5 edits")
    await details.get_by_role("button", name="Look at them").click()
    await expect(drawer(ada)).to_contain_text("The file is deleted")
    await drawer(ada).get_by_role("button", name="Restore the file").click()
    await ada.page.keyboard.press("Escape")
    await ada.until_saved()
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "typed"


async def test_what_was_typed_under_a_revoked_link_is_reached_with_and_without_another(
    people: People, workspace: Workspace, line: Line
) -> None:
    person = await people.person("Guest")
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {workspace.keys['owner']}"}) as owner:
        links = f"{workspace.server.url}/api/workspaces/{workspace.workspace_id}/links"
        async with owner.post(links, json={"role": "editor", "name": "guests"}) as response:
            made = await response.json()
        guest = await person.tab(line.through(made["url"]))
        await guest.until_text(FILE, BEGIN)
        await guest.until_saved()
        line.cut_sockets()
        await guest.type(FILE, "typed")
        await guest.until_light("offline", "kept here")
        async with owner.delete(f"{links}/{made['link_id']}") as response:
            assert response.status == 204
    line.mend()
    await guest.until_light("closed", "5 edits")
    await guest.light().get_by_role("button").click()
    await expect(guest.page.get_by_role("dialog", name="What is saved")).to_contain_text("Ended by the server")
    await guest.page.keyboard.press("Escape")
    await guest.reload()
    await guest.until_light("closed", "5 edits")
    await guest.page.get_by_role("button", name="Look at them").click()
    await expect(drawer(guest)).to_contain_text("The link that you typed with was revoked")
    await expect(drawer(guest)).to_contain_text("nothing can be put into the file")
    await expect(drawer(guest).get_by_role("button", name="Put into the file")).to_have_count(0)
    await expect(drawer(guest).get_by_role("textbox", name="With your edits")).to_have_text(BEGIN + "typed")
    await guest.close()

    other = await person.tab(workspace.link(line=line))
    await other.page.get_by_role("button", name="Look at them").click()
    await drawer(other).get_by_role("button", name="Put into the file").click()
    await expect(drawer(other)).to_contain_text("Nothing was set aside")
    witness, replica = await workspace.witness(FILE)
    await witness.until(lambda: str(replica) == BEGIN + "typed")


async def test_a_screen_that_cannot_show_the_workspace_leads_to_its_edits(
    people: People, workspace: Workspace, line: Line
) -> None:
    person = await people.person("Ada")
    ada = await person.tab(workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    line.cut_sockets()
    await ada.type(FILE, "typed")
    await ada.until_light("offline", "kept here")
    await ada.close()
    line.mend()
    wrong = await person.tab()
    await wrong.page.goto(f"{line.url}/w/{workspace.workspace_id}#key=AAAAAAAAAAAAAAAAAAAAAA")
    await expect(wrong.page.get_by_role("heading", name="This link does not open this workspace")).to_be_visible()
    await expect(wrong.page.get_by_text("5 edits of yours are still kept in this browser.")).to_be_visible()
    await wrong.page.get_by_role("button", name="Look at them").click()
    await expect(drawer(wrong)).to_contain_text("Typed under another link of this browser")
    await expect(drawer(wrong).get_by_role("textbox", name=re.compile("With your edits"))).to_have_text(BEGIN + "typed")
