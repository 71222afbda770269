/**
 * The keys of a workspace that this browser holds, as links to hand on.
 *
 * Owns: the form of a link, and remembering keys by role. Does not know: what a key grants; the server says that.
 */
import type { Browser } from "../browser";
import { readAddress, recentWorkspaces, rememberVisit } from "../links";
import type { Role } from "../messages";

/** From the strongest to the weakest. */
export const ROLES: readonly Role[] = ["owner", "editor", "viewer"];

/** Return the link that opens a workspace with `key`; without one on a server that needs none. */
export function linkOf(base: string, workspaceId: string, key: string): string {
  return `${base}w/${workspaceId}${key === "" ? "" : `#key=${encodeURIComponent(key)}`}`;
}

/** Return the keys that this browser holds for a workspace. */
export function keysHeld(browser: Browser, workspaceId: string): Partial<Record<Role, string>> {
  return recentWorkspaces(browser).find((recent) => recent.workspaceId === workspaceId)?.keys ?? {};
}

/** Remember the keys in `links`; the tab's own `role` is remembered last, since the last one is what the tab goes by. */
export function rememberLinks(
  browser: Browser,
  workspace: { workspaceId: string; title: string; role: Role },
  links: Partial<Record<Role, string>>,
): void {
  const { workspaceId, title, role } = workspace;
  const roles = [...ROLES.filter((each) => each !== role), role];
  for (const each of roles) {
    const key = links[each] === undefined ? null : readAddress(links[each]).key;
    if (key !== null) rememberVisit(browser, { workspaceId, title, role: each, key });
  }
}

/** Whether an address means this computer wherever it is opened, so that a link with it is of no use to others. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\./.test(hostname) || hostname.endsWith(".localhost");
}
