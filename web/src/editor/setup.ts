/**
 * What every editor of this page is made of, apart from what a person switches.
 *
 * Owns: the list of extensions, the order of keys, words of CodeMirror's own parts. Does not know: files, the session.
 *
 * Which keys: Mod-f finds, F3 and Shift-F3 (on macOS also Cmd-g) find the next and the one before; Ctrl-g, on every
 * system, asks for a line. Escape, then Tab leaves the editor; Ctrl-m lets Tab always leave it.
 */
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, codeFolding, foldGutter, foldKeymap, indentOnInput } from "@codemirror/language";
import { EditorState, type Extension, Facet } from "@codemirror/state";
import {
  crosshairCursor,
  drawSelection,
  dropCursor,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  highlightTrailingWhitespace,
  highlightWhitespace,
  keymap,
  lineNumbers,
  rectangularSelection,
} from "@codemirror/view";
import { strings } from "../strings";
import { continuation } from "./continuation";
import { direction } from "./direction";
import { late } from "./late";
import { undoKeymap } from "./undo";

/** Who asks for a line to go to; null is CodeMirror's own small panel. */
export const asksForLine = Facet.define<(() => void) | null, (() => void) | null>({ combine: (all) => all[0] ?? null });

/** Ask for a line to go to. */
export function askForLine(view: EditorView): boolean {
  const ask = view.state.facet(asksForLine);
  if (ask === null) return late("gotoLine")(view);
  ask();
  return true;
}

/**
 * What cannot be seen but changes how a line reads, beyond what CodeMirror marks by itself: controls of direction and
 * fillers that look like nothing. With them code can read as something other than what it is. Joiners and variation
 * selectors are left alone: emoji and some scripts need them. Source: CVE-2021-42574 ("Trojan Source").
 */
const ALSO_SPECIAL = /[\u115f\u1160\u180e\u202a-\u202e\u2060-\u206f\u3164\uffa0]/g;

const IS_MAC = typeof navigator !== "undefined" && /Mac|iP(hone|ad)/.test(navigator.platform);

export const wrapping: Extension = [EditorView.lineWrapping, continuation];
export const whitespaceMarks: Extension = [highlightWhitespace(), highlightTrailingWhitespace()];

/** The parts that are always there. */
export function basics(): Extension {
  return [
    EditorState.phrases.of(strings.editor.phrases),
    EditorState.allowMultipleSelections.of(true),
    // Ctrl (or Cmd) as CodeMirror has it, and Alt as most others have it; dragging with Alt selects a rectangle.
    EditorView.clickAddsSelectionRange.of((event) => event.altKey || (IS_MAC ? event.metaKey : event.ctrlKey)),
    direction,
    lineNumbers(),
    codeFolding({ placeholderText: "…" }),
    foldGutter({ openText: "⌄", closedText: "›" }),
    highlightSpecialChars({ addSpecialChars: ALSO_SPECIAL }),
    drawSelection(),
    dropCursor(),
    indentOnInput(),
    bracketMatching(),
    rectangularSelection(),
    crosshairCursor(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
  ];
}

/** The keys of an editor with neither vim nor emacs, which stand before them, as do those of `extras.ts`. */
export const keys: Extension = keymap.of([
  ...undoKeymap,
  { key: "Ctrl-g", run: askForLine, preventDefault: true },
  // For whoever is faster than the fetching of what finds.
  { key: "Mod-f", run: late("openSearchPanel"), preventDefault: true },
  ...defaultKeymap,
  ...foldKeymap,
  indentWithTab,
]);
