"""Stored script: a hostile client puts it into every field that there is, and an owner looks at every screen.

The browser has no content security policy here, so that escaping alone is what holds; the policy is the second wall,
and `tests/test_pages.py` has it.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from playwright.async_api import Dialog, Page, Request, expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.page import WorkspacePage
from tests.peer import Peer, join

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

IMAGE = "<img src=x onerror=hurt()>"
"""Short enough for a name."""

SCRIPTS = [
    IMAGE,
    "<script>hurt()</script>",
    '"><svg onload=hurt()>',
    "' autofocus onfocus='hurt()",
    "</style></script></textarea><script>hurt()</script>",
    '<iframe srcdoc="<script>parent.hurt()</script>"></iframe>',
    '<a href="javascript:hurt()" onmouseover="hurt()">look</a>',
    "<math><mtext><table><mglyph><style><img src=x onerror=hurt()></style></mglyph></table></mtext></math>",
    "<base href=https://evil.example/><link rel=stylesheet href=https://evil.example/c>",
    "<object data=https://evil.example/o></object><embed src=https://evil.example/e>",
    "javascript:hurt()",
    "{{constructor.constructor('hurt()')()}} ${hurt()} {@html hurt()}",
    "https://evil.example/\"onmouseover='hurt()' x=",
    "javascript://evil.example/%0ahurt()",
]
MARKDOWN = "\n\n".join(
    [
        "# Read me",
        *SCRIPTS,
        "[link](javascript:hurt()) [data](data:text/html,<script>parent.hurt()</script>) <javascript:hurt()>",
        "![picture](https://evil.example/pixel.png) ![svg](data:image/svg+xml,<svg/onload=hurt()>)",
        "[reference]\n\n[reference]: javascript:hurt() 'onmouseover=hurt()'",
        "`<img src=x onerror=hurt()>`\n\n```html\n<img src=x onerror=hurt()>\n```",
        "| <img src=x onerror=hurt()> |\n|---|\n| <svg onload=hurt()> |",
    ]
)
FILES = {
    "README.md": MARKDOWN,
    "code.html": "\n".join(SCRIPTS),
    "code.js": "\n".join(f"// {script}" for script in SCRIPTS),
    "code.css": "body { background: url(https://evil.example/css) }\n@import 'https://evil.example/import';\n",
    "&lt;img src=x onerror=hurt()&gt;.txt": "&lt;img src=x onerror=hurt()&gt;\n",
    "' autofocus onfocus='hurt()' x='.txt": IMAGE,
    "javascript&colon;hurt()/{{hurt()}}/${hurt()}.md": MARKDOWN,
    "__proto__/constructor/toString.js": IMAGE,
    "deleted' onmouseover='hurt()'.txt": "",
}

_CANARY = """
window.hurts = 0;
window.hurt = () => { window.hurts += 1; };
"""

_TRACES = """() => {
    const found = [];
    const document_ = document.documentElement.outerHTML;
    for (const element of document.querySelectorAll("*")) {
        for (const { name, value } of element.attributes) {
            const leads = ["href", "src", "xlink:href", "action", "formaction", "data", "srcdoc"].includes(name);
            const style = name === "style" && /evil|url\\(/i.test(value);
            const isAddress = element.matches("a[target=_blank][rel~=noreferrer]") && /^https?:/.test(value);
            if (/^on/i.test(name) || style || (leads && !isAddress && /^\\s*javascript:|evil|^x$|hurt/i.test(value))) {
                found.push(element.outerHTML.slice(0, 300));
            }
        }
    }
    return { hurts: window.hurts, found };
}"""


class Hostile(NamedTuple):
    """The workspace in which script is everywhere, and the one who put it there, who is still in it."""

    workspace: Workspace
    mallory: Peer

    def tell_runs(self) -> None:
        """Programs that never ran: their paths, languages, outputs and ends."""
        for number, script in enumerate(SCRIPTS[:3]):
            run = f"r{number}"
            path = list(FILES)[4 + number]
            self._tell("run.begin", run=f"{run}x", path=script, language="python", seq=0)
            self._tell("run.begin", run=run, path=path, language=["python", "javascript", script][number], seq=0)
            chunks = [[stream, f"{each}\n"] for each in SCRIPTS for stream in ("out", "err", "in")]
            chunks += [["out", f'File "/workspace/{IMAGE}", line 1\n']]
            self._tell("run.out", run=run, seq=0, path=path, chunks=chunks)
            for odd in ([["gap", IMAGE]], [[IMAGE, IMAGE]], IMAGE):
                self._tell("run.out", run=run, seq=1, path=path, chunks=odd)
            self._tell("run.end", run=run, code=[1, IMAGE, None][number], ms=[5, IMAGE, {}][number], fault=IMAGE)
        malformed: list[Any] = [IMAGE, [IMAGE], {"run": {"toString": 1}, "path": [IMAGE]}, None]
        for bad in malformed:
            self.mallory.send_json(type="signal", kind="run.begin", data=bad)

    def _tell(self, kind: str, **data: Any) -> None:
        self.mallory.send_json(type="signal", kind=kind, data=data)


async def plant(workspaces: Workspaces) -> Hostile:
    """A workspace with script in every field, written through the API by whoever may write there."""
    workspace = await workspaces.make(FILES, f"Title {IMAGE} \"'>")
    api = f"{workspace.server.url}/api/workspaces/{workspace.workspace_id}"
    headers = {"Authorization": f"Bearer {workspace.keys['owner']}"}
    for name in (IMAGE, *SCRIPTS):
        body = {"role": "viewer", "name": name}
        async with workspace.http.post(f"{api}/links", json=body, headers=headers) as response:
            assert response.status == 201
    look = {"name": IMAGE, "color": "red;background:url(https://evil.example/c)"}
    mallory = await join(workspace.http, workspace.server.url, workspace.workspace_id, workspace.keys["editor"], **look)
    workspace.peers.append(mallory)
    assert mallory.welcome["name"] == IMAGE
    for number, script in enumerate([*SCRIPTS, MARKDOWN[:3000], *FILES]):
        await mallory.ask(type="chat", text=f"{script} {list(FILES)[number % len(FILES)]}:1", nonce=str(number))
    await mallory.ask(type="delete_file", file_id=mallory.file_id("deleted' onmouseover='hurt()'.txt"))
    for path in ("README.md", "code.html"):
        replica = await mallory.open_file(mallory.file_id(path))
        end = {"type": None, "tname": "text", "item": None, "assoc": 0}
        mallory.send_presence(replica.file_id, {"cursor": {"anchor": end, "head": end}})
    mallory.send_json(type="place", file_id=mallory.file_id("README.md"))
    return Hostile(workspace, mallory)


class Watcher:
    """Looks at a page for any sign that script ran, was put into it, or asked for something elsewhere."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._origin = url
        self.asked: list[str] = []
        self.screens: list[str] = []
        page.on("request", self._ask)
        page.on("dialog", self._dialog)
        page.on("popup", lambda popup: self.asked.append(f"popup {popup.url}"))

    def _ask(self, request: Request) -> None:
        if not request.url.startswith((self._origin, "blob:", "data:image/png", "data:font")):
            self.asked.append(request.url)

    async def _dialog(self, dialog: Dialog) -> None:
        self.asked.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    async def look(self, screen: str) -> None:
        """What is there now is text, and nothing but text."""
        self.screens.append(screen)
        traces = await self._page.evaluate(_TRACES)
        assert traces == {"hurts": 0, "found": []}, f"{screen}: {traces}"
        assert self.asked == [], screen


async def visitor(people: People, workspace: Workspace) -> tuple[WorkspacePage, Watcher]:
    """Somebody who is named as Mallory is, in a browser that would run any script."""
    person = await people.person(IMAGE, script=_CANARY, bypass_csp=True)
    tab = await person.tab()
    return tab, Watcher(tab.page, workspace.server.url)


async def test_script_in_every_field_is_text_on_every_screen(people: People, workspaces: Workspaces) -> None:
    """Mallory, an editor, writes script into each field that others see, by her own client.

    With one field that reaches HTML unescaped she would act as whoever looks: take their keys out of the browser's
    storage, an owner's among them. On each screen script is text: none ran, no element or attribute of hers is in the
    document, nothing was asked of another host, and no dialog came.
    """
    hostile = await plant(workspaces)
    tab, watcher = await visitor(people, hostile.workspace)
    page, look = tab.page, watcher.look
    await tab.open(hostile.workspace.link("owner"))
    await expect(page.get_by_text(f"Title {IMAGE}").first).to_be_visible()
    await look("workspace")
    await tab.open_file("README.md")
    await expect(page.locator(".cm-content")).to_contain_text("<script>hurt()</script>")
    await look("editor")
    await tab.people().click()
    await expect(page.get_by_role("button", name=f"Follow {IMAGE}")).to_be_visible()
    await look("people")
    await page.get_by_role("button", name=f"Follow {IMAGE}").click()
    await expect(page.get_by_text(f"Following {IMAGE}")).to_be_visible()
    await look("following")
    await page.get_by_role("button", name="Stop").click()
    await page.keyboard.press("Alt+c")
    await expect(page.get_by_role("log", name="Chat")).to_contain_text("<math>")
    await look("chat")
    hostile.mallory.send_json(type="chat", text=IMAGE, nonce="live")
    hostile.mallory.send_json(type="profile", name='"><svg onload=hurt()>', color="x")
    hostile.tell_runs()
    await expect(tab.people()).to_be_visible()
    await look("told")
    await page.keyboard.press("Alt+o")
    await expect(page.get_by_role("log", name="Output of runs")).to_contain_text("<math>")
    await look("run")
    await page.keyboard.press("Alt+o")
    await expect(page.get_by_role("log", name="Output of runs")).to_have_count(0)
    await page.keyboard.press("F1")
    await page.get_by_role("combobox").fill("preview")
    await page.keyboard.press("Enter")
    preview = page.get_by_role("region", name="Preview of README.md")
    await expect(preview.get_by_role("heading", name="Read me")).to_be_visible()
    await look("preview")
    for link in await preview.locator("a:not([target]), [data-goto]").all():
        await link.click()
        await look("preview, clicked")
    await _dialogs(tab, look)
    await _files(tab, look)
    assert len(watcher.screens) >= 24, watcher.screens


async def _dialogs(tab: WorkspacePage, look: Any) -> None:
    page = tab.page
    for words in (
        "Share",
        "Open a file by its name",
        "Choose the language",
        "Rename or delete",
        "You and settings",
        "Show what is saved",
        "Go to a line",
    ):
        await page.keyboard.press("F1")
        await page.get_by_role("combobox").fill(words)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("option", name=words)).to_have_count(0)
        await expect(page.get_by_role("dialog")).to_be_visible()
        if words == "Share":
            await expect(page.get_by_role("dialog")).to_contain_text("<script>hurt()</script>")
        if words.startswith("Open a file"):
            await page.get_by_role("combobox").fill("hurt")
            await expect(page.get_by_role("option").first).to_be_visible()
        await look(words)
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)


