"""The durability light: green when all is on the server's disk, and never else (promise 1, as the page shows it)."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace
from tests.browser.line import Line
from tests.serving import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "
NO_DATABASE = """
Object.defineProperty(window, "indexedDB", { get: () => { throw new DOMException("denied", "SecurityError"); } });
"""
# Chromium's override of its quota does not reach databases in memory, as those of test profiles are.
FULL_DISK = """
const { put } = IDBObjectStore.prototype;
IDBObjectStore.prototype.put = function (...given) {
    if (window.isDiskFull) throw new DOMException("full", "QuotaExceededError");
    return put.apply(this, given);
};
"""


@contextlib.contextmanager
def held(server: ServerProcess) -> Iterator[None]:
    """A server that stands still: its connections are open, and nothing is committed."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


async def test_it_is_green_again_only_when_the_server_has_saved(
    people: People, workspace: Workspace, server: ServerProcess
) -> None:
    ada = await people.tab("Ada", workspace.link())
    await ada.until_text(FILE, BEGIN)
    await ada.until_saved()
    await ada.watch_lights()
    with held(server):
        await ada.type(FILE, "x")
        await ada.until_light("unsaved", "1 edit not saved yet")
        await expect(ada.open_tab(FILE)).to_have_accessible_name(f"{FILE}, not saved yet")
        await ada.type(FILE, "yz")
        await ada.until_light("unsaved", "3 edits not saved yet")
        assert await ada.lights() == ["saved", "unsaved"]
    await ada.until_saved()
    assert await ada.lights() == ["saved", "unsaved", "saved"]


async def test_it_goes_from_saved_over_unsaved_and_offline_to_saved(
    people: People, workspace: Workspace, server: ServerProcess, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    await ada.until_saved()
    await ada.watch_lights()
    with held(server):
        await ada.type(FILE, "abc")
        await ada.until_light("unsaved", "3 edits not saved yet")
        line.cut()
        await ada.until_light("offline", "Offline, kept here · 3 edits")
        await expect(ada.page).to_have_title("● notes.txt · Tests · Carets")
        await ada.type(FILE, "d")
        await ada.until_light("offline", "Offline, kept here · 4 edits")
        assert await ada.lights() == ["saved", "unsaved", "offline"]
    line.mend()
    await ada.until_saved()
    after = (await ada.lights())[3:]
    assert "saved" not in after[:-1], f"it was green before its time: {after}"
    await expect(ada.page).to_have_title("notes.txt · Tests · Carets")
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "abcd"


async def test_it_is_not_green_after_a_reload_until_kept_edits_are_saved(
    people: People, workspace: Workspace, server: ServerProcess, line: Line
) -> None:
    ada = await people.tab("Ada", workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    line.cut_sockets()
    await ada.type(FILE, "kept")
    await ada.until_light("offline", "kept here · 4 edits")
    await ada.reload()
    await ada.until_light("offline", "kept here · 4 edits")
    await ada.watch_lights()
    with held(server):
        line.mend()
        await ada.page.get_by_role("button", name="Retry now").click()
        await ada.type(FILE, "!")
        await ada.until_light("connecting", "5 edits kept here")
    await ada.until_saved()
    lights = await ada.lights()
    assert "saved" not in lights[:-1], f"it was green before its time: {lights}"
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "kept!"


async def test_it_says_when_this_browser_cannot_keep_anything(people: People, workspace: Workspace, line: Line) -> None:
    person = await people.person("Ada", NO_DATABASE)
    ada = await person.tab(workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    await ada.type(FILE, "saved ")
    await ada.until_saved()
    line.cut_sockets()
    await ada.type(FILE, "typed")
    await ada.until_light("offline", "Offline, only in this tab · 5 edits")
    await expect(ada.page.get_by_role("alert")).to_contain_text("this browser cannot keep edits: leave this tab open")
    # Leaving would lose them, so the browser asks.
    asked: list[str] = []

    async def stay(dialog: object) -> None:
        asked.append(dialog.type)  # type: ignore[attr-defined]
        await dialog.dismiss()  # type: ignore[attr-defined]

    ada.page.on("dialog", stay)
    await ada.page.close(run_before_unload=True)
    await expect(ada.editor(FILE)).to_be_visible()
    line.mend()
    await ada.until_saved()
    assert asked == ["beforeunload"]
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "saved typed"


async def test_a_full_disk_is_said_and_outlived(people: People, workspace: Workspace, line: Line) -> None:
    person = await people.person("Ada", FULL_DISK)
    ada = await person.tab(workspace.link(line=line))
    await ada.until_text(FILE, BEGIN)
    await ada.until_saved()
    line.cut_sockets()
    await ada.type(FILE, "kept ")
    await ada.until_light("offline", "kept here · 5 edits")
    await ada.evaluate("() => { window.isDiskFull = true; }")
    await ada.type(FILE, "not")
    await ada.until_light("offline", "only in this tab · 8 edits")
    await ada.evaluate("() => { window.isDiskFull = false; }")
    # It tries again by itself.
    await ada.until_light("offline", "kept here · 8 edits")
    await ada.reload()
    await ada.until_text(FILE, BEGIN + "kept not")
    line.mend()
    await ada.until_saved()
    _, replica = await workspace.witness(FILE)
    assert str(replica) == BEGIN + "kept not"
