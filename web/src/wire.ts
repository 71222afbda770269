/**
 * The binary frames: y-protocols messages behind a file id, whole or in parts.
 *
 * Owns: their bytes, both ways. Does not know: JSON messages, what an update means, who sent it.
 * The twin of `src/carets/protocol/wire.py`; both are tested against `tests/vectors/wire.json`.
 *
 * Invariants:
 *   1. A decoder returns a frame or throws `WireError`, for any bytes whatever, in time linear in their number.
 *   2. What an encoder writes, the decoder reads back.
 *
 * Source: y-protocols 1.0.7 (sync, awareness); docs/PROTOCOL.md, "Binary frames".
 */

import { WireError } from "./errors";

export type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes of one part of a large message. Source: `limits.PART_BYTES_MAX`. */
export const PART_BYTES_MAX = 64 * 1024;
/** Bytes of one Yjs update. Source: `limits.UPDATE_BYTES_MAX`. */
export const UPDATE_BYTES_MAX = 64 * 1024 * 1024;
const FILE_ID_MAX = 2 ** 31 - 1;
/** Eight bytes of seven bits hold 53 bits. */
const VARUINT_BYTES_MAX = 8;

const SYNC = 0;
const AWARENESS = 1;
const QUERY_AWARENESS = 3;
/** Carets' own kind of message, far from what y-protocols may yet number. */
const PART = 100;
const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;

export type Message =
  | { readonly kind: "step_1"; readonly stateVector: Bytes }
  | { readonly kind: "step_2"; readonly update: Bytes }
  | { readonly kind: "update"; readonly update: Bytes }
  | { readonly kind: "awareness"; readonly payload: Bytes }
  | { readonly kind: "query_awareness" }
  | Part;

/** A piece of a message; `bytesLeft` of it follow in later parts of the same file. */
export interface Part {
  readonly kind: "part";
  readonly bytesLeft: number;
  readonly chunk: Bytes;
}

/** One entry of an awareness update; `state` is JSON text, `null` for gone. */
export interface PresenceEntry {
  readonly id: number;
  readonly clock: number;
  readonly state: string;
}

/** lib0's variable-length unsigned integer: seven bits a byte, lowest first. */
export function encodeVaruint(value: number): Bytes {
  const out: number[] = [];
  let rest = value;
  // Division, not shifts: a shift would cut the number to 32 bits.
  while (rest >= 0x80) {
    out.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
  return new Uint8Array(out);
}

/** The integer at `at` and the place after it. Throws `WireError` when it is cut off, above 53 bits or overlong. */
export function decodeVaruint(data: Uint8Array, at: number): [value: number, after: number] {
  let value = 0;
  let place = 1;
  for (let length = 0; length < VARUINT_BYTES_MAX; length++) {
    const byte = data[at + length];
    if (byte === undefined) throw new WireError("the message ends inside a number");
    value += (byte & 0x7f) * place;
    if (byte < 0x80) {
      if (byte === 0 && length > 0) throw new WireError("a number is longer than it need be");
      if (value > Number.MAX_SAFE_INTEGER) break;
      return [value, at + length + 1];
    }
    place *= 0x80;
  }
  throw new WireError("a number is above 53 bits");
}

/** The length-prefixed bytes at `at`, which must be the last of the message. */
function payload(data: Bytes, at: number): Bytes {
  const [length, start] = decodeVaruint(data, at);
  if (start + length !== data.length) throw new WireError("the message is longer or shorter than it says");
  return data.subarray(start);
}

/** Read one y-protocols message, or a part of one, from `at` to the end. The result shares the memory of `data`. */
export function decodeMessage(data: Bytes, at = 0): Message {
  const [kind, afterKind] = decodeVaruint(data, at);
  if (kind === SYNC) {
    const [step, afterStep] = decodeVaruint(data, afterKind);
    if (step === UPDATE) return { kind: "update", update: payload(data, afterStep) };
    if (step === STEP_2) return { kind: "step_2", update: payload(data, afterStep) };
    if (step === STEP_1) return { kind: "step_1", stateVector: payload(data, afterStep) };
    throw new WireError(`sync has no step ${step}`);
  }
  if (kind === AWARENESS) return { kind: "awareness", payload: payload(data, afterKind) };
  if (kind === QUERY_AWARENESS && afterKind === data.length) return { kind: "query_awareness" };
  if (kind === PART) {
    const [bytesLeft, afterLeft] = decodeVaruint(data, afterKind);
    return { kind: "part", bytesLeft, chunk: data.subarray(afterLeft) };
  }
  throw new WireError(`there is no message of kind ${kind}`);
}

/** Read one binary frame of `carets.v1`: the file id and the message. */
export function decodeFrame(data: Bytes): [fileId: number, message: Message] {
  const [fileId, at] = decodeVaruint(data, 0);
  if (fileId < 1 || fileId > FILE_ID_MAX) throw new WireError("no file has this id");
  return [fileId, decodeMessage(data, at)];
}

export function encodeStep1(stateVector: Uint8Array): Bytes {
  return joined([new Uint8Array([SYNC, STEP_1]), encodeVaruint(stateVector.length), stateVector]);
}

export function encodeStep2(update: Uint8Array): Bytes {
  return joined([new Uint8Array([SYNC, STEP_2]), encodeVaruint(update.length), update]);
}

export function encodeUpdate(update: Uint8Array): Bytes {
  return joined([new Uint8Array([SYNC, UPDATE]), encodeVaruint(update.length), update]);
}

export function encodeAwareness(entries: readonly PresenceEntry[]): Bytes {
  const pieces: Uint8Array[] = [encodeVaruint(entries.length)];
  for (const entry of entries) {
    const state = new TextEncoder().encode(entry.state);
    pieces.push(encodeVaruint(entry.id), encodeVaruint(entry.clock), encodeVaruint(state.length), state);
  }
  const body = joined(pieces);
  return joined([new Uint8Array([AWARENESS]), encodeVaruint(body.length), body]);
}

/** Read the entries of an awareness message. Throws `WireError` when anything is cut off, left over or not UTF-8. */
export function decodeAwareness(data: Uint8Array): PresenceEntry[] {
  const [count, start] = decodeVaruint(data, 0);
  const entries: PresenceEntry[] = [];
  let at = start;
  for (let index = 0; index < count; index++) {
    const [id, afterId] = decodeVaruint(data, at);
    const [clock, afterClock] = decodeVaruint(data, afterId);
    const [length, afterLength] = decodeVaruint(data, afterClock);
    at = afterLength + length;
    if (at > data.length) throw new WireError("an entry is cut off");
    entries.push({ id, clock, state: readUtf8(data.subarray(afterLength, at)) });
  }
  if (at !== data.length) throw new WireError("bytes after the last entry");
  return entries;
}

function readUtf8(data: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    throw new WireError("not UTF-8");
  }
}

