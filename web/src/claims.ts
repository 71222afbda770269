/**
 * Looking for unsaved edits that earlier lives of this page, or other pages that are gone, have left in this browser.
 *
 * Owns: when it is looked. Does not know: which pages live (`pending.ts`), what becomes of what is found.
 *
 * Invariant: a page that may only read takes nothing over.
 */

import type { Browser } from "./browser";
import type { Role } from "./messages";
import type { Entry, PendingEdits } from "./pending";

/** Milliseconds between looks; spread by chance, so that pages do not look together. */
const LOOK_EVERY_MS = 60_000;

export interface ClaimsOptions {
  readonly browser: Pick<Browser, "after" | "random">;
  readonly pending: Pick<PendingEdits, "claim" | "refreshAside">;
  /** Null while it is not known. */
  readonly role: () => Role | null;
  readonly isOnline: () => boolean;
  readonly isClosed: () => boolean;
  readonly onFound: (entries: readonly Entry[]) => void;
  /** After each look: what is in this browser is known. */
  readonly onLooked: () => void;
}

export class Claims {
  readonly #options: ClaimsOptions;
  #hasBegun = false;
  #isKnown = false;
  #cancel: (() => void) | null = null;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** Whether it is known what this browser has kept. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** Once it is known whether this page may write: begin to look. */
  begin(): void {
    if (this.#hasBegun || this.#options.role() === null) return;
    this.#hasBegun = true;
    void this.#look();
  }

  /** Another page has gone, or this one is connected: take over without waiting, as far as it can be sent now. */
  async takeOver(): Promise<void> {
    const { isOnline, role, pending, onFound } = this.#options;
    // Offline, a page that is being reloaded should find its own text again.
    if (!isOnline() || !this.#hasBegun || role() === "viewer") return;
    onFound(await pending.claim(false));
  }

  stop(): void {
    this.#cancel?.();
  }

  async #look(): Promise<void> {
    const { browser, pending, role, isClosed, onFound, onLooked } = this.#options;
    if (role() !== "viewer") {
      onFound(await pending.claim(false));
      onFound(await pending.claim(true));
    }
    await pending.refreshAside();
    this.#isKnown = true;
    onLooked();
    if (isClosed()) return;
    this.#cancel = browser.after(LOOK_EVERY_MS * (0.5 + browser.random()), () => void this.#look());
  }
}
