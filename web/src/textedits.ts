/**
 * Changes of a text by position, made whole: never half a character, never another line end than `\n`.
 *
 * Does not know: documents, editors. The editor does the same for what is typed (`editor/codepoints.ts`).
 */

import type { TextEdit } from "./model";
import { isInsidePair, wellFormed } from "./reentry";

/**
 * The edits as they can be done to `text`, in its units, sorted and apart from each other; without those that change nothing.
 * Throws `RangeError` when they are not sorted, overlap, or lie outside.
 */
export function wholeEdits(text: string, edits: readonly TextEdit[]): TextEdit[] {
  const joined: TextEdit[] = [];
  for (const edit of edits) {
    const last = joined.at(-1);
    if (edit.from < (last?.to ?? 0) || edit.to < edit.from || edit.to > text.length) {
      throw new RangeError(`the edit from ${edit.from} to ${edit.to} is out of order or outside of the text`);
    }
    // Two that meet inside a character are one change of that character.
    if (last !== undefined && last.to === edit.from && isInsidePair(text, edit.from)) {
      joined[joined.length - 1] = { from: last.from, to: edit.to, insert: last.insert + edit.insert };
    } else {
      joined.push(edit);
    }
  }
  return joined.map((edit) => wholeEdit(text, edit)).filter(({ from, to, insert }) => text.slice(from, to) !== insert);
}

function wholeEdit(text: string, { from, to, insert }: TextEdit): TextEdit {
  const clean = insert.replace(/\r\n?/g, "\n");
  if (from === to) {
    // Something was put into the middle of a character: it goes behind it.
    const at = isInsidePair(text, from) ? from + 1 : from;
    return { from: at, to: at, insert: wellFormed(clean) };
  }
  const start = isInsidePair(text, from) ? from - 1 : from;
  const end = isInsidePair(text, to) ? to + 1 : to;
  // A kept half belongs to the new character when the change brings the other half; without one, the whole goes.
  const before = start < from && /^[\uDC00-\uDFFF]/.test(clean) ? text.slice(start, from) : "";
  const after = end > to && /[\uD800-\uDBFF]$/.test(clean) ? text.slice(to, end) : "";
  return { from: start, to: end, insert: wellFormed(before + clean + after) };
}
