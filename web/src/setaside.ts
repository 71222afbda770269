/**
 * The text in edits that were set aside, so that a person can take it somewhere else.
 *
 * Owns: reading what was typed out of updates that fit no document any more. Does not know: where they are kept.
 */

import * as Y from "yjs";
import type { PendingRecord } from "./database";

/** One paragraph a file: its path, then what was typed there and not deleted again by the same edits. */
export function asideText(records: Iterable<PendingRecord>): string {
  const files = new Map<string, PendingRecord[]>();
  for (const record of [...records].sort((a, b) => a.atMs - b.atMs)) {
    const path = record.path || `file ${record.fileId}`;
    files.set(path, [...(files.get(path) ?? []), record]);
  }
  return [...files].map(([path, kept]) => `${path}\n${typedText(kept.map((one) => one.update))}\n`).join("\n");
}

/** What the updates insert. Where the person went on typing it is one piece; other pieces are lines of their own. */
export function typedText(updates: readonly Uint8Array[]): string {
  const { structs, ds } = Y.decodeUpdate(Y.mergeUpdates([...updates]));
  const pieces: string[] = [];
  let last: Y.ID | null = null;
  for (const item of structs) {
    if (!(item instanceof Y.Item) || !(item.content instanceof Y.ContentString)) continue;
    const { client, clock } = item.id;
    const units = item.content.str.split("");
    const text = units.filter((_, offset) => !Y.isDeleted(ds, Y.createID(client, clock + offset))).join("");
    const goesOn = last !== null && Y.compareIDs(item.origin, last);
    if (goesOn) pieces.push(`${pieces.pop() ?? ""}${text}`);
    else pieces.push(text);
    last = item.lastId;
  }
  return pieces.filter((piece) => piece !== "").join("\n");
}
