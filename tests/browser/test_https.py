"""HTTPS and frames in a real browser: what works behind a certificate that nobody vouches for, and in whose pages."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Frame, expect

from tests.browser.chromium import People
from tests.peer import create_workspace
from tests.serving import serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FILE = "notes.txt"

_REGISTER = """
async () => {
  try {
    await navigator.serviceWorker.register("/worker.js");
    return "registered";
  } catch (error) {
    return String(error);
  }
}
"""


async def test_people_edit_together_over_a_certificate_of_our_own_making(people: People, tmp_path: Path) -> None:
    """And what docs/OPERATING.md says of such a certificate is so."""
    async with serving(tmp_path / "data", "--tls", "self-signed") as server:
        assert server.url.startswith("https://")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as http:
            workspace_id, keys = await create_workspace(http, server.url, {FILE: "begin "})
        link = f"{server.url}/w/{workspace_id}#key={keys['editor']}"
        ada, bob = [await (await people.person(name, ignore_https_errors=True)).tab(link) for name in ("Ada", "Bob")]
        await ada.type(FILE, "by wss")
        await bob.until_text(FILE, "begin by wss")
        await ada.until_saved()
        assert await ada.evaluate("() => isSecureContext && 'subtle' in crypto")
        assert "SSL certificate error" in await ada.evaluate(_REGISTER)


@contextlib.asynccontextmanager
async def site(inner: str) -> AsyncIterator[str]:
    """Another site, with a page that shows `inner` in a frame."""

    async def show(_: web.Request) -> web.Response:
        frame = f'<iframe src="{inner}" width="1200" height="700"></iframe>'
        return web.Response(text=f"<!doctype html>{frame}", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", show)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        # By a name, since the server under test has the address: another origin, and another site.
        yield f"http://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def framed(people: People, name: str, origin: str) -> Frame:
    tab = await (await people.person(name)).tab()
    await tab.page.goto(f"{origin}/")
    handle = await tab.page.locator("iframe").element_handle()
    assert handle is not None
    frame = await handle.content_frame()
    assert frame is not None
    await frame.wait_for_load_state()
    return frame


async def test_a_site_that_was_named_shows_the_page_runs_included_and_others_do_not(
    people: People, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        before = await stack.enter_async_context(serving(tmp_path / "data"))
        async with aiohttp.ClientSession() as http:
            workspace_id, keys = await create_workspace(http, before.url, {"main.js": "console.log(6 * 7);"})
        link = f"{before.url}/w/{workspace_id}#key={keys['editor']}"
        named, other = [await stack.enter_async_context(site(link)) for _ in range(2)]
        await before.stop()
        options = ("--frame-ancestors", f"https://lms.example.org, {named}")
        await stack.enter_async_context(serving(tmp_path / "data", *options, port=before.port))

        frame = await framed(people, "Ada", named)
        editor = frame.get_by_role("textbox", name="main.js", exact=True)
        await editor.click()
        await frame.page.keyboard.press("Alt+o")
        await frame.get_by_role("button", name="Run main.js").click()
        await expect(frame.get_by_role("log", name="Output of runs")).to_contain_text("42")

        blocked = await framed(people, "Eve", other)
        assert blocked.url.startswith("chrome-error:")
        assert await blocked.get_by_role("textbox").count() == 0
