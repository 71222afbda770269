/**
 * Where a key leads in a tree.
 *
 * Owns: the keys that go through rows and fold them. Does not know: focus, what else keys do.
 *
 * Source: WAI-ARIA Authoring Practices, "Tree View".
 */
import { folderOf } from "../files/paths";
import { folderKey, type Row } from "./tree";

/** `to`: the key of the row to go to; undefined when there is none that way. */
export type Step = { readonly to: string | undefined } | { readonly fold: string; readonly isOpen: boolean };

/** Rows that Page Up and Page Down pass. */
const PAGE = 12;

/** What `key` means in the row `at`; null when it leads nowhere. */
export function treeStep(rows: readonly Row[], at: number, key: string): Step | null {
  const row = rows[at];
  if (row === undefined) return null;
  switch (key) {
    case "ArrowDown":
      return { to: rows[at + 1]?.key };
    case "ArrowUp":
      return { to: rows[at - 1]?.key };
    case "PageDown":
      return { to: rows[Math.min(rows.length - 1, at + PAGE)]?.key };
    case "PageUp":
      return { to: rows[Math.max(0, at - PAGE)]?.key };
    case "Home":
      return { to: rows[0]?.key };
    case "End":
      return { to: rows.at(-1)?.key };
    case "ArrowRight":
      if (row.kind === "file") return { to: undefined };
      return row.isOpen ? { to: inside(rows, at) } : { fold: row.path, isOpen: true };
    case "ArrowLeft":
      if (row.kind === "folder" && row.isOpen) return { fold: row.path, isOpen: false };
      return { to: row.level === 1 ? undefined : folderKey(folderOf(row.path)) };
    default:
      return null;
  }
}

function inside(rows: readonly Row[], at: number): string | undefined {
  const next = rows[at + 1];
  return next !== undefined && next.level > (rows[at]?.level ?? 0) ? next.key : undefined;
}
