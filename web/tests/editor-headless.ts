/**
 * An EditorView without a page: a state, and listeners that are told of every transaction, as the real one does it.
 *
 * Owns: just enough for bindings, commands and state. Does not know: drawing, input.
 */
import { EditorState, type Extension, type Transaction, type TransactionSpec } from "@codemirror/state";
import { EditorView, type ViewUpdate } from "@codemirror/view";
import type * as Y from "yjs";
import { documentOf } from "../src/editor/binding";

export class HeadlessView {
  state: EditorState;
  readonly hasFocus = true;

  constructor(doc: string, extensions: Extension) {
    this.state = EditorState.create({ doc: documentOf(doc), extensions });
  }

  readonly dispatch = (spec: TransactionSpec | Transaction): void => {
    const transaction = "startState" in spec ? spec : this.state.update(spec);
    const startState = this.state;
    this.state = transaction.state;
    const update = {
      view: this.asView(),
      state: this.state,
      startState,
      transactions: [transaction],
      changes: transaction.changes,
      docChanged: transaction.docChanged,
      selectionSet: transaction.selection !== undefined,
    } as unknown as ViewUpdate;
    for (const listener of this.state.facet(EditorView.updateListener)) listener(update);
  };

  asView(): EditorView {
    return this as unknown as EditorView;
  }

  get text(): string {
    return this.state.doc.toString();
  }

  /** As if typed at the caret. */
  type(insert: string, userEvent = "input.type"): void {
    this.dispatch({ ...this.state.replaceSelection(insert), userEvent });
  }
}

/** Whether `text` has half a character in it. */
export function hasHalves(text: string): boolean {
  return /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/.test(text);
}

/** Numbers below `below`, the same for the same seed. Source: mulberry32, public domain. */
export function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Let a Y.Text throw at its next insertion, as an observer in another part of the page may (yjs#650). */
export function sabotage(text: Y.Text): void {
  text.insert = () => {
    throw new Error("an exception from elsewhere");
  };
}
