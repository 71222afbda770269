/**
 * Signals: what members say to each other and nobody keeps.
 *
 * Owns: who listens to which kind, and the bounds of what is said. Does not know: what it means.
 *
 * Invariant: what goes wrong in a listener is that listener's alone.
 */

import type { Browser } from "./browser";
import type { Connection } from "./connection";
import { Code, RefusedError } from "./errors";
import { wellFormed } from "./reentry";

/** Bytes of a signal's JSON. Source: `limits.SIGNAL_BYTES_MAX`. */
export const SIGNAL_BYTES_MAX = 16 * 1024;

export type TakeSignal = (memberId: number, data: unknown) => void;

export class Signals {
  readonly #browser: Pick<Browser, "after">;
  readonly #connection: Pick<Connection, "notify">;
  readonly #listeners = new Map<string, Set<TakeSignal>>();

  constructor(browser: Pick<Browser, "after">, connection: Pick<Connection, "notify">) {
    this.#browser = browser;
    this.#connection = connection;
  }

  /** To all others, or to one. Nothing happens while there is no connection. Throws `RefusedError`. */
  send(kind: string, data: unknown, to?: number): void {
    if (!/^[a-z0-9_.-]{1,32}$/.test(kind)) throw new RefusedError(Code.TEXT_INVALID, `"${kind}" is no kind of signal.`);
    // Half a character would make the frame one that the server cannot read, and it hangs up on those.
    const json = JSON.stringify(data ?? null, (_, value) => (typeof value === "string" ? wellFormed(value) : value));
    if (new TextEncoder().encode(json).length > SIGNAL_BYTES_MAX) {
      throw new RefusedError(Code.MESSAGE_TOO_LARGE, `A signal takes at most ${SIGNAL_BYTES_MAX / 1024} KiB.`);
    }
    this.#connection.notify({ type: "signal", kind, data: JSON.parse(json), ...(to === undefined ? {} : { to }) });
  }

  on(kind: string, take: TakeSignal): () => void {
    // A function of its own, so that one listener subscribed twice is two.
    const own: TakeSignal = (memberId, data) => take(memberId, data);
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners.add(own));
    return () => void listeners.delete(own);
  }

  take(memberId: number, kind: string, data: unknown): void {
    const listeners = this.#listeners.get(kind);
    for (const listener of [...(listeners ?? [])]) {
      if (!listeners?.has(listener)) continue;
      try {
        listener(memberId, data);
      } catch (error) {
        // Nobody's call is broken by it, and it is still seen in the console.
        this.#browser.after(0, () => {
          throw error;
        });
      }
    }
  }
}
