/** What the service worker answers from its caches, and what it never does. */

import { expect, test } from "vitest";
import { DOCUMENT_MS_MAX, kindOf, Shelf } from "../src/offline/shelf";

const BASE = "https://host/carets/";

/** Caches in memory, as far as they are used. */
class TestCaches {
  readonly all = new Map<string, Map<string, Response>>();
  isFull = false;
  readonly send: typeof fetch;

  constructor(send: typeof fetch) {
    this.send = send;
  }

  async open(name: string): Promise<Cache> {
    const kept = this.all.get(name) ?? new Map<string, Response>();
    this.all.set(name, kept);
    const put = async (key: RequestInfo | URL, answer: Response): Promise<void> => {
      if (this.isFull) throw new DOMException("full", "QuotaExceededError");
      kept.set(String(key), answer);
    };
    return {
      put,
      match: async (key: RequestInfo | URL) => kept.get(String(key))?.clone(),
      addAll: async (urls: string[]) => {
        for (const url of urls) {
          const answer = await this.send(url);
          if (!answer.ok) throw new TypeError("not ok");
          await put(url, answer);
        }
      },
    } as unknown as Cache;
  }

  async keys(): Promise<string[]> {
    return [...this.all.keys()];
  }
  async has(name: string): Promise<boolean> {
    return this.all.has(name);
  }
  async delete(name: string): Promise<boolean> {
    return this.all.delete(name);
  }
}

/** A server of one build, whose network can fail or hang. */
class TestServer {
  build = "b1";
  state: "up" | "down" | "hanging" | "broken" = "up";
  readonly asked: string[] = [];

  readonly send: typeof fetch = async (input) => {
    const url = input instanceof Request ? input.url : String(input);
    this.asked.push(url.slice(BASE.length));
    if (this.state === "down") throw new TypeError("failed to fetch");
    if (this.state === "hanging") return new Promise<Response>(() => undefined);
    if (this.state === "broken") return new Response("bad gateway", { status: 502 });
    const path = url.slice(BASE.length);
    if (path === "" || path.startsWith("w/")) return new Response(`<script src="./assets/index-${this.build}.js">`);
    return path.includes(this.build) ? new Response(path) : new Response("", { status: 404 });
  };
}

function setting(build = "b1", server = new TestServer(), caches = new TestCaches(server.send)) {
  server.build = build;
  const timers: (() => void)[] = [];
  const shelf = new Shelf({
    ...{ build, base: BASE, caches, send: server.send },
    shell: [`assets/index-${build}.js`, `assets/index-${build}.css`],
    rest: [`assets/python-${build}.js`, `assets/rust-${build}.js`],
    after: (delayMs, run) => {
      expect(delayMs).toBe(DOCUMENT_MS_MAX);
      timers.push(run);
      return () => void timers.splice(timers.indexOf(run), 1);
    },
  });
  return { shelf, server, caches, timers };
}

const none = Promise.resolve(undefined);
const page = new Request(`${BASE}w/abcdefgh1234`);
const lasting: Promise<unknown>[] = [];
const asset = (shelf: Shelf, name: string): Promise<Response> =>
  shelf.asset(new Request(`${BASE}assets/${name}`), (work) => void lasting.push(work));

test.each([
  ["", "navigate", "document"],
  ["w/abcdefgh1234", "navigate", "document"],
  ["w/abcdefgh1234?x#y", "navigate", "document"],
  ["assets/index-b1.js", "no-cors", "asset"],
  ["assets/index-b1.js", "navigate", null],
  ["api/server", "cors", null],
  ["api/workspaces/abcdefgh1234/export.zip", "navigate", null],
  ["ws/abcdefgh1234", "websocket", null],
  ["yjs/abcdefgh1234/a.py", "cors", null],
  ["healthz", "cors", null],
  ["run/frame.html", "navigate", null],
  ["run/pyodide/pyodide.wasm", "cors", null],
  ["worker.js", "same-origin", null],
])("%j by %s is answered as %s", (path, mode, kind) => {
  expect(kindOf(BASE, { url: BASE + path, method: "GET", mode: mode as RequestMode })).toBe(kind);
  expect(kindOf(BASE, { url: BASE + path, method: "POST", mode: mode as RequestMode })).toBeNull();
  expect(kindOf(BASE, { url: `https://host/${path}`, method: "GET", mode: mode as RequestMode })).toBeNull();
});

