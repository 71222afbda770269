/** What this browser lets go, and what it must not. */

import { openDB } from "idb";
import { expect, test } from "vitest";
import { type Database, DatabaseDoor, type Schema } from "../src/database";
import { DOCUMENTS_MAX, forgetWorkspace, makeRoom, WORKSPACES_MAX } from "../src/forgetting";
import { personToken, recentWorkspaces } from "../src/links";
import { Memory } from "../src/memory";
import { openPage } from "./page";
import { Room } from "./room";
import { Machine, Tab } from "./tab";

type Stores = "pending" | "documents" | "changes" | "workspaces";

async function kept(machine: Machine, store: Stores): Promise<unknown[]> {
  await machine.advance(2_000);
  const database = await openDB<Schema>("carets");
  const all = await database.getAll(store);
  database.close();
  return all;
}

/** A browser that remembers `count` documents of one workspace; the first is the oldest. */
async function remembering(count: number): Promise<{ machine: Machine; memory: Memory; door: DatabaseDoor }> {
  const machine = new Machine();
  const door = new DatabaseDoor(new Tab(machine, null));
  const memory = new Memory(door, "workspace-1", () => machine.nowMs);
  for (let fileId = 1; fileId <= count; fileId++) {
    machine.nowMs++;
    await memory.putDocument(fileId, "e", new Uint8Array([fileId % 256]));
  }
  return { machine, memory, door };
}

const ids = (documents: unknown[]): number[] => (documents as { fileId: number }[]).map((one) => one.fileId);

test("the documents that were opened longest ago go, with their changes; those that unsaved edits rest upon stay", async () => {
  const { machine, memory, door } = await remembering(DOCUMENTS_MAX);
  for (const fileId of [1, 2, 3]) await memory.addChanges(fileId, "e", [new Uint8Array([9])]);
  const edit = { id: "t.1", workspaceId: "workspace-1", linkMark: "l", tabId: "t", fileId: 1, epoch: "e", clientId: 1 };
  await door.use((database) => database.put("pending", { ...edit, update: new Uint8Array(), edits: 1, atMs: 0 }));
  // Looked at again after more than a day: not old any more.
  machine.nowMs += 100_000_000;
  expect(await memory.loadDocument(3)).not.toBeNull();
  await machine.advance(0);
  for (const fileId of [1_001, 1_002]) {
    machine.nowMs++;
    await memory.putDocument(fileId, "e", new Uint8Array([1]));
  }
  const left = ids(await kept(machine, "documents"));
  expect(left).toHaveLength(DOCUMENTS_MAX);
  expect([1, 2, 3, 4, 5, 1_001, 1_002].filter((fileId) => left.includes(fileId))).toEqual([1, 3, 5, 1_001, 1_002]);
  expect(ids(await kept(machine, "changes"))).toEqual([1, 3]);
});

test("changes of a document that was forgotten, or is too large, are not heaped up", async () => {
  const { machine, memory } = await remembering(0);
  await memory.addChanges(1, "e", [new Uint8Array([9])]);
  expect(await kept(machine, "changes")).toEqual([]);
});

test("where the browser gives no more room, half of the documents make way, and the edit is kept", async () => {
  const { machine, door } = await remembering(10);
  const full = new DatabaseDoor(new Tab(machine, null), makeRoom);
  let tries = 0;
  const result = await full.use(async (database) => {
    tries++;
    if ((await database.count("documents")) > 5) throw new DOMException("no more room", "QuotaExceededError");
    return "kept";
  });
  expect([result, tries]).toEqual(["kept", 2]);
  expect(ids(await kept(machine, "documents"))).toEqual([6, 7, 8, 9, 10]);
  full.close();
  door.close();
});

test("lists of files are bounded, too; the oldest go, except where something is unsaved", async () => {
  const { machine, door } = await remembering(0);
  const edit = { id: "t.1", linkMark: "l", tabId: "t", fileId: 1, epoch: "e", clientId: 1, edits: 1, atMs: 0 };
  await door.use((database) => database.put("pending", { ...edit, workspaceId: "w0", update: new Uint8Array() }));
  for (let number = 0; number <= WORKSPACES_MAX; number++) {
    machine.nowMs++;
    const memory = new Memory(door, `w${number}`, () => machine.nowMs);
    await memory.putWorkspace({ workspaceId: `w${number}`, linkMark: "l", title: "", role: "owner", files: [] });
  }
  const left = (await kept(machine, "workspaces")) as { workspaceId: string }[];
  expect(left).toHaveLength(WORKSPACES_MAX);
  const names = left.map((one) => one.workspaceId);
  expect([names.includes("w0"), names.includes("w1"), names.includes("w2")]).toEqual([true, false, true]);
});

