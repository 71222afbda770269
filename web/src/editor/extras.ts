/**
 * What an editor can do without for its first moment: completion, closing brackets, finding.
 *
 * Owns: these extensions and their keys. Does not know: when they are put in. Fetched by `late.ts`, and never imported
 * by what is needed for the first key: together they are a tenth of the page.
 */
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
  startCompletion,
} from "@codemirror/autocomplete";
import {
  findNext,
  findPrevious,
  gotoLine,
  highlightSelectionMatches,
  openSearchPanel,
  search,
  searchKeymap,
  selectNextOccurrence,
  selectSelectionMatches,
} from "@codemirror/search";
import type { Extension } from "@codemirror/state";
import { EditorView, keymap } from "@codemirror/view";
import { FindPanel } from "./findpanel";

/** Pixels that are kept between a match and the upper and lower edge. */
const MATCH_MARGIN = 90;

export const lateCommands = {
  closeCompletion,
  findNext,
  findPrevious,
  gotoLine,
  openSearchPanel,
  selectNextOccurrence,
  selectSelectionMatches,
  startCompletion,
} as const;

export const extras: Extension = [
  closeBrackets(),
  autocompletion({ icons: false, maxRenderedOptions: 60 }),
  highlightSelectionMatches({ minSelectionLength: 2 }),
  search({
    top: true,
    createPanel: (view) => new FindPanel(view),
    // Not at the very edge: what stands around a match tells which one it is.
    scrollToMatch: (range) => EditorView.scrollIntoView(range, { yMargin: MATCH_MARGIN }),
  }),
  keymap.of([
    ...closeBracketsKeymap,
    // Ctrl-g is for lines, on every system, so that finding the next has F3, and Cmd-g where it is customary.
    { mac: "Cmd-g", run: findNext, shift: findPrevious, scope: "editor search-panel", preventDefault: true },
    ...searchKeymap.filter(({ key }) => key !== "Mod-g" && key !== "Mod-Alt-g"),
    ...completionKeymap,
  ]),
];
