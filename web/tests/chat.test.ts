import { describe, expect, test } from "vitest";
import { CHAT_CHARACTERS_MAX, CHAT_ENTRIES_MAX, Chat } from "../src/chat";
import type { ChatRecord, Request } from "../src/messages";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine } from "./tab";

async function setting(key = "owner-key", said = 0): Promise<Page & { machine: Machine; room: Room }> {
  const machine = new Machine();
  const room = new Room();
  for (let number = 1; number <= said; number++) room.say(`message ${number}`);
  const page = openPage(machine, room, key);
  await machine.advance(100);
  return { machine, room, ...page };
}

const texts = ({ session }: Page): string[] => session.chat.value.entries.map((entry) => entry.text);

/** A log that is told what it is told, and asks for earlier pages of a server with `total` entries. */
function log(total = 200): { chat: Chat; said: Request[]; ids: () => number[] } {
  const said: Request[] = [];
  const chat = new Chat({
    browser: { randomUint32: () => 7 },
    connection: { isOnline: true, notify: (request) => void said.push(request) },
    nextNumber: () => said.length + 1,
    loadEarlier: async (before, count) => span(Math.max(1, before - count), Math.min(total, before - 1)),
  });
  return { chat, said, ids: () => chat.log.value.entries.map((entry) => entry.chat_id) };
}

function entry(chat_id: number, text = `${chat_id}`): ChatRecord {
  return { chat_id, at_ms: chat_id, author: "person:a", name: "Ada", color: "#1d4ed8", text };
}

function span(from: number, to: number): ChatRecord[] {
  return Array.from({ length: to - from + 1 }, (_, index) => entry(from + index));
}

const full = (entries: ChatRecord[]) => ({ type: "chat", entries, full: true, request: null }) as const;
const news = (...entries: ChatRecord[]) => ({ type: "chat", entries, full: false, request: null }) as const;

describe("the log", () => {
  test("grows by what comes alone, and takes nothing twice", () => {
    const { chat, ids } = log();
    chat.take(full(span(3, 5)));
    expect(chat.log.value.hasEarlier).toBe(true);
    chat.take(news(entry(6)));
    chat.take(news(entry(6)));
    chat.take(full(span(4, 7)));
    expect(ids()).toEqual([3, 4, 5, 6, 7]);
  });

  test("takes a tail that does not fit on in place of its own, so that it never has a gap", () => {
    const { chat, ids } = log();
    chat.take(full(span(1, 5)));
    expect(chat.log.value.hasEarlier).toBe(false);
    chat.take(full(span(60, 64)));
    expect(ids()).toEqual([60, 61, 62, 63, 64]);
    expect(chat.log.value.hasEarlier).toBe(true);
    chat.take(news(entry(70)));
    expect(ids()).toEqual([70]);
  });

  test("keeps the earlier pages that it loaded when a tail that fits on comes", async () => {
    const { chat, ids } = log(100);
    chat.take(full(span(91, 100)));
    await chat.loadEarlier();
    expect(ids()[0]).toBe(41);
    chat.take(full(span(61, 105)));
    expect(ids()).toEqual(span(41, 105).map((one) => one.chat_id));
    await Promise.all([chat.loadEarlier(), chat.loadEarlier()]);
    expect(ids()).toEqual(span(1, 105).map((one) => one.chat_id));
    expect(chat.log.value.hasEarlier).toBe(false);
    await chat.loadEarlier();
    expect(ids()).toHaveLength(105);
  });

  test("does not put a page before a log that became another one while the page came", async () => {
    const { chat, ids } = log(100);
    chat.take(full(span(91, 100)));
    const loading = chat.loadEarlier();
    chat.take(full(span(150, 151)));
    await loading;
    expect(ids()).toEqual([150, 151]);
  });

  test("takes the word of a server that was restored from an earlier copy", () => {
    const { chat, ids } = log();
    chat.take(full(span(1, 9)));
    chat.take(full(span(1, 5)));
    expect(ids()).toEqual([1, 2, 3, 4, 5]);
    chat.take(news(entry(5, "another")));
    expect(chat.log.value.entries).toEqual([entry(5, "another")]);
  });

  test("holds so many at most while it only listens", () => {
    const { chat, ids } = log();
    chat.take(full(span(1, CHAT_ENTRIES_MAX)));
    chat.take(news(entry(CHAT_ENTRIES_MAX + 1)));
    expect(ids()).toHaveLength(CHAT_ENTRIES_MAX);
    expect(ids()[0]).toBe(2);
    expect(chat.log.value.hasEarlier).toBe(true);
  });
});

