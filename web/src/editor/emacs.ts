/**
 * The keys of emacs, made to fit an editor that several people share.
 *
 * Owns: what differs from the package's own: undo, the clipboard on plain HTTP, going to a line, its look. Does not
 * know: files, the session. Fetched only when chosen. In emacs, leaving the editor by Tab is as elsewhere: Escape first.
 *
 * Invariants:
 *   1. Undo takes back this person's edits only.
 *   2. No key needs the clipboard of a secure context.
 */

import { cursorDocEnd, cursorDocStart, selectDocEnd, selectDocStart, toggleComment } from "@codemirror/commands";
import { findNext, findPrevious } from "@codemirror/search";
import { type Extension, Facet, Prec } from "@codemirror/state";
import { EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { EmacsHandler, emacs } from "@replit/codemirror-emacs";
import { fromText } from "./binding";
import type { KeymapHooks } from "./keymaps";
import { redo, undo } from "./undo";

const hooksOf = Facet.define<KeymapHooks, KeymapHooks | null>({ combine: (all) => all[0] ?? null });
/** The handler of each view, known since its first key. */
const handlers = new WeakMap<EditorView, EmacsHandler>();
/** Marks that stand although the text changed, since it was someone else who changed it. */
const standing = new WeakMap<EditorView, EmacsHandler["$emacsMark"]>();

/** The package keeps one table of commands for all its editors: it is changed once, and finds each editor's hooks. */
let isTaught = false;

function teach(): void {
  if (isTaught) return;
  isTaught = true;
  EmacsHandler.bindKey("C-/|C-x u|S-C--|C-z", undo);
  EmacsHandler.bindKey("S-C-/|S-C-x u|C--|S-C-z", redo);
  EmacsHandler.bindKey("M-g", (view: EditorView) => view.state.facet(hooksOf)?.askLine());
  // Keys that it names by their signs while a browser names them by their places.
  EmacsHandler.bindKey("S-M-Period", { command: "goOrSelect", args: [cursorDocEnd, selectDocEnd] });
  EmacsHandler.bindKey("S-M-Comma", { command: "goOrSelect", args: [cursorDocStart, selectDocStart] });
  EmacsHandler.bindKey("M-Semicolon", toggleComment);
  EmacsHandler.bindKey("M-C-s", findNext);
  EmacsHandler.bindKey("M-C-r", findPrevious);
  // It has no command line to open; the page's own list of actions has keys of its own.
  EmacsHandler.bindKey("M-x", undefined);
  const { killRingSave, yankRotate } = EmacsHandler.commands;
  EmacsHandler.addCommands({
    killRingSave: {
      ...killRingSave,
      exec(handler: EmacsHandler): void {
        // Works without a secure context, and while the selection still stands.
        document.execCommand("copy");
        try {
          killRingSave.exec(handler);
        } catch (error) {
          // On plain HTTP there is no clipboard to write to; the ring has the text by then.
          if (window.isSecureContext) throw error;
        }
      },
    },
    yankRotate: {
      ...yankRotate,
      exec(handler: EmacsHandler): void {
        // The package undoes by CodeMirror's history, which is not there.
        if (handler.$data.lastCommand === "yank") undo(handler.view);
        yankRotate.exec(handler);
      },
    },
  });
  const { handleKeyboard, updateMarksOnChange } = EmacsHandler.prototype;
  EmacsHandler.prototype.handleKeyboard = function (event): ReturnType<typeof handleKeyboard> {
    handlers.set(this.view, this);
    return handleKeyboard.call(this, event);
  };
  EmacsHandler.prototype.updateMarksOnChange = function (change): void {
    const mark = standing.get(this.view);
    standing.delete(this.view);
    if (mark !== undefined) this.$emacsMark = mark;
    updateMarksOnChange.call(this, change);
  };
}

/** Before the package's own plugin, which drops the mark on any change: those of others leave it. */
const marksStand = ViewPlugin.fromClass(
  class {
    update(update: ViewUpdate): void {
      if (!update.docChanged || !update.transactions.every((each) => each.annotation(fromText))) return;
      const mark = handlers.get(update.view)?.$emacsMark;
      if (mark != null) standing.set(update.view, mark);
    }
  },
);

const look = Prec.highest(
  EditorView.theme({
    // More exact than the package's own pink, which no theme would reach otherwise.
    ".cm-vimCursorLayer .cm-fat-cursor": { background: "var(--accent)", color: "var(--accent-ink) !important" },
    "&:not(.cm-focused) .cm-vimCursorLayer .cm-fat-cursor": { background: "none", outline: "1px solid var(--accent)" },
  }),
);

/** The extension: emacs. */
export function emacsKeys(hooks: KeymapHooks): Extension {
  teach();
  return [hooksOf.of(hooks), Prec.highest(marksStand), emacs(), look];
}
