/**
 * Wrapped lines go on where their own text begins, so that the indentation of code stays to be seen.
 *
 * Owns: how far each line that is in sight hangs. Does not know: whether lines are wrapped; it is there only if so.
 */
import type { EditorState, Extension, Range } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";

/** On a narrow screen there has to be room for the text. */
const COLUMNS_MAX = 24;
/** Shorter lines wrap nowhere, not even on a phone. */
const LINE_UNITS_MIN = 24;

const hanging = Array.from({ length: COLUMNS_MAX + 1 }, (_, columns) =>
  Decoration.line({ class: "carets-hang", attributes: { style: `--hang: ${columns}ch` } }),
);

/** Return how many columns of white space `text` begins with. */
export function columnsOf(text: string, tabSize: number): number {
  let columns = 0;
  for (const character of text) {
    if (character === " ") columns += 1;
    else if (character === "\t") columns += tabSize - (columns % tabSize);
    else break;
    if (columns >= COLUMNS_MAX) return COLUMNS_MAX;
  }
  return columns;
}

function hangingIn(state: EditorState, ranges: readonly { from: number; to: number }[]): DecorationSet {
  const found: Range<Decoration>[] = [];
  let last = -1;
  for (const { from, to } of ranges) {
    for (let position = from; position <= to; ) {
      const line = state.doc.lineAt(position);
      const columns = line.length < LINE_UNITS_MIN ? 0 : columnsOf(line.text.slice(0, COLUMNS_MAX), state.tabSize);
      const decoration = hanging[columns];
      if (columns > 0 && decoration !== undefined && line.from > last) found.push(decoration.range(line.from));
      last = line.from;
      position = line.to + 1;
    }
  }
  return Decoration.set(found);
}

const plugin = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;

    constructor(view: EditorView) {
      this.decorations = hangingIn(view.state, view.visibleRanges);
    }

    update({ view, state, startState, docChanged, viewportChanged }: ViewUpdate): void {
      if (docChanged || viewportChanged || state.tabSize !== startState.tabSize) {
        this.decorations = hangingIn(state, view.visibleRanges);
      }
    }
  },
  { decorations: (value) => value.decorations },
);

export const continuation: Extension = [
  plugin,
  EditorView.theme({
    ".cm-line.carets-hang": {
      paddingInlineStart: "calc(var(--space-2) + var(--hang))",
      textIndent: "calc(-1 * var(--hang))",
    },
  }),
];
