import { expect, test } from "vitest";
import * as Y from "yjs";
import { FileRequests } from "../src/filerequests";
import type { FileDocument } from "../src/model";
import { enterAgain, wellFormed } from "../src/reentry";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine } from "./tab";

async function setting(): Promise<Page & { machine: Machine; room: Room; file: FileDocument }> {
  const machine = new Machine();
  const room = new Room();
  const page = openPage(machine, room);
  await machine.advance(100);
  const file = page.session.openFile(1);
  await machine.advance(100);
  return { machine, room, file, ...page };
}

test.each([false, true])(
  "a client id that is taken costs a new one: the unsaved text is entered again (%s)",
  async (isEager) => {
    const { machine, room, file, tab, session } = await setting();
    room.isEager = isEager;
    tab.cut();
    await machine.advance(100);
    const first = file.doc;
    file.text.insert(7, "dear ");
    file.text.delete(0, 1);
    file.text.insert(0, "P");
    room.type("# top\n", 0);
    room.file(1).owners.set(first.clientID, "somebody else");
    tab.isReachable = true;
    await machine.advance(60_000);
    expect(file.doc).not.toBe(first);
    expect(file.doc.clientID).not.toBe(first.clientID);
    expect(file.generation.value).toBe(1);
    expect(room.text()).toBe("# top\nPrint('dear hello')\n");
    expect(file.text.toString()).toBe(room.text());
    expect(session.light.value).toEqual({ kind: "saved" });
    file.text.insert(0, "z");
    await machine.advance(100);
    expect(room.text().startsWith("z")).toBe(true);
  },
);

test("an id of an earlier life that is taken is found at the update, and what was already taken is not doubled", async () => {
  const { machine, room, tab, session, file } = await setting();
  tab.cut();
  await machine.advance(100);
  file.text.insert(0, "earlier ");
  await machine.advance(100);
  room.file(1).owners.set(file.doc.clientID, "somebody else");
  tab.happen("leaving");
  tab.kill();
  session.close();
  const again = openPage(machine, room);
  await machine.advance(10);
  const reopened = again.session.openFile(1);
  await machine.advance(60_000);
  expect(room.text()).toBe("earlier print('hello')\n");
  expect(reopened.text.toString()).toBe(room.text());
  expect(again.session.light.value).toEqual({ kind: "saved" });
});

