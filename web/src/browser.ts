/**
 * What the core takes from the browser: time, chance, sockets, storage, and whether the page is seen and online.
 *
 * Owns: the one door to those globals, so that tests can own them instead. Does not know: what they are used for.
 */

/** The part of a WebSocket that `Connection` uses. */
export interface Socket {
  binaryType: string;
  readonly bufferedAmount: number;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: (() => void) | null;
}

/** Messages between the tabs of one browser and origin. */
export interface Channel {
  post(message: unknown): void;
  onmessage: ((message: unknown) => void) | null;
  close(): void;
}

/** `localStorage` and `sessionStorage`, as far as they are used. */
export type Drawer = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/**
 * `leaving`: the page is being closed, reloaded or frozen; `returning`: it came back from the back-forward cache;
 * `marked`: another tab has written into `localStorage` that it goes.
 */
export type PageEvent = "online" | "visible" | "leaving" | "returning" | "marked";

export interface Browser {
  /** Milliseconds of the wall clock, the same in all tabs. */
  nowMs(): number;
  /** Run once, `delayMs` from now. Returns what cancels it. */
  after(delayMs: number, run: () => void): () => void;
  /** At least 0, below 1. */
  random(): number;
  randomUint32(): number;
  openSocket(url: string, protocol: string): Socket;
  /** `fetch`. */
  send(url: URL, init: RequestInit): Promise<Response>;
  /** Null where the browser has none. */
  openChannel(name: string): Channel | null;
  isVisible(): boolean;
  on(event: PageEvent, run: () => void): () => void;
  /** Null where it is refused, such as in some private modes. */
  readonly indexedDB: IDBFactory | null;
  readonly localStorage: Drawer | null;
  readonly sessionStorage: Drawer | null;
}

/** The browser that this page runs in. */
export function thisBrowser(): Browser {
  return {
    nowMs: () => Date.now(),
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
    random: () => Math.random(),
    randomUint32,
    openSocket: (url, protocol) => new WebSocket(url, [protocol]) as unknown as Socket,
    send: (url, init) => fetch(url, init),
    openChannel,
    isVisible: () => typeof document === "undefined" || document.visibilityState === "visible",
    on: listen,
    indexedDB: granted(() => globalThis.indexedDB),
    localStorage: granted(() => globalThis.localStorage),
    sessionStorage: granted(() => globalThis.sessionStorage),
  };
}

/** `crypto.randomUUID` is missing on plain HTTP; this is not. */
export function randomUint32(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** Merely touching a storage can throw where cookies are blocked. */
function granted<T>(take: () => T | undefined): T | null {
  try {
    return take() ?? null;
  } catch {
    return null;
  }
}

function openChannel(name: string): Channel | null {
  if (typeof BroadcastChannel === "undefined") return null;
  const inner = new BroadcastChannel(name);
  const channel: Channel = {
    post: (message) => inner.postMessage(message),
    onmessage: null,
    close: () => inner.close(),
  };
  inner.onmessage = (event) => channel.onmessage?.(event.data);
  return channel;
}

function listen(event: PageEvent, run: () => void): () => void {
  if (typeof window === "undefined") return () => undefined;
  if (event === "visible") {
    const seen = (): void => {
      if (document.visibilityState === "visible") run();
    };
    document.addEventListener("visibilitychange", seen);
    return () => document.removeEventListener("visibilitychange", seen);
  }
  if (event === "returning") {
    const shown = (page: PageTransitionEvent): void => {
      if (page.persisted) run();
    };
    window.addEventListener("pageshow", shown);
    return () => window.removeEventListener("pageshow", shown);
  }
  if (event === "marked") {
    const marked = (change: StorageEvent): void => {
      if (change.key?.startsWith("carets.left.") && change.newValue !== null) run();
    };
    window.addEventListener("storage", marked);
    return () => window.removeEventListener("storage", marked);
  }
  const name = event === "leaving" ? "pagehide" : event;
  window.addEventListener(name, run);
  return () => window.removeEventListener(name, run);
}
