import { expect, test } from "vitest";
import * as Y from "yjs";
import type { Light } from "../src/model";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine, type Tab } from "./tab";

async function setting(key = "owner-key"): Promise<Page & { machine: Machine; room: Room }> {
  const machine = new Machine();
  const room = new Room();
  room.build = "b1";
  const page = openPage(machine, room, key);
  await machine.advance(100);
  return { machine, room, ...page };
}

async function back(machine: Machine, tab: Tab): Promise<void> {
  tab.isReachable = true;
  await machine.advance(40_000);
}

test("a welcomed page knows the workspace, and itself", async () => {
  const { session } = await setting();
  expect(session.title.value).toBe("Work");
  expect(session.role.value).toBe("owner");
  expect(session.me.value).toMatchObject({ memberId: 1, name: "Quiet Heron" });
  expect([...session.files.value.values()].map((file) => file.path)).toEqual(["main.py"]);
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("typing reaches the server and the other page, and theirs comes here", async () => {
  const { machine, room, session } = await setting();
  const other = openPage(machine, room);
  await machine.advance(100);
  const mine = session.openFile(1);
  const theirs = other.session.openFile(1);
  await machine.advance(100);
  mine.text.insert(0, "a");
  await machine.advance(0);
  theirs.text.insert(1, "b");
  await machine.advance(0);
  expect(room.text()).toBe("abprint('hello')\n");
  expect(mine.text.toString()).toBe(room.text());
  expect(theirs.text.toString()).toBe(room.text());
  // Nothing that came from the server goes back to it.
  expect(room.members.map((member) => member.received)).toEqual([2, 2]);
});

test("the light counts edits, and is green only when saved says so", async () => {
  const { machine, room, session } = await setting();
  const lights: Light[] = [];
  const file = session.openFile(1);
  await machine.advance(100);
  session.light.subscribe((light) => lights.push(light));
  room.isHeld = true;
  for (const letter of "abc") file.text.insert(0, letter);
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "unsaved", count: 3, kept: true });
  expect(file.unsaved.value).toBe(3);
  room.commit();
  await machine.advance(100);
  expect(session.light.value).toEqual({ kind: "saved" });
  expect(lights.filter((light) => light.kind === "saved")).toHaveLength(2);
});

test("after a reconnect the light waits for the step 2 of every file with unsaved edits", async () => {
  const { machine, room, tab, session } = await setting();
  room.addFile("b.txt", "b");
  session.close();
  const page = openPage(machine, room);
  await machine.advance(100);
  const [one, two] = [page.session.openFile(1), page.session.openFile(2)];
  await machine.advance(100);
  room.isHeld = true;
  one.text.insert(0, "x");
  two.text.insert(0, "y");
  await machine.advance(0);
  page.tab.cut();
  await machine.advance(100);
  expect(page.session.light.value).toEqual({ kind: "offline", count: 2, kept: true });
  page.session.closeFile(2);
  await back(machine, page.tab);
  expect(page.session.status.value.kind).toBe("online");
  expect(page.session.light.value).toEqual({ kind: "unsaved", count: 2, kept: true });
  room.commit();
  await machine.advance(100);
  expect(page.session.light.value).toEqual({ kind: "saved" });
  expect([room.text(1), room.text(2)]).toEqual(["xprint('hello')\n", "yb"]);
  expect(tab.sockets).toHaveLength(1);
});

