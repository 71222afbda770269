/**
 * What can be done in the editor by name, for a palette and a list of keys.
 *
 * Owns: the names, the keys that are shown with them, and what each runs. Does not know: how they are listed.
 */
import {
  addCursorAbove,
  addCursorBelow,
  copyLineDown,
  copyLineUp,
  cursorMatchingBracket,
  deleteLine,
  deleteTrailingWhitespace,
  indentLess,
  indentMore,
  indentSelection,
  moveLineDown,
  moveLineUp,
  selectAll,
  selectParentSyntax,
  toggleBlockComment,
  toggleComment,
} from "@codemirror/commands";
import { foldAll, foldCode, unfoldAll, unfoldCode } from "@codemirror/language";
import type { Command, EditorView } from "@codemirror/view";
import { late } from "./late";
import { askForLine } from "./setup";
import { redo, undo } from "./undo";

/** Keys as CodeMirror writes them; those of vim and emacs are their own. `writes`: not for those who only read. */
export interface EditorCommand {
  keys?: string;
  writes?: true;
  run: Command;
}

const commands = {
  undo: { keys: "Mod-z", writes: true, run: undo },
  redo: { keys: "Mod-Shift-z", writes: true, run: redo },
  find: { keys: "Mod-f", run: late("openSearchPanel") },
  findNext: { keys: "F3", run: late("findNext") },
  findPrevious: { keys: "Shift-F3", run: late("findPrevious") },
  goToLine: { keys: "Ctrl-g", run: askForLine },
  nextOccurrence: { keys: "Mod-d", run: late("selectNextOccurrence") },
  allOccurrences: { keys: "Mod-Shift-l", run: late("selectSelectionMatches") },
  cursorAbove: { keys: "Mod-Alt-ArrowUp", run: addCursorAbove },
  cursorBelow: { keys: "Mod-Alt-ArrowDown", run: addCursorBelow },
  selectAll: { keys: "Mod-a", run: selectAll },
  selectMore: { keys: "Mod-i", run: selectParentSyntax },
  matchingBracket: { keys: "Mod-Shift-\\", run: cursorMatchingBracket },
  comment: { keys: "Mod-/", writes: true, run: toggleComment },
  blockComment: { keys: "Shift-Alt-a", writes: true, run: toggleBlockComment },
  indentMore: { keys: "Mod-]", writes: true, run: indentMore },
  indentLess: { keys: "Mod-[", writes: true, run: indentLess },
  indentAgain: { keys: "Mod-Alt-\\", writes: true, run: indentSelection },
  lineUp: { keys: "Alt-ArrowUp", writes: true, run: moveLineUp },
  lineDown: { keys: "Alt-ArrowDown", writes: true, run: moveLineDown },
  copyLineUp: { keys: "Shift-Alt-ArrowUp", writes: true, run: copyLineUp },
  copyLineDown: { keys: "Shift-Alt-ArrowDown", writes: true, run: copyLineDown },
  deleteLine: { keys: "Mod-Shift-k", writes: true, run: deleteLine },
  trimLines: { writes: true, run: deleteTrailingWhitespace },
  fold: { keys: "Ctrl-Shift-[", run: foldCode },
  unfold: { keys: "Ctrl-Shift-]", run: unfoldCode },
  foldAll: { keys: "Ctrl-Alt-[", run: foldAll },
  unfoldAll: { keys: "Ctrl-Alt-]", run: unfoldAll },
  complete: { keys: "Ctrl-Space", writes: true, run: late("startCompletion") },
} as const satisfies Record<string, EditorCommand>;

export type CommandId = keyof typeof commands;

/** Every command by its id, in the order in which a list shows them; strings.editor.commands has their labels. */
export const editorCommands: Readonly<Record<CommandId, EditorCommand>> = commands;

/** Run one, and put the keyboard where it goes on. Returns whether it did something. */
export function runCommand(id: CommandId, view: EditorView): boolean {
  const command = editorCommands[id];
  if (command.writes === true && view.state.readOnly) return false;
  // Before it runs: a command that opens a panel puts the keyboard there.
  view.focus();
  return command.run(view);
}
