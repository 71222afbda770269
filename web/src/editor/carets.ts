/**
 * Where the carets and selections of the other members of one file are.
 *
 * Owns: the place of each, through all edits. Does not know: the session; it is handed presence entries by member id;
 * nor how they are drawn (caretlayers.ts).
 *
 * Invariants:
 *   1. A caret keeps its place in the text while others edit: it is mapped through every change.
 *   2. A position that names text which has not arrived yet is tried again after each change, never guessed.
 *   3. Whatever an entry holds, it is drawn or left out; it never throws.
 */
import { type Extension, StateEffect, StateField } from "@codemirror/state";
import type { EditorView } from "@codemirror/view";
import * as Y from "yjs";
import { indexesOf } from "./positions";

/** One member's entry as presence brings it; `anchor` and `head` are Yjs relative positions as JSON. */
export interface CaretEntry {
  memberId: number;
  name: string;
  color: string;
  cursor: { anchor: unknown; head: unknown } | null;
}

/** A caret in the coordinates of the view's document. `moves` counts up whenever its member moved it, last at `movedAt_ms`. */
export interface Caret {
  memberId: number;
  name: string;
  color: string;
  anchor: number;
  head: number;
  moves: number;
  movedAt_ms: number;
}

export type Carets = ReadonlyMap<number, Caret>;

const placeCarets = StateEffect.define<{ set: readonly Caret[]; gone: readonly number[] }>();

/** The carets of a state, by member id. */
export const placed = StateField.define<Carets>({
  create: () => new Map(),
  update(carets, transaction) {
    let next = carets;
    if (transaction.docChanged && carets.size > 0) {
      const map = transaction.changes;
      next = new Map(
        [...carets].map(([id, c]) => [id, { ...c, anchor: map.mapPos(c.anchor, 1), head: map.mapPos(c.head, 1) }]),
      );
    }
    for (const effect of transaction.effects) {
      if (!effect.is(placeCarets)) continue;
      const changed = new Map(next);
      for (const id of effect.value.gone) changed.delete(id);
      for (const caret of effect.value.set) changed.set(caret.memberId, caret);
      next = changed;
    }
    return next;
  },
});

/** Keeps the carets of one view in step with the presence entries of its file. */
export class CaretBoard {
  private readonly text: Y.Text;
  private view: EditorView | null = null;
  private readonly entries = new Map<number, CaretEntry & { raw: string }>();
  private readonly waiting = new Set<number>();

  constructor(text: Y.Text) {
    this.text = text;
  }

  get extension(): Extension {
    return placed;
  }

  attach(view: EditorView): void {
    this.view = view;
    this.text.observe(this.retry);
  }

  detach(): void {
    this.text.unobserve(this.retry);
    this.view = null;
  }

  /** Take the entries of all other members that have this file open. */
  receive(entries: readonly CaretEntry[]): void {
    const moved: CaretEntry[] = [];
    const present = new Set<number>();
    for (const entry of entries) {
      present.add(entry.memberId);
      const raw = JSON.stringify([entry.name, entry.color, entry.cursor]);
      if (this.entries.get(entry.memberId)?.raw === raw) continue;
      this.entries.set(entry.memberId, { ...entry, raw });
      moved.push(entry);
    }
    const gone = [...this.entries.keys()].filter((id) => !present.has(id) || this.entries.get(id)?.cursor === null);
    for (const id of gone) {
      this.waiting.delete(id);
      if (!present.has(id)) this.entries.delete(id);
    }
    this.show(this.place(moved), gone);
  }

  /** Where a member's caret is in the document, if it is known. */
  positionOf(memberId: number): number | null {
    return this.view?.state.field(placed).get(memberId)?.head ?? null;
  }

  /** The carets that are drawn, for tests and for lists of who is where. */
  get carets(): readonly Caret[] {
    return [...(this.view?.state.field(placed).values() ?? [])];
  }

  /** Show a member's name for a moment, as if they had moved. */
  showName(memberId: number): void {
    const caret = this.view?.state.field(placed).get(memberId);
    if (caret !== undefined) this.show([{ ...caret, moves: caret.moves + 1, movedAt_ms: performance.now() }], []);
  }

  private readonly retry = (): void => {
    if (this.waiting.size === 0) return;
    // The view takes the same change in its own observer; the carets follow when both have settled.
    queueMicrotask(() => this.show(this.place([...this.waiting].flatMap((id) => this.entries.get(id) ?? [])), []));
  };

  /** Where these are; who is somewhere that has not arrived yet waits. */
  private place(entries: readonly CaretEntry[]): Caret[] {
    const { view } = this;
    for (const { memberId } of entries) this.waiting.delete(memberId);
    if (view === null) return [];
    const here = entries.filter((entry) => entry.cursor !== null);
    const indexes = indexesOf(
      this.text,
      here.flatMap(({ cursor }) => [cursor?.anchor, cursor?.head]),
    );
    const movedAt_ms = performance.now();
    return here.flatMap(({ memberId, name, color }, at) => {
      const [anchor, head] = [indexes[2 * at] ?? null, indexes[2 * at + 1] ?? null];
      if (anchor === null || head === null) {
        this.waiting.add(memberId);
        return [];
      }
      const moves = (view.state.field(placed).get(memberId)?.moves ?? 0) + 1;
      return [{ memberId, name, color, anchor, head, moves, movedAt_ms }];
    });
  }

  private show(set: readonly Caret[], gone: readonly number[]): void {
    const { view } = this;
    if (view === null || (set.length === 0 && gone.length === 0)) return;
    const end = view.state.doc.length;
    const inside = set.map((c) => ({ ...c, anchor: Math.min(c.anchor, end), head: Math.min(c.head, end) }));
    view.dispatch({ effects: placeCarets.of({ set: inside, gone }) });
  }
}

/** Return one's own selection as presence carries it. */
export function cursorOf(text: Y.Text, anchor: number, head: number): { anchor: unknown; head: unknown } {
  const at = (index: number): unknown =>
    Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(text, Math.min(index, text.length)));
  const from = at(anchor);
  return { anchor: from, head: head === anchor ? from : at(head) };
}
