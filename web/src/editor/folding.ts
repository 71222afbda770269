/**
 * What is folded comes open when something in it is shown.
 *
 * Owns: which folds hide a place. Does not know: who wants to show it.
 */
import { foldedRanges, unfoldEffect } from "@codemirror/language";
import type { EditorState, SelectionRange, StateEffect } from "@codemirror/state";

/**
 * Return the effects that open every fold that `ranges` touch, ends included: what is at the very end of a fold cannot
 * be seen either, though CodeMirror would leave it closed.
 */
export function unfolded(state: EditorState, ranges: readonly SelectionRange[]): StateEffect<unknown>[] {
  const effects: StateEffect<unknown>[] = [];
  for (const range of ranges) {
    foldedRanges(state).between(range.from, range.to, (from, to) => void effects.push(unfoldEffect.of({ from, to })));
  }
  return effects;
}
