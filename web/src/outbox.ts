/**
 * What waits to be written to one socket, and what was written and is not saved yet.
 *
 * Owns: turns between files, parts, and the count that `saved` speaks of. Does not know: connecting, documents.
 *
 * Invariants:
 *   1. A file's messages leave in order; at most one of them is under way in parts, and at most four files' are.
 *   2. A small message never waits for more than about one part of another file's large one.
 *   3. The n-th counted message to leave whole has the number n; a message in parts leaves with its last part.
 *
 * Source: docs/PROTOCOL.md, "Binary frames" and "A connection", 3.
 */

import type { Browser, Socket } from "./browser";
import type { Request } from "./messages";
import { Pace } from "./pace";
import { type Bytes, encodeFrame, encodePart, needsParts } from "./wire";

/** Whoever waits for a step 2 or an update to be durable. Called at most once, or never when the connection ends first. */
export type OnSaved = () => void;

/** Bytes in the socket above which no further part is written: half a part, so that the line never runs dry. */
const PART_BYTES_HIGH = 32 * 1024;
/** Bytes in the socket above which small messages wait, too. */
const SMALL_BYTES_HIGH = 256 * 1024;
/** Milliseconds between looks at a full socket: it does not tell when it has drained. */
const LOOK_EVERY_MS = 10;
/** Source: `limits.PARTS_OPEN_MAX`. */
const PARTS_OPEN_MAX = 4;

interface Waiting {
  readonly content: Bytes | Request;
  readonly onSaved: OnSaved | null;
  /** Bytes of it that have left in parts. */
  left: number;
}

interface Sent {
  readonly fileId: number;
  readonly count: number;
  readonly onSaved: OnSaved;
}

export class Outbox {
  readonly #socket: Socket;
  readonly #browser: Browser;
  readonly #pace: Pace;
  readonly #lanes = new Map<number, Waiting[]>();
  readonly #presence = new Map<number, Bytes>();
  readonly #blocked = new Set<number>();
  #sent: Sent[] = [];
  #sentCount = 0;
  #partsOpen = 0;
  #cancelLook: (() => void) | null = null;
  #isClosed = false;

  constructor(socket: Socket, browser: Browser) {
    this.#socket = socket;
    this.#browser = browser;
    this.#pace = new Pace(() => browser.nowMs());
  }

  /** A text frame that goes before everything that waits. */
  notify(request: Request): void {
    if (request.type === "ping") this.#pace.asked(0);
    this.#socket.send(JSON.stringify(request));
  }

  /** A text frame in its place among the file's messages. */
  notifyInTurn(fileId: number, request: Request): void {
    this.#queue(fileId, { content: request, onSaved: null, left: 0 });
  }

  /** A y-protocols message of a file. With `onSaved` it counts: a step 2 or an update. */
  send(fileId: number, message: Bytes, onSaved: OnSaved | null = null): void {
    this.#queue(fileId, { content: message, onSaved, left: 0 });
  }

  /** A presence message; a later one of the same file takes the place of one that waits. */
  sendPresence(fileId: number, message: Bytes): void {
    this.#presence.set(fileId, message);
    this.pump();
  }

