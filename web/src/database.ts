/**
 * The page's own database in this browser: what is in it, and how it is opened.
 *
 * Owns: the shape of its stores, and the connection to it: at most one, opened anew when it was lost.
 * Does not know: who writes when. No store is y-indexeddb's, which knows nothing of `saved`.
 */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Browser } from "./browser";
import type { FileRecord, Role } from "./messages";
import type { Bytes } from "./wire";

/** One or more local edits that the server is not known to have on disk. */
export interface PendingRecord {
  /** Unique in this browser; begins with the tab that typed it. */
  readonly id: string;
  readonly workspaceId: string;
  /** Which link it was typed under: `linkMark` of its key. */
  readonly linkMark: string;
  /** The page's life that sends it up. */
  readonly tabId: string;
  readonly fileId: number;
  readonly epoch: string;
  readonly clientId: number;
  readonly update: Bytes;
  readonly edits: number;
  readonly atMs: number;
  /** The number of the refusal after which it is not sent by itself any more. */
  readonly setAside?: number;
  /** The file's path when it was typed; empty or missing when not known. */
  readonly path?: string;
  /**
   * No edit, but the document that the set-aside edits of this file and epoch were typed upon; `mixed` when they are in
   * it already, since nothing cleaner was to be had.
   */
  readonly base?: "clean" | "mixed";
}

/** Proof that a page with pending edits is alive. */
export interface TabRecord {
  readonly tabId: string;
  readonly beatAtMs: number;
}

/** A document as the server was last known to have it, without anything unsaved. */
export interface KnownDocument {
  readonly workspaceId: string;
  readonly fileId: number;
  readonly epoch: string;
  readonly state: Bytes;
  readonly keptAtMs: number;
}

/** Confirmed updates since the document's state was kept. */
export interface KnownChange {
  readonly workspaceId: string;
  readonly fileId: number;
  readonly epoch: string;
  readonly updates: readonly Bytes[];
}

/** What a page shows of a workspace before the server is heard. */
export interface KnownWorkspace {
  readonly workspaceId: string;
  readonly linkMark: string;
  readonly title: string;
  readonly role: Role;
  readonly files: readonly FileRecord[];
  /** When it was told last; missing in what an older page has kept. */
  readonly keptAtMs?: number;
}

export interface Schema extends DBSchema {
  pending: { key: string; value: PendingRecord; indexes: { link: [string, string] } };
  tabs: { key: string; value: TabRecord };
  documents: { key: [string, number]; value: KnownDocument; indexes: { age: number } };
  changes: { key: number; value: KnownChange; indexes: { file: [string, number] } };
  workspaces: { key: [string, string]; value: KnownWorkspace };
}

export type Database = IDBPDatabase<Schema>;

const NAME = "carets";
const VERSION = 1;

/** Milliseconds that the browser has to open it; it takes tens. A broken profile can leave the request hanging for good. */
export const OPEN_MS_MAX = 3_000;
/** Milliseconds after a failure until it is opened again: whoever asks in between hears the failure at once. */
export const REOPEN_MS = 30_000;

/** The one connection of a page to its database. It can be lost at any time: a newer page, a cleared profile, a crash. */
export class DatabaseDoor {
  readonly #browser: Browser;
  readonly #onFull: (database: Database) => Promise<void>;
  #opening: Promise<Database> | null = null;
  #failedAtMs: number | null = null;
  #isClosed = false;

  /** `onFull`: makes room when the browser gives none; what was to be done is then done once more. */
  constructor(browser: Browser, onFull: (database: Database) => Promise<void> = () => Promise.resolve()) {
    this.#browser = browser;
    this.#onFull = onFull;
  }

  /**
   * Run with an open database; once more when the connection turns out to be lost or room was made, so it must be harmless to run twice.
   * Throws where the browser refuses: private modes, full disks, blocked cookies, no answer in time.
   */
  async use<T>(run: (database: Database) => Promise<T>): Promise<T> {
    const opening = this.#open();
    try {
      return await run(await opening);
    } catch (error) {
      if (isFull(error)) {
        const database = await opening;
        await this.#onFull(database);
        return await run(database);
      }
      if (!isLost(error) || this.#isClosed) throw error;
      this.#forget(opening);
      return await run(await this.#open());
    }
  }

  /** Close it for good. */
  close(): void {
    this.#isClosed = true;
    this.#opening?.then((database) => database.close()).catch(() => undefined);
    this.#opening = null;
  }

  #open(): Promise<Database> {
    if (this.#isClosed) return Promise.reject(new Error("the database is closed"));
    const isRested = Math.abs(this.#browser.nowMs() - (this.#failedAtMs ?? -Infinity)) >= REOPEN_MS;
    if (this.#opening !== null && (this.#failedAtMs === null || !isRested)) return this.#opening;
    this.#failedAtMs = null;
    const opening = openDatabase(this.#browser, () => this.#forget(opening));
    this.#opening = opening;
    opening.catch(() => {
      if (this.#opening === opening) this.#failedAtMs = this.#browser.nowMs();
    });
    return opening;
  }

  /** Whoever comes next opens it anew. */
  #forget(lost: Promise<Database>): void {
    if (this.#opening === lost) this.#opening = null;
  }
}

/** What a connection that is closed says to every transaction. */
function isLost(error: unknown): boolean {
  return error instanceof DOMException && error.name === "InvalidStateError";
}

function isFull(error: unknown): boolean {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

async function openDatabase(browser: Browser, onLost: () => void): Promise<Database> {
  if (browser.indexedDB === null) throw new Error("this browser gives no storage");
  let isLate = false;
  const opening = openDB<Schema>(NAME, VERSION, {
    upgrade: (fresh) => {
      fresh.createObjectStore("pending", { keyPath: "id" }).createIndex("link", ["workspaceId", "linkMark"]);
      fresh.createObjectStore("tabs", { keyPath: "tabId" });
      const documents = fresh.createObjectStore("documents", { keyPath: ["workspaceId", "fileId"] });
      documents.createIndex("age", "keptAtMs");
      fresh.createObjectStore("changes", { autoIncrement: true }).createIndex("file", ["workspaceId", "fileId"]);
      fresh.createObjectStore("workspaces", { keyPath: ["workspaceId", "linkMark"] });
    },
    // A newer page in another tab must not wait for this one.
    blocking: (_old, _blocked, event) => {
      (event.target as IDBDatabase).close();
      onLost();
    },
    terminated: onLost,
  });
  let cancel = (): void => undefined;
  const alarm = new Promise<never>((_, reject) => {
    cancel = browser.after(OPEN_MS_MAX, () => {
      isLate = true;
      reject(new Error("the browser does not open its storage"));
    });
  });
  opening.then((database) => isLate && database.close()).catch(() => undefined);
  try {
    return await Promise.race([opening, alarm]);
  } finally {
    cancel();
  }
}

/**
 * What stands for a key in the database. `crypto.subtle` is missing on plain HTTP, and secrecy is not the point, since
 * the key itself is kept beside it: two links must only not be taken for one. Source: cyrb53, 53 bits.
 */
export function linkMark(key: string): string {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let index = 0; index < key.length; index++) {
    const unit = key.charCodeAt(index);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return (4294967296 * (2097151 & low) + (high >>> 0)).toString(36);
}
