/**
 * The HTTP calls of the page: what is occasional, and needs no place among the messages of the connection.
 *
 * Owns: addresses, bodies, and what refusals become. Does not know: the session, which keys there are.
 *
 * `base` ends in `/`; `key` is a link's, and empty on an open server.
 *
 * Invariant: every function either returns what its type says or throws `RefusedError` with a sentence for the person;
 * its code is 0 when the server was not reached or did not speak as it should.
 *
 * Source: docs/PROTOCOL.md, "HTTP".
 */

import { RefusedError, WireError } from "./errors";
import { type ChatRecord, type FileRecord, parseChat, parseFile, type Role } from "./messages";

/** How requests leave: `fetch`, or what a test has in its place. */
export type Send = (url: URL, init: RequestInit) => Promise<Response>;

export interface ServerStatus {
  readonly build: string;
  readonly version: string;
  /** `token`: creating a workspace needs the server's create token. */
  readonly create: "open" | "token";
}

export interface NewWorkspace {
  readonly workspaceId: string;
  readonly title: string;
  /** URLs, each with its key in the fragment. */
  readonly links: Readonly<Record<Role, string>>;
}

export interface NewLink {
  readonly linkId: string;
  readonly role: Role;
  readonly name: string;
  readonly expiresAtMs: number | null;
  /** With the key in its fragment: the only time that it is told. */
  readonly url: string;
}

/** A link as owners see it, without its key, which nobody has. */
export interface LinkInfo {
  readonly linkId: string;
  readonly role: Role;
  /** Empty for the three that the workspace began with, unless they were named. */
  readonly name: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** Who is on it now. */
  readonly members: readonly { readonly memberId: number; readonly name: string; readonly color: string }[];
}

/** Characters of a workspace's title and of a link's name. Source: `src/carets/limits.py`. */
export const TITLE_UNITS_MAX = 120;

/** Entries that one request for earlier chat may ask for. */
export const CHAT_PAGE_MAX = 100;

/** `GET api/server`. */
export async function serverStatus(base: string, send: Send = fetch): Promise<ServerStatus> {
  const answer = await call(send, new URL("api/server", base));
  return {
    build: String(answer["build"]),
    version: String(answer["version"]),
    create: answer["create"] === "open" ? "open" : "token",
  };
}

/** `POST api/workspaces`. Code `CREATE_TOKEN_WRONG` asks for the token. */
export async function createWorkspace(
  base: string,
  wish: { title?: string; files?: Record<string, string>; createToken?: string } = {},
  send: Send = fetch,
): Promise<NewWorkspace> {
  const { createToken = "", ...body } = wish;
  const answer = await call(send, new URL("api/workspaces", base), { method: "POST", body, key: createToken });
  const links = (answer["links"] ?? {}) as Record<Role, string>;
  return {
    workspaceId: String(answer["workspace_id"]),
    title: String(answer["title"]),
    links: { owner: String(links.owner), editor: String(links.editor), viewer: String(links.viewer) },
  };
}

/** Another title; for owners. Returns it as the server cleaned it. */
export async function renameWorkspace(
  base: string,
  workspaceId: string,
  key: string,
  title: string,
  send: Send = fetch,
): Promise<string> {
  const answer = await call(send, addressOf(base, workspaceId, ""), { method: "PATCH", body: { title }, key });
  return String(answer["title"]);
}

/** For owners. It can be restored for 30 days; everybody is closed with `WORKSPACE_DELETED`. */
export async function deleteWorkspace(
  base: string,
  workspaceId: string,
  key: string,
  send: Send = fetch,
): Promise<void> {
  await ask(send, addressOf(base, workspaceId, ""), { method: "DELETE", key });
}

/** Take a deletion back; with an owner's key. Returns the title. */
export async function restoreWorkspace(
  base: string,
  workspaceId: string,
  key: string,
  send: Send = fetch,
): Promise<string> {
  return String((await call(send, addressOf(base, workspaceId, "/restore"), { method: "POST", key }))["title"]);
}

/** A new link; for owners. `expiresAtMs`: by the wall clock, null or left out for never. */
export async function createLink(
  base: string,
  workspaceId: string,
  key: string,
  wish: { role: Role; name?: string; expiresAtMs?: number | null },
  send: Send = fetch,
): Promise<NewLink> {
  const { role, name = "", expiresAtMs = null } = wish;
  const body = { role, name, expires_at_ms: expiresAtMs };
  const answer = await call(send, addressOf(base, workspaceId, "/links"), { method: "POST", body, key });
  return {
    linkId: String(answer["link_id"]),
    role: answer["role"] as Role,
    name: String(answer["name"]),
    expiresAtMs: numberOrNull(answer["expires_at_ms"]),
    url: String(answer["url"]),
  };
}

