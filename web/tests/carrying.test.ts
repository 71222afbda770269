import { expect, test } from "vitest";
import * as Y from "yjs";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine, type Tab } from "./tab";

/** A page that has typed into file 2, was told that it is saved, and has closed it; then the server went back in time. */
async function gone(carries: boolean, key = "owner-key"): Promise<Page & { machine: Machine; room: Room }> {
  const machine = new Machine();
  const room = new Room({ "main.py": "", "notes.md": "old " });
  const before = Y.encodeStateAsUpdate(room.file(2).doc);
  const page = openPage(machine, room);
  await machine.advance(100);
  const file = page.session.openFile(2);
  await machine.advance(1_500);
  file.text.insert(4, "and new");
  await machine.advance(1_500);
  room.type(", and somebody else's", 11, 2);
  await machine.advance(3_000);
  page.session.closeFile(2);
  await machine.advance(100);
  expect(page.session.light.value.kind).toBe("saved");
  page.session.close();
  await machine.advance(100);
  const restored = new Y.Doc();
  Y.applyUpdate(restored, before);
  Object.assign(room.file(2), { doc: restored, owners: new Map() });
  room.carries = carries;
  return { machine, room, ...openPage(machine, room, key) };
}

function sent(tab: Tab): string {
  return tab.socket.written.filter((frame) => typeof frame === "string").join("");
}

const WHOLE = "old and new, and somebody else's";

test("after a restore what is remembered goes up, though it was saved and nobody looks at the file", async () => {
  const { machine, room, tab } = await gone(true);
  expect(room.text(2)).toBe("old ");
  await machine.advance(5_000);
  expect(room.text(2)).toBe(WHOLE);
  expect(sent(tab)).toContain("open_file");
});

test("without a restore nothing is opened that nobody looks at", async () => {
  const { machine, room, tab } = await gone(false);
  await machine.advance(5_000);
  expect(room.text(2)).toBe("old ");
  expect(sent(tab)).not.toContain("open_file");
});

test("a viewer carries nothing", async () => {
  const { machine, room, tab } = await gone(true, "viewer-key");
  await machine.advance(5_000);
  expect(room.text(2)).toBe("old ");
  expect(sent(tab)).not.toContain("open_file");
});

test("it is done once, however often the connection comes back", async () => {
  const { machine, room, tab, session } = await gone(true);
  await machine.advance(5_000);
  const earlier = tab.socket;
  tab.cut();
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(tab.socket).not.toBe(earlier);
  expect(session.status.value.kind).toBe("online");
  expect(room.text(2)).toBe(WHOLE);
  expect(sent(tab)).not.toContain("open_file");
});

test("a file that is deleted or not there any more stops nothing", async () => {
  const { machine, room } = await gone(true);
  room.files.delete(1);
  await machine.advance(5_000);
  expect(room.text(2)).toBe(WHOLE);
});
