"""A server whose disk is full, as a person sees it: told plainly, nothing lost, nothing to do about it (P3)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.disks import SmallDisk, small_disk
from tests.serving import ServerProcess, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"
BEGIN = "begin "
PICTURES_VARIABLE = "CARETS_PICTURES"
"""A folder: then the page is photographed while nothing can be saved."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest_asyncio.fixture(loop_scope="module")
async def server(disk: SmallDisk) -> AsyncIterator[ServerProcess]:
    """A server whose data are on a small disk."""
    async with serving(disk.path / "data") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def workspace(server: ServerProcess) -> AsyncIterator[Workspace]:
    async with aiohttp.ClientSession() as http:
        workspaces = Workspaces(server, http)
        yield await workspaces.make({FILE: BEGIN}, "Weather station")
        await workspaces.leave()


async def photograph(people: People, url: str) -> None:
    """Wide and as on a phone, light and dark, with the light's details."""
    folder = os.environ.get(PICTURES_VARIABLE)
    for scheme in ("light", "dark") if folder else ():
        for width, height in ((1280, 800), (360, 740)):
            person = await people.person("Grace", viewport={"width": width, "height": height}, color_scheme=scheme)
            tab = await person.tab(url)
            await tab.until_text(FILE, BEGIN)
            await tab.type(FILE, "more")
            await tab.until_light("failing", "4 edits kept here")
            await tab.page.screenshot(path=f"{folder}/disk-{width}-{scheme}.png")
            await tab.light().get_by_role("button").click()
            await expect(tab.page.get_by_role("dialog")).to_be_visible()
            await tab.page.screenshot(path=f"{folder}/disk-details-{width}-{scheme}.png")


async def test_a_full_disk_of_the_server_is_said_and_outlived(
    people: People, workspace: Workspace, disk: SmallDisk
) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    for tab in (ada, bob):
        await tab.until_text(FILE, BEGIN)
        await tab.until_saved()
    disk.fill()
    await ada.type(FILE, "kept")
    await ada.until_light("failing", "Cannot save (disk full): 4 edits kept here")
    # Who typed nothing is told, too, and loses neither the line nor what is there.
    await bob.until_light("failing", "Cannot save (disk full)")
    await expect(
        bob.page.get_by_role("note").filter(has_text="The server cannot save: its disk is full.")
    ).to_be_visible()
    await bob.until_text(FILE, BEGIN)
    await bob.type(FILE, "me too")
    await bob.until_light("failing", "6 edits kept here")
    await photograph(people, workspace.link())
    # A reload forgets nothing.
    await ada.reload()
    await ada.until_text(FILE, BEGIN + "kept")
    await ada.until_light("failing", "4 edits kept here")
    await ada.watch_lights()
    sockets = ada.sockets, bob.sockets
    disk.empty()
    for tab in (ada, bob):
        await tab.until_saved()
        await expect(tab.page.get_by_text("The server cannot save")).to_have_count(0)
    assert (ada.sockets, bob.sockets) == sockets, "nobody had to reconnect"
    lights = await ada.lights()
    assert lights[-1] == "saved"
    assert "saved" not in lights[:-1]
    _, replica = await workspace.witness(FILE)
    told = str(replica)
    assert told.count("kept") == told.count("me too") == 1
    for tab in (ada, bob):
        await tab.until_text(FILE, told)
