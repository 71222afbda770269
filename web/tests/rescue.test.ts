/** Edits that cannot go up by themselves: what a person is offered of them, and what applying and discarding do. */

import { expect, test } from "vitest";
import * as Y from "yjs";
import type { Rescue } from "../src/model";
import { wellFormed } from "../src/reentry";
import { asSeen, editsBetween, mergeTexts } from "../src/rescue";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine } from "./tab";

interface Setting extends Page {
  readonly machine: Machine;
  readonly room: Room;
}

async function setting(text = "one\ntwo\nthree\n"): Promise<Setting> {
  const machine = new Machine();
  const room = new Room({ "main.py": text });
  const page = openPage(machine, room);
  await machine.advance(100);
  return { machine, room, ...page };
}

/** Type into file 1 while there is no connection, and let the page go. */
async function typeAndLeave({ machine, tab, session }: Setting, word: string, at = 0): Promise<void> {
  const file = session.openFile(1);
  await machine.advance(1_500);
  tab.cut();
  file.text.insert(at, word);
  await machine.advance(100);
  tab.happen("leaving");
  tab.kill();
}

/** Give the file another history. */
function renew(room: Room, text: string): void {
  const file = room.file(1);
  file.record = { ...file.record, epoch: "another" };
  file.doc = new Y.Doc();
  file.doc.getText("text").insert(0, text);
}

async function during<T>(machine: Machine, work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  work.then(done, done);
  while (!isDone) await machine.advance(10);
  return work;
}

async function only(machine: Machine, { session }: Page): Promise<Rescue> {
  const rescues = await during(machine, session.rescues());
  expect(rescues).toHaveLength(1);
  return rescues[0] as Rescue;
}

test("after a change of history what was typed is offered as a change of the file as it is now", async () => {
  const before = await setting();
  const { machine, room } = before;
  await typeAndLeave(before, "typed\n");
  renew(room, "one\ntwo\nthree\nfour\n");
  const again = openPage(machine, room);
  await machine.advance(5_000);
  const rescue = await only(machine, again);
  expect(rescue).toMatchObject({ path: "main.py", kind: "aside", code: 4430, count: 1, isWhole: true, isGone: false });
  expect(rescue.mine).toBe("typed\none\ntwo\nthree\n");
  expect(rescue.now).toBe("one\ntwo\nthree\nfour\n");
  expect(rescue.proposal).toBe("typed\none\ntwo\nthree\nfour\n");
  expect(await during(machine, again.session.applyRescue(rescue.id, rescue.proposal))).toBe(true);
  await machine.advance(1_000);
  expect(room.text()).toBe("typed\none\ntwo\nthree\nfour\n");
  expect(again.session.light.value).toEqual({ kind: "saved" });
  expect(await during(machine, again.session.rescues())).toEqual([]);
});

test("the remembered text outlives that the file was opened with its new history first", async () => {
  const before = await setting();
  const { machine, room } = before;
  await typeAndLeave(before, "typed\n");
  renew(room, "new\n");
  // Another link's page does not claim the edits, and remembers the new history.
  const other = openPage(machine, room, "editor-key");
  await machine.advance(100);
  other.session.openFile(1);
  await machine.advance(2_000);
  other.tab.kill();
  const again = openPage(machine, room);
  await machine.advance(5_000);
  expect(await only(machine, again)).toMatchObject({ isWhole: true, mine: "typed\none\ntwo\nthree\n" });
});