test("of many lists in a row only the first and the last are written", async () => {
  const { machine, door } = await remembering(0);
  let writes = 0;
  const counting = {
    use: (run: (database: Database) => Promise<unknown>) => {
      writes++;
      return door.use(run);
    },
  } as unknown as DatabaseDoor;
  const memory = new Memory(counting, "w", () => machine.nowMs);
  const lists = Array.from({ length: 50 }, (_, number) => `title ${number}`);
  const list = { workspaceId: "w", linkMark: "l", role: "owner", files: [] } as const;
  await Promise.all(lists.map((title) => memory.putWorkspace({ ...list, title })));
  expect(writes).toBe(2);
  expect(await memory.loadWorkspace("l")).toMatchObject({ title: "title 49" });
});

test("a workspace that is forgotten leaves nothing of it in this browser, and others as they were", async () => {
  const machine = new Machine();
  const page = openPage(machine, new Room());
  await machine.advance(100);
  page.session.openFile(1).text.insert(0, "x");
  await machine.advance(2_000);
  page.session.close();
  await machine.advance(2_000);
  const elsewhere = new Memory(new DatabaseDoor(page.tab), "workspace-10", () => machine.nowMs);
  await elsewhere.putDocument(1, "e", new Uint8Array([1]));
  await elsewhere.addChanges(1, "e", [new Uint8Array([1])]);
  expect(await kept(machine, "documents")).toHaveLength(2);
  expect(personToken(page.tab, "workspace-1")).not.toBe("");
  expect(await forgetWorkspace(page.tab, "workspace-1")).toEqual({ isForgotten: true, unsavedEdits: 0 });
  expect(ids(await kept(machine, "documents"))).toEqual([1]);
  expect(await kept(machine, "changes")).toHaveLength(1);
  expect(await kept(machine, "workspaces")).toEqual([]);
  expect(recentWorkspaces(page.tab)).toEqual([]);
  expect(personToken(page.tab, "workspace-1")).toBe("");
  expect(page.tab.sessionStorage.items.size).toBe(0);
  expect([...machine.localStorage.items.values()].join()).not.toContain("workspace-1");
});

test("a workspace with unsaved edits is forgotten only by whoever says so knowing of them", async () => {
  const machine = new Machine();
  const page = openPage(machine, new Room());
  await machine.advance(100);
  const file = page.session.openFile(1);
  await machine.advance(2_000);
  page.tab.cut();
  await machine.advance(100);
  file.text.insert(0, "only here");
  file.text.insert(0, "and this ");
  await machine.advance(100);
  page.session.close();
  await machine.advance(2_000);
  expect(await forgetWorkspace(page.tab, "workspace-1")).toEqual({ isForgotten: false, unsavedEdits: 2 });
  expect(recentWorkspaces(page.tab)).toHaveLength(1);
  expect(await kept(machine, "pending")).toHaveLength(2);
  expect(await kept(machine, "documents")).toHaveLength(1);
  const sure = await forgetWorkspace(page.tab, "workspace-1", { evenUnsaved: true });
  expect(sure).toEqual({ isForgotten: true, unsavedEdits: 2 });
  expect(await kept(machine, "pending")).toEqual([]);
  expect(recentWorkspaces(page.tab)).toEqual([]);
});

test("a browser that gives no storage forgets what it has", async () => {
  const machine = new Machine();
  const page = openPage(machine, new Room(), "owner-key", (tab) => {
    tab.hasIndexedDb = false;
  });
  await machine.advance(5_000);
  expect(await forgetWorkspace(page.tab, "workspace-1")).toEqual({ isForgotten: true, unsavedEdits: 0 });
  expect(recentWorkspaces(page.tab)).toEqual([]);
});
