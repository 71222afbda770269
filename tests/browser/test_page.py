"""The page itself: starting, sharing, plain HTTP without a secure context, and a newer build while it is open."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

import carets
from carets.edges.pages import page_build
from tests.browser.chromium import People, chromium
from tests.browser.page import WorkspacePage
from tests.browser.test_light import held
from tests.serving import ServerProcess, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LAN = "lan.test"
NEWER = "0123456789ab"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lan_browser() -> AsyncIterator[Browser]:
    """A browser to which this machine has a name of the network, so that plain HTTP to it is no secure context."""
    async with chromium([f"--host-resolver-rules=MAP {LAN} 127.0.0.1"]) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def lan_people(lan_browser: Browser) -> AsyncIterator[People]:
    """People in that network."""
    people = People(lan_browser)
    yield people
    await people.leave()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def create(page: WorkspacePage, title: str) -> None:
    await page.page.get_by_label("Title").fill(title)
    await page.page.get_by_role("button", name="Create workspace").click()
    await expect(page.page.get_by_role("heading", name=title)).to_be_visible(timeout=20_000)


async def shared_link(page: WorkspacePage, role: str) -> str:
    """Copy a link, paste it somewhere, and look what it was."""
    await page.page.get_by_role("button", name="Share").click()
    await page.page.get_by_role("button", name=f"Copy {role} link").click()
    await expect(page.page.get_by_role("button", name=f"Copy {role} link")).to_have_text("Copied")
    await page.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    await page.page.get_by_role("button", name="You and settings").click()
    field = page.page.get_by_label("Your name")
    await field.evaluate("(field) => (field.removeAttribute('maxlength'), field.select())")
    await field.press("ControlOrMeta+v")
    link = await field.input_value()
    await page.page.get_by_role("button", name="Cancel").first.click()
    return link


async def test_plain_http_in_a_network_does_all_that_matters(lan_people: People, tmp_path: Path) -> None:
    port = free_port()
    public = f"http://{LAN}:{port}"
    async with serving(tmp_path / "data", "--public-url", public, port=port) as server:
        assert server.url == public
        ada = await (await lan_people.person("Ada")).tab()
        await ada.page.goto(f"{public}/#create={server.create_token}")
        assert await ada.evaluate("() => window.isSecureContext") is False
        await create(ada, "In the network")
        await ada.new_file("main.txt")
        await ada.type("main.txt", "from ada, ")
        await ada.until_saved()
        link = await shared_link(ada, "editor")
        assert link.startswith(f"{public}/w/")

        bob = await lan_people.tab("Bob", link)
        assert await bob.evaluate("() => window.isSecureContext") is False
        await bob.type("main.txt", "from bob")
        await ada.until_text("main.txt", "from ada, from bob")
        await bob.until_saved()
        # What is typed without a line is kept here, too.
        await server.kill()
        await bob.type("main.txt", "!")
        await bob.until_light("offline", "kept here · 1 edit")
        await server.start()
        await ada.until_text("main.txt", "from ada, from bob!")


async def test_a_server_in_a_network_asks_for_its_create_token(lan_people: People, tmp_path: Path) -> None:
    port = free_port()
    async with serving(tmp_path / "data", "--public-url", f"http://{LAN}:{port}", port=port) as server:
        ada = await (await lan_people.person("Ada")).tab()
        await ada.page.goto(f"{server.url}/")
        token = ada.page.get_by_label("Create token")
        await token.fill("wrong")
        await ada.page.get_by_role("button", name="Create workspace").click()
        await expect(ada.page.get_by_role("alert")).to_be_visible()
        await token.fill(server.create_token)
        await create(ada, "With the token")


async def test_a_workspace_is_made_shared_and_found_again(people: People, server: ServerProcess) -> None:
    person = await people.person("Ada")
    await person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ada = await person.tab()
    await ada.page.goto(f"{server.url}/")
    assert await ada.evaluate("() => window.isSecureContext") is True
    await create(ada, "Found again")
    await ada.new_file("a.txt")
    viewer_link = await shared_link(ada, "viewer")
    assert "#key=" in viewer_link
    await ada.page.get_by_role("link", name="All workspaces").first.click()
    await ada.page.get_by_role("link", name="Found again").click()
    await ada.open_file("a.txt")
    vera = await people.tab("Vera", viewer_link)
    await expect(vera.page.get_by_text("You can read this workspace, not change it.")).to_be_visible()


def newer_build(folder: Path) -> Path:
    """A copy of this Carets whose page is another build."""
    package = Path(carets.__file__).parent
    copy = folder / "carets"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assets = [copy / "page" / "index.html", *(copy / "page" / "assets").glob("*.js")]
    texts = {asset: asset.read_text() for asset in assets}
    # Another content is another name, for what imports it too: browsers keep assets for ever.
    names = [asset.stem for asset in assets if asset.suffix == ".js"]
    assert any(page_build() in text for text in texts.values())
    for asset in assets:
        asset.unlink()
        for old, new in [(page_build(), NEWER), *((name, f"{name}-newer") for name in names)]:
            texts[asset] = texts[asset].replace(old, new)
        asset.with_stem(f"{asset.stem}-newer" if asset.stem in names else asset.stem).write_text(texts[asset])
    (copy / "page" / "build.json").write_text(json.dumps({"build": NEWER}))
    return folder


async def test_a_newer_page_is_offered_and_loaded_once_all_is_saved(people: People, tmp_path: Path) -> None:
    newer = newer_build(tmp_path / "newer")
    async with serving(tmp_path / "data") as server:
        person = await people.person("Ada")
        ada = await person.tab()
        await ada.page.goto(f"{server.url}/")
        await create(ada, "Across versions")
        await ada.new_file("a.txt")
        await ada.type("a.txt", "before ")
        await ada.until_saved()
        banner = ada.page.get_by_text("A newer version of Carets is running.")
        await expect(banner).to_have_count(0)
        await server.stop()
        prefix = ["env", f"PYTHONPATH={newer}"]
        async with serving(tmp_path / "data", prefix=prefix, port=server.port) as successor:
            await expect(banner).to_be_visible(timeout=20_000)
            with held(successor):
                await ada.type("a.txt", "after")
                await expect(ada.page.get_by_role("button", name="Reload (when all is saved)")).to_be_disabled()
            await ada.page.get_by_role("button", name="Reload", exact=True).click()
            await expect(banner).to_have_count(0)
            await ada.until_text("a.txt", "before after")
            await ada.until_saved()
