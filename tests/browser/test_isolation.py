"""What a program can reach from a run: nothing of the page, its storage, its server, or anybody else's.

Each probe tries one way out, in both languages, and says what became of it. One that reaches something answers
``reached``, everything else is a refusal with the browser's own reason.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from aiohttp import web

from tests.browser.chromium import People
from tests.browser.conftest import Workspaces
from tests.browser.runs import open_panel

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

CHANNEL = "carets.probe"

PROBES = r"""
const PROBES = {
    localStorage: () => localStorage.getItem("carets.profile"),
    sessionStorage: () => sessionStorage.length,
    cookies: () => document.cookie,
    cookieStore: async () => JSON.stringify(await cookieStore.getAll()),
    indexedDB: () => new Promise((resolve, reject) => {
        const request = indexedDB.open("carets");
        request.onsuccess = () => resolve("open");
        request.onerror = () => reject(request.error);
    }),
    caches: async () => JSON.stringify(await caches.keys()),
    privateFiles: async () => String(await navigator.storage.getDirectory()),
    locks: async () => JSON.stringify(await navigator.locks.query()),
    parent: () => parent.document.title,
    top: () => top.location.href,
    opener: () => String(opener.location),
    frames: () => frames.length,
    window: () => window.document.title,
    navigate: () => { location.href = ELSEWHERE + "navigate"; throw new Error("nothing happened"); },
    open: () => String(open(ELSEWHERE + "open")),
    serviceWorker: () => navigator.serviceWorker.controller.postMessage("x"),
    registerServiceWorker: async () => String(await navigator.serviceWorker.register(BASE + "worker.js")),
    sharedWorker: () => String(new SharedWorker(BASE + "worker.js")),
    workerOfThePage: () => new Promise((resolve, reject) => {
        const worker = new Worker(BASE + "worker.js");
        worker.onerror = () => reject(new Error("the worker does not load"));
        worker.onmessage = () => resolve("it speaks");
        setTimeout(() => reject(new Error("it is silent")), 2000);
    }),
    nestedWorker: () => new Promise((resolve, reject) => {
        const body = `fetch("${BASE}api/server").then(() => postMessage(1), (error) => postMessage(error.message))`;
        const worker = new Worker(URL.createObjectURL(new Blob([body])));
        worker.onmessage = (event) => event.data === 1 ? resolve("answered") : reject(new Error(event.data));
        worker.onerror = () => reject(new Error("the worker does not load"));
    }),
    api: async () => (await fetch(BASE + "api/server")).status,
    apiBlindly: async () => {
        const answer = await fetch(BASE + "api/workspaces", { method: "POST", mode: "no-cors", body: "{}" });
        return answer.type;
    },
    workspacePage: async () => (await fetch(BASE + "w/" + WORKSPACE)).status,
    aboveByDots: async () => (await fetch(BASE + "run/../api/server")).status,
    aboveByCode: async () => (await fetch(BASE + "run/%2e%2e/api/server")).status,
    request: () => {
        const request = new XMLHttpRequest();
        request.open("GET", BASE + "api/server", false);
        request.send();
        return request.status;
    },
    socket: () => new Promise((resolve, reject) => {
        const socket = new WebSocket(BASE.replace("http", "ws") + "ws/" + WORKSPACE, "carets.v1");
        socket.onopen = () => resolve("open");
        socket.onerror = () => reject(new Error("the socket does not open"));
    }),
    events: () => new Promise((resolve, reject) => {
        const source = new EventSource(BASE + "api/server");
        source.onopen = () => resolve("open");
        source.onerror = () => reject(new Error("the stream does not open"));
    }),
    elsewhere: async () => (await fetch(ELSEWHERE + "fetch")).status,
    elsewhereBlindly: async () => (await fetch(ELSEWHERE + "blind", { mode: "no-cors" })).type,
    elsewhereByImport: async () => JSON.stringify(Object.keys(await import(ELSEWHERE + "module.mjs"))),
    elsewhereByScripts: () => { importScripts(ELSEWHERE + "script.js"); return "imported"; },
    elsewhereByBlobScript: () => new Promise((resolve, reject) => {
        const body = `importScripts("${ELSEWHERE}nested.js"); postMessage(1)`;
        const worker = new Worker(URL.createObjectURL(new Blob([body])));
        worker.onmessage = () => resolve("imported");
        worker.onerror = (event) => { event.preventDefault(); reject(new Error(event.message || "refused")); };
    }),
    scriptsOfThePage: () => { importScripts(BASE + "worker.js"); return "imported"; },
    peerConnection: () => String(new RTCPeerConnection()),
    transport: async () => { await new WebTransport(ELSEWHERE.replace("http:", "https:")).ready; return "ready"; },
    beacon: () => String(navigator.sendBeacon(ELSEWHERE + "beacon")),
    font: async () => String(await new FontFace("probe", `url(${ELSEWHERE}font.woff)`).load()),
    clipboard: async () => String(await navigator.clipboard.readText()),
    notifications: async () => {
        if ((await Notification.requestPermission()) !== "granted") throw new Error("not granted");
        return "granted";
    },
    origin: () => { if (self.origin !== "null") return self.origin; throw new Error("no origin"); },
    channel: () => new Promise((resolve, reject) => {
        const channel = new BroadcastChannel("CHANNEL");
        channel.onmessage = (event) => resolve(event.data);
        channel.postMessage("from the run");
        setTimeout(() => reject(new Error("nobody answers")), 1000);
    }),
};
(async () => {
    const lines = [];
    for (const [name, probe] of Object.entries(PROBES)) {
        try {
            lines.push(`${name}: reached ${await probe()}`);
        } catch (error) {
            lines.push(`${name}: refused, ${error?.message ?? error}`.replaceAll("\n", " "));
        }
    }
    return lines.join("\n");
})()
"""
FORGERIES = r"""
const reports = [
    { type: "out", run: 1, chunks: [["out", "forged for another run\n"]] },
    { type: "loading", run: 1, bytes: 1, totalBytes: 2 },
    { type: "pong" }, { type: "start" }, { type: "out", chunks: [["sky", "no such stream\n"]] },
    { type: "out", chunks: "text" }, { type: "out" }, { type: "end", code: "nothing" }, null, 7,
    { type: "signal", kind: "run.begin", data: { run: "x", path: "forged.py" } }, "carets.run.connect",
];
for (const report of reports) {
    self.postMessage(report);
    try { self.postMessage(report, "*"); } catch {}
    try { parent.postMessage(report, "*"); } catch {}
}
const { port1, port2 } = new MessageChannel();
self.postMessage("carets.run.connect", [port2]);
port1.onmessage = () => console.log("a port was taken");
setTimeout(() => console.log("forged all"), 300);
"""
PYTHON = """\
import asyncio
import socket
import urllib.request
from pyodide.code import run_js
from pyodide.http import pyfetch

