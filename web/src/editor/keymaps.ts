/**
 * Which keys the editor answers to: its own, those of vim or those of emacs.
 *
 * Owns: the choice, and that vim and emacs are fetched only when chosen. Does not know: what their keys do.
 */
import type { Extension } from "@codemirror/state";

export type KeymapName = "default" | "vim" | "emacs";

/** What a person asked for on vim's command line: all is saved by itself, so each is only told. */
export type VimCommand = "write" | "quit" | "write-quit";

export interface KeymapHooks {
  onVimCommand: (command: VimCommand) => void;
  /** Ask for a line to go to. */
  askLine: () => void;
}

/** Fetch the keys called `name`. Rejects when they cannot be fetched, for instance offline before they ever were. */
export async function loadKeymap(name: KeymapName, hooks: KeymapHooks): Promise<Extension> {
  switch (name) {
    case "default":
      return [];
    case "vim":
      return (await import("./vim")).vimKeys(hooks);
    case "emacs":
      return (await import("./emacs")).emacsKeys(hooks);
  }
}