test("the server's document comes first, and the kept one when the server is down, broken or silent", async () => {
  const { shelf, server, timers } = setting();
  await shelf.stock();
  server.build = "b2";
  expect(await (await shelf.document(page, none)).text()).toContain("index-b2");
  for (const state of ["down", "broken"] as const) {
    server.state = state;
    expect(await (await shelf.document(page, none)).text(), state).toContain("index-b1");
  }
  server.state = "hanging";
  const answering = shelf.document(page, none);
  while (timers.length === 0) await Promise.resolve();
  timers[0]?.();
  expect(await (await answering).text()).toContain("index-b1");
});

test("what the browser asked for while the worker started is taken", async () => {
  const { shelf, server } = setting();
  await shelf.stock();
  server.state = "down";
  const answer = await shelf.document(page, Promise.resolve(new Response("preloaded")));
  expect(await answer.text()).toBe("preloaded");
});

test("without a kept document the server's own word counts, whatever it is", async () => {
  const { shelf, server } = setting();
  server.state = "broken";
  expect((await shelf.document(page, none)).status).toBe(502);
  server.state = "down";
  await expect(shelf.document(page, none)).rejects.toThrow("failed to fetch");
});

test("a cache is whole or not there: neither half a shell nor another build's document is kept", async () => {
  const { shelf, server, caches } = setting();
  server.build = "b2";
  await expect(shelf.stock()).rejects.toThrow("another build");
  expect(await caches.keys()).toEqual([]);
  server.build = "b1";
  caches.isFull = true;
  await expect(shelf.stock()).rejects.toThrow("full");
  expect(await caches.keys()).toEqual([]);
  expect(await shelf.isStocked()).toBe(false);
  caches.isFull = false;
  await shelf.stock();
  expect(await shelf.isStocked()).toBe(true);
});

test("files are kept when they are used; the rest when there is time; strangers never", async () => {
  const { shelf, server } = setting();
  await shelf.stock();
  await asset(shelf, "python-b1.js");
  await asset(shelf, "stranger-b1.js");
  await Promise.all(lasting.splice(0));
  server.asked.length = 0;
  expect(await (await asset(shelf, "python-b1.js")).text()).toBe("assets/python-b1.js");
  expect(server.asked).toEqual([]);
  await asset(shelf, "stranger-b1.js");
  expect(server.asked).toEqual(["assets/stranger-b1.js"]);
  server.asked.length = 0;
  await shelf.addRest();
  expect(server.asked).toEqual(["assets/rust-b1.js"]);
  await shelf.add([`${BASE}api/server`, "https://elsewhere/assets/rust-b1.js"]);
  server.state = "down";
  expect(await (await asset(shelf, "rust-b1.js")).text()).toBe("assets/rust-b1.js");
  await expect(asset(shelf, "stranger-b1.js")).rejects.toThrow();
});

test("an older page finds its files in a newer worker, until no page is of that build", async () => {
  const { shelf, server, caches } = setting();
  await shelf.stock();
  await shelf.addRest();
  const newer = setting("b2", server, caches).shelf;
  await newer.stock();
  await newer.sweep(new Set(["b1", "b2"]));
  expect(await (await asset(newer, "rust-b1.js")).text()).toBe("assets/rust-b1.js");
  await newer.sweep(new Set(["b2"]));
  expect((await asset(newer, "rust-b1.js")).status).toBe(404);
  expect(await newer.isStocked()).toBe(true);
});

test("another base's caches, and others', are left alone", async () => {
  const { shelf, caches } = setting();
  await caches.open("carets https://host/other/ b0");
  await caches.open("somebody else's");
  await shelf.stock();
  await shelf.sweep(new Set());
  expect(await caches.keys()).toHaveLength(3);
});

test("a browser whose caches fail still gets everything from the network", async () => {
  const { shelf, server, caches } = setting();
  const fail = async (): Promise<never> => Promise.reject(new DOMException("no", "SecurityError"));
  Object.assign(caches, { open: fail, keys: fail, has: fail, delete: fail });
  expect((await shelf.document(page, none)).ok).toBe(true);
  expect(await (await asset(shelf, "python-b1.js")).text()).toBe("assets/python-b1.js");
  await Promise.all(lasting.splice(0));
  await expect(shelf.stock()).rejects.toThrow("no");
  expect(server.asked).not.toEqual([]);
});
