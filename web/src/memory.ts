/**
 * What this browser remembers of a workspace, so that a reload without a connection shows its files and texts.
 *
 * Owns: documents as the server was last known to have them, the list of files, title and role. Does not know: what is unsaved,
 * which is `PendingEdits`' alone. All of it can be lost without losing anything: failures are silent.
 *
 * Invariants:
 *   1. Only what the server has told, or has confirmed as saved, is remembered.
 *   2. It is bounded in documents and in bytes a document; what goes first is in `forgetting.ts`.
 *   3. A history that unsaved edits rest upon is handed over to them before another takes its place.
 */

import * as Y from "yjs";
import type { Database, DatabaseDoor, KnownDocument, KnownWorkspace, PendingRecord } from "./database";
import { forgetDocuments, forgetLists } from "./forgetting";
import { baseRecord } from "./setaside";
import type { Bytes } from "./wire";

/** Bytes of a document's state above which it is not remembered: browsers give an origin some 100 MiB at least. */
export const STATE_BYTES_MAX = 8 * 1024 * 1024;
/** Milliseconds after which a document that is looked at counts as new again; each time its whole state is written. */
const TOUCH_MS = 86_400_000;

export interface Remembered {
  readonly epoch: string;
  readonly updates: readonly Bytes[];
}

export class Memory {
  readonly #door: DatabaseDoor;
  readonly #workspaceId: string;
  readonly #nowMs: () => number;
  /** The list that is to be written next. */
  #list: KnownWorkspace | null = null;
  #listing: Promise<void> | null = null;

  constructor(door: DatabaseDoor, workspaceId: string, nowMs: () => number) {
    this.#door = door;
    this.#workspaceId = workspaceId;
    this.#nowMs = nowMs;
  }

  /** The files of this workspace whose documents are remembered. */
  async fileIds(): Promise<number[]> {
    try {
      const first: [string, number] = [this.#workspaceId, 0];
      const last: [string, number] = [this.#workspaceId, Number.MAX_SAFE_INTEGER];
      const range = IDBKeyRange.bound(first, last);
      const keys = await this.#door.use((database) => database.getAllKeys("documents", range));
      return keys.map(([, fileId]) => fileId);
    } catch {
      return [];
    }
  }

  /** A document's state and what came after it; null when nothing is known. */
  async loadDocument(fileId: number): Promise<Remembered | null> {
    try {
      return await this.#door.use(async (database) => {
        const transaction = database.transaction(["documents", "changes"]);
        const key: [string, number] = [this.#workspaceId, fileId];
        const document = await transaction.objectStore("documents").get(key);
        const changes = await transaction.objectStore("changes").index("file").getAll(key);
        if (document === undefined) return null;
        if (this.#isOld(document)) void this.#touch(fileId);
        const later = changes.filter((change) => change.epoch === document.epoch).flatMap((change) => change.updates);
        return { epoch: document.epoch, updates: [document.state, ...later] };
      });
    } catch {
      return null;
    }
  }

  /** The whole document as it is confirmed. Takes the place of all that was kept of it. */
  async putDocument(fileId: number, epoch: string, state: Bytes): Promise<void> {
    await this.#quietly(async (database) => {
      const transaction = database.transaction(["documents", "changes", "pending"], "readwrite");
      const documents = transaction.objectStore("documents");
      const key: [string, number] = [this.#workspaceId, fileId];
      const earlier = await documents.get(key);
      if (earlier !== undefined && earlier.epoch !== epoch) {
        const changes = await transaction.objectStore("changes").index("file").getAll(key);
        const later = changes.filter((change) => change.epoch === earlier.epoch).flatMap((change) => change.updates);
        await handOver(transaction.objectStore("pending"), earlier, later);
      }
      for (const change of await transaction.objectStore("changes").index("file").getAllKeys(key)) {
        await transaction.objectStore("changes").delete(change);
      }
      if (state.length > STATE_BYTES_MAX) await documents.delete(key);
      else await documents.put({ workspaceId: this.#workspaceId, fileId, epoch, state, keptAtMs: this.#nowMs() });
      await transaction.done;
      await forgetDocuments(database);
    });
  }

  /** Confirmed updates since the last `putDocument`. */
  async addChanges(fileId: number, epoch: string, updates: readonly Bytes[]): Promise<void> {
    const change = { workspaceId: this.#workspaceId, fileId, epoch, updates };
    await this.#quietly(async (database) => {
      const transaction = database.transaction(["documents", "changes"], "readwrite");
      const base = await transaction.objectStore("documents").getKey([this.#workspaceId, fileId]);
      // The document may have been forgotten, or be too large: its changes alone are of no use, and nothing would end them.
      if (base !== undefined) await transaction.objectStore("changes").add(change);
      await transaction.done;
    });
  }

  async loadWorkspace(linkMark: string): Promise<KnownWorkspace | null> {
    try {
      const key: [string, string] = [this.#workspaceId, linkMark];
      return (await this.#door.use((database) => database.get("workspaces", key))) ?? null;
    } catch {
      return null;
    }
  }

  /** One write at a time: of the lists that come meanwhile, which are the same with a change, only the last is written. */
  putWorkspace(known: KnownWorkspace): Promise<void> {
    this.#list = known;
    this.#listing ??= this.#putLists();
    return this.#listing;
  }

  async #putLists(): Promise<void> {
    for (let list = this.#list; list !== null; list = this.#list) {
      const known = list;
      this.#list = null;
      await this.#quietly(async (database) => {
        await database.put("workspaces", { ...known, keptAtMs: this.#nowMs() });
        await forgetLists(database);
      });
    }
    this.#listing = null;
  }

  /** What goes first is what was opened longest ago, not what was written longest ago. */
  async #touch(fileId: number): Promise<void> {
    await this.#quietly(async (database) => {
      const transaction = database.transaction("documents", "readwrite");
      const document = await transaction.store.get([this.#workspaceId, fileId]);
      if (document !== undefined && this.#isOld(document))
        await transaction.store.put({ ...document, keptAtMs: this.#nowMs() });
      await transaction.done;
    });
  }

  #isOld({ keptAtMs }: KnownDocument): boolean {
    return Math.abs(this.#nowMs() - keptAtMs) > TOUCH_MS;
  }

  async #quietly(run: (database: Database) => Promise<unknown>): Promise<void> {
    try {
      await this.#door.use(run);
    } catch {
      // A reload will ask the server.
    }
  }
}

/** Unsaved edits of a history that is about to be forgotten keep it beside them: it is what they can be shown against. */
async function handOver(
  pending: { getAll(): Promise<PendingRecord[]>; put(record: PendingRecord): Promise<unknown> },
  document: KnownDocument,
  later: readonly Bytes[],
): Promise<void> {
  const { workspaceId, fileId, epoch } = document;
  const isOf = (record: PendingRecord): boolean =>
    record.workspaceId === workspaceId && record.fileId === fileId && record.epoch === epoch;
  const edits = (await pending.getAll()).filter(isOf);
  const typed = edits.find((record) => record.base === undefined);
  if (typed === undefined || edits.some((record) => record.base === "clean")) return;
  const state = Y.mergeUpdates([document.state, ...later]) as Bytes;
  await pending.put(baseRecord(typed, { state, kind: "clean" }));
}
