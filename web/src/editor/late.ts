/**
 * The parts of an editor that are fetched once its first text is there.
 *
 * Owns: fetching them, once for all editors, and commands that wait for them. Does not know: what they are.
 */
import type { Extension } from "@codemirror/state";
import type { Command } from "@codemirror/view";

type Extras = typeof import("./extras");
export type LateCommandId = keyof Extras["lateCommands"];

let coming: Promise<Extras> | null = null;

function fetched(): Promise<Extras> {
  coming ??= import("./extras").catch((error: unknown) => {
    // Offline before they were ever fetched: whoever asks next tries again.
    coming = null;
    throw error;
  });
  return coming;
}

/** Rejects when they cannot be fetched. */
export async function loadExtras(): Promise<Extension> {
  return (await fetched()).extras;
}

/** A command of theirs, which runs when they are there. Where they cannot be fetched it does nothing. */
export function late(id: LateCommandId): Command {
  return (view) => {
    void fetched().then(
      ({ lateCommands }) => lateCommands[id](view),
      (error: unknown) => reportError(error),
    );
    return true;
  };
}
