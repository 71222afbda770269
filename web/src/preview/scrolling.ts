/**
 * Where a line of the text is in its preview, and the other way round.
 *
 * Owns: that arithmetic over blocks whose tops are known. Does not know: the DOM.
 */

/** A block: its first line, from 1, and its top in pixels from the top of the preview. Sorted, both rising. */
export interface Mark {
  readonly line: number;
  readonly top: number;
}

/** The place in pixels that belongs to a (fractional) line; `height` is where the preview ends. */
export function topOfLine(marks: readonly Mark[], line: number, lines: number, height: number): number {
  const at = marks.findLastIndex((mark) => mark.line <= line);
  const before = marks[at] ?? { line: 1, top: 0 };
  const after = marks[at + 1] ?? { line: lines + 1, top: height };
  if (after.line <= before.line) return before.top;
  const part = (line - before.line) / (after.line - before.line);
  return before.top + part * (after.top - before.top);
}

/** The (fractional) line that is at a place in pixels. */
export function lineAtTop(marks: readonly Mark[], top: number, lines: number, height: number): number {
  const at = marks.findLastIndex((mark) => mark.top <= top);
  const before = marks[at] ?? { line: 1, top: 0 };
  const after = marks[at + 1] ?? { line: lines + 1, top: height };
  if (after.top <= before.top) return before.line;
  const part = (top - before.top) / (after.top - before.top);
  return before.line + part * (after.line - before.line);
}
