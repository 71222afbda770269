/**
 * The room's chat as this page has it, and what it has yet to send.
 *
 * Owns: the log, and messages until the server keeps them. Does not know: who may chat, how it is shown.
 *
 * Invariants:
 *   1. The log has no gap and no entry twice; what does not fit on takes its place instead.
 *   2. A message is sent again after a reconnect, or when the server can save again, under the nonce that it had, so it is never kept twice.
 *   3. Whoever sends hears once: kept, refused, or closed.
 */

import type { Browser } from "./browser";
import type { Connection } from "./connection";
import { Code, RefusedError, refusalText } from "./errors";
import type { ChatNotice, ChatRecord, RefusedNotice } from "./messages";
import type { ChatLog } from "./model";
import { Cell } from "./observable";
import { wellFormed } from "./reentry";

/** Characters of one message. Source: `limits.CHAT_UNITS_MAX`. */
export const CHAT_CHARACTERS_MAX = 4_000;
/** Entries that a page holds while it only listens; those that it asks for come on top. */
export const CHAT_ENTRIES_MAX = 5_000;
/** Entries asked for at a time: two screens. */
const PAGE_ENTRIES = 50;

interface Outgoing {
  readonly text: string;
  readonly nonce: string;
  /** Its number on this connection; null when it has not been sent there. */
  request: number | null;
  resolve(): void;
  reject(error: RefusedError): void;
}

export interface ChatOptions {
  readonly browser: Pick<Browser, "randomUint32">;
  readonly connection: Pick<Connection, "isOnline" | "notify">;
  /** Unique among all requests of the page. */
  readonly nextNumber: () => number;
  /** What the server has before an entry; at most so many. Rejects with `RefusedError`. */
  readonly loadEarlier: (before: number, count: number) => Promise<readonly ChatRecord[]>;
}

export class Chat {
  readonly log = new Cell<ChatLog>({ entries: [], hasEarlier: false });
  /** Messages that the server has not said it keeps. */
  readonly waiting = new Cell(0);
  readonly #options: ChatOptions;
  #outgoing: Outgoing[] = [];
  #closedBy: RefusedError | null = null;
  #loading: Promise<void> | null = null;

  constructor(options: ChatOptions) {
    this.#options = options;
  }

