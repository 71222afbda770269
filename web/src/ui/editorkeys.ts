/**
 * Which presses of keys belong to the editor while it has the keyboard, though an action of the page has them too.
 *
 * Owns: the answer by keymap. Does not know: actions. Keys that no keymap wants are the page's everywhere.
 */
import type { KeymapName } from "../editor/keymaps";

/** Whether an editor with these keys keeps `press`, as `pressesOf` writes it. */
export function editorKeeps(keymap: KeymapName, press: string, isMac: boolean): boolean {
  switch (keymap) {
    case "default":
      return false;
    case "vim":
      // Ctrl with a letter moves, scrolls and completes. Ctrl-p opens a file, as vim's best known finder has it; on a
      // Mac Ctrl is never the page's.
      return !isMac && /^Mod-[a-z[\]]$/.test(press) && press !== "Mod-p";
    case "emacs":
      // Control and Meta are its own, with whatever else; Shift with Control stays the page's.
      return isMac ? /^(Ctrl|Alt)-/.test(press) : /^Mod-[^,]$|^(Mod-)?Alt-/.test(press);
  }
}

/** Whether an event goes to the text of an editor, and not to a panel in it. */
export function isInText(event: Event): boolean {
  return event.target instanceof Element && event.target.closest(".cm-content") !== null;
}