test("what was typed offline goes up at the reconnect, once", async () => {
  const { machine, room, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  tab.cut();
  await machine.advance(100);
  file.text.insert(0, "offline ");
  file.text.delete(8, 1);
  room.type("server ", 0);
  await machine.advance(5_000);
  expect(session.light.value).toEqual({ kind: "offline", count: 2, kept: true });
  await back(machine, tab);
  expect(room.text()).toBe(file.text.toString());
  expect(room.text()).toContain("offline ");
  expect(room.text().match(/offline/g)).toHaveLength(1);
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("what is typed between opening and the server's question goes up in the step 2 alone", async () => {
  const { machine, room, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  tab.cut();
  await machine.advance(100);
  session.status.subscribe((status) => {
    if (status.kind === "online") file.text.insert(0, "x");
  });
  await back(machine, tab);
  expect(room.text()).toBe("xprint('hello')\n");
  expect(room.members.map((member) => member.received)).toEqual([1]);
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("an update that got lost on the way is asked for and counted late", async () => {
  const { machine, room, tab, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  const { onSend } = tab.socket;
  tab.socket.onSend = () => undefined;
  file.text.insert(0, "a");
  // The server counts what it gets: a lost frame cannot be, but one out of order can.
  tab.socket.onSend = onSend;
  const member = room.members[0];
  if (member !== undefined) member.received++;
  file.text.insert(1, "b");
  await machine.advance(100);
  expect(room.text()).toBe("abprint('hello')\n");
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("a viewer's page types nothing, sends nothing, keeps nothing", async () => {
  const { machine, room, session } = await setting("viewer-key");
  const file = session.openFile(1);
  await machine.advance(100);
  expect(file.readOnly.value).toBe(true);
  expect(file.text.toString()).toBe("print('hello')\n");
  file.text.insert(0, "x");
  await machine.advance(3_000);
  expect(room.members[0]?.received).toBe(0);
  expect(session.light.value).toEqual({ kind: "saved" });
  await expect(session.createFile("x.py")).rejects.toMatchObject({ code: 4424 });
});

test("files are created with text, renamed, deleted and restored", async () => {
  const { machine, room, session } = await setting();
  const creating = session.createFile("win.txt", { text: "a\r\nb\rc\uD800" });
  await machine.advance(3_000);
  const fileId = await creating;
  expect(session.files.value.get(fileId)).toMatchObject({ path: "win.txt", eol: "crlf" });
  expect(room.text(fileId)).toBe("a\nb\nc\uFFFD");
  expect(session.light.value).toEqual({ kind: "saved" });
  const rejected = expect(session.createFile("win.txt")).rejects.toMatchObject({
    code: 4428,
    message: "Refused 4428. Go on.",
  });
  const renaming = session.renameFile(fileId, "other.txt");
  await machine.advance(100);
  await Promise.all([rejected, renaming]);
  expect(session.files.value.get(fileId)?.path).toBe("other.txt");
  const file = session.openFile(fileId);
  const deleting = session.deleteFile(fileId);
  await machine.advance(100);
  await deleting;
  expect(session.files.value.get(fileId)?.deleted_at_ms).toBe(5);
  expect(file.readOnly.value).toBe(true);
  const restoring = session.restoreFile(fileId);
  await machine.advance(100);
  await restoring;
  expect(file.readOnly.value).toBe(false);
  file.text.insert(0, "z");
  await machine.advance(100);
  expect(room.text(fileId)).toBe("za\nb\nc\uFFFD");
});

test("file operations need a connection, and say so; those under way end with it", async () => {
  const { machine, room, tab, session } = await setting();
  room.isSilent = true;
  const lost = expect(session.renameFile(1, "x")).rejects.toMatchObject({ code: 0 });
  tab.cut();
  await machine.advance(100);
  await lost;
  await expect(session.createFile("y")).rejects.toThrow("connection");
});

test("presence: others are seen with the server's word on who they are, oneself is not", async () => {
  const { machine, room, session } = await setting();
  const other = openPage(machine, room, "editor-key");
  await machine.advance(100);
  const mine = session.openFile(1);
  const theirs = other.session.openFile(1);
  await machine.advance(100);
  const cursor = { anchor: { tname: "text", assoc: 0 }, head: { tname: "text", assoc: 0 } };
  theirs.presence.set(cursor);
  mine.presence.set(null);
  await machine.advance(100);
  expect([...mine.presence.states.value.values()]).toEqual([
    { user: { id: 2, name: "Quiet Heron", color: "#1d4ed8", role: "editor" }, cursor },
  ]);
  expect([...theirs.presence.states.value.keys()]).toEqual([1]);
  const before = other.tab.socket.written.length;
  for (let move = 0; move < 100; move++) {
    theirs.presence.set(cursor);
    await machine.advance(10);
  }
  expect(other.tab.socket.written.length - before).toBeLessThanOrEqual(21);
  other.session.closeFile(1);
  await machine.advance(100);
  expect(mine.presence.states.value.size).toBe(0);
});

test("carets come again after a reconnect", async () => {
  const { machine, room, tab, session } = await setting();
  const other = openPage(machine, room);
  await machine.advance(100);
  const file = session.openFile(1);
  const theirs = other.session.openFile(1);
  await machine.advance(100);
  file.presence.set(null);
  await machine.advance(100);
  tab.cut();
  await machine.advance(100);
  expect(file.presence.states.value.size).toBe(0);
  await back(machine, tab);
  expect([...theirs.presence.states.value.keys()]).toContain(3);
});

test("a server of another build is told, a page built by hand is left alone", async () => {
  const { machine, room, tab, session } = await setting();
  expect(session.newBuild.value).toBe(false);
  room.build = "b2";
  room.closeAll(1001);
  await machine.advance(3_000);
  expect(session.newBuild.value).toBe(true);
  expect(tab.sockets).toHaveLength(2);
});

test("a revoked link closes the workspace, with the reason, and keeps what is unsaved", async () => {
  const { machine, room, session } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  room.isHeld = true;
  file.text.insert(0, "x");
  await machine.advance(100);
  room.closeAll(4422);
  await machine.advance(100);
  expect(session.light.value).toMatchObject({ kind: "closed", count: 1, kept: true });
  expect(file.readOnly.value).toBe(true);
  expect(session.status.value).toMatchObject({ kind: "closed", code: 4422 });
});

test("a large file on a slow line leaves room for keystrokes in another, and both are counted", async () => {
  const { machine, room, tab, session } = await setting();
  room.addFile("big.txt");
  room.tellFiles([room.file(2).record]);
  await machine.advance(100);
  const [small, big] = [session.openFile(1), session.openFile(2)];
  await machine.advance(100);
  const { onSend } = tab.socket;
  const arrived: number[] = [];
  tab.socket.onSend = (data) => {
    // A line of one part a second.
    tab.socket.bufferedAmount += data.length;
    tab.after(tab.socket.bufferedAmount / 65, () => {
      tab.socket.bufferedAmount -= data.length;
      arrived.push(data.length);
      onSend(data);
    });
  };
  big.text.insert(0, "x".repeat(1_000_000));
  await machine.advance(3_000);
  const typedAtMs = machine.nowMs;
  small.text.insert(0, "a");
  while (!room.text(1).startsWith("a")) await machine.advance(100);
  expect(machine.nowMs - typedAtMs).toBeLessThan(2_500);
  expect(room.text(2)).toBe("");
  await machine.advance(30_000);
  expect(room.text(2)).toHaveLength(1_000_000);
  expect(session.light.value).toEqual({ kind: "saved" });
});

test("what arrives in parts is put together", async () => {
  const { machine, room, session } = await setting();
  room.addFile("big.txt", "é".repeat(200_000));
  room.tellFiles([room.file(2).record]);
  await machine.advance(100);
  const file = session.openFile(2);
  await machine.advance(100);
  expect(file.text.length).toBe(200_000);
});

test("many pages that type at once, and lose their lines at any time, agree with nothing lost", async () => {
  const machine = new Machine();
  const room = new Room({ "a.txt": "" });
  const pages = [1, 2, 3, 4].map(() => openPage(machine, room));
  await machine.advance(100);
  const files = pages.map((page) => page.session.openFile(1));
  await machine.advance(100);
  let seed = 11;
  const chance = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const words: string[] = [];
  for (let step = 0; step < 150; step++) {
    const index = Math.floor(chance() * pages.length);
    const page = pages[index];
    const file = files[index];
    if (page === undefined || file === undefined) continue;
    if (chance() < 0.08) page.tab.cut();
    else if (chance() < 0.15) page.tab.isReachable = true;
    const word = `<${step}>`;
    words.push(word);
    // Never inside another word, so that each can be looked for.
    const text = file.text.toString();
    const gaps = [0, ...[...text.matchAll(/>/g)].map((found) => found.index + 1)];
    file.text.insert(gaps[Math.floor(chance() * gaps.length)] ?? 0, word);
    if (chance() < 0.3) await machine.advance(chance() * 900);
  }
  for (const page of pages) page.tab.isReachable = true;
  await machine.advance(60_000);
  for (const word of words) expect(room.text().split(word), `seed 11, ${word}`).toHaveLength(2);
  for (const file of files) expect(file.text.toString()).toBe(room.text());
  for (const page of pages) expect(page.session.light.value).toEqual({ kind: "saved" });
  expect(Y.encodeStateVector(room.file(1).doc).length).toBeGreaterThan(0);
}, 60_000);

test("while the server cannot save the light says why, and what is typed goes up by itself when it can", async () => {
  const { machine, room, session, tab } = await setting();
  const file = session.openFile(1);
  await machine.advance(100);
  const lights: string[] = [];
  session.light.subscribe((light) => void lights.push(light.kind));
  room.setFault("full");
  await machine.advance(0);
  expect(session.light.value).toEqual({ kind: "failing", count: 0, kept: true, fault: "full" });
  file.text.insert(0, "ab");
  file.text.delete(2, 1);
  const said = session.sendChat("hello");
  await machine.advance(60_000);
  expect(session.light.value).toEqual({ kind: "failing", count: 2, kept: true, fault: "full" });
  expect(session.chatWaiting.value).toBe(1);
  expect(room.text()).toBe("print('hello')\n");
  expect(room.chat).toEqual([]);
  room.setFault(null);
  await machine.advance(1_000);
  await said;
  expect(room.text()).toBe("abrint('hello')\n");
  expect(room.chat.map((entry) => entry.text)).toEqual(["hello"]);
  expect(session.light.value).toEqual({ kind: "saved" });
  expect(lights.slice(1, -1)).not.toContain("saved");
  expect(tab.sockets).toHaveLength(1);
});

test("a page that comes while the server cannot save is told so, and keeps what it types over a reload", async () => {
  const { machine, room, session } = await setting();
  session.close();
  room.setFault("read_only");
  const first = openPage(machine, room);
  await machine.advance(100);
  const file = first.session.openFile(1);
  await machine.advance(100);
  file.text.insert(0, "kept ");
  await machine.advance(100);
  expect(first.session.light.value).toMatchObject({ kind: "failing", count: 1, kept: true, fault: "read_only" });
  first.session.close();
  const second = openPage(machine, room);
  await machine.advance(100);
  second.session.openFile(1);
  await machine.advance(60_000);
  expect(second.session.light.value).toMatchObject({ kind: "failing", count: 1, fault: "read_only" });
  room.setFault(null);
  await machine.advance(1_000);
  expect(room.text()).toBe("kept print('hello')\n");
  expect(second.session.light.value).toEqual({ kind: "saved" });
});
