/**
 * Entering the unsaved text of one document again into another one of the same file.
 *
 * Needed when a Yjs client id turns out to be somebody else's: what was typed under it cannot be merged. The two documents
 * share the ids of everything that the server has, so there is no guessing by text: a character whose id the other one
 * does not have is new and goes behind its old left neighbour; one that is deleted here and visible there is deleted.
 *
 * Invariant: no character is cut in half.
 */

import { ContentString, type Doc, type Text } from "yjs";

/** A stretch of one item, in document order. */
interface Run {
  readonly client: number;
  readonly clock: number;
  readonly length: number;
  /** Visible characters before it. */
  readonly index: number;
  /** Null when deleted. */
  readonly text: string | null;
}

/** A change of `fresh` at `index`, in its coordinates before any change. */
interface Change {
  index: number;
  deleted: number;
  inserted: string;
}

/** Do in `fresh`, in one transaction of this origin, what was done in `old` and `fresh` does not know. */
export function enterAgain(old: Text, fresh: Text, freshDoc: Doc, origin: unknown): void {
  const changes = differences(old, fresh);
  const before = fresh.toString();
  freshDoc.transact(() => {
    for (const change of changes.reverse()) {
      let { index } = change;
      let end = index + change.deleted;
      if (isInsidePair(before, index)) index += change.deleted > 0 ? -1 : 1;
      if (isInsidePair(before, end)) end += 1;
      if (end > index) fresh.delete(index, end - index);
      if (change.inserted !== "") fresh.insert(index, wellFormed(change.inserted));
    }
  }, origin);
}

/** Lone halves of characters become U+FFFD, as Yjs would make of them on the wire. */
export function wellFormed(text: string): string {
  return text.replace(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g, "\uFFFD");
}

function differences(old: Text, fresh: Text): Change[] {
  const known = new Map<number, Run[]>();
  for (const run of runsOf(fresh)) known.set(run.client, [...(known.get(run.client) ?? []), run]);
  for (const runs of known.values()) runs.sort((a, b) => a.clock - b.clock);
  const changes: Change[] = [];
  let at = 0;
  for (const run of runsOf(old)) {
    for (const [piece, twin] of piecesOf(run, known.get(run.client) ?? [])) {
      if (twin === null) {
        if (piece.text !== null) addChange(changes, { index: at, deleted: 0, inserted: piece.text });
      } else if (twin.text === null) {
        at = Math.max(at, twin.index);
      } else {
        if (piece.text === null) addChange(changes, { index: twin.index, deleted: twin.length, inserted: "" });
        at = Math.max(at, twin.index + twin.length);
      }
    }
  }
  return changes;
}

/** Neighbouring changes become one; their order is that of the text. */
function addChange(changes: Change[], change: Change): void {
  const last = changes.at(-1);
  if (last !== undefined && last.index + last.deleted >= change.index) {
    last.deleted = Math.max(last.deleted, change.index + change.deleted - last.index);
    last.inserted += change.inserted;
  } else {
    changes.push(change);
  }
}

/** Cut a run where the other document's runs of that client begin and end; each piece with its twin there, or null. */
function* piecesOf(run: Run, known: readonly Run[]): Generator<[piece: Run, twin: Run | null]> {
  let clock = run.clock;
  const end = run.clock + run.length;
  for (const other of known) {
    if (other.clock + other.length <= clock) continue;
    if (other.clock >= end) break;
    if (other.clock > clock) {
      yield [cut(run, clock, other.clock), null];
      clock = other.clock;
    }
    const until = Math.min(end, other.clock + other.length);
    const piece = cut(run, clock, until);
    const twin = cut(other, clock, until);
    // The same id with another text is another person's: what was typed here is not there.
    const isSame = piece.text === null || twin.text === null || wellFormed(piece.text) === wellFormed(twin.text);
    yield [piece, isSame ? twin : null];
    clock = until;
  }
  if (clock < end) yield [cut(run, clock, end), null];
}

function cut(run: Run, from: number, until: number): Run {
  const offset = from - run.clock;
  const length = until - from;
  return {
    client: run.client,
    clock: from,
    length,
    index: run.text === null ? run.index : run.index + offset,
    text: run.text?.slice(offset, offset + length) ?? null,
  };
}

function runsOf(text: Text): Run[] {
  const runs: Run[] = [];
  let index = 0;
  for (let item = text._start; item !== null; item = item.right) {
    const shown = !item.deleted && item.content instanceof ContentString ? item.content.str : null;
    runs.push({ client: item.id.client, clock: item.id.clock, length: item.length, index, text: shown });
    index += shown?.length ?? 0;
  }
  return runs;
}

/** Whether `index` lies between the halves of a character. */
export function isInsidePair(text: string, index: number): boolean {
  return /[\uD800-\uDBFF]/.test(text.charAt(index - 1)) && /[\uDC00-\uDFFF]/.test(text.charAt(index));
}
