/**
 * What this browser remembers of a workspace, so that a reload without a connection shows its files and texts.
 *
 * Owns: documents as the server was last known to have them, the list of files, title and role. Does not know: what is unsaved,
 * which is `PendingEdits`' alone. All of it can be lost without losing anything: failures are silent.
 *
 * Invariants:
 *   1. Only what the server has told, or has confirmed as saved, is remembered.
 *   2. It is bounded in documents and in bytes a document.
 */

import type { Database, DatabaseDoor, KnownWorkspace } from "./database";
import type { Bytes } from "./wire";

/** Bytes of a document's state above which it is not remembered: browsers give an origin some 100 MiB at least. */
export const STATE_BYTES_MAX = 8 * 1024 * 1024;
/** Documents remembered, over all workspaces; the oldest go first. */
export const DOCUMENTS_MAX = 100;

export interface Remembered {
  readonly epoch: string;
  readonly updates: readonly Bytes[];
}

export class Memory {
  readonly #door: DatabaseDoor;
  readonly #workspaceId: string;
  readonly #nowMs: () => number;

  constructor(door: DatabaseDoor, workspaceId: string, nowMs: () => number) {
    this.#door = door;
    this.#workspaceId = workspaceId;
    this.#nowMs = nowMs;
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
      const transaction = database.transaction(["documents", "changes"], "readwrite");
      const documents = transaction.objectStore("documents");
      const key: [string, number] = [this.#workspaceId, fileId];
      for (const change of await transaction.objectStore("changes").index("file").getAllKeys(key)) {
        await transaction.objectStore("changes").delete(change);
      }
      if (state.length > STATE_BYTES_MAX) await documents.delete(key);
      else await documents.put({ workspaceId: this.#workspaceId, fileId, epoch, state, keptAtMs: this.#nowMs() });
      await transaction.done;
      if ((await database.count("documents")) > DOCUMENTS_MAX) await forgetOldest(database);
    });
  }

  /** Confirmed updates since the last `putDocument`. */
  async addChanges(fileId: number, epoch: string, updates: readonly Bytes[]): Promise<void> {
    const change = { workspaceId: this.#workspaceId, fileId, epoch, updates };
    await this.#quietly((database) => database.add("changes", change));
  }

  async loadWorkspace(linkMark: string): Promise<KnownWorkspace | null> {
    try {
      const key: [string, string] = [this.#workspaceId, linkMark];
      return (await this.#door.use((database) => database.get("workspaces", key))) ?? null;
    } catch {
      return null;
    }
  }

  async putWorkspace(known: KnownWorkspace): Promise<void> {
    await this.#quietly((database) => database.put("workspaces", known));
  }

  async #quietly(run: (database: Database) => Promise<unknown>): Promise<void> {
    try {
      await this.#door.use(run);
    } catch {
      // A reload will ask the server.
    }
  }
}

async function forgetOldest(database: Database): Promise<void> {
  const transaction = database.transaction(["documents", "changes"], "readwrite");
  const oldest = await transaction.objectStore("documents").index("age").openCursor();
  if (oldest !== null) {
    const key: [string, number] = [oldest.value.workspaceId, oldest.value.fileId];
    await oldest.delete();
    for (const change of await transaction.objectStore("changes").index("file").getAllKeys(key)) {
      await transaction.objectStore("changes").delete(change);
    }
  }
  await transaction.done;
}