def tried(name, probe):
    try:
        print(f"{name}: reached {probe()}")
    except BaseException as error:
        print(f"{name}: refused, {type(error).__name__} {error}".replace("\\n", " "))

def talked():
    with socket.create_connection((HOST, PORT), timeout=2) as line:
        line.sendall(b"GET /socket HTTP/1.0\\r\\n\\r\\n")
        return line.recv(1)

async def main():
    print(await run_js(open("probes.js").read()))
    try:
        print("pyfetch: reached", (await pyfetch(ELSEWHERE + "pyfetch")).status)
    except BaseException as error:
        print("pyfetch: refused,", error)

tried("urllib", lambda: urllib.request.urlopen(ELSEWHERE + "urllib", timeout=2).status)
tried("socket", talked)
asyncio.run(main())
"""

# Notes what goes over ports and windows of the page, and what comes; answers on the channel of the probes.
_WATCH = """
if (window === top) {
window.sent = [];
window.heard = [];
const plain = (_, value) => (value instanceof Map ? [...value] : value);
const note = (message) => window.sent.push(JSON.stringify(message, plain));
for (const prototype of [MessagePort.prototype, Window.prototype]) {
    const post = prototype.postMessage ?? window.postMessage;
    prototype.postMessage = function (message, ...rest) { note(message); return post.call(this, message, ...rest); };
}
addEventListener("message", (event) => window.heard.push(String(event.data)));
window.channel = new BroadcastChannel("CHANNEL");
channel.onmessage = (event) => { window.heard.push(event.data); channel.postMessage("from the page"); };
}
""".replace("CHANNEL", CHANNEL)


@dataclass
class Elsewhere:
    """Another host, which lets everybody in, and what it was asked for."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        headers = {"Access-Control-Allow-Origin": "*"}
        return web.Response(text="export const word = 1", content_type="text/javascript", headers=headers)


