/**
 * The page's core against the real server, which `tests/test_page_core.py` starts; by itself it has none and is passed over.
 *
 * Owns: that both sides mean the same by the messages and the HTTP calls. What each does in every case is in its own tests.
 */

import "fake-indexeddb/auto";
import { expect, test } from "vitest";
import { type Browser, type Socket, thisBrowser } from "../src/browser";
import type { Observable } from "../src/observable";
import { createWorkspace, deleteWorkspace, listLinks, renameWorkspace, restoreWorkspace } from "../src/rest";
import { WorkspaceSession } from "../src/session";

const BASE = process.env["CARETS_URL"] ?? "";
const CREATE_TOKEN = process.env["CARETS_CREATE_TOKEN"] ?? "";
const WAIT_MS = 10_000;

/** A busy machine may take longer than a test alone. */
const live = (name: string, run: () => Promise<void>): void => test.skipIf(BASE === "")(name, run, 60_000);

interface Person {
  readonly session: WorkspaceSession;
  /** Its line is gone, and nobody has said so to the server. */
  cut(): void;
}

/** The value, as soon as it is so. */
function until<T>(seen: Observable<T>, isSo: (value: T) => boolean): Promise<T> {
  return new Promise((resolve, reject) => {
    let stop = (): void => undefined;
    const alarm = setTimeout(() => {
      stop();
      reject(new Error(`still ${JSON.stringify(seen.value)}`));
    }, WAIT_MS);
    const look = (value: T): void => {
      if (!isSo(value)) return;
      clearTimeout(alarm);
      queueMicrotask(() => stop());
      resolve(value);
    };
    stop = seen.subscribe(look);
  });
}

async function enter(workspaceId: string, key: string, name: string): Promise<Person> {
  let socket: Socket | null = null;
  const real = thisBrowser();
  const browser: Browser = {
    ...real,
    // Each is a browser of its own: nothing is shared but the server.
    localStorage: null,
    sessionStorage: null,
    openSocket: (url, protocol) => {
      socket = real.openSocket(url, protocol);
      return socket;
    },
  };
  const profile = { name, color: "#1d4ed8" };
  const session = new WorkspaceSession({ workspaceId, key, base: BASE, profile, build: "unpackaged00", browser });
  await until(session.light, (light) => light.kind === "saved");
  return {
    session,
    cut: () => {
      const { onclose } = socket ?? {};
      onclose?.({ code: 1006, reason: "" });
    },
  };
}

async function setting(files: Record<string, string> = { "main.py": "one\n" }): Promise<{
  workspaceId: string;
  keys: Record<"owner" | "editor" | "viewer", string>;
  owner: Person;
  editor: Person;
  viewer: Person;
}> {
  const made = await createWorkspace(BASE, { title: "Real", files, createToken: CREATE_TOKEN });
  const keyOf = (url: string): string => decodeURIComponent(url.split("#key=")[1] ?? "");
  const { owner, editor, viewer } = made.links;
  const keys = { owner: keyOf(owner), editor: keyOf(editor), viewer: keyOf(viewer) };
  const { workspaceId } = made;
  return {
    ...{ workspaceId, keys },
    owner: await enter(workspaceId, keys.owner, "Olga"),
    editor: await enter(workspaceId, keys.editor, "Ed"),
    viewer: await enter(workspaceId, keys.viewer, "Vi"),
  };
}

const texts = ({ session }: Person): string[] => session.chat.value.entries.map((entry) => entry.text);

live("chat is kept once, told to all, and there for who comes later and for who asks for earlier pages", async () => {
  const { workspaceId, keys, owner, editor, viewer } = await setting();
  await owner.session.sendChat("  hello\r\nthere 😀 ");
  await until(viewer.session.chat, (log) => log.entries.length === 1);
  expect(texts(viewer)).toEqual(["hello\nthere 😀"]);
  expect(viewer.session.chat.value.entries[0]).toMatchObject({ chat_id: 1, name: "Olga" });
  expect(viewer.session.chat.value.entries[0]?.author).toBe(owner.session.author.value);
  expect(owner.session.author.value).toMatch(/^person:/);
  expect(editor.session.author.value).not.toBe(owner.session.author.value);
  // The line dies before the answer: sent again on the next one, under its nonce.
  const sending = editor.session.sendChat("through a cut");
  editor.cut();
  await sending;
  for (let number = 1; number <= 70; number++) await editor.session.sendChat(`message ${number}`);
  await until(owner.session.chat, (log) => log.entries.length === 72);
  expect(texts(owner).filter((text) => text === "through a cut")).toHaveLength(1);
  const late = await enter(workspaceId, keys.viewer, "Late");
  await until(late.session.chat, (log) => log.entries.length === 50);
  expect(late.session.chat.value.hasEarlier).toBe(true);
  await late.session.loadEarlierChat();
  expect(texts(late)).toEqual(texts(owner));
  expect(late.session.chat.value.hasEarlier).toBe(false);
  await expect(owner.session.sendChat("a".repeat(4_000))).resolves.toBeUndefined();
  for (const person of [owner, editor, viewer, late]) person.session.close();
});

live("a page that reconnects is no ghost beside itself; its place and the others' are seen", async () => {
  const { owner, editor, viewer } = await setting();
  const id = (): number => editor.session.me.value?.memberId ?? 0;
  editor.session.tellPlace(1);
  await until(owner.session.members, (members) => members.get(id())?.file_id === 1);
  const before = id();
  editor.cut();
  await until(editor.session.me, (me) => me?.memberId !== before);
  await until(owner.session.members, (members) => members.get(id())?.file_id === 1 && !members.has(before));
  expect(owner.session.members.value.size).toBe(3);
  for (const person of [owner, editor, viewer]) person.session.close();
});

