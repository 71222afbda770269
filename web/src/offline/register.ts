/**
 * The page's side of the service worker: it is registered here, and what became of it can be seen.
 *
 * Owns: registering, answering the worker, and the state that the light's details show. Does not know: what is kept.
 *
 * Invariant: nothing here can stop the page. What fails is a word in the details.
 */

import { Cell } from "../observable";

/** Whether the page opens without a network: `detail` is the browser's own words. */
export type OfflineState =
  | { readonly kind: "preparing" }
  | { readonly kind: "ready" }
  | {
      readonly kind: "never";
      readonly why: "insecure" | "unsupported" | "unpackaged" | "failed";
      readonly detail: string;
    };

/** Milliseconds of a page's life until it fetches what it has not needed so far: then nobody waits for the line. */
const WARM_AFTER_MS = 15_000;
/** The build of a page that was not made by the packaging: its files change under their names. */
const BUILD_BY_HAND = "unpackaged00";

export const offline = new Cell<OfflineState>({ kind: "preparing" });

/** Register the worker of this page. `base`: where it lies. */
export async function register(base: string): Promise<void> {
  if (__CARETS_BUILD__ === BUILD_BY_HAND) return never("unpackaged");
  if (!isSecureContext) return never("insecure");
  try {
    const { serviceWorker } = navigator;
    if (serviceWorker === undefined) return never("unsupported");
    serviceWorker.addEventListener("message", answer);
    serviceWorker.startMessages();
    const registration = await serviceWorker.register(new URL("worker.js", base), { updateViaCache: "none" });
    // The browser looks for a newer one by itself, but later, and not while one reloads again and again.
    registration.update().catch(() => undefined);
    const worker = registration.active ?? (await untilActive(registration));
    await greet(worker);
    setTimeout(() => whenIdle(() => warm(registration)), WARM_AFTER_MS);
  } catch (error) {
    never("failed", error instanceof Error ? error.message : String(error));
  }
}

function never(why: "insecure" | "unsupported" | "unpackaged" | "failed", detail = ""): void {
  offline.set({ kind: "never", why, detail });
}

/** The worker asks which builds are still in use. */
function answer(event: MessageEvent): void {
  const { whichBuild } = (event.data ?? {}) as { whichBuild?: unknown };
  if (whichBuild === true) event.ports[0]?.postMessage(__CARETS_BUILD__);
}

function untilActive(registration: ServiceWorkerRegistration): Promise<ServiceWorker> {
  const worker = registration.installing ?? registration.waiting;
  if (worker === null) return Promise.reject(new Error("there is no worker"));
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (worker.state === "activated") resolve(worker);
      else if (worker.state === "redundant") reject(new Error("its files could not be fetched or kept"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

/** Tell the worker what was loaded before it was there, and hear whether the page opens without a network. */
function greet(worker: ServiceWorker): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = (event) => {
      const { fault } = event.data as { fault: string };
      if (fault === "") offline.set({ kind: "ready" });
      else never("failed", fault);
      resolve();
    };
    worker.postMessage({ hello: performance.getEntriesByType("resource").map(({ name }) => name) }, [port2]);
  });
}

function warm(registration: ServiceWorkerRegistration): void {
  const line = (navigator as { connection?: { saveData?: boolean; effectiveType?: string } }).connection;
  // Megabytes that may never be used are not worth a slow or dear line.
  if (line?.saveData === true || (line?.effectiveType ?? "4g") !== "4g") return;
  registration.active?.postMessage({ warm: true });
}

function whenIdle(run: () => void): void {
  if (typeof requestIdleCallback === "undefined") run();
  else requestIdleCallback(run);
}