  /** Resolves when the server keeps it. Rejects with `RefusedError`. */
  send(text: string): Promise<void> {
    if (this.#closedBy !== null) return Promise.reject(this.#closedBy);
    const whole = wellFormed(text.replace(/\r\n?/g, "\n")).normalize("NFC").trim();
    if (whole === "") return Promise.reject(new RefusedError(Code.TEXT_INVALID, "There is nothing to send."));
    // Checked here, too, since the server hangs up on a frame that is far too large.
    if ([...whole].length > CHAT_CHARACTERS_MAX) {
      const most = `A message has at most ${CHAT_CHARACTERS_MAX} characters.`;
      return Promise.reject(new RefusedError(Code.TEXT_INVALID, `${most} Put a long text into a file.`));
    }
    return new Promise((resolve, reject) => {
      const message: Outgoing = { text: whole, nonce: this.#newNonce(), request: null, resolve, reject };
      this.#outgoing.push(message);
      this.waiting.set(this.#outgoing.length);
      this.#say(message);
    });
  }

  take({ entries, full, request }: ChatNotice): void {
    if (entries.length > 0) this.#merge(entries, full);
    if (request !== null) this.#settle(request)?.resolve();
  }

  refused(request: number, notice: RefusedNotice): void {
    const message = this.#outgoing.find((each) => each.request === request);
    // It waits as without a connection: the server tells when it can save again.
    if (message !== undefined && notice.code === Code.UNAVAILABLE) message.request = null;
    else this.#reject(request, notice);
  }

  /** The server can save again. */
  writable(): void {
    for (const message of this.#outgoing) if (message.request === null) this.#say(message);
  }

  #reject(request: number, notice: RefusedNotice): void {
    this.#settle(request)?.reject(new RefusedError(notice.code, refusalText(notice)));
  }

  /** A new connection, on which nothing of this was said yet. */
  welcomed(): void {
    for (const message of this.#outgoing) this.#say(message);
  }

  /** There will be no further connection. */
  closed(code: number, reason: string): void {
    this.#closedBy ??= new RefusedError(code, reason);
    for (const message of this.#outgoing.splice(0)) message.reject(this.#closedBy);
    this.waiting.set(0);
  }

  /** Put the page before the first entry there. Rejects with `RefusedError`. */
  loadEarlier(): Promise<void> {
    this.#loading ??= this.#loadPage().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #loadPage(): Promise<void> {
    const { entries, hasEarlier } = this.log.value;
    const [first] = entries;
    if (first === undefined || !hasEarlier) return;
    const page = await this.#options.loadEarlier(first.chat_id, PAGE_ENTRIES);
    const now = this.log.value.entries;
    // The log may have become another one while the page came.
    const fitting = unbroken([...page, ...now]);
    if (fitting.length > now.length) this.#show(fitting);
  }

  #say(message: Outgoing): void {
    const { connection, nextNumber } = this.#options;
    if (!connection.isOnline) return;
    message.request = nextNumber();
    connection.notify({ type: "chat", text: message.text, nonce: message.nonce, request: message.request });
  }

  #settle(request: number): Outgoing | undefined {
    const message = this.#outgoing.find((each) => each.request === request);
    this.#outgoing = this.#outgoing.filter((each) => each !== message);
    this.waiting.set(this.#outgoing.length);
    return message;
  }

  #merge(told: readonly ChatRecord[], isLatest: boolean): void {
    const { entries } = this.log.value;
    const news = unbroken(told);
    const from = news[0]?.chat_id ?? 0;
    const to = news.at(-1)?.chat_id ?? 0;
    const first = entries[0]?.chat_id ?? 0;
    const last = entries.at(-1)?.chat_id ?? 0;
    const known = new Map(entries.map((entry) => [entry.chat_id, entry]));
    const differs = news.some((entry) => isOther(known.get(entry.chat_id), entry));
    // A server that was restored from an earlier copy has another log by now, and its word counts.
    const isAnother = differs || (isLatest && to < last);
    if (from > last + 1 || isAnother) this.#show(news);
    else if (to > last && from >= first) this.#show([...entries, ...news.filter((entry) => entry.chat_id > last)]);
    else if (from < first && to >= first - 1) this.#show(unbroken([...news, ...entries]));
  }

  #show(entries: readonly ChatRecord[]): void {
    const isGrowing = entries.at(-1) !== this.log.value.entries.at(-1);
    const kept = isGrowing ? entries.slice(-CHAT_ENTRIES_MAX) : entries;
    this.log.set({ entries: kept, hasEarlier: (kept[0]?.chat_id ?? 1) > 1 });
  }

  #newNonce(): string {
    const { browser } = this.#options;
    return [1, 2, 3, 4].map(() => browser.randomUint32().toString(36)).join("");
  }
}

/** In order, each once, and of those only the last that follow one another without a gap. */
function unbroken(entries: readonly ChatRecord[]): ChatRecord[] {
  const byId = new Map(entries.map((entry) => [entry.chat_id, entry]));
  const sorted = [...byId.values()].sort((a, b) => a.chat_id - b.chat_id);
  const gap = sorted.findLastIndex(
    (entry, index) => index > 0 && entry.chat_id !== (sorted[index - 1]?.chat_id ?? 0) + 1,
  );
  return gap < 0 ? sorted : sorted.slice(gap);
}

function isOther(known: ChatRecord | undefined, told: ChatRecord): boolean {
  if (known === undefined) return false;
  return known.at_ms !== told.at_ms || known.author !== told.author || known.text !== told.text;
}
