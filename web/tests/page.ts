/** A page in one tab: the session, and the browser that it runs in. */

import { WorkspaceSession } from "../src/session";
import type { Room } from "./room";
import { type Machine, Tab } from "./tab";

export interface Page {
  readonly tab: Tab;
  readonly session: WorkspaceSession;
}

export function openPage(
  machine: Machine,
  room: Room,
  key = "owner-key",
  prepare: (tab: Tab) => void = () => undefined,
): Page {
  const tab = new Tab(machine, room);
  prepare(tab);
  const profile = { name: "Quiet Heron", color: "#1d4ed8" };
  const base = "http://host/";
  const session = new WorkspaceSession({ workspaceId: "workspace-1", key, base, profile, build: "b1", browser: tab });
  return { tab, session };
}