/** One whole message behind its file id. */
export function encodeFrame(fileId: number, message: Uint8Array): Bytes {
  return joined([encodeVaruint(fileId), message]);
}

/** Whether a message is too large for one frame. */
export function needsParts(message: Uint8Array): boolean {
  return message.length > PART_BYTES_MAX;
}

/** The frame of the part that begins at byte `at` of `message`, and the place after it. */
export function encodePart(fileId: number, message: Uint8Array, at: number): [frame: Bytes, after: number] {
  const after = Math.min(at + PART_BYTES_MAX, message.length);
  const head = [encodeVaruint(fileId), encodeVaruint(PART), encodeVaruint(message.length - after)];
  return [joined([...head, message.subarray(at, after)]), after];
}

/** What the server has sent of messages in parts. */
export class PartsInbox {
  readonly #begun = new Map<number, { whole: Bytes; filled: number }>();

  /**
   * Add a part; the whole message when it was the last, else null. An empty
   * last part abandons what was begun. Throws `WireError` when parts do not fit together.
   */
  take(fileId: number, part: Part): Message | null {
    const held = this.#begun.get(fileId) ?? this.#begin(part);
    this.#begun.delete(fileId);
    if (part.chunk.length === 0) {
      if (part.bytesLeft > 0) throw new WireError("an empty part");
      return null;
    }
    if (part.chunk.length + part.bytesLeft !== held.whole.length - held.filled) {
      throw new WireError("parts do not fit together");
    }
    held.whole.set(part.chunk, held.filled);
    held.filled += part.chunk.length;
    if (part.bytesLeft > 0) {
      this.#begun.set(fileId, held);
      return null;
    }
    const message = decodeMessage(held.whole);
    if (message.kind === "part") throw new WireError("a part inside a part");
    return message;
  }

  #begin(part: Part): { whole: Bytes; filled: number } {
    const bytes = part.chunk.length + part.bytesLeft;
    // A document may be larger than one update of it: its answer carries everybody's deletions too.
    if (bytes > 2 * UPDATE_BYTES_MAX) throw new WireError("the message is too large");
    return { whole: new Uint8Array(bytes), filled: 0 };
  }
}

function joined(pieces: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(pieces.reduce((bytes, piece) => bytes + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}
