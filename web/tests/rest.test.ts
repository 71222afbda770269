import { expect, test } from "vitest";
import * as rest from "../src/rest";

interface Asked {
  readonly url: string;
  readonly init: RequestInit;
}

const DOOR = ["http://h/sub/", "abcdefgh", "the key"] as const;

/** A server that answers so, and what it was asked. */
function answering(answer: Response | (() => Promise<never>)): { send: rest.Send; asked: Asked[] } {
  const asked: Asked[] = [];
  return {
    asked,
    send: async (url, init) => {
      asked.push({ url: String(url), init });
      return typeof answer === "function" ? answer() : answer;
    },
  };
}

test("a workspace is created with the token, and its links are told", async () => {
  const links = { owner: "o", editor: "e", viewer: "v" };
  const { send, asked } = answering(Response.json({ workspace_id: "abc", title: "T", links }, { status: 201 }));
  const made = await rest.createWorkspace("http://h/sub/", { title: "T", createToken: "token" }, send);
  expect(made).toEqual({ workspaceId: "abc", title: "T", links });
  expect(asked[0]?.url).toBe("http://h/sub/api/workspaces");
  expect(asked[0]?.init).toEqual({
    method: "POST",
    body: '{"title":"T"}',
    headers: { "Content-Type": "application/json", Authorization: "Bearer token" },
  });
});

test("a refusal has the server's number and words; whatever else goes wrong has none", async () => {
  const error = { code: 4438, name: "x", text: "Needs it.", next_step: "Ask." };
  const refusing = answering(Response.json({ error }, { status: 401 })).send;
  const refused = { code: 4438, message: "Needs it. Ask." };
  await expect(rest.createWorkspace("http://h/", {}, refusing)).rejects.toMatchObject(refused);
  const strange = answering(new Response("<html>", { status: 502 })).send;
  await expect(rest.serverStatus("http://h/", strange)).rejects.toMatchObject({ code: 0 });
  const empty = answering(new Response("<html>")).send;
  await expect(rest.serverStatus("http://h/", empty)).rejects.toMatchObject({ code: 0 });
  const offline = answering(() => Promise.reject(new TypeError("net"))).send;
  await expect(rest.deleteWorkspace(...DOOR, offline)).rejects.toThrow("cannot be reached");
  const half = answering(Response.json({ files: [{ file_id: "one" }] })).send;
  await expect(rest.importFiles(...DOOR, new Map([["a", ""]]), "", half)).rejects.toMatchObject({ code: 0 });
});

test("a link is made with its role, name and end, listed with who is on it, and revoked", async () => {
  const told = {
    link_id: "l/1",
    role: "viewer",
    name: "Class",
    created_at_ms: 5,
    expires_at_ms: 9,
    revoked_at_ms: null,
  };
  const making = answering(Response.json({ ...told, url: "u" }, { status: 201 }));
  const made = await rest.createLink(...DOOR, { role: "viewer", name: "Class", expiresAtMs: 9 }, making.send);
  expect(made).toEqual({ linkId: "l/1", role: "viewer", name: "Class", expiresAtMs: 9, url: "u" });
  expect(JSON.parse(String(making.asked[0]?.init.body))).toEqual({ role: "viewer", name: "Class", expires_at_ms: 9 });
  const members = [{ member_id: 3, name: "Ada", color: "#123456" }];
  const listing = answering(Response.json({ links: [{ ...told, members }, told] }));
  const [first, second] = await rest.listLinks(...DOOR, listing.send);
  expect(first).toEqual({
    ...{ linkId: "l/1", role: "viewer", name: "Class", createdAtMs: 5, expiresAtMs: 9, revokedAtMs: null },
    members: [{ memberId: 3, name: "Ada", color: "#123456" }],
  });
  expect(second?.members).toEqual([]);
  const revoking = answering(new Response(null, { status: 204 }));
  await rest.revokeLink(...DOOR, "l/1", revoking.send);
  expect(revoking.asked[0]).toMatchObject({
    url: "http://h/sub/api/workspaces/abcdefgh/links/l%2F1",
    init: { method: "DELETE", headers: { Authorization: "Bearer the key" } },
  });
});

test("a workspace is renamed, deleted and restored", async () => {
  const titled = answering(Response.json({ workspace_id: "abcdefgh", title: "Clean" }));
  expect(await rest.renameWorkspace(...DOOR, " Clean ", titled.send)).toBe("Clean");
  expect(titled.asked[0]?.init).toMatchObject({ method: "PATCH", body: '{"title":" Clean "}' });
  const gone = answering(new Response(null, { status: 204 }));
  await rest.deleteWorkspace(...DOOR, gone.send);
  expect(gone.asked[0]).toMatchObject({ url: "http://h/sub/api/workspaces/abcdefgh", init: { method: "DELETE" } });
  const back = answering(Response.json({ workspace_id: "abcdefgh", title: "Clean" }));
  expect(await rest.restoreWorkspace(...DOOR, back.send)).toBe("Clean");
  expect(back.asked[0]).toMatchObject({
    url: "http://h/sub/api/workspaces/abcdefgh/restore",
    init: { method: "POST" },
  });
});

test("earlier chat is asked for by number; files go up by path, whatever the path is", async () => {
  const entry = { chat_id: 7, at_ms: 1, author: "person:a", name: "Ada", color: "#123456", text: "hi" };
  const chat = answering(Response.json({ entries: [entry] }));
  expect(await rest.earlierChat(...DOOR, 8, 50, chat.send)).toEqual([entry]);
  expect(chat.asked[0]?.url).toBe("http://h/sub/api/workspaces/abcdefgh/chat?before=8&count=50");
  const record = { file_id: 1, path: "__proto__", epoch: "e", eol: "crlf", deleted_at_ms: null };
  const files = answering(Response.json({ files: [record] }, { status: 201 }));
  const made = await rest.importFiles(...DOOR, new Map([["__proto__", "a\r\n"]]), "token", files.send);
  expect(made).toEqual([record]);
  expect(files.asked[0]?.init.body).toBe('{"files":{"__proto__":"a\\r\\n"},"person":"token"}');
});

test("a zip is the bytes that came, and an open server wants no key", async () => {
  const { send, asked } = answering(new Response("PK"));
  expect(await (await rest.exportZip("http://h/", "abcdefgh", "", send)).text()).toBe("PK");
  expect(asked[0]?.init.headers).toEqual({});
});
