/**
 * Whether unsaved edits are kept in this browser, calm enough to be shown.
 *
 * Owns: the waits. Writing to storage takes a moment after every key; only what lasts is news. Does not know: words.
 */
import { untrack } from "svelte";
import type { Light } from "../model";
import type { Observable } from "../observable";
import type { Keeping } from "../strings";

/** Storage that has not taken edits for this long does not merely write: longer than a slow phone's disk needs. */
const TAB_ONLY_MS = 2_000;
/** "Kept here" shows when it has been true for this long, so that it does not flicker with every key. */
const CALM_MS = 300;

/** Follow a light. To be made while a component is. */
export class KeepingWatch {
  now = $state<Keeping>("kept");

  constructor(light: Observable<Light>) {
    let wasKept = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    $effect(() => {
      // What is read to decide is no reason to begin anew.
      const follow = (next: Light): void => {
        const isSafe = next.kind === "saved";
        const isKept = isSafe || next.kept;
        // What is no longer counted needs no calm.
        if (isSafe) this.now = "kept";
        if (isKept === wasKept) return;
        wasKept = isKept;
        clearTimeout(timer);
        if (isSafe) return;
        if (!isKept && this.now === "kept") this.now = "writing";
        const to = isKept ? "kept" : "tab";
        timer = setTimeout(() => (this.now = to), isKept ? CALM_MS : TAB_ONLY_MS);
      };
      const end = untrack(() => light.subscribe(follow));
      return () => {
        end();
        clearTimeout(timer);
      };
    });
  }
}