@pytest_asyncio.fixture(loop_scope="module")
async def elsewhere() -> AsyncIterator[Elsewhere]:
    """It serves for the time of a test."""
    place = Elsewhere()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", place.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    place.port = runner.addresses[0][1]
    yield place
    await runner.cleanup()


@dataclass
class Outcome:
    """What a run said, and what the page did meanwhile."""

    lines: list[str]
    sent: str
    heard: list[str]


async def outcome(people: People, workspaces: Workspaces, elsewhere: Elsewhere, path: str) -> Outcome:
    """Run a file beside the probes, in a tab that holds keys and storage."""
    target = await workspaces.make({"notes.txt": "begin "})
    base = f"{target.server.url}/"
    head = f'const BASE = "{base}", WORKSPACE = "{target.workspace_id}", ELSEWHERE = "{elsewhere.url}";\n'
    probes = head + PROBES.replace("CHANNEL", CHANNEL)
    files = {
        "probes.js": probes,
        "main.js": f"{probes.rstrip()}.then((lines) => console.log(lines));\nsetTimeout(() => undefined, 9000);\n",
        "main.py": f'HOST, PORT, ELSEWHERE = "127.0.0.1", {elsewhere.port}, "{elsewhere.url}"\n{PYTHON}',
        "forge.js": FORGERIES,
    }
    workspace = await workspaces.make(files)
    ada = await people.person("Ada", _WATCH)
    panel = await open_panel(await ada.tab(workspace.link()))
    lines = (await panel.run(path)).split("\n")
    print("\n".join(lines))
    sent = str(await panel.tab.evaluate("() => window.sent.join()"))
    assert "ELSEWHERE" in sent, "the watch has not seen what the frame was sent"
    for role, key in workspace.keys.items():
        assert key not in sent, f"the {role}'s key was sent"
    assert workspace.workspace_id not in sent, "the frame was told where it is"
    assert elsewhere.asked == [], f"another host was asked for {elsewhere.asked}"
    return Outcome(lines, sent, await panel.tab.evaluate("() => window.heard"))


@pytest.mark.parametrize("path,more", [("main.js", set()), ("main.py", {"urllib", "socket", "pyfetch"})])
async def test_every_way_out_is_closed(
    people: People, workspaces: Workspaces, elsewhere: Elsewhere, path: str, more: set[str]
) -> None:
    found = await outcome(people, workspaces, elsewhere, path)
    told = dict(line.split(": ", 1) for line in found.lines if re.match(r"\w+: re(ached|fused)", line))
    assert set(told) == set(re.findall(r"^    (\w+): (?:async )?\(\) =>", PROBES, re.MULTILINE)) | more
    reached = {name: what for name, what in told.items() if not what.startswith("refused, ")}
    assert reached == {}
    assert found.heard == [], f"the page heard {found.heard}"


async def test_a_program_cannot_speak_for_the_frame(
    people: People, workspaces: Workspaces, elsewhere: Elsewhere
) -> None:
    found = await outcome(people, workspaces, elsewhere, "forge.js")
    # What it says to the frame is its own output, and what is malformed is nothing.
    assert found.lines[:2] == ["forged for another run", "forged all"]
    assert found.heard == [], f"the page heard {found.heard}"
