/**
 * In prose, a line that begins in a script from right to left runs from right to left.
 *
 * Owns: which lines do. Does not know: the caret in them; CodeMirror reads the direction of each line from the page.
 * Code always runs from left to right, as compilers read it: a comment's script does not turn its brackets around.
 */
import { bidiIsolates, language } from "@codemirror/language";
import type { EditorState, Extension, Range } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";

/** The first letter is one of a script from right to left; digits and signs have no direction of their own. */
const BEGINS_RIGHT =
  /^[^\p{L}]*(?=\p{L})[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
/** A line that begins with more signs than this is no sentence. */
const HEAD_UNITS = 80;

const rightToLeft = Decoration.line({ attributes: { dir: "rtl" } });

/** Whether a line of prose runs from right to left. */
export function runsRight(line: string): boolean {
  return BEGINS_RIGHT.test(line.slice(0, HEAD_UNITS));
}

function linesIn(state: EditorState, ranges: readonly { from: number; to: number }[]): DecorationSet {
  const known = state.facet(language);
  if (known !== null && known.name !== "markdown") return Decoration.none;
  const found: Range<Decoration>[] = [];
  let last = -1;
  for (const { from, to } of ranges) {
    for (let position = from; position <= to; ) {
      const line = state.doc.lineAt(position);
      if (line.from > last && runsRight(line.text)) found.push(rightToLeft.range(line.from));
      last = line.from;
      position = line.to + 1;
    }
  }
  return Decoration.set(found);
}

const lines = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;

    constructor(view: EditorView) {
      this.decorations = linesIn(view.state, view.visibleRanges);
    }

    update({ view, state, startState, docChanged, viewportChanged }: ViewUpdate): void {
      if (docChanged || viewportChanged || state.facet(language) !== startState.facet(language)) {
        this.decorations = linesIn(state, view.visibleRanges);
      }
    }
  },
  { decorations: (value) => value.decorations },
);

/** The extension; strings and tags keep to themselves in a line of mixed scripts where the language says where they are. */
export const direction: Extension = [
  EditorView.perLineTextDirection.of(true),
  lines,
  bidiIsolates(),
  // Where lines are not wrapped, the right edge is as far away as the longest line is long.
  EditorView.theme({ ".cm-content:not(.cm-lineWrapping) .cm-line[dir=rtl]": { textAlign: "left" } }),
];
