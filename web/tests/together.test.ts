/** What members do with each other besides typing: signals, places, folders, imports; and who they are to the server. */

import { expect, test } from "vitest";
import { inParcels } from "../src/importing";
import { SIGNAL_BYTES_MAX } from "../src/signals";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine, settle } from "./tab";

async function setting(files?: Record<string, string>): Promise<Page & { machine: Machine; room: Room }> {
  const machine = new Machine();
  const room = new Room(files);
  const page = openPage(machine, room);
  await machine.advance(100);
  return { machine, room, ...page };
}

async function back(machine: Machine, page: Page): Promise<void> {
  page.tab.isReachable = true;
  await machine.advance(40_000);
}

test("signals reach all others, or the one they are meant for, until one stops listening", async () => {
  const { machine, room, ...page } = await setting();
  const [second, third] = [openPage(machine, room), openPage(machine, room)];
  await machine.advance(100);
  const heard: unknown[] = [];
  const stop = second.session.onSignal("run.output", (from, data) => heard.push(["second", from, data]));
  third.session.onSignal("run.output", (from, data) => heard.push(["third", from, data]));
  third.session.onSignal("other", () => heard.push("never"));
  page.session.onSignal("run.output", () => heard.push("not one's own"));
  page.session.sendSignal("run.output", { line: "half \ud83d" });
  await machine.advance(0);
  expect(heard).toEqual([
    ["second", 1, { line: "half \ufffd" }],
    ["third", 1, { line: "half \ufffd" }],
  ]);
  heard.length = 0;
  stop();
  page.session.sendSignal("run.output", "all");
  page.session.sendSignal("run.output", "one", third.session.me.value?.memberId);
  page.tab.cut();
  await machine.advance(0);
  page.session.sendSignal("run.output", "dropped");
  await back(machine, page);
  expect(heard).toEqual([
    ["third", 1, "all"],
    ["third", 1, "one"],
  ]);
});

test("what goes wrong in one listener is its own, and is seen", async () => {
  const { machine, room, ...page } = await setting();
  const other = openPage(machine, room);
  await machine.advance(100);
  const heard: unknown[] = [];
  other.session.onSignal("x", () => {
    throw new Error("listener's own");
  });
  other.session.onSignal("x", (_, data) => heard.push(data));
  page.session.sendSignal("x", 1);
  await settle();
  expect(heard).toEqual([1]);
  expect(other.session.status.value.kind).toBe("online");
  await expect(machine.advance(0)).rejects.toThrow("listener's own");
});

test("a signal that the server would hang up on is not sent", async () => {
  const { room, session } = await setting();
  expect(() => session.sendSignal("Not a kind", 1)).toThrow("no kind");
  expect(() => session.sendSignal("x", "é".repeat(SIGNAL_BYTES_MAX / 2))).toThrow("16 KiB");
  session.sendSignal("x", "é".repeat(SIGNAL_BYTES_MAX / 2 - 1));
  expect(room.heard.filter((request) => request.type === "signal")).toHaveLength(1);
});

test("one's place is told when it changes, and again on each new connection", async () => {
  const { machine, room, ...page } = await setting();
  page.session.tellPlace(1);
  page.session.tellPlace(1);
  await machine.advance(0);
  expect(room.heard.filter((request) => request.type === "place")).toHaveLength(1);
  expect(room.members[0]?.place).toBe(1);
  page.tab.cut();
  await machine.advance(0);
  await back(machine, page);
  expect(room.members[0]?.place).toBe(1);
  page.tab.cut();
  await machine.advance(0);
  page.session.tellPlace(null);
  await back(machine, page);
  expect(room.members[0]?.place).toBeNull();
});

test("a page is the same after a reconnect, so that it is no ghost beside itself; another page is another", async () => {
  const { machine, room, ...page } = await setting();
  openPage(machine, room);
  await machine.advance(100);
  // The line dies and the server has not noticed.
  page.tab.socket.drop();
  await machine.advance(40_000);
  expect(room.members).toHaveLength(2);
  expect(page.session.members.value.size).toBe(2);
  const pages = room.heard.flatMap((request) => (request.type === "hello" ? [request.page] : []));
  expect(pages[0]).toMatch(/^[a-z0-9]{8,64}$/);
  expect(new Set(pages).size).toBe(2);
  expect(pages[2]).toBe(pages[0]);
});

