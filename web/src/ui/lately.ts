/**
 * Which actions were done lately, the last one first.
 *
 * Owns: that list, and where this browser keeps it. Does not know: actions, only their ids.
 */
import type { Drawer } from "../browser";

const KEY = "carets.actions";
const KEPT_MAX = 20;

export function lately(drawer: Drawer | null): readonly string[] {
  try {
    const kept: unknown = JSON.parse(drawer?.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((id): id is string => typeof id === "string").slice(0, KEPT_MAX) : [];
  } catch {
    // Written by something else, or storage is forbidden.
    return [];
  }
}

export function noteDone(drawer: Drawer | null, id: string): void {
  try {
    const next = [id, ...lately(drawer).filter((each) => each !== id)].slice(0, KEPT_MAX);
    drawer?.setItem(KEY, JSON.stringify(next));
  } catch {
    // A full or forbidden storage: the order stays as it was.
  }
}