  /** The first `count` counted messages are durable. */
  saved(count: number): void {
    let done = 0;
    while (done < this.#sent.length && (this.#sent[done]?.count ?? Infinity) <= count) done++;
    const durable = this.#sent.slice(0, done);
    this.#sent = this.#sent.slice(done);
    for (const sent of durable) sent.onSaved();
  }

  /** A pong came: what was written before its ping has arrived. */
  answered(): void {
    this.#pace.answered();
    this.pump();
  }

  /** Run when what has left of this file is durable; at once when nothing is on its way. */
  afterSaved(fileId: number, run: () => void): void {
    const last = this.#sent.findLast((sent) => sent.fileId === fileId);
    if (last === undefined) run();
    else this.#sent.push({ ...last, onSaved: run });
    this.#sent.sort((a, b) => a.count - b.count);
  }

  /** The server takes nothing of this file from counted message `frame` on, until it is opened again. */
  refuse(fileId: number, frame: number): void {
    this.#sent = this.#sent.filter((sent) => sent.fileId !== fileId || sent.count < frame);
    this.#blocked.add(fileId);
    const lane = this.#lanes.get(fileId);
    if (lane === undefined) return;
    // What has begun in parts must end, uncounted for us; the rest would only be refused as well.
    const begun = lane.filter((waiting) => waiting.left > 0);
    const requests = lane.filter((waiting) => !(waiting.content instanceof Uint8Array));
    this.#lanes.set(fileId, [...begun, ...requests]);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelLook?.();
    this.#sent = [];
    this.#lanes.clear();
    this.#presence.clear();
  }

  /** Write what may be written now. Cheap to call. */
  pump(): void {
    if (this.#isClosed) return;
    for (const [fileId, message] of this.#presence) {
      if (this.#socket.bufferedAmount > SMALL_BYTES_HIGH) break;
      this.#presence.delete(fileId);
      this.#write(encodeFrame(fileId, message));
    }
    let wrote = true;
    while (wrote) {
      wrote = false;
      for (const fileId of [...this.#lanes.keys()]) wrote = this.#turn(fileId) || wrote;
    }
    if (this.#lanes.size + this.#presence.size > 0) this.#lookLater();
  }

  #queue(fileId: number, waiting: Waiting): void {
    const lane = this.#lanes.get(fileId);
    if (lane === undefined) this.#lanes.set(fileId, [waiting]);
    else lane.push(waiting);
    this.pump();
  }

  /** One message or one part of this file. Returns whether anything was written. */
  #turn(fileId: number): boolean {
    const lane = this.#lanes.get(fileId);
    const first = lane?.[0];
    if (lane === undefined || first === undefined) {
      this.#lanes.delete(fileId);
      return false;
    }
    if (first.content instanceof Uint8Array && needsParts(first.content)) {
      return this.#turnPart(fileId, lane, first, first.content);
    }
    if (this.#socket.bufferedAmount > SMALL_BYTES_HIGH) return false;
    if (first.content instanceof Uint8Array) {
      this.#write(encodeFrame(fileId, first.content));
    } else {
      if (first.content.type === "open_file") this.#blocked.delete(fileId);
      this.notify(first.content);
    }
    this.#leave(fileId, lane, first);
    return true;
  }

  #turnPart(fileId: number, lane: Waiting[], first: Waiting, message: Bytes): boolean {
    if (this.#socket.bufferedAmount > PART_BYTES_HIGH || !this.#pace.isOpen) return false;
    if (first.left === 0) {
      if (this.#partsOpen >= PARTS_OPEN_MAX) return false;
      this.#partsOpen++;
    }
    const [frame, after] = encodePart(fileId, message, first.left);
    this.#write(frame);
    this.#pace.asked(frame.length);
    this.#socket.send(JSON.stringify({ type: "ping" }));
    first.left = after;
    // To the end of the row: where only one part fits at a time, the next is another file's.
    this.#lanes.delete(fileId);
    this.#lanes.set(fileId, lane);
    if (after === message.length) {
      this.#partsOpen--;
      this.#leave(fileId, lane, first);
    }
    return true;
  }

  /** The message has left whole. */
  #leave(fileId: number, lane: Waiting[], waiting: Waiting): void {
    lane.shift();
    if (lane.length === 0) this.#lanes.delete(fileId);
    if (waiting.onSaved === null) return;
    this.#sentCount++;
    if (!this.#blocked.has(fileId)) {
      this.#sent.push({ fileId, count: this.#sentCount, onSaved: waiting.onSaved });
    }
  }

  #write(frame: Bytes): void {
    this.#socket.send(frame);
  }

  #lookLater(): void {
    this.#cancelLook ??= this.#browser.after(LOOK_EVERY_MS, () => {
      this.#cancelLook = null;
      this.pump();
    });
  }
}