test("a page is one person over reconnects where the browser keeps nothing, too", async () => {
  const machine = new Machine();
  const room = new Room();
  const page = openPage(machine, room, "owner-key", (tab) => {
    Object.defineProperty(tab, "localStorage", { value: null });
  });
  await machine.advance(100);
  page.session.openFile(1).text.insert(0, "x");
  await machine.advance(100);
  page.tab.cut();
  await machine.advance(0);
  await back(machine, page);
  const persons = room.heard.flatMap((request) => (request.type === "hello" ? [request.person] : []));
  expect(persons).toEqual(["", "person-1"]);
});

test("the title follows whoever changes it, and is remembered", async () => {
  const { machine, room, tab, session } = await setting();
  const [member] = room.members;
  if (member !== undefined) room.notify(member, { type: "workspace", title: "Renamed" });
  await machine.advance(100);
  expect(session.title.value).toBe("Renamed");
  expect(tab.localStorage.getItem("carets.recent")).toContain("Renamed");
  tab.kill();
  const again = openPage(machine, room, "owner-key", (fresh) => {
    fresh.isReachable = false;
  });
  await machine.advance(100);
  expect(again.session.title.value).toBe("Renamed");
});

test("a deleted workspace is closed for good, with its reason", async () => {
  const { machine, room, session } = await setting();
  room.closeAll(4445);
  await machine.advance(100);
  expect(session.status.value).toMatchObject({ kind: "closed", code: 4445 });
  expect(session.status.value).toMatchObject({ reason: expect.stringContaining("deleted") });
});

test("a folder is renamed and deleted whole, or it is said why not", async () => {
  const { machine, session } = await setting({ "src/a.py": "", "src/in/b.py": "", "c.py": "" });
  const paths = (): string[] =>
    [...session.files.value.values()].filter((file) => file.deleted_at_ms === null).map((file) => file.path);
  const renaming = session.renameFolder("src", "lib/core");
  await machine.advance(0);
  await renaming;
  expect(paths()).toEqual(["lib/core/a.py", "lib/core/in/b.py", "c.py"]);
  const missing = expect(session.renameFolder("src", "x")).rejects.toMatchObject({ code: 4425 });
  const deleting = session.deleteFolder("lib");
  await machine.advance(0);
  await missing;
  await deleting;
  expect(paths()).toEqual(["c.py"]);
});

test("imported files are there when it says so, whichever of answer and notice came first", async () => {
  const { machine, room, session } = await setting();
  const records = await session.importFiles(new Map([["a.txt", "one\r\ntwo\r"]]));
  expect(records).toMatchObject([{ file_id: 2, path: "a.txt" }]);
  expect(session.files.value.get(2)?.path).toBe("a.txt");
  expect(JSON.parse(String(room.asked[0]?.init.body))).toEqual({
    files: { "a.txt": "one\r\ntwo\r" },
    person: "person-1",
  });
  // The notice is here, and a younger one, before the answer is.
  const http = room.http.bind(room);
  room.http = async (url, init) => {
    const answer = await http(url, init);
    const file = room.file(3);
    room.tellFiles([{ ...file.record, path: "renamed.txt" }]);
    await settle();
    return answer;
  };
  await session.importFiles(new Map([["b.txt", ""]]));
  expect(session.files.value.get(3)?.path).toBe("renamed.txt");
  await expect(session.importFiles(new Map([["b.txt", ""]]))).rejects.toMatchObject({ code: 4428 });
  await machine.advance(0);
});

test("much goes up in several requests, each below the bound; nothing is left out or cut", () => {
  const files = new Map(Array.from({ length: 10 }, (_, index) => [`${index}`, "x".repeat(index * 10)]));
  files.set("huge", "é\n".repeat(200));
  files.set("half \ud83d", "\ud83d");
  const parcels = inParcels(files, 200);
  const sizes = parcels.map((parcel) => new TextEncoder().encode(JSON.stringify(Object.fromEntries(parcel))).length);
  expect(sizes.filter((size) => size > 201)).toHaveLength(1);
  expect(parcels.length).toBeGreaterThan(3);
  expect(parcels.length).toBeLessThan(8);
  expect(parcels.flatMap((parcel) => [...parcel.keys()])).toEqual([...files.keys()]);
  expect(parcels.at(-1)?.get("half \ud83d")).toBe("\ufffd");
  expect(inParcels(new Map())).toEqual([]);
});

test("a zip is what the server has", async () => {
  const { session } = await setting();
  expect(await (await session.exportZip()).text()).toBe("zip");
});
