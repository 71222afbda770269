/**
 * What this browser forgets: by itself when it has become too much, and when a person says so.
 *
 * Owns: what goes first, and what must not go. Does not know: documents, the session.
 *
 * Invariant: nothing that is not saved goes without being named to the person, nor does what it rests upon.
 */

import type { Browser } from "./browser";
import { type Database, DatabaseDoor, type PendingRecord } from "./database";
import { forgetVisits } from "./links";

/** Documents remembered, over all workspaces: what was opened in the last weeks, some 10 MiB of usual source files. */
export const DOCUMENTS_MAX = 300;
/** Lists of files remembered, one for each workspace and link: twice the recent list. */
export const WORKSPACES_MAX = 100;

/** Let the documents go that were opened longest ago, until `countMax` are left. Those that unsaved edits rest upon stay. */
export async function forgetDocuments(database: Database, countMax = DOCUMENTS_MAX): Promise<void> {
  if ((await database.count("documents")) <= countMax) return;
  const transaction = database.transaction(["documents", "changes", "pending"], "readwrite");
  const documents = transaction.objectStore("documents");
  const pending = await transaction.objectStore("pending").getAll();
  const needed = new Set(pending.map((record) => nameOf(record.workspaceId, record.fileId)));
  let excess = (await documents.count()) - countMax;
  let cursor = excess > 0 ? await documents.index("age").openKeyCursor() : null;
  for (; cursor !== null && excess > 0; cursor = await cursor.continue()) {
    const key = cursor.primaryKey;
    if (needed.has(nameOf(...key))) continue;
    await documents.delete(key);
    for (const change of await transaction.objectStore("changes").index("file").getAllKeys(key)) {
      await transaction.objectStore("changes").delete(change);
    }
    excess--;
  }
  await transaction.done;
}

/** The browser gives no more room: what can be had from the server again makes way for what cannot. */
export async function makeRoom(database: Database): Promise<void> {
  await forgetDocuments(database, Math.floor((await database.count("documents")) / 2));
}

/** The same for lists of files. */
export async function forgetLists(database: Database): Promise<void> {
  if ((await database.count("workspaces")) <= WORKSPACES_MAX) return;
  const transaction = database.transaction(["workspaces", "pending"], "readwrite");
  const pending = await transaction.objectStore("pending").getAll();
  const needed = new Set(pending.map((record) => record.workspaceId));
  const lists = transaction.objectStore("workspaces");
  const known = (await lists.getAll()).sort((a, b) => (a.keptAtMs ?? 0) - (b.keptAtMs ?? 0));
  const free = known.filter(({ workspaceId }) => !needed.has(workspaceId));
  for (const { workspaceId, linkMark } of free.slice(0, known.length - WORKSPACES_MAX)) {
    await lists.delete([workspaceId, linkMark]);
  }
  await transaction.done;
}

export interface Forgotten {
  /** False: nothing was done, since there are unsaved edits. Ask, and come again with `evenUnsaved`. */
  readonly isForgotten: boolean;
  /** Edits that only this browser has; when it is forgotten, that it had. */
  readonly unsavedEdits: number;
}

/**
 * Leave nothing of a workspace in this browser: its keys, who one was there, its list of files, its texts. Unsaved edits,
 * set-aside ones included, keep all of it, since without the key they can never be sent, unless `evenUnsaved` says so.
 */
export async function forgetWorkspace(
  browser: Browser,
  workspaceId: string,
  { evenUnsaved = false } = {},
): Promise<Forgotten> {
  const door = new DatabaseDoor(browser);
  let unsavedEdits = 0;
  try {
    unsavedEdits = await door.use((database) => forgetTexts(database, workspaceId, evenUnsaved));
  } catch {
    // Where the database cannot be opened there is nothing in it that anybody could use.
  } finally {
    door.close();
  }
  const isForgotten = unsavedEdits === 0 || evenUnsaved;
  if (isForgotten) forgetVisits(browser, workspaceId);
  return { isForgotten, unsavedEdits };
}

/** Returns how many unsaved edits there are; where they were not to go, nothing did. */
async function forgetTexts(database: Database, workspaceId: string, evenUnsaved: boolean): Promise<number> {
  const transaction = database.transaction(["pending", "documents", "changes", "workspaces"], "readwrite");
  const pending = transaction.objectStore("pending");
  const records = (await pending.getAll()).filter((record) => record.workspaceId === workspaceId);
  const unsaved = records.filter(isEdit).reduce((sum, record) => sum + record.edits, 0);
  if (unsaved === 0 || evenUnsaved) {
    for (const { id } of records) await pending.delete(id);
    // An array is greater than every number and text.
    const all = IDBKeyRange.bound([workspaceId], [workspaceId, []]);
    await transaction.objectStore("documents").delete(all);
    await transaction.objectStore("workspaces").delete(all);
    const changes = transaction.objectStore("changes");
    for (const change of await changes.index("file").getAllKeys(all)) await changes.delete(change);
  }
  await transaction.done;
  return unsaved;
}

/** Others only hold what edits were typed upon. */
function isEdit(record: PendingRecord): boolean {
  return record.base === undefined;
}

function nameOf(workspaceId: string, fileId: number): string {
  return `${workspaceId} ${fileId}`;
}
