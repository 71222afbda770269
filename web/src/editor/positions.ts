/**
 * Where many relative positions of a text are by now, found in one walk.
 *
 * Owns: that walk, over Yjs's own list of items. Does not know: whose positions they are. Yjs walks through the text for
 * each position anew: milliseconds in a file that many have typed in, times the carets of a room, times twenty a second.
 *
 * Invariant: the answer is that of `Y.createAbsolutePositionFromRelativePosition`, or null where that throws.
 */
import * as Y from "yjs";

interface Sought {
  readonly at: number;
  /** Units from the begin of the item. */
  readonly offset: number;
}

/** The index of each of `positions`, which are JSON; null for what is no position in `text`, or not yet. */
export function indexesOf(text: Y.Text, positions: readonly unknown[]): (number | null)[] {
  const { doc } = text;
  const indexes: (number | null)[] = positions.map(() => null);
  if (doc === null) return indexes;
  const sought = new Map<Y.Item, Sought[]>();
  for (const [at, json] of positions.entries()) {
    if (typeof json !== "object" || json === null) continue;
    try {
      const position = Y.createRelativePositionFromJSON(json);
      // Yjs would make a root of any name that is asked for, and keep it.
      if (position.tname !== null && !doc.share.has(position.tname)) continue;
      if (position.item === null) {
        const found = Y.createAbsolutePositionFromRelativePosition(position, doc);
        indexes[at] = found?.type === text ? found.index : null;
        continue;
      }
      const found = itemOf(doc, position.item);
      if (found === null || found.item.parent !== text) continue;
      const { item } = found;
      const offset = item.deleted || !item.countable ? 0 : found.offset + (position.assoc >= 0 ? 0 : 1);
      sought.set(item, [...(sought.get(item) ?? []), { at, offset }]);
    } catch {
      // A stranger's client may send any JSON as its position.
    }
  }
  let index = 0;
  for (let item = text._start; item !== null && sought.size > 0; item = item.right) {
    const here = sought.get(item);
    if (here !== undefined) {
      for (const { at, offset } of here) indexes[at] = index + offset;
      sought.delete(item);
    }
    if (!item.deleted && item.countable) index += item.length;
  }
  return indexes;
}

/** The item that holds a character, or the one that undo brought it back in; null when it is not here, or not any more. */
function itemOf(doc: Y.Doc, id: Y.ID): { item: Y.Item; offset: number } | null {
  if (Y.getState(doc.store, id.client) <= id.clock) return null;
  for (let next = id; ; ) {
    const item: unknown = Y.getItem(doc.store, next);
    if (!(item instanceof Y.Item)) return null;
    const offset = next.clock - item.id.clock;
    const { redone } = item;
    if (redone === null) return { item, offset };
    next = offset > 0 ? Y.createID(redone.client, redone.clock + offset) : redone;
  }
}
