import { expect, test } from "vitest";
import { editorKeeps } from "./editorkeys";

test("an editor with the usual keys keeps nothing from the page", () => {
  for (const press of ["Mod-p", "Mod-b", "Alt-c", "Alt-1"]) expect(editorKeeps("default", press, false)).toBe(false);
});

test("vim keeps Control with a letter, but for opening a file", () => {
  for (const press of ["Mod-f", "Mod-b", "Mod-d", "Mod-u", "Mod-r", "Mod-w", "Mod-["]) {
    expect(editorKeeps("vim", press, false)).toBe(true);
  }
  for (const press of ["Mod-p", "Mod-Shift-f", "Mod-,", "Alt-c", "Alt-1", "F1"]) {
    expect(editorKeeps("vim", press, false)).toBe(false);
  }
});

test("emacs keeps Control and Meta, but not with Shift, and not the page's F1", () => {
  for (const press of ["Mod-p", "Mod-b", "Mod-x", "Mod-/", "Alt-w", "Alt-v", "Alt-x", "Alt--", "Mod-Alt-s"]) {
    expect(editorKeeps("emacs", press, false)).toBe(true);
  }
  for (const press of ["Mod-Shift-p", "Mod-Shift-f", "Mod-,", "F1"]) {
    expect(editorKeeps("emacs", press, false)).toBe(false);
  }
});

test("on a Mac Command is always the page's, Control and Option are emacs'", () => {
  for (const keymap of ["vim", "emacs"] as const) expect(editorKeeps(keymap, "Mod-p", true)).toBe(false);
  for (const press of ["Ctrl-p", "Alt-w", "Ctrl-Alt-s", "Ctrl-1"]) expect(editorKeeps("emacs", press, true)).toBe(true);
});
