"""Programs run in the page, for whoever is there to see, and end when they are told to."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspaces
from tests.browser.page import WAIT_S
from tests.browser.runs import AT_ONCE_S, PYTHON_S, open_panel
from tests.peer import create_workspace
from tests.serving import serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

OUTPUT_UNITS_MAX = 300_000
"""The log's 262,144 and some words. Source: web/src/run/log.ts."""

PYTHON = {
    "main.py": "from lib.sums import total\n\nname = input('Name? ')\nprint('Hello', name)\nprint(total('rows.csv'))\n",
    "lib/sums.py": "def total(path):\n    with open(path) as rows:\n        return sum(int(row) for row in rows)\n",
    "rows.csv": "20\n22\n",
    "fails.py": "import lib.broken\n\nlib.broken.outer()\n",
    "lib/broken.py": "def outer():\n    return inner()\n\ndef inner():\n    raise ValueError('näin')\n",
    "code.py": "import sys\nprint('to err', file=sys.stderr)\nsys.exit(7)\n",
    "loop.py": "while True:\n    pass\n",
    "flood.py": "count = 0\nwhile True:\n    count += 1\n    print('line', count)\n",
    "hungry.py": "kept = []\nwhile True:\n    kept.append(bytearray(10_000_000))\n",
    "notes.txt": "begin ",
}
SCRIPTS = {
    "main.js": (
        'import { twice } from "./lib/sums.js";\nimport { word } from "./lib/typed";\n'
        'import facts from "./facts.json";\n'
        'const later = await new Promise((resolve) => setTimeout(() => resolve("later"), 10));\n'
        'console.log("Hello", twice(21), word, facts, later);\nsetTimeout(() => console.warn("last"), 20);\n'
    ),
    "lib/sums.js": "export const twice = (count) => count * 2;\n",
    "lib/typed.ts": 'type Word = string;\nexport const word: Word = "typed";\n',
    "facts.json": '{ "list": [1, 2] }',
    "main.ts": (
        'import { twice } from "./lib/sums.js";\nfunction fails(count: number): never {\n'
        "  throw new TypeError(`no ${count}`);\n}\nsetTimeout(() => fails(twice(2)), 5);\n"
    ),
    "loop.js": "console.log('begun');\nfor (;;);\n",
    "flood.js": "for (let count = 0; ; count++) console.log('line', count);\n",
    "rejects.js": "Promise.reject(new Error('unheard'));\nsetInterval(() => undefined, 1000);\n",
    "ticks.js": "let tick = 0;\nsetInterval(() => console.log(`tick ${++tick}.`), 50);\n",
}


async def test_python_finds_the_other_files_and_the_input(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PYTHON)
    panel = await open_panel(await people.tab("Ada", workspace.link()))
    await panel.button("Input").click()
    await panel.region().get_by_label("Input: the lines").fill("Grace\n")
    assert (await panel.run("main.py")).split("\n")[:3] == ["Name? Grace", "Hello Grace", "42"]
    assert re.fullmatch(r"Ended after [\d.]+ s", await panel.said())

    text = await panel.run("fails.py")
    assert 'File "/workspace/fails.py", line 3, in <module>' in text
    assert 'File "/workspace/lib/broken.py", line 5, in inner' in text
    assert text.rstrip().endswith("ValueError: näin")
    assert "program.py" not in text, "the traceback shows what is none of the program"
    await panel.button('File "/workspace/lib/broken.py", line 5').click()
    await expect(panel.tab.editor("lib/broken.py")).to_be_visible()

    assert (await panel.run("code.py")).strip() == "to err"
    assert "code 7" in await panel.said()


async def test_an_endless_loop_ends_at_once(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PYTHON | SCRIPTS)
    panel = await open_panel(await people.tab("Ada", workspace.link()))
    await panel.start("loop.js")
    await panel.until_said("begun")
    (worker,) = panel.tab.page.workers
    ended = asyncio.Event()
    worker.on("close", lambda _: ended.set())
    await panel.stop()
    async with asyncio.timeout(WAIT_S):
        await ended.wait()
    await panel.start("loop.py")
    await panel.until("running")
    await panel.stop()
    assert (await panel.run("main.js")).startswith("Hello 42"), "what was stopped holds up what comes next"


async def test_a_flood_leaves_the_page_usable_and_stops_at_once(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PYTHON | SCRIPTS)
    tab = await people.tab("Ada", workspace.link())
    panel = await open_panel(tab)
    for path in ("flood.js", "flood.py"):
        await panel.start(path)
        await panel.until_said(re.compile("lines left out|earlier output is not kept"))
        before = time.monotonic()
        await tab.open_file("notes.txt")
        await tab.type("notes.txt", path)
        await tab.until_saved()
        took_s = time.monotonic() - before
        assert took_s < 8, f"typing beside {path} took {took_s:.1f} s"
        await panel.stop()
        units = await panel.output().evaluate("(output) => output.textContent.length")
        assert units < OUTPUT_UNITS_MAX
        last = re.findall(r"line (\d+)\n", await panel.output().inner_text())[-1]
        assert int(last) > 10_000, "what came last is not shown"
    assert await tab.text("notes.txt") == "begin flood.jsflood.py"


