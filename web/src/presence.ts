/**
 * Who else is in one file, and where one's own caret is.
 *
 * Owns: the latest state of each member there, and how often one's own is sent. Does not know: editors, Yjs documents.
 *
 * Source: docs/PROTOCOL.md, "A connection", 6.
 */

import type { Browser } from "./browser";
import type { Role } from "./messages";
import type { Cursor, Presence, PresenceState } from "./model";
import { Cell } from "./observable";
import { type Bytes, decodeAwareness, encodeAwareness } from "./wire";

/** Milliseconds between two of one's own states: the server sends no more than 20 a second either. */
const SEND_EVERY_MS = 50;

export interface PresenceLine {
  readonly browser: Browser;
  /** Null while there is nobody to speak as. */
  memberId(): number | null;
  sendPresence(message: Bytes): void;
}

export class FilePresence implements Presence {
  readonly states = new Cell<ReadonlyMap<number, PresenceState>>(new Map());
  readonly #line: PresenceLine;
  #cursor: Cursor | null = null;
  #isShown = false;
  #clock = 0;
  #sentAtMs = 0;
  #cancelSend: (() => void) | null = null;

  constructor(line: PresenceLine) {
    this.#line = line;
  }

  set(cursor: Cursor | null): void {
    this.#cursor = cursor;
    this.#isShown = true;
    if (this.#cancelSend !== null) return;
    const waitMs = this.#sentAtMs + SEND_EVERY_MS - this.#line.browser.nowMs();
    if (waitMs <= 0) this.#send();
    else {
      this.#cancelSend = this.#line.browser.after(Math.min(waitMs, SEND_EVERY_MS), () => {
        this.#cancelSend = null;
        this.#send();
      });
    }
  }

  /** The file was opened on a connection: say again where one is. */
  opened(): void {
    if (this.#isShown) this.#send();
  }

  /** The file is not open on the connection any more: nothing is known of the others. */
  forget(): void {
    if (this.states.value.size > 0) this.states.set(new Map());
  }

  /** The person does not look at the file any more, though it may stay open until it is saved. */
  hide(): void {
    if (this.#isShown) this.#say("null");
    this.#cancelSend?.();
    this.#cancelSend = null;
    this.#isShown = false;
    this.#cursor = null;
  }

  /** Take entries from the server. Throws `WireError`. */
  take(payload: Uint8Array): void {
    const states = new Map(this.states.value);
    for (const entry of decodeAwareness(payload)) {
      if (entry.id === this.#line.memberId()) continue;
      const state = readState(entry.state);
      if (state === null) states.delete(entry.id);
      else states.set(entry.id, state);
    }
    this.states.set(states);
  }

  #send(): void {
    this.#sentAtMs = this.#line.browser.nowMs();
    this.#say(JSON.stringify({ cursor: this.#cursor }));
  }

  #say(state: string): void {
    const id = this.#line.memberId();
    if (id === null) return;
    this.#clock++;
    this.#line.sendPresence(encodeAwareness([{ id, clock: this.#clock, state }]));
  }
}

/** Stock clients' states pass through the server too: whatever is not of our shape is shown without a caret, or not at all. */
function readState(json: string): PresenceState | null {
  try {
    const state: unknown = JSON.parse(json);
    if (typeof state !== "object" || state === null) return null;
    const { user, cursor } = state as Record<string, unknown>;
    if (typeof user !== "object" || user === null) return null;
    const { id, name, color, role } = user as Record<string, unknown>;
    if (typeof id !== "number" || typeof name !== "string" || typeof color !== "string") return null;
    return { user: { id, name, color, role: role as Role }, cursor: readCursor(cursor) };
  } catch {
    return null;
  }
}

function readCursor(cursor: unknown): Cursor | null {
  if (typeof cursor !== "object" || cursor === null || !("anchor" in cursor) || !("head" in cursor)) return null;
  return { anchor: cursor.anchor, head: cursor.head };
}
