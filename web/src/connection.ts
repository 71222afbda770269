/**
 * The line to the server: one WebSocket after another, as long as it makes sense.
 *
 * Owns: connecting, hello, heartbeat, waits between attempts, parts received. Does not know: documents, files.
 *
 * Invariants:
 *   1. At most one socket is alive; whatever an earlier one still says is not heard.
 *   2. After a final close code (4400 to 4499) there is no further attempt.
 *   3. While the page is seen, a dead line is noticed within 25 s of silence.
 *
 * Source: docs/PROTOCOL.md, "A connection"; DESIGN.md, section 4, "Heartbeats".
 */

import type { Browser, Socket } from "./browser";
import { Code, closeText, isFinal, refusalText, WireError } from "./errors";
import { type Notice, parseNotice, type RefusedNotice, type Request, type Welcome } from "./messages";
import type { Status } from "./model";
import { Cell } from "./observable";
import { type OnSaved, Outbox } from "./outbox";
import { type Bytes, decodeFrame, type Message, PartsInbox } from "./wire";

export const SUBPROTOCOL = "carets.v1";
/** Milliseconds of silence after which a page that is seen asks. */
const QUIET_MS = 15_000;
/** Milliseconds of silence after asking, or after opening a socket, until the line is taken for dead. */
const ANSWER_MS = 10_000;
/** Milliseconds of the shortest and the longest wait between attempts. */
export const RETRY_MS_MIN = 500;
export const RETRY_MS_MAX = 30_000;
/** Milliseconds of waiting that nobody who looks at the page should have to see to its end. */
const LONG_WAIT_MS = 2_000;
/** Milliseconds within which everybody comes back after `draining`; a restart takes about a second. */
const DRAINED_RETRY_MS = 3_000;
/** Milliseconds that a connection must live for the waits to begin anew. */
const STEADY_MS = 10_000;

/** What the server says about the workspace: everything that the connection does not settle itself. */
export type News = Exclude<Notice, Welcome | { type: "saved" } | { type: "pong" } | { type: "draining" }>;
/** A whole message about a file. */
export type FileMessage = Exclude<Message, { kind: "part" } | { kind: "query_awareness" }>;

export interface Listener {
  /** A new connection: nothing of an earlier one counts any more. */
  onWelcome(welcome: Welcome): void;
  onNews(news: News): void;
  onMessage(fileId: number, message: FileMessage): void;
  /** The connection that was welcomed is no more. */
  onLost(): void;
}

export interface ConnectionOptions {
  /** `ws:` or `wss:`. */
  readonly url: string;
  readonly browser: Browser;
  /** Asked at every attempt. */
  readonly hello: () => Request;
  readonly listener: Listener;
}