async def test_python_without_bound_gets_a_memory_error_and_the_page_lives(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make(PYTHON)
    panel = await open_panel(await people.tab("Ada", workspace.link()))
    assert "MemoryError" in await panel.run("hungry.py")


async def test_javascript_and_typescript_import_each_other(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(SCRIPTS)
    panel = await open_panel(await people.tab("Ada", workspace.link()))
    text = await panel.run("main.js")
    assert text.split("\n")[:2] == ["Hello 42 typed { list: [ 1, 2 ] } later", "last"]
    text = await panel.run("main.ts")
    assert "Uncaught TypeError: no 4" in text
    assert "at fails (main.ts:3:" in text
    assert "at main.ts:5:" in text
    assert "code 1" in await panel.said()
    text = await panel.run("rejects.js")
    assert "Uncaught Error: unheard" in text
    assert "at rejects.js:1:" in text


async def test_others_watch_as_it_happens(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(SCRIPTS)
    own = await open_panel(await people.tab("Ada", workspace.link()))
    watching = await open_panel(await people.tab("Bob", workspace.link()))
    await own.start("ticks.js")
    await watching.until_said("tick 3.")
    await watching.until("running")
    chosen = watching.region().get_by_label("Whose run is shown").locator("option:checked")
    await expect(chosen).to_have_text("Ada · ticks.js · Running")
    assert (await watching.output().inner_text()).startswith("tick 1.\n"), "a watcher from the first sees it all"

    late = await open_panel(await people.tab("Cleo", workspace.link()))
    await late.until_said("it had begun before you came")
    await late.until_said(re.compile(r"tick \d+\."))
    await expect(late.region().get_by_label("Whose run is shown")).to_contain_text("Ada · ticks.js")

    await own.stop()
    await watching.until("stopped", WAIT_S)
    await late.until("stopped", WAIT_S)
    assert await watching.button("Stop").count() == 0, "nobody stops what runs elsewhere"


async def test_who_leaves_takes_the_run_along(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(SCRIPTS)
    ada = await people.tab("Ada", workspace.link())
    own = await open_panel(ada)
    watching = await open_panel(await people.tab("Bob", workspace.link()))
    await own.start("ticks.js")
    await watching.until_said("tick 1.")
    await ada.close()
    await watching.until("failed", WAIT_S)
    assert "has left" in await watching.said()


async def test_a_viewer_runs_alone(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(SCRIPTS)
    watching = await open_panel(await people.tab("Bob", workspace.link()))
    viewing = await open_panel(await people.tab("Eve", workspace.link("viewer")))
    assert (await viewing.run("main.js")).startswith("Hello 42")
    own = await open_panel(await people.tab("Ada", workspace.link()))
    await own.run("main.js")
    await watching.until_said("Hello 42")
    options = await watching.region().get_by_label("Whose run is shown").locator("option").all_inner_texts()
    assert [option.split(" · ")[0] for option in options] == ["Ada"]


async def test_nothing_is_fetched_before_it_is_asked_for(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(PYTHON | SCRIPTS)
    ada = await people.person("Ada")
    asked: list[str] = []
    ada.context.on("request", lambda request: asked.append(request.url))
    panel = await open_panel(await ada.tab(workspace.link()))
    await panel.tab.open_file("main.js")
    assert [url for url in asked if "/run/" in url] == []
    await panel.run("main.js")
    fetched = [url.rpartition("/run/")[2] for url in asked if "/run/" in url]
    assert {name.partition("-")[0] for name in fetched} == {"frame", "javascript"}
    await panel.run("code.py")
    fetched = [url.rpartition("/run/")[2] for url in asked if "/run/" in url]
    assert any("pyodide.asm.wasm" in name for name in fetched)
    assert not [name for name in fetched if "lock" in name]
    server = workspace.server.url
    assert not [url for url in asked if not url.startswith((server, server.replace("http", "ws"), "blob:", "data:"))]


async def test_it_runs_below_a_path(people: People, tmp_path: Path) -> None:
    async with serving(tmp_path / "data", "--base-path", "/team/carets") as server:
        async with aiohttp.ClientSession() as http:
            workspace_id, keys = await create_workspace(http, server.url, PYTHON | SCRIPTS)
        tab = await people.tab("Ada", f"{server.url}/w/{workspace_id}#key={keys['editor']}")
        panel = await open_panel(tab)
        assert (await panel.run("main.js")).startswith("Hello 42")
        assert "to err" in await panel.run("code.py")


async def test_the_keyboard_runs_and_stops(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make(SCRIPTS)
    tab = await people.tab("Ada", workspace.link())
    panel = await open_panel(tab)
    await tab.open_file("loop.js")
    await tab.editor("loop.js").focus()
    await tab.page.keyboard.press("ControlOrMeta+Enter")
    await panel.until_said("begun", PYTHON_S)
    await tab.page.keyboard.press("ControlOrMeta+Shift+Enter")
    await panel.until("stopped", AT_ONCE_S)
    assert await tab.text("loop.js") == SCRIPTS["loop.js"], "the keys meant something in the text, too"
