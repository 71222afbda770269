/**
 * The service worker: opens the page when the server cannot be reached.
 *
 * Owns: what is done at which event, and the talk with pages about their builds. Does not know: what is kept (`shelf.ts`),
 * workspaces, texts; those are the page's, in its own database.
 *
 * It takes over at once: files are known by names that hold their hash, so that any worker serves pages of any build.
 *
 * Source: docs/decisions/0009-service-worker.md.
 */

import type { WorkerScope } from "./scope";
import { kindOf, Shelf } from "./shelf";

declare const self: WorkerScope;
/** Put in by vite.config.ts. */
declare const __CARETS_SHELL__: readonly string[];
declare const __CARETS_REST__: readonly string[];

/** Milliseconds that pages have to say of which build they are. */
const ANSWER_MS = 5_000;

const base = self.registration.scope;
const shelf = new Shelf({
  ...{ build: __CARETS_BUILD__, base, shell: __CARETS_SHELL__, rest: __CARETS_REST__, caches },
  send: (input, init) => fetch(input, init),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
});

self.addEventListener("install", (call) => {
  call.waitUntil(shelf.stock().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (call) => {
  const preload = self.registration.navigationPreload?.enable().catch(() => undefined);
  // Requests wait until this is done, so nothing slow is: pages are asked for their builds when one says hello.
  call.waitUntil(Promise.all([preload, self.clients.claim()]));
});

self.addEventListener("fetch", (call) => {
  const kind = kindOf(base, call.request);
  if (kind === "document") call.respondWith(shelf.document(call.request, call.preloadResponse));
  else if (kind === "asset") call.respondWith(shelf.asset(call.request, (work) => call.waitUntil(work)));
});

self.addEventListener("message", (call) => {
  const [port] = call.ports;
  if (typeof call.data !== "object" || call.data === null) return;
  const { hello, warm } = call.data as { hello?: unknown; warm?: unknown };
  if (Array.isArray(hello) && port !== undefined) call.waitUntil(greet(hello.map(String), port));
  if (warm !== true) return;
  const warming = shelf.addRest().catch(() => undefined);
  call.waitUntil(warming.then(() => port?.postMessage({ warmed: true })));
});

/** A page says what it has loaded, and hears whether it would open without a network, and else why not. */
async function greet(loaded: readonly string[], port: MessagePort): Promise<void> {
  let fault = "";
  try {
    // Browsers may throw caches away.
    if (!(await shelf.isStocked())) await shelf.stock();
    await shelf.add(loaded);
  } catch (error) {
    fault = String(error);
  }
  port.postMessage({ fault });
  await sweep();
}

/** Ask all pages for their builds. Where one does not say, nothing is thrown away: it may be old, and need its files. */
async function sweep(): Promise<void> {
  const clients = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const pages = clients.filter(({ url }) => kindOf(base, { url, method: "GET", mode: "navigate" }) === "document");
  const builds = await Promise.all(
    pages.map(
      (page) =>
        new Promise<unknown>((resolve) => {
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = (event) => resolve(event.data);
          setTimeout(() => resolve(null), ANSWER_MS);
          page.postMessage({ whichBuild: true }, [port2]);
        }),
    ),
  );
  if (builds.every((build) => typeof build === "string")) await shelf.sweep(new Set(builds));
}
