/**
 * Workspaces, their links and keys, as the address bar and this browser's storage have them.
 *
 * Owns: which key a tab uses, the list of recent workspaces, person tokens. Does not know: the session, HTTP.
 *
 * Invariants:
 *   1. A tab keeps the key that it was opened with: an owner who opens a viewer's link is a viewer in that tab.
 *   2. A key is in the address only as long as it has not been read and accepted.
 */

import type { Browser, Drawer } from "./browser";
import type { Role } from "./messages";

/** What an address says: `…/w/{workspaceId}#key=…`. */
export interface Place {
  /** The page's base, ending in `/`: where `ws/`, `api/` and `w/` are found. */
  readonly base: string;
  /** Null on the start page. */
  readonly workspaceId: string | null;
  /** The key in the fragment; null when there is none. */
  readonly key: string | null;
}

/** A workspace that this browser has been in. */
export interface Recent {
  readonly workspaceId: string;
  readonly title: string;
  /** The role of the last visit. */
  readonly role: Role;
  /** Keys by the role that they grant. */
  readonly keys: Readonly<Partial<Record<Role, string>>>;
  readonly openedAtMs: number;
}

/** Read an address. The key is percent-decoded. `base`: where the document says that it lies; by default, by the address. */
export function readAddress(href: string, base?: string): Place {
  const url = new URL(href);
  const found = /^(.*\/)w\/([A-Za-z0-9_-]{8,64})\/?$/.exec(url.pathname);
  const key = new URLSearchParams(url.hash.slice(1)).get("key");
  const path = found?.[1] ?? url.pathname.replace(/[^/]*$/, "");
  return { base: base ?? url.origin + path, workspaceId: found?.[2] ?? null, key };
}

/** The key that this tab uses: of its address, of its earlier life, or the strongest that this browser knows; else empty. */
export function tabKey(browser: Browser, place: Place): string {
  if (place.workspaceId === null) return "";
  if (place.key !== null) return place.key;
  const own = read(browser.sessionStorage, TAB_KEY + place.workspaceId);
  if (own !== null) return own;
  const known = recentWorkspaces(browser).find((recent) => recent.workspaceId === place.workspaceId);
  return (known === undefined ? null : strongestKey(known))?.key ?? "";
}

/** The strongest key that this browser holds for a workspace, and its role; null when it holds none. */
export function strongestKey(recent: Recent): { role: Role; key: string } | null {
  for (const role of ["owner", "editor", "viewer"] as const) {
    const key = recent.keys[role];
    if (key !== undefined) return { role, key };
  }
  return null;
}

/** Before a workspace of the recent list is opened here: this tab uses the strongest key, whatever it was before. */
export function chooseStrongest(browser: Browser, recent: Recent): void {
  const strongest = strongestKey(recent);
  if (strongest !== null) write(browser.sessionStorage, TAB_KEY + recent.workspaceId, strongest.key);
}

/** The create token: of the address (`#create=…`), which it keeps for this tab's life, or as it was kept; else empty. */
export function createToken(browser: Browser, href: string): string {
  const given = new URLSearchParams(new URL(href).hash.slice(1)).get("create");
  if (given !== null) keepCreateToken(browser, given);
  return given ?? read(browser.sessionStorage, CREATE_TOKEN) ?? "";
}

/** Keep a create token that the server took, for this tab's life. */
export function keepCreateToken(browser: Browser, token: string): void {
  write(browser.sessionStorage, CREATE_TOKEN, token);
}

/** After a welcome: keep the key for this tab, and put the workspace first in the recent list. */
export function rememberVisit(
  browser: Browser,
  visit: { workspaceId: string; key: string; role: Role; title: string },
): void {
  write(browser.sessionStorage, TAB_KEY + visit.workspaceId, visit.key);
  const others = recentWorkspaces(browser);
  const earlier = others.find((recent) => recent.workspaceId === visit.workspaceId);
  const recent: Recent = {
    workspaceId: visit.workspaceId,
    title: visit.title,
    role: visit.role,
    keys: { ...earlier?.keys, [visit.role]: visit.key },
    openedAtMs: browser.nowMs(),
  };
  const list = [recent, ...others.filter((other) => other !== earlier)].slice(0, RECENT_MAX);
  write(browser.localStorage, RECENT, JSON.stringify(list));
}

/** The address without its key. Call it after the welcome: `history.replaceState(null, "", withoutKey(location.href))`. */
export function withoutKey(href: string): string {
  return href.split("#")[0] ?? href;
}

/** Workspaces of this browser, the last opened first. */
export function recentWorkspaces(browser: Browser): Recent[] {
  try {
    const list: unknown = JSON.parse(read(browser.localStorage, RECENT) ?? "[]");
    return Array.isArray(list) ? list.filter(isRecent) : [];
  } catch {
    return [];
  }
}

/** Out of the recent list, with the keys and the person; `forgetWorkspace` forgets the texts, too. */
export function forgetVisits(browser: Browser, workspaceId: string): void {
  const list = recentWorkspaces(browser).filter((recent) => recent.workspaceId !== workspaceId);
  write(browser.localStorage, RECENT, JSON.stringify(list));
  erase(browser.localStorage, PERSON + workspaceId);
  erase(browser.sessionStorage, TAB_KEY + workspaceId);
}

/** By which this browser proves that it is the person of its earlier visits; empty at the first. */
export function personToken(browser: Browser, workspaceId: string): string {
  return read(browser.localStorage, PERSON + workspaceId) ?? "";
}

/** Keep the token of a welcome. `sent`: what hello said. The first of two tabs that asked together wins for later visits. */
export function keepPerson(browser: Browser, workspaceId: string, sent: string, received: string): void {
  if (personToken(browser, workspaceId) === sent) write(browser.localStorage, PERSON + workspaceId, received);
}

const TAB_KEY = "carets.key.";
const PERSON = "carets.person.";
const RECENT = "carets.recent";
const CREATE_TOKEN = "carets.create";
/** Workspaces in the recent list: two screens of them. */
const RECENT_MAX = 50;

function isRecent(value: unknown): value is Recent {
  if (typeof value !== "object" || value === null) return false;
  const { workspaceId, title, keys, openedAtMs } = value as Record<string, unknown>;
  const isWhole = typeof workspaceId === "string" && typeof title === "string" && typeof openedAtMs === "number";
  return isWhole && typeof keys === "object" && keys !== null;
}

function read(drawer: Drawer | null, name: string): string | null {
  try {
    return drawer?.getItem(name) ?? null;
  } catch {
    return null;
  }
}

/** What cannot be kept lasts as long as the page. */
function write(drawer: Drawer | null, name: string, value: string): void {
  try {
    drawer?.setItem(name, value);
  } catch {
    // Full or forbidden.
  }
}

function erase(drawer: Drawer | null, name: string): void {
  try {
    drawer?.removeItem(name);
  } catch {
    // What is forbidden to touch holds nothing of ours.
  }
}
