"""The page below a path, behind a proxy that strips it and behind one that does not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.peer import create_workspace
from tests.proxy import proxied
from tests.serving import serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

BASE = "/team/carets"
FILE = "notes.txt"


@pytest_asyncio.fixture(loop_scope="module", params=[True, False], ids=["strips", "keeps"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address as people have it."""
    async with serving(tmp_path / "data", "--base-path", BASE) as server:
        assert server.url.endswith(BASE)

        async with proxied(server.port, BASE, strips=request.param) as origin:
            yield origin + BASE


async def test_two_people_work_below_a_path(people: People, url: str) -> None:
    async with aiohttp.ClientSession() as http:
        workspace_id, keys = await create_workspace(http, url, {FILE: "begin "})
    links = {role: f"{url}/w/{workspace_id}#key={key}" for role, key in keys.items()}
    ada = await people.person("Ada")
    asked: list[str] = []
    ada.context.on("request", lambda request: asked.append(request.url))
    owner = await ada.tab(links["owner"])
    editor = await people.tab("Bob", links["editor"])
    await owner.type(FILE, "typed")
    await owner.until_saved()
    await editor.until_text(FILE, "begin typed")
    assert owner.page.url == f"{url}/w/{workspace_id}"
    await owner.reload()
    await owner.until_text(FILE, "begin typed")

    await owner.page.get_by_role("button", name="Share").click()
    dialog = owner.page.get_by_role("dialog")
    links_shown = dialog.locator("input[readonly]")
    await expect(links_shown.first).to_have_value(re.compile(re.escape(f"{url}/w/{workspace_id}#key=")))

    origin = url.removesuffix(BASE)
    astray = [each for each in asked if each.startswith(origin) and not each.startswith(url + "/")]
    assert not astray, f"asked above the base path: {astray}"


async def test_the_start_page_leads_to_a_workspace_below_the_path(people: People, url: str) -> None:
    person = await people.person("Ada")
    page = await person.context.new_page()
    await page.goto(url + "/")
    await page.get_by_role("button", name="Create workspace").click()
    await page.wait_for_url(f"{url}/w/*")
    await expect(page.get_by_role("status", name="Durability")).to_be_visible()
