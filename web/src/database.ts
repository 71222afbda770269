/**
 * The page's own database in this browser: what is in it, and how it is opened.
 *
 * Owns: the shape of its stores. Does not know: who writes when. No store is y-indexeddb's, which knows nothing of `saved`.
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

/** Open it, or throw where the browser refuses: private modes, full disks, blocked cookies. */
export async function openDatabase(browser: Browser): Promise<Database> {
  if (browser.indexedDB === null) throw new Error("this browser gives no storage");
  const database = await openDB<Schema>(NAME, VERSION, {
    upgrade: (fresh) => {
      fresh.createObjectStore("pending", { keyPath: "id" }).createIndex("link", ["workspaceId", "linkMark"]);
      fresh.createObjectStore("tabs", { keyPath: "tabId" });
      const documents = fresh.createObjectStore("documents", { keyPath: ["workspaceId", "fileId"] });
      documents.createIndex("age", "keptAtMs");
      fresh.createObjectStore("changes", { autoIncrement: true }).createIndex("file", ["workspaceId", "fileId"]);
      fresh.createObjectStore("workspaces", { keyPath: ["workspaceId", "linkMark"] });
    },
    // A newer page in another tab must not wait for this one.
    blocking: () => database.close(),
  });
  return database;
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
