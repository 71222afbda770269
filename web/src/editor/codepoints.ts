/**
 * Keeps every change made in an editor to whole characters and to `\n`.
 *
 * Owns: the filter through which each local change passes. Does not know: Yjs, files, the session.
 *
 * Invariants:
 *   1. No local change begins or ends between the halves of a surrogate pair, and none inserts half a pair.
 *   2. No local change inserts `\r`: `\r\n` and a lone `\r` become `\n`.
 *   3. A change that is already whole passes untouched, and costs a look at its ends and at what it inserts.
 */
import { type ChangeSpec, EditorState, type Extension, type Text } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { wellFormed } from "../reentry";

/** The line end of every document. A CodeMirror document with another one has other offsets than its Y.Text. */
export const LINE_END = "\n";

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;

/** Return `text` with `\n` as its only line end. */
export function withLineFeeds(text: string): string {
  return text.includes("\r") ? text.replace(/\r\n?/g, LINE_END) : text;
}

function unitAt(doc: Text, position: number): number {
  return position < 0 || position >= doc.length ? 0 : doc.sliceString(position, position + 1).charCodeAt(0);
}

/** Whether `position` lies between the halves of a character of `doc`. */
export function splitsCharacter(doc: Text, position: number): boolean {
  return position > 0 && position < doc.length && isLow(unitAt(doc, position)) && isHigh(unitAt(doc, position - 1));
}

/** Return the change that `from`, `to`, `insert` meant, in whole characters. `doc` itself must be whole. */
export function wholeChange(
  doc: Text,
  from: number,
  to: number,
  insert: string,
): { from: number; to: number; insert: string } {
  let text = withLineFeeds(insert);
  let start = from;
  let end = to;
  if (from === to && splitsCharacter(doc, from)) {
    // Something was put into the middle of a character: it goes behind it.
    start = end = from + 1;
  } else {
    // A browser that swaps one emoji for another reports only the half in which they differ: the kept half belongs to
    // the new character. Without such a half, the whole character goes.
    if (splitsCharacter(doc, from)) {
      start = from - 1;
      if (isLow(text.charCodeAt(0))) text = doc.sliceString(start, from) + text;
    }
    if (splitsCharacter(doc, to)) {
      end = to + 1;
      if (isHigh(text.charCodeAt(text.length - 1))) text += doc.sliceString(to, end);
    }
  }
  return { from: start, to: end, insert: wellFormed(text) };
}

/** The extension: the filter, the one line end, and the same for what is pasted, so that large pastes stay cheap. */
export function wholeCharacters(): Extension {
  return [
    EditorState.lineSeparator.of(LINE_END),
    EditorView.clipboardInputFilter.of(withLineFeeds),
    EditorState.transactionFilter.of((transaction) => {
      if (!transaction.docChanged) return transaction;
      const doc = transaction.startState.doc;
      const whole: ChangeSpec[] = [];
      let mended = false;
      transaction.changes.iterChanges((from, to, _fromB, _toB, inserted) => {
        const insert = inserted.sliceString(0, inserted.length, LINE_END);
        const change = wholeChange(doc, from, to, insert);
        mended ||= change.from !== from || change.to !== to || change.insert !== insert;
        whole.push(change);
      });
      if (!mended) return transaction;
      const changes = transaction.startState.changes(whole);
      // The caret that was asked for may lie beyond the mended text; behind what was inserted is where typing goes on.
      const head = changes.mapPos(transaction.startState.selection.main.to, 1);
      return {
        changes,
        selection: { anchor: snapped(changes.apply(doc), head) },
        effects: transaction.effects,
        scrollIntoView: transaction.scrollIntoView,
        ...(transaction.isUserEvent("input") && { userEvent: "input" }),
        ...(transaction.isUserEvent("delete") && { userEvent: "delete" }),
      };
    }),
  ];
}

/** Return `position`, or the character's end when it lies inside one. */
function snapped(doc: Text, position: number): number {
  return splitsCharacter(doc, position) ? position + 1 : position;
}
