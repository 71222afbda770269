/** What is kept in this browser when something goes wrong: storage, the file itself, the page, a sibling. */

import { openDB } from "idb";
import { expect, test } from "vitest";
import { DatabaseDoor, OPEN_MS_MAX, type PendingRecord, REOPEN_MS } from "../src/database";
import { KEPT } from "../src/document";
import { encodeFrame, encodeUpdate } from "../src/wire";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine, settle, Tab } from "./tab";

async function setting(): Promise<Page & { machine: Machine; room: Room }> {
  const machine = new Machine();
  const room = new Room();
  const page = openPage(machine, room);
  await machine.advance(100);
  return { machine, room, ...page };
}

async function pendingRecords(machine: Machine): Promise<PendingRecord[]> {
  await machine.advance(0);
  const reading = openDB("carets").then(async (database) => {
    const records = await database.getAll("pending");
    database.close();
    return records as PendingRecord[];
  });
  await machine.advance(0);
  return reading;
}

/** Type into file 1 of this page while it has no connection. */
async function typeOffline(machine: Machine, page: Page, ...words: string[]): Promise<void> {
  const file = page.session.openFile(1);
  await machine.advance(1_500);
  page.tab.cut();
  await machine.advance(100);
  for (const [index, word] of words.entries()) {
    file.text.insert(0, word);
    if (index % 10 === 9) await machine.advance(0);
  }
  await machine.advance(100);
}

const unreachable = (tab: Tab): void => {
  tab.isReachable = false;
};

test("online, too, an edit is not called kept before the database has it: the page may be closed in between", async () => {
  const { machine, room, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  room.isHeld = true;
  file.text.insert(0, "x");
  expect(session.light.value).toEqual({ kind: "unsaved", count: 1, kept: false });
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "unsaved", count: 1, kept: true });
});

test.each(["gone", "another epoch"])("text that was put away is never green: the file is %s", async (what) => {
  const { machine, room, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "lost words");
  tab.happen("leaving");
  tab.kill();
  const { record } = room.file(1);
  if (what === "gone") room.files.delete(1);
  else room.file(1).record = { ...record, epoch: "another" };
  for (const life of [1, 2]) {
    const again = openPage(machine, room);
    await machine.advance(5_000);
    expect(again.session.setAside.value, `life ${life}`).toEqual({ count: 1 });
    expect(again.session.light.value, `life ${life}`).toEqual({ kind: "unsaved", count: 1, kept: true });
    const reading = again.session.setAsideText();
    await machine.advance(100);
    expect(await reading).toBe("main.py\nlost words\n");
    if (life === 1) {
      again.tab.kill();
      continue;
    }
    again.session.discardSetAside();
    await machine.advance(100);
    expect(again.session.light.value).toEqual({ kind: "saved" });
    expect(again.session.setAside.value).toEqual({ count: 0 });
  }
  expect(await pendingRecords(machine)).toEqual([]);
});

test("the text that is set aside goes on where it was typed on, and has nothing that was deleted again", async () => {
  const { machine, room, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "ab");
  const file = session.openFile(1);
  file.text.insert(2, "cXd");
  file.text.delete(3, 1);
  file.text.insert(file.text.length, "end");
  await machine.advance(100);
  tab.kill();
  room.files.delete(1);
  const again = openPage(machine, room);
  await machine.advance(5_000);
  const reading = again.session.setAsideText();
  await machine.advance(100);
  expect(await reading).toBe("main.py\nabcd\nend\n");
});

test("an open file that is gone from the full list says so for good, with its path and text", async () => {
  const { machine, room, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "mine ");
  const file = session.openFile(1);
  const record = room.file(1);
  room.files.delete(1);
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(session.status.value.kind).toBe("online");
  expect(file.refused.value).toMatchObject({ code: 4425 });
  expect(file.readOnly.value).toBe(true);
  expect(file.path).toBe("main.py");
  expect(file.text.toString()).toBe("mine print('hello')\n");
  expect(session.light.value).toEqual({ kind: "unsaved", count: 1, kept: true });
  room.closeAll(1001);
  room.files.set(1, record);
  await machine.advance(60_000);
  expect(file.refused.value).toMatchObject({ code: 4425 });
  // Closed, its edits are among what is set aside: counted once, and nothing is forgotten.
  session.closeFile(1);
  session.closeFile(1);
  await machine.advance(100);
  expect(session.setAside.value).toEqual({ count: 1 });
  expect(session.light.value).toEqual({ kind: "unsaved", count: 1, kept: true });
});

test.each([true, false])("what a closed tab had not sent goes up by its sibling at once (channel: %s)", async (has) => {
  const machine = new Machine();
  machine.hasChannels = has;
  const room = new Room();
  const [first, second] = [openPage(machine, room), openPage(machine, room)];
  await machine.advance(5_000);
  await typeOffline(machine, first, "closed ");
  first.tab.happen("leaving");
  first.tab.kill();
  if (!has) second.tab.happen("marked");
  await machine.advance(500);
  expect(room.text()).toBe("closed print('hello')\n");
  expect(second.session.light.value).toEqual({ kind: "saved" });
});

