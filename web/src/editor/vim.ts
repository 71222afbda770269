/**
 * The keys of vim, made to fit an editor that several people share.
 *
 * Owns: what differs from the package's own: undo, what others type, the command line's `:w` and `:q`, its look.
 * Does not know: files, the session. Fetched only when chosen.
 *
 * Escape is vim's here: pressed in normal mode, it does nothing but let the next Tab leave the editor, as everywhere.
 *
 * Invariants:
 *   1. `u` and Ctrl-r take back and bring back this person's edits only.
 *   2. What others type is never part of what `.` or a macro repeats, and never moves the block cursor by itself.
 */

import { type Extension, Facet, Prec } from "@codemirror/state";
import { EditorView, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { CodeMirror, getCM, Vim, vim } from "@replit/codemirror-vim";
import { fromText } from "./binding";
import type { KeymapHooks, VimCommand } from "./keymaps";
import { endStep, holdStep, redo, undo } from "./undo";

type Cm = NonNullable<ReturnType<typeof getCM>>;

/** As long as CodeMirror itself waits for the Tab after an Escape. */
const LEAVE_MS = 2_000;

const hooksOf = Facet.define<KeymapHooks, KeymapHooks | null>({ combine: (all) => all[0] ?? null });

/** The package keeps one table of commands for all its editors: it is changed once, and finds each editor's hooks. */
let isTaught = false;

function teach(): void {
  if (isTaught) return;
  isTaught = true;
  const step = (cm: Cm, take: (view: EditorView) => boolean): void => {
    take(cm.cm6);
    const { main } = cm.cm6.state.selection;
    // Vim has no selection in normal mode.
    if (!main.empty) cm.cm6.dispatch({ selection: { anchor: main.from } });
  };
  Object.assign(CodeMirror.commands, {
    undo: (cm: Cm) => step(cm, undo),
    redo: (cm: Cm) => step(cm, redo),
    save: (cm: Cm) => tell(cm, "write"),
  });
  const ex: readonly [string, string, VimCommand][] = [
    ["write", "w", "write"],
    ["quit", "q", "quit"],
    ["wq", "wq", "write-quit"],
    ["xit", "x", "write-quit"],
  ];
  for (const [name, short, command] of ex) Vim.defineEx(name, short, (cm: Cm) => tell(cm, command));
}

function tell(cm: Cm, command: VimCommand): void {
  cm.cm6.state.facet(hooksOf)?.onVimCommand(command);
}

const isInserting = (cm: Cm): boolean => cm.state.vim?.insertMode === true;

/**
 * What others type moves vim's marks, and is otherwise nothing that vim did. A command is a step of undo, and so is all
 * that is typed in insert mode together with the command that began it.
 */
const together = ViewPlugin.fromClass(
  class {
    private readonly view: EditorView;

    constructor(view: EditorView) {
      this.view = view;
      const cm = getCM(view);
      if (cm === null) return;
      cm.on("vim-mode-change", () => holdStep(view, isInserting(cm)));
      cm.on("vim-command-done", () => endStep(view));
      const taken = cm.onChange;
      cm.onChange = (update: ViewUpdate) => {
        if (!update.transactions.every((transaction) => transaction.annotation(fromText))) {
          taken(update);
          return;
        }
        const { curOp } = cm;
        cm.curOp = { $d: 0 };
        taken(update);
        cm.curOp = curOp;
      };
    }

    destroy(): void {
      holdStep(this.view, false);
    }
  },
);

/** Escape, then Tab leaves the editor, though vim keeps Escape to itself: in normal mode it has no other use. */
const escapes = EditorView.domEventHandlers({
  keydown(event, view) {
    const cm = getCM(view);
    const isNormal = cm !== null && !isInserting(cm) && cm.state.vim?.visualMode !== true;
    if (event.key === "Escape" && isNormal) view.setTabFocusMode(LEAVE_MS);
    return false;
  },
});

const look = Prec.highest(
  EditorView.theme({
    // More exact than the package's own pink, which no theme would reach otherwise.
    ".cm-vimCursorLayer .cm-fat-cursor": { background: "var(--accent)", color: "var(--accent-ink) !important" },
    "&:not(.cm-focused) .cm-vimCursorLayer .cm-fat-cursor": { background: "none", outline: "1px solid var(--accent)" },
    ".cm-vim-panel": {
      padding: "var(--space-1) var(--space-3)",
      minHeight: "28px",
      alignItems: "center",
      fontFamily: "var(--code-font)",
      fontSize: "var(--size-1)",
      color: "var(--text-soft)",
    },
    ".cm-vim-panel input": { color: "var(--text)", font: "inherit", minWidth: "0", flex: "1" },
  }),
);

/** The extension: vim with its status line. */
export function vimKeys(hooks: KeymapHooks): Extension {
  teach();
  return [hooksOf.of(hooks), escapes, vim({ status: true }), together, look];
}