test("a refusal while earlier frames are not durable yet waits for them before entering again", async () => {
  const { machine, room, file, session } = await setting();
  room.isHeld = true;
  file.text.insert(0, "first ");
  await machine.advance(0);
  room.file(1).owners.set(file.doc.clientID, "somebody else");
  file.text.insert(0, "second ");
  await machine.advance(0);
  expect(file.generation.value).toBe(0);
  room.isHeld = false;
  room.commit();
  await machine.advance(5_000);
  expect(room.text()).toBe("second first print('hello')\n");
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("a server that takes no id at all is believed after a few attempts", async () => {
  const { machine, room, file, tab, session } = await setting();
  tab.cut();
  await machine.advance(100);
  file.text.insert(0, "x");
  room.refusing.set(1, 4431);
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(file.refused.value?.code).toBe(4431);
  expect(room.heard.filter((request) => request.type === "open_file").length).toBeLessThan(8);
  expect(session.light.value).toMatchObject({ kind: "unsaved", count: 1 });
});

test.each([4424, 4433, 4448, 4449, 4402, 4403])(
  "after %i the text stays, is not saved, and is not dropped",
  async (code) => {
    const { machine, room, file, session, tab } = await setting();
    room.refusing.set(1, code);
    file.text.insert(0, "precious ");
    await machine.advance(1_000);
    expect(file.refused.value).toMatchObject({ code, text: `Refused ${code}.` });
    expect(file.text.toString()).toContain("precious");
    expect(session.light.value).toMatchObject({ kind: "unsaved", count: 1 });
    expect(file.readOnly.value).toBe(code !== 4433);
    // Others' edits still come.
    room.type("theirs ", 0);
    await machine.advance(100);
    expect(file.text.toString()).toContain("theirs");
    expect(room.text()).not.toContain("precious");
    room.refusing.clear();
    tab.kill();
    const again = openPage(machine, room);
    await machine.advance(5_000);
    const isHopeless = code === 4402 || code === 4403;
    expect(room.text().includes("precious")).toBe(!isHopeless);
    const isLeft = { kind: "unsaved", count: 1, kept: true };
    expect(again.session.light.value).toEqual(isHopeless ? isLeft : { kind: "saved" });
  },
);

test("a place or a name that came too often stops no file", async () => {
  const { machine, room, file } = await setting();
  const [member] = room.members;
  if (member === undefined) throw new Error("nobody is there");
  room.refuse(member, 4505, { file_id: 1, retry_after_ms: 500 });
  await machine.advance(0);
  expect(file.refused.value).toBeNull();
  expect(file.readOnly.value).toBe(false);
});

test("a request that came too soon tells when to try again", async () => {
  const requests = new FileRequests({ isOnline: true, notify: () => undefined }, () => 7);
  const told = expect(requests.ask({ type: "delete_file", file_id: 1 })).rejects.toMatchObject({
    code: 4505,
    message: "Too much. Try again in 2 s.",
  });
  const said = { name: "rate_limited", text: "Too much.", next_step: "Wait.", file_id: 1, frame: null };
  requests.refused(7, { type: "refused", code: 4505, ...said, request: 7, retry_after_ms: 1_500 });
  await told;
});

test("a file that is too large is saved once text was taken out and it is tried again", async () => {
  const { machine, room, file, session } = await setting();
  room.refusing.set(1, 4433);
  file.text.insert(0, "much");
  await machine.advance(100);
  file.text.delete(0, 3);
  room.refusing.clear();
  file.retry();
  await machine.advance(1_000);
  expect(file.refused.value).toBeNull();
  expect(room.text()).toBe("hprint('hello')\n");
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("another epoch is never merged with unsaved text", async () => {
  const { machine, room, file, tab, session } = await setting();
  tab.cut();
  await machine.advance(100);
  file.text.insert(0, "old ");
  await machine.advance(100);
  const other = room.file(1);
  other.record = { ...other.record, epoch: "another" };
  other.doc = new Y.Doc();
  other.doc.getText("text").insert(0, "new history");
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(file.refused.value?.code).toBe(4430);
  expect(file.text.toString()).toBe("old print('hello')\n");
  expect(room.text()).toBe("new history");
  expect(session.light.value).toMatchObject({ kind: "unsaved", count: 1 });
  tab.kill();
  const again = openPage(machine, room);
  await machine.advance(10);
  const reopened = again.session.openFile(1);
  await machine.advance(5_000);
  expect(reopened.text.toString()).toBe("new history");
  expect(room.text()).toBe("new history");
});

test("another epoch without unsaved text is simply shown", async () => {
  const { machine, room, file, tab } = await setting();
  tab.cut();
  const other = room.file(1);
  other.record = { ...other.record, epoch: "another" };
  other.doc = new Y.Doc();
  other.doc.getText("text").insert(0, "new history");
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(file.text.toString()).toBe("new history");
  expect(file.generation.value).toBe(1);
  expect(file.refused.value).toBeNull();
});

test("what was typed into a file that somebody deleted is kept, and goes up when it is restored", async () => {
  const { machine, room, file, tab, session } = await setting();
  tab.cut();
  await machine.advance(100);
  file.text.insert(0, "kept ");
  const deleted = room.file(1);
  deleted.record = { ...deleted.record, deleted_at_ms: 5 };
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(file.refused.value?.code).toBe(4426);
  expect(file.readOnly.value).toBe(true);
  expect(session.light.value).toMatchObject({ kind: "unsaved", count: 1 });
  const restoring = session.restoreFile(1);
  await machine.advance(1_000);
  await restoring;
  expect(file.refused.value).toBeNull();
  expect(room.text()).toBe("kept print('hello')\n");
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("entering again never cuts a character in half, whatever was typed on either side", () => {
  let seed = 5;
  const chance = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const edit = (text: Y.Text): void => {
    const characters = [...text.toString()];
    const at = characters.slice(0, chance(characters.length + 1)).join("").length;
    const next = [...text.toString().slice(at)][0];
    if (chance(3) === 0 && next !== undefined) text.delete(at, next.length);
    else text.insert(at, ["😀", "a", "é𝒳", "\n"][chance(4)] ?? "");
  };
  for (let round = 0; round < 100; round++) {
    const server = new Y.Doc();
    for (let step = 0; step < 12; step++) edit(server.getText("text"));
    const old = new Y.Doc();
    Y.applyUpdate(old, Y.encodeStateAsUpdate(server));
    const sure = new Y.Doc();
    Y.applyUpdate(sure, Y.encodeStateAsUpdate(server));
    for (let step = 0; step < 6; step++) edit(old.getText("text"));
    if (round % 2 === 1) for (let step = 0; step < 6; step++) edit(server.getText("text"));
    const fresh = new Y.Doc();
    Y.applyUpdate(fresh, Y.encodeStateAsUpdate(server));
    enterAgain(old.getText("text"), fresh.getText("text"), fresh, "again");
    const text = fresh.getText("text").toString();
    expect(wellFormed(text), `round ${round}: ${JSON.stringify(text)}`).toBe(text);
    // Where nobody else typed, it is exactly what was there.
    if (round % 2 === 0) expect(text, `round ${round}`).toBe(old.getText("text").toString());
  }
});

test("half a character that was deleted on one side is deleted whole on the other", () => {
  for (const half of [1, 2]) {
    const server = new Y.Doc();
    server.getText("text").insert(0, "a😀b");
    const old = new Y.Doc();
    Y.applyUpdate(old, Y.encodeStateAsUpdate(server));
    old.getText("text").delete(half, 1);
    const fresh = new Y.Doc();
    Y.applyUpdate(fresh, Y.encodeStateAsUpdate(server));
    enterAgain(old.getText("text"), fresh.getText("text"), fresh, "again");
    // Yjs would leave U+FFFD for the other half, and the server would refuse the cut.
    expect(fresh.getText("text").toString(), `half ${half}`).toBe("ab");
  }
});

test("what somebody else typed under the same id is not taken for one's own", () => {
  const [old, fresh] = [new Y.Doc(), new Y.Doc()];
  old.clientID = fresh.clientID = 5;
  old.getText("text").insert(0, "mine");
  fresh.getText("text").insert(0, "theirs");
  fresh.clientID = 6;
  enterAgain(old.getText("text"), fresh.getText("text"), fresh, "again");
  expect(fresh.getText("text").toString()).toContain("mine");
  expect(fresh.getText("text").toString()).toContain("theirs");
});

test("a file that the server cannot read at the moment is asked for again, and what was typed goes up then", async () => {
  const { machine, room, tab, session, file } = await setting();
  tab.cut();
  await machine.advance(100);
  file.text.insert(0, "kept ");
  room.unreadable.add(1);
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(file.refused.value).toMatchObject({ code: 4500 });
  expect(session.light.value).toMatchObject({ kind: "unsaved", count: 1, kept: true });
  expect(session.setAside.value.count).toBe(0);
  room.unreadable.clear();
  await machine.advance(11_000);
  expect(file.refused.value).toBeNull();
  expect(file.readOnly.value).toBe(false);
  expect(room.text()).toBe("kept print('hello')\n");
  expect(session.light.value).toEqual({ kind: "saved" });
  expect(tab.sockets).toHaveLength(2);
});
