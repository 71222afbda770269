/**
 * How much of the chat one has not seen.
 *
 * Owns: up to which entry it was seen, kept per workspace in this browser. Does not know: how chat is shown.
 */
import type { Drawer } from "../browser";
import type { Session } from "../model";

export class Unread {
  /** Entries of others after the last that was seen. */
  count = $state(0);
  /** The last entry that was seen; 0 for none. */
  seenId = $state(0);
  private readonly session: Session;
  private readonly drawer: Drawer | null;
  private readonly key: string;
  private readonly ends: readonly (() => void)[];

  constructor(session: Session, drawer: Drawer | null) {
    this.session = session;
    this.drawer = drawer;
    this.key = `carets.chat.${session.workspaceId}`;
    try {
      const kept = Number(drawer?.getItem(this.key) ?? 0);
      this.seenId = Number.isSafeInteger(kept) && kept > 0 ? kept : 0;
    } catch {
      // Storage is forbidden: all is unread.
    }
    this.ends = [session.chat.subscribe(() => this.recount()), session.author.subscribe(() => this.recount())];
  }

  /** All that is there was seen. */
  see(): void {
    const last = this.session.chat.value.entries.at(-1)?.chat_id ?? 0;
    if (last <= this.seenId) return;
    this.seenId = last;
    this.count = 0;
    try {
      this.drawer?.setItem(this.key, String(last));
    } catch {
      // It is unread again after a reload.
    }
  }

  leave(): void {
    for (const end of this.ends) end();
  }

  private recount(): void {
    const own = this.session.author.value;
    this.count = this.session.chat.value.entries.filter(
      (entry) => entry.chat_id > this.seenId && entry.author !== own,
    ).length;
  }
}