export class Connection {
  readonly status = new Cell<Status>({ kind: "connecting" });
  readonly #options: ConnectionOptions;
  readonly #browser: Browser;
  readonly #unlisten: (() => void)[];
  #socket: Socket | null = null;
  #outbox: Outbox | null = null;
  #isWelcomed = false;
  #inbox = new PartsInbox();
  #attempts = 0;
  #isDraining = false;
  #heardAtMs = 0;
  #saidAtMs: number | null = null;
  #welcomedAtMs = 0;
  #probedAtMs: number | null = null;
  #lastRefusal: RefusedNotice | null = null;
  #cancelWatch: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#browser = options.browser;
    this.#unlisten = [
      options.browser.on("online", () => this.#wake(true)),
      options.browser.on("visible", () => this.#wake(false)),
      options.browser.on("returning", () => this.#wake(true)),
    ];
    this.#connect();
  }

  /** When anything came last, by the wall clock; null when nothing ever came. */
  get lastHeardAtMs(): number | null {
    return this.#saidAtMs;
  }

  get isOnline(): boolean {
    return this.#isWelcomed;
  }

  /** Say something at once. Nothing happens while there is no connection; so with the next three. */
  notify(request: Request): void {
    this.#welcomedOutbox?.notify(request);
  }

  /** Say something in its place among the file's messages. */
  notifyInTurn(fileId: number, request: Request): void {
    this.#welcomedOutbox?.notifyInTurn(fileId, request);
  }

  /** Send a message of a file; with `onSaved` it is a step 2 or an update. */
  send(fileId: number, message: Bytes, onSaved: OnSaved | null = null): void {
    this.#welcomedOutbox?.send(fileId, message, onSaved);
  }

  /** Run when what has left for this file is durable; at once when nothing is on its way. Never when the connection ends first. */
  afterSaved(fileId: number, run: () => void): void {
    this.#welcomedOutbox?.afterSaved(fileId, run);
  }

  sendPresence(fileId: number, message: Bytes): void {
    this.#welcomedOutbox?.sendPresence(fileId, message);
  }

  /** Try now instead of at the end of the wait. Nothing happens when closed or connected. */
  reconnect(): void {
    if (this.#cancelRetry === null) return;
    this.#attempts = 0;
    this.#connect();
  }

  /** End it for good. */
  close(): void {
    this.#end(0, "This page closed the workspace.");
  }

  get #welcomedOutbox(): Outbox | null {
    return this.#isWelcomed ? this.#outbox : null;
  }

  #connect(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.status.set(this.#attempts === 0 ? { kind: "connecting" } : { kind: "offline", retryAtMs: null });
    this.#attempts++;
    let socket: Socket;
    try {
      socket = this.#browser.openSocket(this.#options.url, SUBPROTOCOL);
    } catch (error) {
      this.#end(Code.MALFORMED_MESSAGE, `No connection can be opened here: ${String(error)}`);
      return;
    }
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#outbox = new Outbox(socket, this.#browser);
    this.#inbox = new PartsInbox();
    this.#isDraining = false;
    this.#lastRefusal = null;
    socket.onopen = () => {
      this.#heard();
      this.#outbox?.notify(this.#options.hello());
    };
    socket.onmessage = (event) => this.#take(event.data);
    socket.onclose = (event) => this.#closed(event.code, event.reason);
    socket.onerror = () => undefined;
    // A handshake that hangs is a dead line, seen or not.
    this.#heardAtMs = this.#probedAtMs = this.#browser.nowMs();
    this.#watch();
  }

  // -- what comes in

