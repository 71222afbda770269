"""The page as a person uses it: a few verbs over its accessible names.

Owns: how things are found on the page. Does not know: servers, lines, what a test wants.

The whole text of a file is read from the editor's view, which hangs on its DOM: the DOM itself holds only the lines
that are in sight.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from playwright.async_api import Locator, Page, WebSocket, WebSocketRoute, expect

from carets.protocol import wire

WAIT_S = 20.0
"""How long a test waits for what must happen soon; it bounds a failure, not a success."""

Light = Literal["connecting", "saved", "unsaved", "failing", "offline", "closed"]

# Polling by timers, since animation frames rest in tabs that are not in front.
_UNTIL = """async ([path, wanted, waitMs]) => {
    const doc = () => {
        const contents = [...document.querySelectorAll(".cm-content")];
        return contents.find((each) => each.getAttribute("aria-label") === path)?.cmTile?.view.state.doc;
    };
    const end = performance.now() + waitMs;
    while (performance.now() < end) {
        const now = doc();
        if (now !== undefined && now.length === wanted.length && now.toString() === wanted) return null;
        await new Promise((resolve) => setTimeout(resolve, 15));
    }
    return doc()?.toString() ?? "(no editor)";
}"""
_TEXT = """(content) => content.cmTile.view.state.doc.toString()"""
_CARET = """(content, [anchor, head]) => {
    const { view } = content.cmTile;
    const at = (place) => (place < 0 ? view.state.doc.length + 1 + place : place);
    view.dispatch({ selection: { anchor: at(anchor), head: at(head) } });
}"""
_OPENABLE = """async () => {
    await navigator.serviceWorker.ready;
    while (navigator.serviceWorker.controller === null) await new Promise((resolve) => setTimeout(resolve, 15));
}"""
_LIGHTS = """() => {
    window.lights = [];
    const note = () => {
        const kind = document.querySelector("[data-light]")?.getAttribute("data-light");
        if (kind !== undefined && window.lights.at(-1) !== kind) window.lights.push(kind);
    };
    new MutationObserver(note).observe(document.body, {
        subtree: true, childList: true, attributes: true, attributeFilter: ["data-light"],
    });
    note();
}"""


@dataclass(frozen=True)
class SentFrame:
    """A frame that the page sent: text as it is, or what a binary frame says."""

    text: str = ""
    file_id: int = -1
    message: wire.Message | None = None


class WorkspacePage:
    """One tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sent: list[SentFrame] = []
        self.sockets = 0
        """How many WebSockets it has opened so far."""
        self._is_cut = False
        self._routed: list[WebSocketRoute] = []
        page.on("websocket", self._follow)

    async def be_cuttable(self) -> None:
        """Before it is opened: put this one tab's sockets under `cut` and `mend`."""
        await self.page.route_web_socket(lambda url: "/ws/" in url, self._route)

    async def _route(self, socket: WebSocketRoute) -> None:
        if self._is_cut:
            await socket.close()
        else:
            socket.connect_to_server()
            self._routed.append(socket)

    async def cut(self) -> None:
        """End this tab's connection and turn its next ones away, while other tabs keep theirs."""
        self._is_cut = True
        for socket in self._routed:
            await socket.close()
        self._routed.clear()

    def mend(self) -> None:
        """Let this tab connect again."""
        self._is_cut = False

    def _follow(self, socket: WebSocket) -> None:
        self.sockets += 1
        socket.on("framesent", self._note)

    def _note(self, payload: str | bytes) -> None:
        if isinstance(payload, str):
            self.sent.append(SentFrame(text=payload))
        else:
            self.sent.append(SentFrame("", *wire.decode_frame(payload)))

    # -- going places

    async def open(self, url: str) -> None:
        """Go to an address and wait until the workspace is there."""
        await self.page.goto(url)
        await expect(self.light()).to_be_visible(timeout=WAIT_S * 1000)

    async def reload(self) -> None:
        """Reload, and wait until the workspace is there."""
        await self.page.reload()
        await expect(self.light()).to_be_visible(timeout=WAIT_S * 1000)

    async def until_openable_offline(self) -> None:
        """Wait until the service worker has what opens the page, and watches over this tab."""
        await self.page.evaluate(_OPENABLE)

    async def pause_clock(self) -> None:
        """Stop the page's timers; the tab had `clock.install` before it was opened."""
        await self.page.clock.pause_at(await self.page.evaluate("() => Date.now() / 1000 + 0.2"))

    async def close(self) -> None:
        """Close the tab as a person does."""
        await self.page.close(run_before_unload=False)

    # -- files

    async def new_file(self, path: str) -> None:
        """Create a file; it is open then."""
        await self.page.get_by_role("button", name="New file").click()
        field = self.page.get_by_label("Path of the new file")
        await field.fill(path)
        await field.press("Enter")
        await expect(self.editor(path)).to_be_visible(timeout=WAIT_S * 1000)

    async def open_file(self, path: str) -> None:
        """Open a file from the list, and wait for its text."""
        await self.row(path).click()
        await expect(self.editor(path)).to_be_visible(timeout=WAIT_S * 1000)

    def row(self, path: str) -> Locator:
        """A file or a folder in the tree."""
        return self._named("treeitem", path)

    async def choose(self, path: str, item: str) -> None:
        """Choose from the menu of a row."""
        await self.row(path).hover()
        await self.page.get_by_role("button", name=f"Actions for {path}", exact=True).click()
        await self.page.get_by_role("menuitem", name=item, exact=True).click()

    async def rename_row(self, path: str, to: str) -> None:
        """Give a file or a folder another path."""
        await self.choose(path, "Rename")
        field = self.page.get_by_label(f"New path of {path}")
        await field.fill(to)
        await field.press("Enter")

    async def delete_row(self, path: str) -> None:
        """Delete a file or a folder."""
        await self.choose(path, "Delete")

    def open_tab(self, path: str) -> Locator:
        """An open file in the row of tabs."""
        return self._named("tab", path)

    def _named(self, role: Literal["treeitem", "tab"], path: str) -> Locator:
        saved = self.page.get_by_role(role, name=path, exact=True)
        return saved.or_(self.page.get_by_role(role, name=f"{path}, not saved yet", exact=True))

    def editor(self, path: str) -> Locator:
        """The text field of an open file."""
        return self.page.get_by_role("textbox", name=path, exact=True)

    # -- text

    async def type(self, path: str, text: str, at: int | None = -1, delay_ms: float = 0) -> None:
        """Type, key by key, at the end or at an index (-1 is the end, None is where the caret is)."""
        editor = self.editor(path)
        await editor.focus()
        if at is not None:
            await self.select(path, at, at)
        await self.page.keyboard.type(text, delay=delay_ms)

    async def select(self, path: str, anchor: int, head: int) -> None:
        """Put the caret somewhere; negative places count from the end, -1 being the end."""
        await self.editor(path).evaluate(_CARET, [anchor, head])

    async def paste(self, path: str, text: str) -> None:
        """Paste at the caret, by the clipboard and the keys for it."""
        await self.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
        await self.editor(path).focus()
        await self.page.keyboard.press("ControlOrMeta+v")

    async def text(self, path: str) -> str:
        """The whole text of an open file."""
        return str(await self.editor(path).evaluate(_TEXT))

    async def until_text(self, path: str, text: str, wait_s: float = WAIT_S) -> None:
        """Wait until an open file reads so."""
        found = await self.page.evaluate(_UNTIL, [path, text, wait_s * 1000])
        assert found is None, f"{path} reads {_brief(found)!r} and not {_brief(text)!r}"

    # -- what the page says

    def light(self) -> Locator:
        """The durability light."""
        return self.page.get_by_role("status", name="Durability")

    async def until_light(self, kind: Light, words: str | re.Pattern[str] = "", wait_s: float = WAIT_S) -> None:
        """Wait until the light says so."""
        light = self.light()
        await expect(light).to_have_attribute("data-light", kind, timeout=wait_s * 1000)
        if words:
            await expect(light).to_contain_text(words, timeout=wait_s * 1000)

    async def until_saved(self, wait_s: float = WAIT_S) -> None:
        """Wait until the light is green."""
        await self.until_light("saved", "All saved", wait_s)

    async def watch_lights(self) -> None:
        """From now on, note each kind of light that is shown."""
        await self.page.evaluate(_LIGHTS)

    async def lights(self) -> list[Light]:
        """The kinds of light that were shown since `watch_lights`, in order."""
        lights: list[Light] = await self.page.evaluate("() => window.lights")
        return lights

    def people(self) -> Locator:
        """The button that says how many are here."""
        return self.page.get_by_role("button", name=re.compile(r"^People: "))

    async def until_people(self, count: int) -> None:
        """Wait until so many are here."""
        name = "People: only you" if count == 1 else f"People: {count} here"
        await expect(self.page.get_by_role("button", name=name)).to_be_visible(timeout=WAIT_S * 1000)

    def edits_sent(self) -> list[wire.Message]:
        """The updates and step 2 that it has sent, over all its connections; a part counts as what it is part of."""
        kinds = (wire.Update, wire.Step2, wire.Part)
        return [frame.message for frame in self.sent if isinstance(frame.message, kinds)]

    async def evaluate(self, script: str, argument: Any = None) -> Any:
        """Run a script in the page."""
        return await self.page.evaluate(script, argument)


def _brief(text: str) -> str:
    """Enough of a text to see what is wrong."""
    return text if len(text) < 400 else f"{text[:200]} … {text[-200:]} ({len(text)} characters)"