async def _files(tab: WorkspacePage, look: Any) -> None:
    page = tab.page
    await page.keyboard.press("ControlOrMeta+Shift+f")
    await page.get_by_label("Search for").fill("hurt")
    await expect(page.get_by_role("tree", name="Matches").get_by_role("treeitem").first).to_be_visible()
    await look("search")
    await page.get_by_role("button", name="Show or hide replacing").click()
    await page.get_by_label("Replace with").fill(IMAGE)
    await look("replace")
    await page.get_by_role("button", name="Back to the files").click()
    await page.get_by_text("Deleted files (1)").click()
    await look("deleted")
    path = "&lt;img src=x onerror=hurt()&gt;.txt"
    await tab.open_file(path)
    await look("file")
    await tab.choose(path, "Move to…")
    await page.get_by_label("Find a folder").fill("hurt")
    await look("move")
    await page.keyboard.press("Escape")
    await tab.choose(path, "Rename")
    await page.get_by_label(re.compile("^New path of")).fill(IMAGE)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("The path cannot be used")).to_be_visible()
    await look("rename")
    await page.keyboard.press("Escape")
    for path in ("code.html", "' autofocus onfocus='hurt()' x='.txt"):
        await tab.open_file(path)
        await look(path)


async def test_script_in_an_address_is_text(people: People, workspaces: Workspaces) -> None:
    """Mallory sends somebody a link with script in it: in the workspace's id, the key, the create token, the query.

    Reflected script needs one click. Whatever the address holds, the page shows its own words; the document is the same
    for every address, and errors are JSON or plain text that no browser takes for HTML.
    """
    hostile = await plant(workspaces)
    tab, watcher = await visitor(people, hostile.workspace)
    base, page = hostile.workspace.server.url, tab.page
    workspace_id = hostile.workspace.workspace_id
    for path in (
        f"/w/{quote(IMAGE, safe='')}#key=x",
        f"/w/{workspace_id}#key={IMAGE}",
        f"/w/{workspace_id}#key={quote(IMAGE)}&file={quote(IMAGE)}",
        f"/w/{workspace_id}?{IMAGE}#{IMAGE}",
        f"/#create={IMAGE}",
        f"/?{IMAGE}#{quote(IMAGE)}",
    ):
        await page.goto("about:blank")
        await page.goto(base + path)
        await expect(page.get_by_role("heading").first).to_be_visible()
        await watcher.look(path)
    for path in (f"/{quote(IMAGE)}", f"/api/{quote(IMAGE)}", f"/api/workspaces/{quote(IMAGE, safe='')}/chat"):
        response = await page.goto(base + path)
        assert response is not None
        headers = await response.all_headers()
        assert headers["content-type"].split(";")[0] in ("text/plain", "application/json")
        assert headers["x-content-type-options"] == "nosniff"
        await watcher.look(path)


async def test_script_that_was_kept_in_the_browser_is_text(people: People, workspaces: Workspaces) -> None:
    """What was planted stays in the browser: titles among the recent workspaces, names, set-aside edits.

    The home page has no server's word between it and what is stored. It shows text.
    """
    hostile = await plant(workspaces)
    tab, watcher = await visitor(people, hostile.workspace)
    page, base = tab.page, hostile.workspace.server.url
    await tab.open(hostile.workspace.link("owner"))
    await tab.open_file("code.html")
    await page.goto(base + "/")
    await expect(page.get_by_role("link", name=f"Title {IMAGE}")).to_be_visible()
    await watcher.look("home")
    headers = {"Authorization": f"Bearer {hostile.workspace.keys['owner']}"}
    api = f"{base}/api/workspaces/{hostile.workspace.workspace_id}"
    async with hostile.workspace.http.delete(api, headers=headers) as response:
        assert response.status == 204
    await page.goto(hostile.workspace.link("owner"))
    await expect(page.get_by_role("button", name="Restore it")).to_be_visible()
    await watcher.look("deleted")
