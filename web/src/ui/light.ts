/**
 * How the durability light reads: its icon, tone and words for each state.
 *
 * Owns: that table, and what counts as worth saying aloud. Does not know: time; who shows it waits.
 *
 * Invariant: no words say "saved" while edits are counted, and none say "kept here" before they are.
 */
import type { Light } from "../model";
import { type Keeping, strings } from "../strings";

export interface Look {
  icon: "check" | "offline" | "pending" | "stop" | "warning";
  tone: "good" | "plain" | "wait" | "bad";
  words: string;
  /** What it means, at length. */
  why: string;
}

const text = strings.light;

/** A view broke: what was typed there last may never have become an edit, so nothing is called saved. */
export const BROKEN: Look = { icon: "warning", tone: "bad", words: text.broken, why: text.explain.broken };

/** Return how a light reads. `isOld`: edits have been waiting for a while, so that they are counted. */
export function lookOf(state: Light, keeping: Keeping, isOld: boolean): Look {
  const { explain } = text;
  const tone = keeping === "tab" ? "bad" : "wait";
  switch (state.kind) {
    case "connecting": {
      const words = state.count === 0 ? text.connecting : text.connectingWith(state.count, keeping);
      return { icon: "pending", tone: "plain", words, why: explain.connecting };
    }
    case "saved":
      return { icon: "check", tone: "good", words: text.saved, why: explain.saved };
    case "unsaved": {
      const why = keeping === "tab" ? explain.unsavedTab : explain.unsaved;
      if (!isOld && keeping !== "tab") return { icon: "pending", tone: "plain", words: text.saving, why };
      return { icon: "pending", tone, words: text.unsaved(state.count, keeping), why };
    }
    case "failing": {
      const calm = state.fault === "damaged" ? explain.failingDamaged : explain.failing;
      const why = keeping === "tab" ? explain.failingTab : calm;
      const words =
        state.count === 0 ? text.failingSaved(state.fault) : text.failing(state.fault, state.count, keeping);
      return { icon: "warning", tone, words, why };
    }
    case "offline": {
      const why = keeping === "tab" ? explain.offlineTab : explain.offline;
      const words = state.count === 0 ? text.offlineSaved : text.offline(state.count, keeping);
      return { icon: "offline", tone, words, why };
    }
    case "closed": {
      const words = state.count === 0 ? text.closedSaved : text.closed(state.count, keeping);
      return { icon: "stop", tone: "bad", words, why: `${explain.closed} ${state.reason}` };
    }
  }
}

/** Return what two looks must share so that the later one need not be said aloud: all but the count. */
export function gistOf(state: Light, keeping: Keeping, look: Look): string {
  return `${state.kind} ${look.tone} ${keeping === "tab"}`;
}

/** Whether the page should ask before it is left: there are edits, messages, or a broken view that nothing but this tab holds. */
export function asksBeforeLeaving(light: Light, chatWaiting = 0, isBroken = false): boolean {
  return isBroken || chatWaiting > 0 || (light.kind !== "saved" && light.count > 0 && !light.kept);
}