  #take(data: unknown): void {
    this.#heard();
    this.#saidAtMs = this.#heardAtMs;
    try {
      if (typeof data === "string") this.#takeNotice(parseNotice(data));
      else if (data instanceof ArrayBuffer) this.#takeFrame(new Uint8Array(data));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#end(Code.MALFORMED_MESSAGE, `${closeText(Code.MALFORMED_MESSAGE)} (${error.message})`);
    }
    this.#outbox?.pump();
  }

  #takeFrame(data: Bytes): void {
    const [fileId, message] = decodeFrame(data);
    const whole = message.kind === "part" ? this.#inbox.take(fileId, message) : message;
    if (whole === null || whole.kind === "part" || whole.kind === "query_awareness" || !this.#isWelcomed) return;
    this.#options.listener.onMessage(fileId, whole);
  }

  #takeNotice(notice: Notice | null): void {
    if (notice === null) return;
    switch (notice.type) {
      case "pong":
        this.#outbox?.answered();
        return;
      case "welcome":
        this.#isWelcomed = true;
        this.#welcomedAtMs = this.#browser.nowMs();
        this.#options.listener.onWelcome(notice);
        this.status.set({ kind: "online" });
        return;
      case "saved":
        this.#outbox?.saved(notice.count);
        return;
      case "draining":
        this.#isDraining = true;
        return;
      case "refused":
        this.#lastRefusal = notice;
        if (notice.file_id !== null && notice.frame !== null) this.#outbox?.refuse(notice.file_id, notice.frame);
    }
    if (this.#isWelcomed) this.#options.listener.onNews(notice);
  }

  // -- the line's life

  #heard(): void {
    this.#heardAtMs = this.#browser.nowMs();
    this.#probedAtMs = null;
  }

  /** Look again when something may have become due. */
  #watch(): void {
    this.#cancelWatch?.();
    this.#cancelWatch = null;
    if (this.#socket === null) return;
    const nowMs = this.#browser.nowMs();
    if (this.#probedAtMs !== null) {
      const leftMs = this.#probedAtMs + ANSWER_MS - nowMs;
      if (leftMs <= 0) this.#dropDead();
      else this.#watchIn(leftMs);
      return;
    }
    // Unseen pages rest; the server's own pings find out there.
    if (!this.#browser.isVisible()) return;
    const leftMs = this.#heardAtMs + QUIET_MS - nowMs;
    if (leftMs <= 0) this.#probe();
    else this.#watchIn(leftMs);
  }

  #watchIn(leftMs: number): void {
    // A wall clock that was set back must not make it sleep for hours.
    this.#cancelWatch = this.#browser.after(Math.min(leftMs, QUIET_MS), () => this.#watch());
  }

  #probe(): void {
    if (this.#isWelcomed) this.#outbox?.notify({ type: "ping" });
    this.#probedAtMs ??= this.#browser.nowMs();
    this.#watch();
  }

  /** The page is seen again, or the network is back: ask a line that seems alive, and do not wait for the next attempt. */
  #wake(isNews: boolean): void {
    if (this.#socket !== null) {
      if (this.#isWelcomed) this.#probe();
      return;
    }
    if (this.#cancelRetry === null) return;
    const status = this.status.value;
    const leftMs = status.kind === "offline" ? (status.retryAtMs ?? 0) - this.#browser.nowMs() : 0;
    if (isNews) this.reconnect();
    // Somebody looks, and should not wait; the waits go on growing, or leafing through tabs would make a storm of it.
    else if (leftMs > LONG_WAIT_MS) this.#connect();
  }

  #dropDead(): void {
    const socket = this.#letGo();
    // The closing handshake of a dead line can take minutes; nobody waits for it.
    socket?.close();
    this.#retry();
  }

  #closed(code: number, reason: string): void {
    const refusal = this.#lastRefusal;
    this.#letGo();
    if (isFinal(code)) {
      const text = refusal?.code === code ? refusalText(refusal) : reason || closeText(code);
      this.#end(code, text);
    } else {
      this.#retry(refusal?.code === code ? (refusal.retry_after_ms ?? 0) : 0);
    }
  }

  /** Stop listening to the socket. */
  #letGo(): Socket | null {
    const socket = this.#socket;
    const wasWelcomed = this.#isWelcomed;
    this.#cancelWatch?.();
    this.#cancelWatch = null;
    this.#outbox?.close();
    this.#outbox = null;
    this.#socket = null;
    this.#isWelcomed = false;
    if (socket !== null) socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    if (wasWelcomed) {
      if (this.#browser.nowMs() - this.#welcomedAtMs >= STEADY_MS) this.#attempts = 1;
      this.#options.listener.onLost();
    }
    return socket;
  }

  /** Try again after a wait, which is no shorter than the server asked for. */
  #retry(askedMs = 0): void {
    if (this.status.value.kind === "closed") return;
    const ownMs = this.#isDraining
      ? RETRY_MS_MIN + this.#browser.random() * (DRAINED_RETRY_MS - RETRY_MS_MIN)
      : retryWaitMs(this.#attempts, this.#browser.random());
    // All who were turned away are asked to wait as long: they do not come back at the same moment.
    const waitMs = Math.max(ownMs, askedMs === 0 ? 0 : askedMs + this.#browser.random() * DRAINED_RETRY_MS);
    this.#cancelRetry = this.#browser.after(waitMs, () => this.#connect());
    this.status.set({ kind: "offline", retryAtMs: this.#browser.nowMs() + waitMs });
  }

  #end(code: number, reason: string): void {
    if (this.status.value.kind === "closed") return;
    for (const unlisten of this.#unlisten) unlisten();
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    const socket = this.#letGo();
    this.status.set({ kind: "closed", code, reason });
    socket?.close(1000);
  }
}

/** Exponential with full jitter: anywhere between the shortest wait and a ceiling that doubles with each attempt. */
export function retryWaitMs(attempts: number, chance: number): number {
  const ceiling = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(attempts, 16));
  return RETRY_MS_MIN + chance * (ceiling - RETRY_MS_MIN);
}
