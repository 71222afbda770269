"""What the page costs in a real browser: its first load, its first key, typing in a crowd, many files, memory.

The browser, the server and the thirty others share this machine, so the figures are of a busy computer.
Figures are printed, never asserted; only that every character arrived is.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, CDPSession
from pycrdt import Assoc

from carets.protocol import wire
from tests.browser.chromium import People, chromium
from tests.browser.page import WorkspacePage
from tests.peer import Peer, create_workspace, join
from tests.serving import ServerProcess, serving

CROWD = 30
MOVES_PER_S = 2
"""How often each of the crowd moves its caret: more than people do, who look and think between keys."""
KEYS_PER_S = 60
LINE = "def measure(values):  # a line of some sixty characters, as in code\n"
MEBIBYTE = LINE * (1024 * 1024 // len(LINE))
HOUR_OF_EDITS = 36_000
"""Two people who type five keys a second for an hour."""

_WATCH = """() => {
    window.tasks = [];
    const observer = new PerformanceObserver((list) => {
        for (const { duration, attribution } of list.getEntries()) {
            window.tasks.push({ ms: Math.round(duration), by: attribution.map((one) => one.name).join(" ") });
        }
    });
    observer.observe({ type: "longtask" });
    window.keys = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (entry.name === "keydown") window.keys.push(entry.duration);
    }).observe({ type: "event", durationThreshold: 16 });
}"""
_LOADED = """() => performance.getEntriesByType("resource")
    .filter((one) => one.name.endsWith(".js"))
    .map((one) => ({ name: one.name.split("/").at(-1), bytes: one.encodedBodySize }))"""
_NOW = "() => performance.now()"
_EDITOR_READY = """() => new Promise((resolve) => {
    const look = () => {
        const content = document.querySelector(".cm-content[contenteditable=true]");
        if (content === null) return requestAnimationFrame(look);
        resolve(performance.now());
    };
    look();
})"""


async def opening(browser: Browser, server: ServerProcess, http: aiohttp.ClientSession, rounds: int) -> None:
    """A fresh browser opens a link: what is fetched, and when a key can be pressed."""
    workspace_id, keys = await create_workspace(http, server.url, {"notes.txt": "begin\n"})
    link = f"{server.url}/w/{workspace_id}#key={keys['editor']}"
    ready: list[float] = []
    loaded: list[dict[str, Any]] = []
    for _ in range(rounds):
        people = People(browser)
        tab = await (await people.person("Ada")).tab()
        await tab.page.goto(link, wait_until="commit")
        ready.append(await tab.page.evaluate(_EDITOR_READY))
        loaded = await tab.page.evaluate(_LOADED)
        await people.leave()
    async with http.get(link) as answer:
        named = set(re.findall(r'assets/([^"]+[.]js)"', await answer.text()))
    first = sum(one["bytes"] for one in loaded if one["name"] in named)
    whole = sum(one["bytes"] for one in loaded)
    print(
        f"first load     {first / 1000:.1f} KB of JavaScript (gzipped) that the document names; {whole / 1000:.1f} KB"
        " with what is fetched behind the first key"
    )
    print(f"first key      after {statistics.median(ready):.0f} ms (median of {rounds}), worst {max(ready):.0f} ms")


async def many_files(browser: Browser, server: ServerProcess, http: aiohttp.ClientSession) -> None:
    """A workspace of 1,000 files of 10 KB."""
    text = (LINE * 160)[:10_240]
    files = {f"src/part{number // 50:02}/file{number:04}.txt": text for number in range(999)}
    files["first.txt"] = text
    workspace_id, keys = await create_workspace(http, server.url, files)
    people = People(browser)
    tab = await (await people.person("Ada")).tab()
    await tab.page.goto(f"{server.url}/w/{workspace_id}#key={keys['editor']}", wait_until="commit")
    row = tab.row("first.txt")
    await row.wait_for()
    listed = await tab.page.evaluate(_NOW)
    await row.click()
    shown = await tab.page.evaluate(_EDITOR_READY)
    print(f"1,000 files    listed after {listed:.0f} ms, a file of them open after {shown:.0f} ms")
    await people.leave()


class Crowd:
    """Others who have a file open and move their carets about in it."""

    def __init__(self, members: list[Peer], file_id: int, places: list[str]) -> None:
        self._members = members
        self._file_id = file_id
        self._places = places

    @classmethod
    async def join(cls, http: aiohttp.ClientSession, server: ServerProcess, workspace_id: str, key: str) -> Crowd:
        """They come in. One has the text; the others say that they have it, to save this machine the work."""
        members = [await join(http, server.url, workspace_id, key, name=f"Member {n + 1}") for n in range(CROWD)]
        file_id = next(iter(members[0].files))
        first = await members[0].open_file(file_id)
        chance = random.Random(7)
        places = [
            json.dumps(first.text.sticky_index(chance.randrange(len(MEBIBYTE)), Assoc.AFTER).to_json())
            for _ in range(500)
        ]
        for member in members[1:]:
            member.send_json(type="open_file", file_id=file_id, client_id=member.welcome["member_id"], epoch="")
            member.send_frame(file_id, wire.encode_step_1(first.doc.get_state()))
        return cls(members, file_id, places)

    async def move(self) -> None:
        """Until cancelled."""
        chance = random.Random(8)
        while True:
            for member in self._members:
                place = json.loads(chance.choice(self._places))
                member.send_presence(self._file_id, {"cursor": {"anchor": place, "head": place}})
                await asyncio.sleep(1 / (MOVES_PER_S * CROWD))

    async def leave(self) -> None:
        """All of them."""
        for member in self._members:
            await member.close()


async def typing(browser: Browser, server: ServerProcess, http: aiohttp.ClientSession, seconds: int) -> None:
    """Somebody types as fast as keys repeat in a file of 1 MB, with thirty other carets moving in it."""
    workspace_id, keys = await create_workspace(http, server.url, {"large.py": MEBIBYTE})
    crowd = await Crowd.join(http, server, workspace_id, keys["editor"])
    people = People(browser)
    tab = await (await people.person("Ada")).tab(f"{server.url}/w/{workspace_id}#key={keys['editor']}")
    await tab.until_text("large.py", MEBIBYTE)
    at = len(MEBIBYTE) // 2
    await tab.select("large.py", at, at)
    await tab.editor("large.py").focus()
    await tab.page.evaluate(_WATCH)
    moving = asyncio.create_task(crowd.move())
    typed = await _type_evenly(tab, seconds)
    moving.cancel()
    await tab.until_text("large.py", MEBIBYTE[:at] + typed + MEBIBYTE[at:])
    await tab.until_saved()
    tasks = await tab.page.evaluate("() => window.tasks")
    slow = await tab.page.evaluate("() => window.keys")
    longest = ", ".join(f"{task['ms']} ms ({task['by']})" for task in sorted(tasks, key=lambda task: -task["ms"])[:5])
    print(f"typing         {len(typed)} keys at {KEYS_PER_S} a second in 1 MB, {CROWD} carets moving: all arrived")
    print(f"               {len(tasks)} long tasks of over 50 ms{': ' if tasks else ''}{longest}")
    print(f"               keys that took over 16 ms to show: {len(slow)}, the slowest {max(slow, default=0):.0f} ms")
    await people.leave()
    await crowd.leave()


async def _type_evenly(tab: WorkspacePage, seconds: int) -> str:
    """Keys by the clock, not one after the answer to the other; no brackets, which the editor closes by itself."""
    text = "".join("measure this now "[n % 17] for n in range(KEYS_PER_S * seconds))
    start = time.perf_counter()
    for number, key in enumerate(text):
        await asyncio.sleep(max(0.0, start + number / KEYS_PER_S - time.perf_counter()))
        await tab.page.keyboard.press("Space" if key == " " else key)
    return text


async def memory(browser: Browser, server: ServerProcess, http: aiohttp.ClientSession, edits: int) -> None:
    """What the page holds before and after as many edits as two people make in an hour."""
    workspace_id, keys = await create_workspace(http, server.url, {"shared.txt": ""})
    people = People(browser)
    tab = await (await people.person("Ada")).tab(f"{server.url}/w/{workspace_id}#key={keys['editor']}")
    await tab.editor("shared.txt").wait_for()
    devtools = await tab.page.context.new_cdp_session(tab.page)
    before = await _heap_bytes(devtools)
    writer = await join(http, server.url, workspace_id, keys["editor"], name="Writer")
    file = await writer.open_file(1)
    chance = random.Random(9)
    length = 0
    for number in range(edits):
        if length > 100 and chance.random() < 0.2:
            file.delete(chance.randrange(length), 1)
            length -= 1
        else:
            file.insert(
                chance.randrange(length + 1) if chance.random() < 0.2 else length, "\n" if number % 60 == 0 else "x"
            )
            length += 1
        if number % 500 == 499:
            await writer.until_saved()
    await tab.until_text("shared.txt", str(file), wait_s=120)
    after = await _heap_bytes(devtools)
    print(
        f"memory         {before / 1e6:.1f} MB of JavaScript heap, {after / 1e6:.1f} MB after {edits:,} edits"
        f" (a text of {length:,} characters)"
    )
    await writer.close()
    await people.leave()


async def _heap_bytes(devtools: CDPSession) -> float:
    await devtools.send("HeapProfiler.collectGarbage")
    return float((await devtools.send("Runtime.getHeapUsage"))["usedSize"])


async def main(*, quick: bool) -> None:
    """All of them, on one server and in one browser."""
    print("\nThe page, in Chromium")
    with tempfile.TemporaryDirectory() as data:
        async with serving(Path(data)) as server, chromium() as browser, aiohttp.ClientSession() as http:
            await opening(browser, server, http, 3 if quick else 7)
            await many_files(browser, server, http)
            await typing(browser, server, http, 10 if quick else 60)
            await memory(browser, server, http, HOUR_OF_EDITS // 10 if quick else HOUR_OF_EDITS)


if __name__ == "__main__":
    asyncio.run(main(quick=False))
