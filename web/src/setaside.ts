/**
 * Edits that were set aside: the text in them, and the record of what they were typed upon.
 *
 * Owns: reading what was typed out of updates that fit no document any more; the base record's name and shape.
 * Does not know: where they are kept, how they come back into a file (`rescue.ts`).
 */

import * as Y from "yjs";
import type { PendingRecord } from "./database";
import type { Memory } from "./memory";
import type { Bytes } from "./wire";

/** A document as edits found it, or with them in it. */
export interface Base {
  readonly state: Bytes;
  readonly kind: "clean" | "mixed";
}

/** What edits of a file and epoch were typed upon: as it is remembered, else as the open document has it, with them. */
export async function findBase(
  memory: Pick<Memory, "loadDocument">,
  open: { readonly epoch: string; readonly doc: Y.Doc } | undefined,
  fileId: number,
  epoch: string,
): Promise<Base | null> {
  const mixed = open?.epoch === epoch ? (Y.encodeStateAsUpdate(open.doc) as Bytes) : null;
  const known = await memory.loadDocument(fileId);
  if (known?.epoch === epoch) return { state: Y.mergeUpdates([...known.updates]) as Bytes, kind: "clean" };
  return mixed === null ? null : { state: mixed, kind: "mixed" };
}

/** One a file and epoch: its name says so. It is kept beside set-aside edits, of which it takes the rest from `like`. */
export function baseRecord(like: PendingRecord, base: Base): PendingRecord {
  const id = `base.${like.workspaceId}.${like.fileId}.${like.epoch}`;
  return { ...like, id, clientId: 0, update: base.state, edits: 0, setAside: like.setAside ?? 0, base: base.kind };
}

/** One paragraph a file: its path, then what was typed there and not deleted again by the same edits. */
export function asideText(records: Iterable<PendingRecord>): string {
  const files = new Map<string, PendingRecord[]>();
  for (const record of [...records].sort((a, b) => a.atMs - b.atMs)) {
    if (record.base !== undefined) continue;
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
