/**
 * The page's files of one build, kept so that the page opens without a network.
 *
 * Owns: which requests are answered from here, and which builds' files stay. Does not know: events, pages.
 *
 * Invariants:
 *   1. The document comes from the server whenever it answers in time; what is kept is only in place of silence.
 *   2. A cache holds files of one build. It is whole enough to open the page, or it is not there.
 *   3. Nothing but the document and files whose names hold their hash is ever answered from here.
 *   4. A cache that fails is as good as none: then the network answers.
 *
 * Source: docs/decisions/0009-service-worker.md.
 */

/** Milliseconds that the server has to answer while there is a kept document: a line that is slower seems dead. */
export const DOCUMENT_MS_MAX = 3_000;

export interface ShelfOptions {
  /** The build that this worker was made with. */
  readonly build: string;
  /** The page's base, ending in `/`. */
  readonly base: string;
  /** What the first load needs, and what may come later, both relative to the base: `assets/name-hash.js`. */
  readonly shell: readonly string[];
  readonly rest: readonly string[];
  readonly caches: Pick<CacheStorage, "open" | "keys" | "delete" | "has">;
  readonly send: typeof fetch;
  after(delayMs: number, run: () => void): () => void;
}

/** What a request is for; null when it is none of the worker's business. */
export function kindOf(base: string, request: Pick<Request, "url" | "method" | "mode">): "document" | "asset" | null {
  if (request.method !== "GET" || !request.url.startsWith(base)) return null;
  const path = request.url.slice(base.length).replace(/[?#].*$/, "");
  if (request.mode === "navigate") return isDocument(path) ? "document" : null;
  return /^assets\/[^/]+$/.test(path) ? "asset" : null;
}

function isDocument(path: string): boolean {
  return path === "" || /^w\/[A-Za-z0-9_-]{8,64}\/?$/.test(path);
}

export class Shelf {
  readonly #options: ShelfOptions;
  readonly #assets: ReadonlySet<string>;

  constructor(options: ShelfOptions) {
    this.#options = options;
    this.#assets = new Set([...options.shell, ...options.rest]);
  }

  /** Fetch what opens the page. Rejects when any of it cannot be had, or when the server is of another build by now. */
  async stock(): Promise<void> {
    const { base, caches, send, shell } = this.#options;
    try {
      const document = await send(new Request(base, { cache: "no-cache" }));
      const html = document.ok && !document.redirected ? await document.clone().text() : "";
      const entry = shell[0] ?? "";
      if (!html.includes(entry)) throw new Error("the server is of another build");
      const cache = await caches.open(this.#name);
      // Browsers have these already, under names that never change their meaning.
      await cache.addAll(shell.map((asset) => base + asset));
      // Last, since it is by the document that a cache is known to be whole.
      await cache.put(base, document);
    } catch (error) {
      await caches.delete(this.#name).catch(() => false);
      throw error;
    }
  }

  /** Whether the page would open from here. */
  async isStocked(): Promise<boolean> {
    return (await this.#keptDocument()) !== undefined;
  }

  /** The server's document when it answers in time, or when there is no other. */
  async document(request: Request, preloaded: Promise<Response | undefined>): Promise<Response> {
    const answering = this.#ask(request, preloaded);
    // Heard below, or of no interest any more.
    answering.catch(() => undefined);
    const kept = await this.#keptDocument();
    if (kept === undefined) return answering;
    let cancel = (): void => undefined;
    const silence = new Promise<null>((resolve) => {
      cancel = this.#options.after(DOCUMENT_MS_MAX, () => resolve(null));
    });
    const answer = await Promise.race([answering.catch(() => null), silence]);
    cancel();
    // A proxy whose server is down says so with a number of its own.
    return answer === null || answer.status >= 500 ? kept : answer;
  }

  /** A file of any build that is kept here; else the server's, which is kept if it is of this build. */
  async asset(request: Request, last: (work: Promise<unknown>) => void): Promise<Response> {
    const kept = await this.#keptAsset(request.url);
    if (kept !== undefined) return kept;
    const answer = await this.#options.send(request);
    if (answer.ok && this.#isOurs(request.url)) last(this.#keep(request.url, answer.clone()));
    return answer;
  }

  /** Keep these, too, one after the other; of them, what is no asset of this build is passed over. Ends at the first failure. */
  async add(urls: readonly string[]): Promise<void> {
    const { send } = this.#options;
    for (const url of urls) {
      if (!this.#isOurs(url) || (await this.#keptAsset(url)) !== undefined) continue;
      const answer = await send(new Request(url, { priority: "low" } as RequestInit));
      if (!answer.ok) return;
      await this.#keep(url, answer);
    }
  }

  /** Keep everything that this build may ever load. */
  addRest(): Promise<void> {
    return this.add(this.#options.rest.map((asset) => this.#options.base + asset));
  }

  /** Let go of builds that no page is of. `builds`: those of all pages that are open. */
  async sweep(builds: ReadonlySet<string>): Promise<void> {
    for (const name of await this.#names()) {
      const build = name.slice(this.#prefix.length);
      if (build !== this.#options.build && !builds.has(build)) await this.#options.caches.delete(name);
    }
  }

  async #ask(request: Request, preloaded: Promise<Response | undefined>): Promise<Response> {
    return (await preloaded.catch(() => undefined)) ?? (await this.#options.send(request));
  }

  async #keptDocument(): Promise<Response | undefined> {
    try {
      // Opening would make it.
      if (!(await this.#options.caches.has(this.#name))) return undefined;
      return await (await this.#options.caches.open(this.#name)).match(this.#options.base, { ignoreVary: true });
    } catch {
      return undefined;
    }
  }

  async #keptAsset(url: string): Promise<Response | undefined> {
    try {
      // An older page's file may be gone from the server, and is in that build's cache.
      for (const name of await this.#names()) {
        const found = await (await this.#options.caches.open(name)).match(url, { ignoreVary: true });
        if (found !== undefined) return found;
      }
    } catch {
      // The network has it.
    }
    return undefined;
  }

  async #keep(url: string, answer: Response): Promise<void> {
    try {
      await (await this.#options.caches.open(this.#name)).put(url, answer);
    } catch {
      // Full, or forbidden: then it is fetched again.
    }
  }

  #isOurs(url: string): boolean {
    const { base } = this.#options;
    return url.startsWith(base) && this.#assets.has(url.slice(base.length));
  }

  /** Another base on the same origin is another page. */
  get #prefix(): string {
    return `carets ${this.#options.base} `;
  }

  get #name(): string {
    return this.#prefix + this.#options.build;
  }

  /** Caches of this base, this build's first. */
  async #names(): Promise<string[]> {
    const names = (await this.#options.caches.keys()).filter((name) => name.startsWith(this.#prefix));
    return names.sort((a, b) => Number(b === this.#name) - Number(a === this.#name));
  }
}
