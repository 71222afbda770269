/** Files that nobody looks at: read for a search, changed by a replacement. */

import { openDB } from "idb";
import { describe, expect, test } from "vitest";
import { LOADS_MAX } from "../src/background";
import { wholeEdits } from "../src/textedits";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine, settle } from "./tab";

async function setting(
  files: Record<string, string>,
  key = "owner-key",
): Promise<Page & { machine: Machine; room: Room }> {
  const machine = new Machine();
  const room = new Room(files);
  const page = openPage(machine, room, key);
  await machine.advance(100);
  return { machine, room, ...page };
}

/** What a promise comes to while the machine goes on. */
async function during<T>(machine: Machine, promise: Promise<T>, ms = 100): Promise<T> {
  promise.catch(() => undefined);
  await machine.advance(ms);
  return promise;
}

const many = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index + 1}.txt`, `text ${index + 1}`]));

const seats = (room: Room): number => room.members[0]?.seats.size ?? 0;

async function rememberedFiles(machine: Machine): Promise<number[]> {
  await machine.advance(2_000);
  const database = await openDB("carets");
  const keys = await database.getAllKeys("documents");
  database.close();
  return keys.map((key) => (key as [string, number])[1]);
}

describe("textOf", () => {
  test("reads a thousand files, and leaves none of them open or in this browser", async () => {
    const { machine, room, session } = await setting(many(1_000));
    const reading = Promise.all([...session.files.value.keys()].map((fileId) => session.textOf(fileId)));
    const texts = await reading;
    expect(texts[999]).toBe("text 1000");
    expect(new Set(texts).size).toBe(1_000);
    await machine.advance(100);
    expect(seats(room)).toBe(0);
    expect(await rememberedFiles(machine)).toEqual([]);
    expect(session.light.value).toEqual({ kind: "saved" });
  });

  test("has the unsaved text of an open file, at once, whoever else waits", async () => {
    const { machine, room, session } = await setting(many(50));
    const file = session.openFile(1);
    await machine.advance(100);
    room.isHeld = true;
    file.text.insert(0, "unsaved ");
    let isRead = false;
    const others = Promise.all([...session.files.value.keys()].slice(1).map((fileId) => session.textOf(fileId)));
    void others.then(() => (isRead = true));
    expect(await session.textOf(1)).toBe("unsaved text 1");
    expect(isRead).toBe(false);
    await during(machine, others);
    // The editor's file is not closed under its hands.
    expect(file.synced.value).toBe(true);
    expect(seats(room)).toBe(1);
  });

  test("a file that is searched and then opened is remembered", async () => {
    const { machine, session } = await setting(many(2));
    const reading = session.textOf(1);
    session.openFile(1);
    await during(machine, reading);
    expect(await rememberedFiles(machine)).toEqual([1]);
  });

  test("what is broken in this browser's storage is had from the server, in an editor too", async () => {
    const { machine, room, tab, session } = await setting(many(1));
    session.openFile(1);
    await machine.advance(2_000);
    tab.kill();
    const database = await openDB("carets");
    const kept = await database.get("documents", ["workspace-1", 1]);
    await database.put("documents", { ...kept, state: kept.state.slice(0, kept.state.length / 2) });
    database.close();
    const again = openPage(machine, room);
    await machine.advance(100);
    expect(await during(machine, again.session.textOf(1))).toBe("text 1");
    const file = again.session.openFile(1);
    await machine.advance(100);
    file.text.insert(0, "on with ");
    await machine.advance(100);
    expect(room.text()).toBe("on with text 1");
    expect(again.session.light.value).toEqual({ kind: "saved" });
  });

  test("waits through a connection that comes, and reads what is remembered when there is none", async () => {
    const { machine, tab, session } = await setting(many(2));
    session.openFile(1);
    await machine.advance(2_000);
    session.closeFile(1);
    tab.cut();
    await machine.advance(100);
    expect(await during(machine, session.textOf(1))).toBe("text 1");
    await expect(during(machine, session.textOf(2))).rejects.toMatchObject({ code: 0 });
    await expect(during(machine, session.textOf(7))).rejects.toMatchObject({ code: 4425 });
    const { room } = tab;
    const fresh = openPage(machine, room ?? new Room());
    await settle();
    // The first connection of a page is on its way: its answer is worth the wait.
    const early = during(machine, fresh.session.textOf(2));
    expect(await early).toBe("text 2");
  });

  test("a deleted file, or one that is deleted meanwhile, keeps nobody waiting", async () => {
    const { machine, room, session } = await setting(many(2));
    room.file(1).record = { ...room.file(1).record, deleted_at_ms: 5 };
    room.tellFiles([room.file(1).record]);
    await machine.advance(0);
    await expect(during(machine, session.textOf(1))).rejects.toMatchObject({ code: 4426 });
    room.isSilent = true;
    const reading = session.textOf(2);
    const refused = expect(reading).rejects.toMatchObject({ code: 4426 });
    await machine.advance(100);
    room.tellFiles([{ ...room.file(2).record, deleted_at_ms: 5 }]);
    await machine.advance(100);
    await refused;
  });

  test("a session that ends keeps nobody waiting either", async () => {
    const { machine, room, session } = await setting(many(40));
    room.isSilent = true;
    const reading = Promise.allSettled([...session.files.value.keys()].map((fileId) => session.textOf(fileId)));
    await machine.advance(100);
    session.close();
    await machine.advance(100);
    const ends = await reading;
    expect(ends.filter((end) => end.status === "rejected")).toHaveLength(40);
  });

  test("is stopped by its signal, waiting in the row or for the server, and the places are free again", async () => {
    const { machine, room, tab, session } = await setting(many(40));
    room.isSilent = true;
    const stop = new AbortController();
    const ids = [...session.files.value.keys()];
    const reading = Promise.allSettled(ids.map((fileId) => session.textOf(fileId, stop.signal)));
    await machine.advance(100);
    expect(tab.socket.written.filter((frame) => String(frame).includes("open_file"))).toHaveLength(LOADS_MAX);
    stop.abort(new Error("enough"));
    const ends = await reading;
    expect(ends.every((end) => end.status === "rejected" && end.reason.message === "enough")).toBe(true);
    await expect(session.textOf(1, stop.signal)).rejects.toThrow("enough");
    room.isSilent = false;
    const all = Promise.all(ids.map((fileId) => session.textOf(fileId)));
    expect(await during(machine, all)).toHaveLength(40);
  });
});

describe("editFile", () => {
  test("is one change, counted until it is saved, and everybody has it", async () => {
    const { machine, room, session } = await setting({ "a.txt": "one two one" });
    const other = openPage(machine, room);
    await machine.advance(100);
    const watching = other.session.openFile(1);
    await machine.advance(100);
    const changes: number[] = [];
    watching.doc.on("update", () => changes.push(1));
    room.isHeld = true;
    const edits = [
      { from: 0, to: 3, insert: "three\r\n" },
      { from: 8, to: 11, insert: "" },
    ];
    expect(await during(machine, session.editFile(1, "one two one", edits))).toBe(true);
    expect(session.light.value).toEqual({ kind: "unsaved", count: 1, kept: true });
    room.commit();
    room.isHeld = false;
    await machine.advance(100);
    expect(session.light.value).toEqual({ kind: "saved" });
    expect(room.text()).toBe("three\n two ");
    expect(watching.text.toString()).toBe(room.text());
    expect(changes).toHaveLength(1);
    expect(room.members[0]?.seats.size).toBe(0);
  });

  test("does nothing when the text is another by now", async () => {
    const { machine, room, session } = await setting({ "a.txt": "one" });
    const edit = [{ from: 0, to: 3, insert: "two" }];
    expect(await during(machine, session.editFile(1, "other", edit))).toBe(false);
    expect(room.text()).toBe("one");
    await expect(during(machine, session.editFile(1, "one", [{ from: 2, to: 9, insert: "" }]))).rejects.toThrow(
      RangeError,
    );
    expect(room.text()).toBe("one");
  });

  test("changes an open file in its editor's document", async () => {
    const { machine, session } = await setting({ "a.txt": "one" });
    const file = session.openFile(1);
    await machine.advance(100);
    await during(machine, session.editFile(1, "one", [{ from: 3, to: 3, insert: "!" }]));
    expect(file.text.toString()).toBe("one!");
  });

  test("is refused to viewers, in deleted files and in an ended session, and changes nothing here", async () => {
    const edit = [{ from: 0, to: 0, insert: "x" }];
    const viewer = await setting({ "a.txt": "one" }, "viewer-key");
    await expect(during(viewer.machine, viewer.session.editFile(1, "one", edit))).rejects.toMatchObject({ code: 4424 });
    expect(await during(viewer.machine, viewer.session.textOf(1))).toBe("one");
    const ended = await setting({ "a.txt": "one" });
    ended.session.openFile(1);
    await ended.machine.advance(100);
    ended.room.closeAll(4422);
    await ended.machine.advance(100);
    await expect(during(ended.machine, ended.session.editFile(1, "one", edit))).rejects.toMatchObject({ code: 4422 });
    expect(ended.session.light.value).toMatchObject({ count: 0 });
  });

  test("offline it is kept with what it rests upon: a page that never had the file open shows it after a reload", async () => {
    const { machine, room, tab, session } = await setting({ "a.txt": "one", "b.txt": "two" });
    room.isHeld = true;
    expect(await during(machine, session.editFile(2, "two", [{ from: 3, to: 3, insert: " more" }]))).toBe(true);
    await machine.advance(2_000);
    tab.happen("leaving");
    tab.kill();
    room.isHeld = false;
    const again = openPage(machine, room, "owner-key", (fresh) => {
      fresh.isReachable = false;
    });
    await machine.advance(5_000);
    const file = again.session.openFile(2);
    await machine.advance(100);
    expect(file.ready.value).toBe(true);
    expect(file.text.toString()).toBe("two more");
    expect(again.session.light.value).toEqual({ kind: "offline", count: 1, kept: true });
  });
});

describe("edits are made whole", () => {
  const face = "\u{1F600}";
  const other = "\u{1F601}";

  function done(text: string, edits: [from: number, to: number, insert: string][]): string {
    let result = text;
    const whole = wholeEdits(
      text,
      edits.map(([from, to, insert]) => ({ from, to, insert })),
    );
    for (const { from, to, insert } of whole.reverse()) result = result.slice(0, from) + insert + result.slice(to);
    return result;
  }

  test.each<[string, string, [number, number, string][], string]>([
    [
      "plain ones stay",
      "abc",
      [
        [0, 1, "x"],
        [2, 3, ""],
      ],
      "xb",
    ],
    ["what goes into a character goes behind it", face, [[1, 1, "x"]], `${face}x`],
    ["a character cut at its end goes whole", `a${face}`, [[0, 2, "x"]], "x"],
    ["a character cut at its begin goes whole", `${face}b`, [[1, 3, "x"]], "x"],
    ["the kept half belongs to the new character", face, [[1, 2, other.slice(1)]], other],
    [
      "two that meet inside a character are one",
      `a${face}b`,
      [
        [0, 2, "x"],
        [2, 4, "y"],
      ],
      "xy",
    ],
    ["half a character inserted is none", "ab", [[1, 1, "\ud83d"]], "a\ufffdb"],
    ["line ends are line feeds", "ab", [[1, 1, "\r\n\r"]], "a\n\nb"],
  ])("%s", (_, text, edits, expected) => {
    expect(done(text, edits)).toBe(expected);
  });

  test("what is out of order or outside is the caller's mistake", () => {
    expect(() =>
      done("abc", [
        [2, 3, ""],
        [0, 1, ""],
      ]),
    ).toThrow(RangeError);
    expect(() =>
      done("abc", [
        [0, 2, ""],
        [1, 3, ""],
      ]),
    ).toThrow(RangeError);
    expect(() => done("abc", [[2, 1, ""]])).toThrow(RangeError);
    expect(wholeEdits("abc", [{ from: 0, to: 1, insert: "a" }])).toEqual([]);
  });
});