test("a document that failed takes nothing more, on this connection or another, and keeps its text", async () => {
  const { machine, room, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  const { socket } = room.members[0] ?? {};
  socket?.deliver(encodeFrame(1, encodeUpdate(new Uint8Array([1, 1, 9, 9, 9]))));
  await machine.advance(100);
  expect(file.refused.value).toMatchObject({ code: 0 });
  expect(room.heard.at(-1)).toMatchObject({ type: "close_file", file_id: 1 });
  room.type("later ");
  await machine.advance(100);
  room.closeAll(1001);
  await machine.advance(60_000);
  file.retry();
  await machine.advance(100);
  expect(session.status.value.kind).toBe("online");
  expect(file.text.toString()).toBe("print('hello')\n");
  expect(file.refused.value).toMatchObject({ code: 0 });
  expect(file.readOnly.value).toBe(true);
});

test("a storage that never opens costs three seconds, not the editor", async () => {
  const machine = new Machine();
  const room = new Room();
  const Hanging = IDBOpenDBRequest as unknown as new () => IDBOpenDBRequest;
  globalThis.indexedDB.open = () => new Hanging();
  const { session } = openPage(machine, room);
  await machine.advance(100);
  const file = session.openFile(1);
  await machine.advance(OPEN_MS_MAX);
  expect(file.ready.value).toBe(true);
  file.text.insert(0, "x");
  await machine.advance(100);
  expect(room.text()).toBe("xprint('hello')\n");
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("a storage that opens too late is closed, and is tried again after a rest", async () => {
  const machine = new Machine();
  const tab = new Tab(machine, null);
  const door = new DatabaseDoor(tab);
  const late = expect(door.use(async () => 1)).rejects.toThrow("does not open");
  let closed = 0;
  const { close } = IDBDatabase.prototype;
  IDBDatabase.prototype.close = function (this: IDBDatabase) {
    closed++;
    close.apply(this);
  };
  try {
    for (const timer of tab.timers.splice(0)) timer.run();
    await late;
    await settle();
    expect(closed).toBe(1);
  } finally {
    IDBDatabase.prototype.close = close;
  }
  await expect(door.use(async () => 2)).rejects.toThrow("does not open");
  await machine.advance(REOPEN_MS);
  expect(await door.use(async () => 3)).toBe(3);
});

test("a database that was taken away is opened anew", async () => {
  const { machine, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "one ");
  const deleting = globalThis.indexedDB.deleteDatabase("carets");
  await machine.advance(100);
  expect(deleting.readyState).toBe("done");
  session.openFile(1).text.insert(0, "two ");
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "offline", count: 2, kept: true });
  expect(await pendingRecords(machine)).toHaveLength(1);
});

test("a database connection that is closed without a word is opened anew", async () => {
  const { machine, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "one ");
  const { transaction } = IDBDatabase.prototype;
  const closed = new Set<IDBDatabase>();
  IDBDatabase.prototype.transaction = function (this: IDBDatabase, ...given) {
    if (closed.size === 0) closed.add(this);
    if (closed.has(this)) throw new DOMException("closing", "InvalidStateError");
    return transaction.apply(this, given);
  };
  try {
    session.openFile(1).text.insert(0, "two ");
    await machine.advance(100);
    expect(closed.size).toBe(1);
    expect(session.light.value).toEqual({ kind: "offline", count: 2, kept: true });
  } finally {
    IDBDatabase.prototype.transaction = transaction;
  }
});

test("a long time offline leaves few records, which come back in one transaction and go up whole", async () => {
  const { machine, room, tab, session } = await setting();
  const words = Array.from({ length: 450 }, (_, index) => `<${index}>`);
  await typeOffline(machine, { tab, session }, ...words);
  expect(session.light.value).toEqual({ kind: "offline", count: 450, kept: true });
  const records = await pendingRecords(machine);
  expect(records.length).toBeLessThan(100);
  expect(records.reduce((sum, record) => sum + record.edits, 0)).toBe(450);
  tab.happen("leaving");
  tab.kill();
  const again = openPage(machine, room, "owner-key", unreachable);
  let times = 0;
  const watching = again.session.files.subscribe((files) => {
    if (files.size === 0) return;
    again.session.openFile(1).doc.on("update", (_, origin) => (times += origin === KEPT ? 1 : 0));
  });
  await machine.advance(5_000);
  watching();
  expect(times).toBe(1);
  expect(again.session.light.value).toEqual({ kind: "offline", count: 450, kept: true });
  again.tab.isReachable = true;
  await machine.advance(60_000);
  expect(room.text()).toBe(`${words.toReversed().join("")}print('hello')\n`);
  expect(again.session.light.value).toEqual({ kind: "saved" });
  expect(await pendingRecords(machine)).toEqual([]);
});

test("merging kept edits is not taken for losing them", async () => {
  const { machine, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, ...Array.from({ length: 99 }, () => "x"));
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  try {
    session.openFile(1).text.insert(0, "y");
    await machine.advance(100);
    expect(session.light.value).toEqual({ kind: "offline", count: 100, kept: false });
    // The 99 are where they were.
    expect(await pendingRecords(machine)).toHaveLength(99);
  } finally {
    IDBObjectStore.prototype.put = put;
  }
  await machine.advance(10_000);
  expect(session.light.value).toEqual({ kind: "offline", count: 100, kept: true });
  expect(await pendingRecords(machine)).toHaveLength(1);
});

test("a session that is closed remembers what was just saved before it lets the database go", async () => {
  const { machine, room, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(1_500);
  file.text.insert(0, "last ");
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "saved" });
  session.close();
  await machine.advance(100);
  tab.kill();
  expect(await pendingRecords(machine)).toEqual([]);
  const again = openPage(machine, room, "owner-key", unreachable);
  await machine.advance(100);
  const reopened = again.session.openFile(1);
  await machine.advance(100);
  expect(reopened.text.toString()).toBe("last print('hello')\n");
});

test("a page that is looked at does not sit out a long wait", async () => {
  const { machine, tab, session } = await setting();
  tab.chance = 0.99;
  tab.cut();
  await machine.advance(20_000);
  const attempts = tab.sockets.length;
  tab.isReachable = true;
  tab.happen("visible");
  expect(tab.sockets).toHaveLength(attempts + 1);
  await machine.advance(100);
  expect(session.status.value.kind).toBe("online");
});
