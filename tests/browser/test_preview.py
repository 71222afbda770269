"""The Markdown preview: what it shows, what it never lets through, and that it goes in step."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspaces

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

HOSTILE = """# Title

<script>window.hurt = 1</script>
<img src=x onerror="window.hurt = 2">
<svg onload="window.hurt = 3"><a xlink:href="javascript:window.hurt = 4"><text>svg</text></a></svg>
[click](javascript:window.hurt=5) <a href="JaVaScRiPt:window.hurt=6">me</a>
<iframe srcdoc="<script>parent.hurt = 7</script>"></iframe>
<form action="https://example.invalid/"><input name=key><button>send</button></form>
<style>body { display: none }</style>
<div style="position: fixed; inset: 0" id="app" class="workspace">cover</div>
![pixel](https://example.invalid/pixel.png)
<math><mtext><table><mglyph><style><img src=x onerror="window.hurt = 8"></style></mglyph></table></mtext></math>
"""
PARTS = "# Start\n\n" + "".join(f"## Part {number}\n\n{'word ' * 80}\n\n" for number in range(40))


async def test_markdown_is_shown_as_it_is_typed_and_leads_to_other_files(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make(
        {"README.md": "# Weather\n\nSee [main](src/main.py).\n", "src/main.py": "print()\n"}
    )
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.open_file("README.md")
    await ada.page.get_by_role("button", name="Preview").click()
    preview = ada.page.get_by_role("region", name="Preview of README.md")
    await expect(preview.get_by_role("heading", name="Weather")).to_be_visible()
    await bob.open_file("README.md")
    await bob.type("README.md", "\n- from *Bob*\n")
    await expect(preview.get_by_role("listitem").filter(has_text="from Bob")).to_be_visible()
    await preview.get_by_role("link", name="main").click()
    await expect(ada.editor("src/main.py")).to_be_visible()
    await expect(ada.page.get_by_text("There is a preview of Markdown files only.")).to_be_visible()


async def test_nothing_in_a_text_runs_loads_or_covers_the_page(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"bad.md": HOSTILE})
    ada = await people.tab("Ada", workspace.link())
    asked: list[str] = []
    ada.page.on("request", lambda request: asked.append(request.url))
    await ada.page.get_by_role("button", name="Preview").click()
    preview = ada.page.get_by_role("region", name="Preview of bad.md")
    await expect(preview.get_by_role("heading", name="Title")).to_be_visible()
    for link in await preview.locator("a").all():
        assert not (await link.get_attribute("href") or "").lower().startswith("javascript")
    html = await preview.inner_html()
    for word in (
        "<script",
        "onerror",
        "onload",
        "<iframe",
        "<form",
        "<input",
        "<style",
        'id="app"',
        "srcdoc",
        "position",
    ):
        assert word not in html, word
    assert await ada.evaluate("() => window.hurt") is None
    assert not [url for url in asked if "example.invalid" in url]
    await expect(ada.light()).to_be_visible()


async def test_text_and_preview_scroll_in_step(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"long.md": PARTS})
    ada = await people.tab("Ada", workspace.link())
    await ada.page.get_by_role("button", name="Preview").click()
    preview = ada.page.get_by_role("region", name="Preview of long.md")
    await expect(preview.get_by_role("heading", name="Part 39")).to_be_attached()
    await ada.page.get_by_role("button", name="Wrap lines").click()
    await ada.editor("long.md").hover()
    await ada.page.mouse.wheel(0, 100_000)
    await expect(preview.get_by_role("heading", name="Part 39")).to_be_in_viewport()
    await preview.hover()
    await ada.page.mouse.wheel(0, -100_000)
    await expect(ada.page.locator(".cm-line", has_text="# Start").first).to_be_in_viewport()
