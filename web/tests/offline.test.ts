import { openDB } from "idb";
import { expect, test } from "vitest";
import type { PendingRecord } from "../src/database";
import { LEASE_MS } from "../src/pending";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine, type Tab } from "./tab";

async function setting(
  prepare: (tab: Tab) => void = () => undefined,
): Promise<Page & { machine: Machine; room: Room }> {
  const machine = new Machine();
  const room = new Room();
  const page = openPage(machine, room, "owner-key", prepare);
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
async function typeOffline(machine: Machine, page: Page, text: string): Promise<void> {
  const file = page.session.openFile(1);
  await machine.advance(1_500);
  page.tab.cut();
  await machine.advance(100);
  file.text.insert(0, text);
  await machine.advance(100);
}

const unreachable = (tab: Tab): void => {
  tab.isReachable = false;
};

test("an edit is in storage while it is unsaved, and is gone when it is saved", async () => {
  const { machine, room, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  room.isHeld = true;
  file.text.insert(0, "x");
  const [record] = await pendingRecords(machine);
  expect(record).toMatchObject({
    workspaceId: "workspace-1",
    fileId: 1,
    epoch: "epoch-1",
    clientId: file.doc.clientID,
  });
  expect(record?.linkMark).not.toContain("owner-key");
  room.commit();
  await machine.advance(2_000);
  expect(await pendingRecords(machine)).toEqual([]);
});

test("a reload without a connection shows files and text, and typing goes on", async () => {
  const { machine, room, tab, session } = await setting();
  room.type("from elsewhere ", 0);
  await typeOffline(machine, { tab, session }, "offline ");
  tab.happen("leaving");
  tab.kill();
  const again = openPage(machine, room, "owner-key", unreachable);
  await machine.advance(100);
  expect(again.session.role.value).toBe("owner");
  expect(again.session.title.value).toBe("Work");
  const file = again.session.openFile(1);
  await machine.advance(100);
  expect(file.ready.value).toBe(true);
  expect(file.readOnly.value).toBe(false);
  expect(file.text.toString()).toBe("offline from elsewhere print('hello')\n");
  expect(again.session.light.value).toEqual({ kind: "offline", count: 1, kept: true });
  file.text.insert(0, "more ");
  await machine.advance(100);
  expect(again.session.light.value).toEqual({ kind: "offline", count: 2, kept: true });
  room.type("server ", 0);
  again.tab.isReachable = true;
  await machine.advance(60_000);
  expect(room.text()).toBe(file.text.toString());
  expect(room.text().match(/offline/g)).toHaveLength(1);
  expect(room.text().match(/more/g)).toHaveLength(1);
  expect(again.session.light.value).toEqual({ kind: "saved" });
  expect(await pendingRecords(machine)).toEqual([]);
});

test("an edit on top of somebody's that came just before is whole after an offline reload", async () => {
  const { machine, room, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(2_000);
  room.type("[theirs]", 0);
  await machine.advance(0);
  room.isHeld = true;
  file.text.insert(4, "mine");
  await machine.advance(0);
  tab.kill();
  room.type("unseen", 0);
  const again = openPage(machine, room, "owner-key", unreachable);
  await machine.advance(5_000);
  expect(again.session.openFile(1).text.toString()).toBe("[themineirs]print('hello')\n");
});

test("kept edits whose ground was forgotten wait for it, and are not called saved before they are sent", async () => {
  const { machine, room, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(2_000);
  room.type("[theirs]", 0);
  await machine.advance(0);
  tab.cut();
  await machine.advance(100);
  file.text.insert(4, "mine");
  file.text.delete(0, 1);
  await machine.advance(100);
  tab.kill();
  const forgetting = openDB("carets").then(async (database) => {
    await database.clear("documents");
    await database.clear("changes");
    database.close();
  });
  await machine.advance(0);
  await forgetting;
  room.isEager = true;
  const again = openPage(machine, room);
  await machine.advance(5_000);
  expect(room.text()).toBe("themineirs]print('hello')\n");
  expect(again.session.light.value).toEqual({ kind: "saved" });
});

test("files typed offline go up after a reload though nobody opens them", async () => {
  const { machine, room, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "offline ");
  tab.happen("leaving");
  tab.kill();
  room.isHeld = true;
  const again = openPage(machine, room);
  await machine.advance(200);
  expect(again.session.light.value).toEqual({ kind: "unsaved", count: 1, kept: true });
  room.commit();
  await machine.advance(5_000);
  expect(room.text()).toBe("offline print('hello')\n");
  expect(again.session.light.value).toEqual({ kind: "saved" });
  expect(room.heard.at(-1)).toMatchObject({ type: "close_file", file_id: 1 });
});

test("a living tab takes over a crashed one's edits, and only one does", async () => {
  const { machine, room, tab, session } = await setting();
  const [second, third] = [openPage(machine, room), openPage(machine, room)];
  await typeOffline(machine, { tab, session }, "crashed ");
  tab.kill();
  room.isHeld = true;
  await machine.advance(120_000);
  const counts = [second, third].map(({ session: one }) =>
    one.light.value.kind === "unsaved" ? one.light.value.count : 0,
  );
  expect(counts.sort()).toEqual([0, 1]);
  room.isHeld = false;
  room.commit();
  await machine.advance(5_000);
  expect(room.text()).toBe("crashed print('hello')\n");
  expect(second.session.light.value).toEqual({ kind: "saved" });
  expect(await pendingRecords(machine)).toEqual([]);
});

test("a living tab's edits are its own, however slow its timers", async () => {
  const { machine, room, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "alive ");
  const other = openPage(machine, room);
  await machine.advance(LEASE_MS);
  // A hidden tab's timers may not run for long, messages do.
  tab.timers = [];
  await machine.advance(4 * LEASE_MS);
  expect(other.session.light.value).toEqual({ kind: "saved" });
  expect(room.text()).toBe("print('hello')\n");
});

test("where tabs cannot ask each other, the lease decides", async () => {
  const machine = new Machine();
  machine.hasChannels = false;
  const room = new Room();
  const first = openPage(machine, room);
  await machine.advance(100);
  await typeOffline(machine, first, "crashed ");
  first.tab.kill();
  const other = openPage(machine, room);
  await machine.advance(LEASE_MS - 60_000);
  expect(room.text()).toBe("print('hello')\n");
  await machine.advance(200_000);
  expect(room.text()).toBe("crashed print('hello')\n");
  expect(other.session.light.value).toEqual({ kind: "saved" });
});

test("a tab that was thought dead and comes back sends the same edits, which changes nothing", async () => {
  const { machine, room, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "twice ");
  tab.happen("leaving");
  const other = openPage(machine, room);
  await machine.advance(5_000);
  expect(room.text()).toBe("twice print('hello')\n");
  tab.happen("returning");
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(room.text()).toBe("twice print('hello')\n");
  expect(session.light.value).toEqual({ kind: "saved" });
  expect(other.session.light.value).toEqual({ kind: "saved" });
});

test.each(["viewer-key", "editor-key"])(
  "edits typed under the owner's link stay away from a tab with %s",
  async (key) => {
    const { machine, room, tab, session } = await setting();
    await typeOffline(machine, { tab, session }, "owner's ");
    tab.happen("leaving");
    tab.kill();
    const other = openPage(machine, room, key);
    await machine.advance(200_000);
    expect(other.session.openFile(1).text.toString()).not.toContain("owner's");
    expect(room.text()).toBe("print('hello')\n");
    expect(await pendingRecords(machine)).toHaveLength(1);
  },
);

test("a link that has become a viewer's neither loads nor sends what was typed under it", async () => {
  const { machine, room, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "earlier ");
  tab.happen("leaving");
  tab.kill();
  room.keys.set("owner-key", "viewer");
  const again = openPage(machine, room);
  await machine.advance(200_000);
  expect(again.session.role.value).toBe("viewer");
  expect(again.session.light.value).toEqual({ kind: "saved" });
  expect(room.members.map((member) => member.received)).toEqual([0]);
  expect(await pendingRecords(machine)).toHaveLength(1);
});

test("the light is not green while dead tabs' edits are still being looked for", async () => {
  const { machine, room, tab, session } = await setting();
  await typeOffline(machine, { tab, session }, "crashed ");
  tab.kill();
  const again = openPage(machine, room);
  room.isHeld = true;
  await machine.advance(500);
  expect(again.session.status.value.kind).toBe("online");
  expect(again.session.light.value).toEqual({ kind: "connecting", count: 0, kept: true });
  await machine.advance(2_000);
  expect(again.session.light.value).toEqual({ kind: "unsaved", count: 1, kept: true });
});

test("without IndexedDB editing goes on, and the light says that unsaved work is only in this tab", async () => {
  const { machine, room, tab, session } = await setting((one) => {
    one.hasIndexedDb = false;
  });
  const file = session.openFile(1);
  await machine.advance(100);
  room.isHeld = true;
  file.text.insert(0, "x");
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "unsaved", count: 1, kept: false });
  room.commit();
  room.isHeld = false;
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "saved" });
  tab.cut();
  file.text.insert(0, "y");
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "offline", count: 1, kept: false });
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(room.text()).toBe("yxprint('hello')\n");
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("a full disk is said, and tried again until it has room", async () => {
  const { machine, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  tab.cut();
  await machine.advance(100);
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  try {
    file.text.insert(0, "x");
    await machine.advance(1_000);
    expect(session.light.value).toEqual({ kind: "offline", count: 1, kept: false });
  } finally {
    IDBObjectStore.prototype.put = put;
  }
  await machine.advance(10_000);
  expect(session.light.value).toEqual({ kind: "offline", count: 1, kept: true });
  expect(await pendingRecords(machine)).toHaveLength(1);
});

test("the light never says kept before the database has said so", async () => {
  const { machine, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  tab.cut();
  await machine.advance(100);
  file.text.insert(0, "x");
  expect(session.light.value).toEqual({ kind: "offline", count: 1, kept: false });
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "offline", count: 1, kept: true });
});