/** All links, revoked and expired ones included; for owners. */
export async function listLinks(
  base: string,
  workspaceId: string,
  key: string,
  send: Send = fetch,
): Promise<LinkInfo[]> {
  return listOf(await call(send, addressOf(base, workspaceId, "/links"), { key }), "links", parseLink);
}

/** Nobody comes in by it any more, and whoever is on it is closed at once; for owners. */
export async function revokeLink(
  base: string,
  workspaceId: string,
  key: string,
  linkId: string,
  send: Send = fetch,
): Promise<void> {
  await ask(send, addressOf(base, workspaceId, `/links/${encodeURIComponent(linkId)}`), { method: "DELETE", key });
}

/** The chat before the entry `before`, oldest first; at most `count`, itself at most `CHAT_PAGE_MAX`. */
export async function earlierChat(
  base: string,
  workspaceId: string,
  key: string,
  before: number,
  count: number,
  send: Send = fetch,
): Promise<ChatRecord[]> {
  const url = addressOf(base, workspaceId, "/chat");
  url.search = new URLSearchParams({ before: String(before), count: String(count) }).toString();
  return listOf(await call(send, url, { key }), "entries", parseChat);
}

/** Make files, text by path, all or none. `person`: this browser's token, so that it is the author; may be empty. */
export async function importFiles(
  base: string,
  workspaceId: string,
  key: string,
  files: ReadonlyMap<string, string>,
  person: string,
  send: Send = fetch,
): Promise<FileRecord[]> {
  const body = { files: Object.fromEntries(files), ...(person === "" ? {} : { person }) };
  const answer = await call(send, addressOf(base, workspaceId, "/files"), { method: "POST", body, key });
  return listOf(answer, "files", parseFile);
}

/** Every live file as the server has it on disk. */
export async function exportZip(base: string, workspaceId: string, key: string, send: Send = fetch): Promise<Blob> {
  const response = await ask(send, addressOf(base, workspaceId, "/export.zip"), { key });
  try {
    return await response.blob();
  } catch {
    throw new RefusedError(0, "The connection was lost before the download was complete.");
  }
}

function addressOf(base: string, workspaceId: string, rest: string): URL {
  return new URL(`api/workspaces/${workspaceId}${rest}`, base);
}

interface Wish {
  readonly method?: "POST" | "PATCH" | "DELETE";
  readonly body?: unknown;
  /** A link's key or the create token; empty for none. */
  readonly key?: string;
}

/** What was answered, when it is a success. */
async function ask(send: Send, url: URL, { method, body, key = "" }: Wish = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key !== "") headers["Authorization"] = `Bearer ${key}`;
  let response: Response;
  try {
    response = await send(url, {
      headers,
      ...(method === undefined ? {} : { method }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new RefusedError(0, "The server cannot be reached.");
  }
  if (response.ok) return response;
  const answer: unknown = await response.json().catch(() => null);
  const error = (answer as { error?: { code?: unknown; text?: unknown; next_step?: unknown } } | null)?.error;
  if (typeof error?.code !== "number") throw new RefusedError(0, `The server answered ${response.status}.`);
  throw new RefusedError(error.code, `${String(error.text)} ${String(error.next_step)}`);
}

/** The same, for answers that are a JSON object. */
async function call(send: Send, url: URL, wish: Wish = {}): Promise<Record<string, unknown>> {
  const response = await ask(send, url, wish);
  const answer: unknown = await response.json().catch(() => null);
  if (typeof answer === "object" && answer !== null) return answer as Record<string, unknown>;
  throw new RefusedError(0, `The server answered ${response.status}.`);
}

function listOf<T>(answer: Record<string, unknown>, name: string, parse: (value: unknown) => T): T[] {
  const list = answer[name];
  try {
    if (Array.isArray(list)) return list.map(parse);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  throw new RefusedError(0, "The page does not understand the server's answer. Reload the page.");
}

function parseLink(value: unknown): LinkInfo {
  if (typeof value !== "object" || value === null) throw new WireError("a link is no object");
  const link = value as Record<string, unknown>;
  const members = Array.isArray(link["members"]) ? (link["members"] as Record<string, unknown>[]) : [];
  return {
    linkId: String(link["link_id"]),
    role: link["role"] as Role,
    name: String(link["name"] ?? ""),
    createdAtMs: Number(link["created_at_ms"]),
    expiresAtMs: numberOrNull(link["expires_at_ms"]),
    revokedAtMs: numberOrNull(link["revoked_at_ms"]),
    members: members.map((member) => ({
      memberId: Number(member["member_id"]),
      name: String(member["name"]),
      color: String(member["color"]),
    })),
  };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
