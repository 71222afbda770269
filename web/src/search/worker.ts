/**
 * Searches one text after another beside the page, so that a pattern that takes forever can be stopped.
 *
 * Owns: nothing. Does not know: time; the page ends this worker when an answer takes too long.
 */
import type { Pattern } from "./pattern";
import { type Match, scan } from "./scan";

export interface Task {
  readonly id: number;
  readonly text: string;
  readonly pattern: Pattern;
  readonly countMax: number;
}

/** Null says that the worker is there. */
export type Answer =
  | { readonly id: number; readonly matches: readonly Match[] }
  | { readonly id: number; readonly fault: string }
  | null;

interface Scope {
  onmessage: ((event: MessageEvent<Task>) => void) | null;
  postMessage(answer: Answer): void;
}
const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data: { id, text, pattern, countMax } }) => {
  try {
    scope.postMessage({ id, matches: scan(text, pattern, countMax) });
  } catch (error) {
    // A pattern can run out of the engine's stack.
    scope.postMessage({ id, fault: error instanceof Error ? error.message : String(error) });
  }
};
scope.postMessage(null);