live("signals go to all others or to one, never from a viewer", async () => {
  const { owner, editor, viewer } = await setting();
  const heardBy = (person: Person): Promise<unknown[]> =>
    new Promise((resolve) => {
      const heard: unknown[] = [];
      person.session.onSignal("run.output", (from, data) => {
        heard.push([from, data]);
        if (data === "end") resolve(heard);
      });
    });
  const [byEditor, byViewer] = [heardBy(editor), heardBy(viewer)];
  const from = owner.session.me.value?.memberId;
  const large = "é".repeat(8 * 1024 - 1);
  viewer.session.sendSignal("run.output", "never");
  owner.session.sendSignal("run.output", { line: "half \ud83d", list: [1, null] });
  owner.session.sendSignal("run.output", large, editor.session.me.value?.memberId);
  owner.session.sendSignal("run.output", "end");
  const line = { line: "half \ufffd", list: [1, null] };
  expect(await byEditor).toEqual([
    [from, line],
    [from, large],
    [from, "end"],
  ]);
  expect(await byViewer).toEqual([
    [from, line],
    [from, "end"],
  ]);
  expect(viewer.session.status.value.kind).toBe("online");
  for (const person of [owner, editor, viewer]) person.session.close();
});

live(
  "files are imported whole, folders renamed and deleted, texts read and changed in the background, and exported",
  async () => {
    const { owner, editor, viewer } = await setting();
    const files = new Map(
      Array.from({ length: 300 }, (_, index) => [`src/d${index % 7}/f${index}.py`, `x = ${index}\n`]),
    );
    files.set("src/crlf.txt", "one\r\ntwo\r\n");
    const made = await editor.session.importFiles(files);
    expect(made).toHaveLength(301);
    expect(made.find((record) => record.path === "src/crlf.txt")?.eol).toBe("crlf");
    await expect(
      editor.session.importFiles(
        new Map([
          ["new.py", ""],
          ["src/crlf.txt", ""],
        ]),
      ),
    ).rejects.toMatchObject({ code: 4428 });
    await expect(viewer.session.importFiles(new Map([["v.py", ""]]))).rejects.toMatchObject({ code: 4424 });
    const seen = await until(viewer.session.files, (list) => list.size === 302);
    await editor.session.renameFolder("src", "lib/core");
    const crlf = made.find((record) => record.path === "src/crlf.txt")?.file_id ?? 0;
    await until(viewer.session.files, (list) => list.get(crlf)?.path === "lib/core/crlf.txt");
    await expect(editor.session.renameFolder("lib", "lib/core")).rejects.toMatchObject({ code: 4427 });
    await expect(editor.session.deleteFolder("src")).rejects.toMatchObject({ code: 4425 });
    const all = await Promise.all([...seen.keys()].map((fileId) => viewer.session.textOf(fileId)));
    expect(all.filter((text) => text.startsWith("x = "))).toHaveLength(300);
    expect(await viewer.session.textOf(crlf)).toBe("one\ntwo\n");
    expect(await editor.session.editFile(crlf, "one\ntwo\n", [{ from: 4, to: 7, insert: "zwei" }])).toBe(true);
    await until(editor.session.light, (light) => light.kind === "saved");
    expect(await owner.session.textOf(crlf)).toBe("one\nzwei\n");
    expect(await owner.session.editFile(crlf, "one\ntwo\n", [])).toBe(false);
    await expect(viewer.session.editFile(crlf, "one\nzwei\n", [])).rejects.toMatchObject({ code: 4424 });
    const zip = new Uint8Array(await (await viewer.session.exportZip()).arrayBuffer());
    expect(String.fromCharCode(...zip.slice(0, 2))).toBe("PK");
    await editor.session.deleteFolder("lib");
    await until(
      viewer.session.files,
      (list) => [...list.values()].filter((each) => each.deleted_at_ms === null).length === 1,
    );
    for (const person of [owner, editor, viewer]) person.session.close();
  },
);

live("a workspace is renamed before everybody's eyes, deleted under them, and restored", async () => {
  const { workspaceId, keys, owner, editor, viewer } = await setting();
  expect(await renameWorkspace(BASE, workspaceId, keys.owner, " Renamed ")).toBe("Renamed");
  await until(viewer.session.title, (title) => title === "Renamed");
  const links = await listLinks(BASE, workspaceId, keys.owner);
  const editors = links.find((link) => link.role === "editor");
  expect(editors?.members).toEqual([{ memberId: editor.session.me.value?.memberId, name: "Ed", color: "#1d4ed8" }]);
  await expect(deleteWorkspace(BASE, workspaceId, keys.editor)).rejects.toMatchObject({ code: 4424 });
  await deleteWorkspace(BASE, workspaceId, keys.owner);
  await until(viewer.session.status, (status) => status.kind === "closed" && status.code === 4445);
  await until(editor.session.status, (status) => status.kind === "closed" && status.code === 4445);
  await expect(listLinks(BASE, workspaceId, keys.owner)).rejects.toMatchObject({ code: 4445 });
  expect(await restoreWorkspace(BASE, workspaceId, keys.owner)).toBe("Renamed");
  const again = await enter(workspaceId, keys.viewer, "Back");
  expect(await again.session.textOf(1)).toBe("one\n");
  for (const person of [owner, editor, viewer, again]) person.session.close();
});
