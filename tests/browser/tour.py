"""Every screen of the page, one after the other: for whoever looks at all of them.

Owns: how each screen is reached by a person who uses the page. Does not know: what is looked for on it.
The accessibility tests run axe on each; ``python -m tests.browser.pictures`` takes pictures of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from playwright.async_api import Page, expect

from tests.browser.chromium import People, Person
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.page import WorkspacePage
from tests.browser.runs import RunPanel
from tests.browser.test_upload import drag, drop

FILES = {
    "README.md": (
        "# Weather station\n\nReads the *sensors* on the roof and says what it is like outside.\n\n"
        "- `station.py` reads them\n- `report.py` writes the report\n\n## Use\n\n```python\n"
        "from station import read\nprint(read())\n```\n\n| sensor | unit |\n|---|---|\n| wind | m/s |\n| rain | mm |\n"
    ),
    "station.py": (
        '"""The sensors on the roof."""\n\nfrom report import Report\n\nWIND_MAX = 120\n\n\n'
        "class Station:\n    def __init__(self, sensors):\n        self.sensors = list(sensors)\n\n"
        "    def read(self):\n        report = Report()\n        for sensor in self.sensors:\n"
        "            value = sensor.value()\n            if value is None:\n                continue\n"
        "            report.add(sensor.name, value)\n        return report\n\n\n"
        'if __name__ == "__main__":\n    print(Station([]).read())\n'
    ),
    "report.py": (
        "class Report:\n    def __init__(self):\n        self.lines = []\n\n"
        "    def add(self, name, value):\n        self.lines.append(f'{name}: {value}')\n\n"
        "    def __str__(self):\n        return '\\n'.join(self.lines) or 'no sensors'\n"
    ),
    "web/index.html": '<!doctype html>\n<title>Weather</title>\n<script type="module" src="chart.ts"></script>\n',
    "web/chart.ts": (
        "export const scale = (value: number): number => value * 1.5;\n\n"
        "for (const wind of [4.5, 5.1]) console.log(`wind ${scale(wind)}`);\n"
        "console.warn('no rain today');\n"
    ),
    "data/roof.csv": "time,wind\n10:00,4.5\n10:10,5.1\n",
}
TITLE = "Weather station"
MAIN = "station.py"


@dataclass
class Stop:
    """One screen: its name, and the page that shows it."""

    name: str
    page: Page


class Tour:
    """One person's way through all screens, with two others at work in the same files."""

    def __init__(self, people: People, workspaces: Workspaces, *, scheme: str, width: int) -> None:
        self._people = people
        self._workspaces = workspaces
        self._scheme = scheme
        self._width = width

    @property
    def is_narrow(self) -> bool:
        """A phone."""
        return self._width <= 720

    async def stops(self) -> AsyncIterator[Stop]:
        """Each screen in turn; it stands until the next is asked for."""
        person = await self._someone("Ada Lovelace", self._width)
        workspace = await self._workspaces.make(FILES, TITLE)
        async for stop in self._outside(person, workspace):
            yield stop
        bob = await self._people.tab("Bob", workspace.link())
        await bob.open_file(MAIN)
        tab = await person.tab()
        await tab.be_cuttable()
        await tab.open(workspace.link("owner"))
        inside = (self._inside, self._beside, self._files, self._uploads, self._running, self._dialogs)
        for part in (*inside, self._without_a_line):
            async for stop in part(tab, bob, workspace):
                yield stop
        reader = await person.tab(workspace.link("viewer"))
        await self.open_file(reader, MAIN)
        yield Stop("viewer", reader.page)
        await reader.close()
        async for stop in self._put_out(person, workspace):
            yield stop
        async for stop in self._deleted(tab, workspace):
            yield stop

    async def _someone(self, name: str, width: int) -> Person:
        viewport = {"width": width, "height": 740 if self.is_narrow else 800}
        touch = self.is_narrow
        # Without motion no screen is looked at in the middle of a fade.
        return await self._people.person(
            name,
            color_scheme=self._scheme,
            reduced_motion="reduce",
            viewport=viewport,
            has_touch=touch,
            is_mobile=touch,
        )

    async def open_file(self, tab: WorkspacePage, path: str) -> None:
        """From the list, which on a phone is a drawer."""
        await self.show_files(tab)
        await tab.open_file(path)

    async def show_files(self, tab: WorkspacePage) -> None:
        """The list, which on a phone is a drawer."""
        if self.is_narrow:
            await tab.page.get_by_role("button", name="Files", exact=True).click()
            await expect(tab.row(MAIN)).to_be_in_viewport(ratio=1)

    async def hide_files(self, tab: WorkspacePage) -> None:
        """Once more what is behind the drawer."""
        if self.is_narrow:
            await tab.page.get_by_role("button", name="Close file list").first.click()

    async def _outside(self, person: Person, workspace: Workspace) -> AsyncIterator[Stop]:
        tab = await person.tab()
        page = tab.page
        await page.goto(workspace.server.url + "/")
        await expect(page.get_by_role("button", name="Create workspace")).to_be_visible()
        yield Stop("home", page)
        await page.goto(workspace.link("owner").split("#", maxsplit=1)[0])
        await expect(page.get_by_role("heading", name="This link has no key")).to_be_visible()
        yield Stop("no-key", page)
        await tab.open(workspace.link("owner"))
        yield Stop("workspace-empty", page)
        await page.goto(workspace.server.url + "/")
        await expect(page.get_by_role("link", name=TITLE)).to_be_visible()
        yield Stop("home-recent", page)
        await tab.close()

    async def _inside(self, tab: WorkspacePage, bob: WorkspacePage, _: Workspace) -> AsyncIterator[Stop]:
        page = tab.page
        await self.open_file(tab, MAIN)
        place = FILES[MAIN].index("continue") + len("continue")
        await bob.type(MAIN, "  # it sleeps", at=place)
        await bob.select(MAIN, place + 2, place + 13)
        await expect(page.locator(".cm-content")).to_contain_text("# it sleeps")
        yield Stop("editor", page)
        await tab.people().click()
        await expect(page.get_by_role("button", name="Follow Bob")).to_be_visible()
        yield Stop("people", page)
        await page.get_by_role("button", name="Follow Bob").click()
        await expect(page.get_by_text("Following Bob")).to_be_visible()
        yield Stop("following", page)
        await page.get_by_role("button", name="Stop").click()
        if self.is_narrow:
            await self.show_files(tab)
            yield Stop("files", page)
            await page.keyboard.press("Escape")
        await tab.editor(MAIN).focus()
        await page.keyboard.press("ControlOrMeta+f")
        await page.keyboard.type("self")
        await expect(page.get_by_text("4 matches")).to_be_visible()
        yield Stop("find", page)
        await page.keyboard.press("Escape")

    async def _beside(self, tab: WorkspacePage, bob: WorkspacePage, _: Workspace) -> AsyncIterator[Stop]:
        page = tab.page
        await bob.page.get_by_role("button", name="Chat").click()
        for words in ("Shall we split it here?", f"The loop at {MAIN}:13 does two things."):
            await bob.page.get_by_label("Message").fill(words)
            await bob.page.get_by_label("Message").press("Enter")
        await page.get_by_role("button", name="Chat: 2 unread").click()
        await expect(page.get_by_role("log", name="Chat")).to_contain_text("two things")
        yield Stop("chat", page)
        await page.get_by_role("button", name="Close the chat").click()
        await self.open_file(tab, "README.md")
        await page.get_by_role("button", name="Preview", exact=True).click()
        await expect(page.get_by_role("heading", name="Use")).to_be_visible()
        yield Stop("preview", page)
        await page.get_by_role("button", name="Close the preview").click()
        await page.keyboard.press("ControlOrMeta+Shift+f")
        await page.get_by_label("Search for").fill("report")
        await expect(page.get_by_role("tree", name="Matches").get_by_role("treeitem").first).to_be_visible()
        yield Stop("search", page)
        await page.get_by_role("button", name="Show or hide replacing").click()
        await page.get_by_label("Replace with").fill("protocol")
        yield Stop("replace", page)
        await page.get_by_role("button", name="Back to the files").click()
        if self.is_narrow:
            await page.keyboard.press("Escape")
        await self.open_file(tab, MAIN)

    async def _files(self, tab: WorkspacePage, _: WorkspacePage, __: Workspace) -> AsyncIterator[Stop]:
        page = tab.page
        await tab.open_tab(MAIN).focus()
        await page.keyboard.press("Shift+F10")
        await expect(page.get_by_role("menuitem", name="Close", exact=True)).to_be_focused()
        yield Stop("tab-menu", page)
        await page.keyboard.press("Escape")
        await self.show_files(tab)
        await page.get_by_role("button", name="More for files").click()
        await expect(page.get_by_role("menuitem").first).to_be_focused()
        yield Stop("files-menu", page)
        await page.keyboard.press("Escape")
        await tab.row("report.py").hover()
        await page.get_by_role("button", name="Actions for report.py", exact=True).click()
        await expect(page.get_by_role("menuitem", name="Open")).to_be_focused()
        yield Stop("file-menu", page)
        await page.get_by_role("menuitem", name="Move to…").click()
        await expect(page.get_by_role("dialog", name="Move report.py")).to_be_visible()
        await page.get_by_label("Find a folder").fill("da")
        yield Stop("move", page)
        await page.keyboard.press("Escape")
        await tab.choose("report.py", "Rename")
        await page.get_by_label("New path of report.py").fill("report /x.py")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("The path cannot be used")).to_be_visible()
        yield Stop("rename", page)
        await page.keyboard.press("Escape")
        await tab.delete_row("data/roof.csv")
        await page.get_by_text("Deleted files (1)").click()
        await expect(page.get_by_role("button", name="Restore data/roof.csv")).to_be_visible()
        yield Stop("file-deleted", page)
        await page.get_by_role("button", name="Restore data/roof.csv").click()
        await expect(tab.row("data/roof.csv")).to_be_visible()
        await self.hide_files(tab)

    async def _uploads(self, tab: WorkspacePage, _: WorkspacePage, __: Workspace) -> AsyncIterator[Stop]:
        page = tab.page
        files = {"README.md": b"# Another\n", "report.py": b"", "roof.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"}
        await drag(tab, files, "main", "dragenter", "dragover")
        await expect(page.get_by_text("Drop to add to")).to_be_visible()
        yield Stop("dragged", page)
        await drop(tab, files)
        dialog = page.get_by_role("dialog", name="Upload")
        await expect(dialog.get_by_role("button", name="Keep both")).to_be_visible()
        yield Stop("upload", page)
        for _each in range(2):
            await dialog.get_by_role("button", name="Skip").click()
        await expect(dialog).to_contain_text("Nothing was added")
        yield Stop("upload-report", page)
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)

    async def _running(self, tab: WorkspacePage, _: WorkspacePage, __: Workspace) -> AsyncIterator[Stop]:
        page, panel = tab.page, RunPanel(tab)
        await self.open_file(tab, "web/chart.ts")
        await page.get_by_role("button", name="Run", exact=True).click()
        await panel.until("ended")
        await panel.until_said("no rain today")
        yield Stop("run", page)
        await panel.button("Input").click()
        yield Stop("run-input", page)
        await panel.button("Close the output").click()
        await page.get_by_role("button", name="Close web/chart.ts").click()
        await self.open_file(tab, MAIN)

    async def _dialogs(self, tab: WorkspacePage, _: WorkspacePage, __: Workspace) -> AsyncIterator[Stop]:
        page = tab.page
        await page.get_by_role("button", name="Share").click()
        await expect(page.get_by_role("dialog").get_by_text("Bob").first).to_be_attached()
        yield Stop("share", page)
        await page.get_by_label("Who or what it is for").fill("Interview on Friday")
        await page.get_by_role("button", name="Create link").click()
        await expect(page.get_by_label("Link “Interview on Friday” is made")).to_be_visible()
        await page.get_by_role("heading", name="All links").scroll_into_view_if_needed()
        yield Stop("share-made", page)
        await page.get_by_role("button", name="Revoke link Interview on Friday").click()
        yield Stop("share-revoking", page)
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="You and settings").click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        yield Stop("you", page)
        await page.keyboard.press("Escape")
        for name, words in (
            ("palette", ""),
            ("quick-open", "Open a file by its name"),
            ("go-to-line", "Go to a line"),
            ("language", "Choose the language"),
            ("indent", "Choose how the file is indented"),
            ("workspace", "Rename or delete"),
            ("light", "Show what is saved"),
        ):
            await page.keyboard.press("F1")
            await expect(page.get_by_role("combobox")).to_be_focused()
            if words:
                await page.get_by_role("combobox").fill(words)
                await page.keyboard.press("Enter")
                await expect(page.get_by_role("option", name=words)).to_have_count(0)
                await expect(page.get_by_role("dialog")).to_be_visible()
            yield Stop(name, page)
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog")).to_have_count(0)

    async def _without_a_line(self, tab: WorkspacePage, _: WorkspacePage, __: Workspace) -> AsyncIterator[Stop]:
        await tab.cut()
        await tab.until_light("offline")
        await tab.type(MAIN, "# typed alone\n", at=0)
        await tab.until_light("offline", "edit")
        yield Stop("offline", tab.page)
        tab.mend()
        await tab.until_saved()

    async def _put_out(self, person: Person, workspace: Workspace) -> AsyncIterator[Stop]:
        """A guest whose link ends while they type without a line."""
        links = f"{workspace.server.url}/api/workspaces/{workspace.workspace_id}/links"
        owner = {"Authorization": f"Bearer {workspace.keys['owner']}"}
        async with workspace.http.post(links, json={"role": "editor", "name": "guests"}, headers=owner) as response:
            made = await response.json()
        guest = await person.tab()
        await guest.be_cuttable()
        await guest.open(made["url"])
        await self.open_file(guest, "report.py")
        await guest.until_saved()
        await guest.cut()
        await guest.type("report.py", "# typed too late\n", at=0)
        await guest.until_light("offline", "edits")
        async with workspace.http.delete(f"{links}/{made['link_id']}", headers=owner) as response:
            assert response.status == 204
        guest.mend()
        await guest.until_light("closed", "edits")
        yield Stop("put-out", guest.page)
        await guest.page.get_by_role("button", name="Look at them").first.click()
        drawer = guest.page.get_by_role("dialog", name="Edits that need you")
        await expect(drawer.get_by_role("textbox", name="With your edits")).to_be_visible()
        yield Stop("rescue", guest.page)
        await guest.close()
        stranger = await (await self._someone("Grace", self._width)).tab()
        await stranger.page.goto(made["url"])
        await expect(stranger.page.get_by_role("heading", name="This link was revoked")).to_be_visible()
        yield Stop("revoked", stranger.page)
        await stranger.close()

    async def _deleted(self, tab: WorkspacePage, workspace: Workspace) -> AsyncIterator[Stop]:
        """The end of the workspace, for who is in it and for an owner who comes later."""
        api = f"{workspace.server.url}/api/workspaces/{workspace.workspace_id}"
        owner = {"Authorization": f"Bearer {workspace.keys['owner']}"}
        async with workspace.http.delete(api, headers=owner) as response:
            assert response.status in {200, 204}, response.status
        await tab.until_light("closed")
        await expect(tab.page.get_by_role("button", name="Restore it")).to_be_visible()
        yield Stop("deleted", tab.page)
        later = await (await self._someone("Ada Lovelace", self._width)).tab()
        await later.page.goto(workspace.link("owner"))
        await expect(later.page.get_by_role("button", name="Restore it")).to_be_visible()
        yield Stop("deleted-later", later.page)