test("an open file that shows hopeless edits takes the server's text, and they are offered against it", async () => {
  const { machine, room, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(1_500);
  tab.cut();
  await machine.advance(100);
  file.text.insert(0, "typed\n");
  await machine.advance(100);
  renew(room, "new\n");
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(file.refused.value?.code).toBe(4430);
  const rescue = await only(machine, { tab, session });
  expect(file.refused.value).toBeNull();
  expect(file.text.toString()).toBe("new\n");
  expect(rescue).toMatchObject({ mine: "typed\none\ntwo\nthree\n", now: "new\n", mayApply: true });
  expect(session.light.value).toMatchObject({ kind: "unsaved", count: 1 });
  await during(machine, session.discardRescue(rescue.id));
  await machine.advance(1_000);
  expect(session.light.value).toEqual({ kind: "saved" });
  expect(file.text.toString()).toBe("new\n");
});

test("offline, what an open file shows of hopeless edits is not taken for the file, and nothing is forgotten", async () => {
  const { machine, room, tab, session } = await setting("one\n");
  const file = session.openFile(1);
  await machine.advance(1_500);
  tab.cut();
  file.text.insert(0, "typed\n");
  await machine.advance(100);
  renew(room, "new\n");
  tab.isReachable = true;
  await machine.advance(60_000);
  expect(file.refused.value?.code).toBe(4430);
  tab.cut();
  await machine.advance(100);
  const rescue = await only(machine, { tab, session });
  expect(rescue).toMatchObject({ mine: "typed\none\n", proposal: "typed\none\n", now: null, mayApply: false });
  await expect(during(machine, session.applyRescue(rescue.id, file.text.toString()))).rejects.toThrow();
  await machine.advance(1_000);
  expect((await only(machine, { tab, session })).mine).toBe("typed\none\n");
});

test("nothing is applied when the file has changed since it was looked at", async () => {
  const before = await setting();
  const { machine, room } = before;
  await typeAndLeave(before, "typed\n");
  renew(room, "new\n");
  const again = openPage(machine, room);
  await machine.advance(5_000);
  const rescue = await only(machine, again);
  again.session.openFile(1);
  await machine.advance(100);
  room.type("theirs\n");
  await machine.advance(100);
  expect(await during(machine, again.session.applyRescue(rescue.id, rescue.proposal))).toBe(false);
  expect(room.text()).toBe("theirs\nnew\n");
  expect((await only(machine, again)).now).toBe("theirs\nnew\n");
});

test("of a file that is gone for good a new one is made, beside one that took its name", async () => {
  const before = await setting();
  const { machine, room } = before;
  await typeAndLeave(before, "typed\n");
  room.files.delete(1);
  room.files.set(2, { ...new Room().addFile("main.py"), record: { ...room_record("main.py"), file_id: 2 } });
  const again = openPage(machine, room);
  await machine.advance(5_000);
  const rescue = await only(machine, again);
  expect(rescue).toMatchObject({
    code: 4425,
    isGone: true,
    now: null,
    mine: "typed\none\ntwo\nthree\n",
    mayApply: true,
  });
  room.files.set(1, { ...new Room().addFile("x"), record: { ...room_record("x"), file_id: 1 } });
  expect(await during(machine, again.session.applyRescue(rescue.id, rescue.proposal))).toBe(true);
  await machine.advance(1_000);
  const made = [...room.files.values()].find((file) => file.record.path === "main (rescued).py");
  expect(made?.doc.getText("text").toString()).toBe("typed\none\ntwo\nthree\n");
  expect(again.session.light.value).toEqual({ kind: "saved" });
});

const room_record = (path: string) => ({
  file_id: 0,
  path,
  epoch: `epoch-${path}`,
  eol: "lf" as const,
  deleted_at_ms: null,
});

test("edits of a deleted file wait and are named after a reload; restoring sends them, discarding forgets them", async () => {
  for (const end of ["restore", "discard"] as const) {
    const before = await setting();
    const { machine, room } = before;
    await typeAndLeave(before, "typed\n");
    room.file(1).record = { ...room.file(1).record, deleted_at_ms: 5 };
    const again = openPage(machine, room);
    await machine.advance(5_000);
    const rescue = await only(machine, again);
    expect(rescue).toMatchObject({ kind: "waits", code: 4426, path: "main.py", mayApply: false, mayRestore: true });
    expect(rescue.mine).toBe("typed\none\ntwo\nthree\n");
    expect(again.session.unsavedFiles()).toEqual([{ fileId: 1, path: "main.py", count: 1 }]);
    if (end === "restore") await during(machine, again.session.restoreFile(1));
    else await during(machine, again.session.discardRescue(rescue.id));
    await machine.advance(2_000);
    expect(await during(machine, again.session.rescues())).toEqual([]);
    expect(again.session.light.value, end).toEqual({ kind: "saved" });
    expect(room.text()).toBe(end === "restore" ? "typed\none\ntwo\nthree\n" : "one\ntwo\nthree\n");
  }
});

test("what was typed under a link that is revoked is set aside, and a page with another link can put it into the file", async () => {
  const { machine, room, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(1_500);
  room.isHeld = true;
  file.text.insert(0, "typed\n");
  await machine.advance(100);
  room.keys.delete("owner-key");
  room.isHeld = false;
  room.closeAll(4422);
  await machine.advance(1_000);
  expect(session.light.value).toMatchObject({ kind: "closed", count: 1 });
  expect(await only(machine, { tab, session })).toMatchObject({
    code: 4422,
    mayApply: false,
    mine: "typed\none\ntwo\nthree\n",
  });
  tab.happen("leaving");
  tab.kill();
  const other = openPage(machine, room, "editor-key");
  await machine.advance(5_000);
  expect(other.session.setAside.value).toEqual({ count: 1 });
  room.type("# top\n");
  const rescue = await only(machine, other);
  expect(rescue).toMatchObject({
    code: 4422,
    now: "# top\none\ntwo\nthree\n",
    proposal: expect.stringContaining("typed\n"),
  });
  expect(await during(machine, other.session.applyRescue(rescue.id, rescue.proposal))).toBe(true);
  await machine.advance(1_000);
  expect([...room.text().split("\n")].sort()).toEqual(["", "# top", "one", "three", "two", "typed"]);
  expect(other.session.light.value).toEqual({ kind: "saved" });
});

test("what a dead page typed under another link is offered, and a living page's edits are not", async () => {
  const before = await setting();
  const { machine, room } = before;
  const file = before.session.openFile(1);
  await machine.advance(1_500);
  before.tab.cut();
  file.text.insert(0, "typed\n");
  await machine.advance(100);
  const other = openPage(machine, room, "editor-key");
  await machine.advance(2_000);
  expect(await during(machine, other.session.rescues())).toEqual([]);
  await machine.advance(100_000);
  expect(other.session.strays.value).toBe(0);
  before.tab.happen("leaving");
  before.tab.kill();
  await machine.advance(100_000);
  expect(other.session.strays.value).toBe(1);
  const rescue = await only(machine, other);
  expect(rescue).toMatchObject({ kind: "stray", code: 0, proposal: "typed\none\ntwo\nthree\n" });
  await during(machine, other.session.applyRescue(rescue.id, rescue.proposal));
  expect(other.session.strays.value).toBe(0);
  await machine.advance(1_000);
  expect(room.text()).toBe("typed\none\ntwo\nthree\n");
  expect(await during(machine, other.session.rescues())).toEqual([]);
});

test("without a base only the typed pieces are known, and they are proposed at the end", () => {
  const doc = new Y.Doc();
  doc.getText("text").insert(0, "base");
  const from = Y.encodeStateVector(doc);
  doc.getText("text").insert(2, "typed");
  expect(asSeen(null, [Y.encodeStateAsUpdate(doc, from)])).toEqual({ before: null, mine: "typed", isWhole: false });
});

test.each([
  ["a\nb\nc\n", "a\nB\nc\n", "a\nb\nc\nd\n", "a\nB\nc\nd\n"],
  ["a\nb\nc\n", "a\nc\n", "a\nb\nc\nd\n", "a\nc\nd\n"],
  ["a\n", "a mine\n", "a theirs\n", null],
  ["x", "x\u{1F600}", "x\u{1F601}", "x\u{1F601}\u{1F600}"],
])("a merge keeps what both did: %j, %j, %j", (before, mine, now, expected) => {
  const merged = mergeTexts(before, mine, now);
  if (expected !== null) expect(merged).toBe(expected);
  else for (const word of ["mine", "theirs"]) expect(merged).toContain(word);
  expect(wellFormed(merged)).toBe(merged);
});

test("edits between two texts never cut a character in half", () => {
  for (const [from, to] of [
    ["\u{1F600}", "\u{1F601}"],
    ["a\u{1F600}b", "a\u{1F600}\u{1F601}b"],
    ["\u{1F600}", "\u{1FA00}x"],
  ] as const) {
    let text: string = from;
    for (const edit of [...editsBetween(from, to)].reverse()) {
      for (const part of [edit.insert, from.slice(edit.from, edit.to)]) expect(wellFormed(part)).toBe(part);
      text = text.slice(0, edit.from) + edit.insert + text.slice(edit.to);
    }
    expect(text).toBe(to);
  }
});
