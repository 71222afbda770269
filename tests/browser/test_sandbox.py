"""What code in the sandbox can reach by the headers that the server gives it alone: its own files, and nothing else.

The frame here is as small as one can be, so that the headers are what is tested: everything that it could do for
its own protection is left out.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from carets.config import Config
from carets.edges import pages
from carets.server import running
from tests.peer import create_workspace
from tests.proxy import proxied

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

BASE = "/carets"

_PAGE = """<!doctype html><html><head></head><body><script type="module" src="assets/page-12345678.js"></script>"""
_PAGE_SCRIPT = """
localStorage.setItem("secret", "key");
addEventListener("message", (event) => { window.told = event.data; });
const frame = document.createElement("iframe");
frame.sandbox = "allow-scripts";
frame.src = "run/frame.html";
document.body.append(frame);
"""
_FRAME = """<!doctype html><script type="module" src="frame.mjs"></script>"""
_PROBES = """
const probes = (base, workspace) => ({
    origin: () => self.origin,
    module: async () => (await import(base + "run/folder/module.mjs")).word,
    wasm: async () => String(await WebAssembly.compileStreaming(fetch(base + "run/folder/empty.wasm"))),
    eval: () => String((0, eval)("6 * 7")),
    api: async () => (await fetch(base + "api/server")).status,
    apiWithoutAnswer: async () => (await fetch(base + "api/server", { mode: "no-cors" })).type,
    page: async () => (await fetch(base + "w/" + workspace, { mode: "no-cors" })).type,
    script: async () => (await import(base + "assets/page-12345678.js")) && "loaded",
    classic: () => { importScripts(base + "assets/plain-12345678.js"); return "loaded"; },
    socket: () => new Promise((resolve, reject) => {
        const socket = new WebSocket(base.replace("http", "ws") + "ws/" + workspace, "carets.v1");
        socket.onopen = () => resolve("open");
        socket.onerror = () => reject(new Error("no socket"));
    }),
    elsewhere: async () => (await fetch("http://localhost:9/", { mode: "no-cors" })).type,
    localStorage: () => typeof localStorage === "undefined" ? refuse() : localStorage.getItem("secret"),
    indexedDB: () => indexedDB.open("carets") && "open",
    caches: async () => typeof caches === "undefined" ? refuse() : String(await caches.keys()),
    cookies: () => typeof document === "undefined" ? refuse() : document.cookie,
    parent: () => typeof document === "undefined" ? refuse() : parent.document.title,
});
const refuse = () => { throw new Error("not there"); };
const answers = async (base, workspace) => {
    const told = {};
    for (const [name, probe] of Object.entries(probes(base, workspace))) {
        try { told[name] = await probe(); } catch (error) { told[name] = "refused"; }
    }
    return told;
};
"""
_FRAME_SCRIPT = (
    """
const source = PROBES;
const base = new URL("..", location.href).href;
const worker = (script) => URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
await import(worker(source + "globalThis.answers = answers;"));
const told = { frame: await answers(base, "WORKSPACE") };
told.worker = await new Promise((resolve) => {
    const inner = new Worker(worker(source + "onmessage = async ({ data }) => postMessage(await answers(...data));"));
    inner.onmessage = ({ data }) => resolve(data);
    inner.postMessage([base, "WORKSPACE"]);
});
parent.postMessage(told, "*");
"""
).replace("PROBES", json.dumps(_PROBES))

REACHED = {"origin": "null", "module": "reached", "wasm": "[object WebAssembly.Module]", "eval": "42"}
"""What the sandbox is for. All other probes must fail."""


@pytest_asyncio.fixture(loop_scope="module", params=["strips", "keeps", "direct"])
async def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, str]]:
    """The address of a server without keys, which is the one where reaching the API would be enough; a workspace."""
    async with running(Config(port=0, data=tmp_path / "data", base_path=BASE, open=True)) as server:
        async with aiohttp.ClientSession() as http:
            workspace_id, _ = await create_workspace(http, server.address.rstrip("/"))
        files = {
            "index.html": _PAGE.encode(),
            "assets/page-12345678.js": _PAGE_SCRIPT.encode(),
            "assets/plain-12345678.js": b"1;",
            "run/frame.html": _FRAME.encode(),
            "run/frame.mjs": _FRAME_SCRIPT.replace("WORKSPACE", workspace_id).encode(),
            "run/folder/module.mjs": b"export const word = 'reached';",
            "run/folder/empty.wasm": b"\0asm\1\0\0\0",
        }
        for name, content in files.items():
            (tmp_path / "page" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "page" / name).write_bytes(content)
        monkeypatch.setattr(pages, "PAGE", tmp_path / "page")
        if request.param == "direct":
            yield f"http://localhost:{server.port}", workspace_id
            return
        async with proxied(server.port, BASE, strips=request.param == "strips") as origin:
            yield origin + BASE, workspace_id


async def test_code_in_the_sandbox_reaches_its_own_files_only(browser: Browser, url: tuple[str, str]) -> None:
    context = await browser.new_context(bypass_csp=False)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url[0] + "/")
    handle = await page.wait_for_function("() => window.told")
    told = await handle.json_value()
    await context.close()
    for place in ("frame", "worker"):
        reached = {name: answer for name, answer in told[place].items() if answer != "refused"}
        assert reached == REACHED, place
    assert not complaints


async def test_the_frame_opened_by_itself_has_no_origin_either(browser: Browser, url: tuple[str, str]) -> None:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(url[0] + "/run/frame.html")
    assert await page.evaluate("() => self.origin") == "null"
    await context.close()