test("what is said is in everybody's log once it is kept, under the name that welcome told", async () => {
  const { machine, room, ...page } = await setting("owner-key", 2);
  const other = openPage(machine, room, "editor-key");
  await machine.advance(100);
  room.isHeld = true;
  const sending = page.session.sendChat("  hello\r\nthere ");
  expect(page.session.chatWaiting.value).toBe(1);
  await machine.advance(100);
  expect(texts(page)).toEqual(["message 1", "message 2"]);
  room.commit();
  await machine.advance(0);
  await sending;
  expect(page.session.chatWaiting.value).toBe(0);
  expect(texts(page)).toEqual(["message 1", "message 2", "hello\nthere"]);
  expect(texts(other)).toEqual(texts(page));
  expect(other.session.chat.value.entries[2]?.author).toBe(page.session.author.value);
  // Two tabs of one browser are one person.
  expect(other.session.author.value).toBe(page.session.author.value);
});

test("what is said offline, or in a connection that dies before the answer, is kept once", async () => {
  const { machine, room, tab, session } = await setting();
  // The server keeps it, and the answer is lost.
  room.isHeld = true;
  const first = session.sendChat("kept, unanswered");
  await machine.advance(0);
  const [member] = room.members;
  if (member !== undefined) room.notify = (to, notice) => to !== member && Room.prototype.notify.call(room, to, notice);
  room.commit();
  room.isHeld = false;
  expect(room.chat).toHaveLength(1);
  tab.cut();
  await machine.advance(100);
  const second = session.sendChat("said offline");
  await machine.advance(5_000);
  expect(session.chatWaiting.value).toBe(2);
  // It is no edit, and the light is not about it.
  expect(session.light.value).toEqual({ kind: "offline", count: 0, kept: true });
  tab.isReachable = true;
  await machine.advance(40_000);
  await Promise.all([first, second]);
  expect(room.chat.map((one) => one.text)).toEqual(["kept, unanswered", "said offline"]);
  expect(session.chat.value.entries.map((one) => one.text)).toEqual(["kept, unanswered", "said offline"]);
  expect(new Set(room.chat.map((one) => one.nonce)).size).toBe(2);
  expect(session.chatWaiting.value).toBe(0);
});

test("a refusal, an ended session and a session that is closed reject what waits", async () => {
  const { machine, room, session } = await setting();
  room.isHeld = true;
  const hopeful = session.sendChat("lost");
  const revoked = expect(hopeful).rejects.toMatchObject({ code: 4422 });
  room.closeAll(4422);
  await machine.advance(100);
  await revoked;
  expect(session.chatWaiting.value).toBe(0);
  await expect(session.sendChat("too late")).rejects.toMatchObject({ code: 4422 });
  const again = await setting();
  again.tab.cut();
  await again.machine.advance(0);
  const waiting = expect(again.session.sendChat("x")).rejects.toMatchObject({ code: 0 });
  again.session.close();
  await waiting;
  const changed = await setting("editor-key");
  for (const member of changed.room.members) member.role = "viewer";
  const refused = expect(changed.session.sendChat("x")).rejects.toMatchObject({ code: 4424 });
  await changed.machine.advance(0);
  await refused;
  expect(changed.session.chatWaiting.value).toBe(0);
});

test("what cannot be said is refused here, so that no frame is one that the server hangs up on", async () => {
  const { session, room } = await setting();
  await expect(session.sendChat(" \n ")).rejects.toMatchObject({ code: 4443 });
  await expect(session.sendChat("😀".repeat(CHAT_CHARACTERS_MAX + 1))).rejects.toMatchObject({ code: 4443 });
  const viewer = await setting("viewer-key");
  await expect(viewer.session.sendChat("hi")).rejects.toMatchObject({ code: 4424 });
  expect(room.heard.filter((request) => request.type === "chat")).toEqual([]);
});

test("earlier chat is loaded by pages until there is none", async () => {
  const { session, room } = await setting("viewer-key", 120);
  expect(session.chat.value.entries.map((one) => one.chat_id).slice(0, 2)).toEqual([71, 72]);
  expect(session.chat.value.hasEarlier).toBe(true);
  await session.loadEarlierChat();
  await session.loadEarlierChat();
  await session.loadEarlierChat();
  expect(session.chat.value.entries.map((one) => one.chat_id)).toEqual(span(1, 120).map((one) => one.chat_id));
  expect(session.chat.value.hasEarlier).toBe(false);
  expect(room.asked.map(({ url }) => url)).toEqual([
    "/api/workspaces/workspace-1/chat?before=71&count=50",
    "/api/workspaces/workspace-1/chat?before=21&count=50",
  ]);
});

test("earlier chat without a connection is refused, and asked for again later", async () => {
  const { session, tab } = await setting("owner-key", 60);
  tab.isReachable = false;
  await expect(session.loadEarlierChat()).rejects.toMatchObject({ code: 0 });
  tab.isReachable = true;
  await session.loadEarlierChat();
  expect(session.chat.value.entries).toHaveLength(60);
});
