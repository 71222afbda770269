/**
 * How much of large messages may be on its way at once.
 *
 * A socket's `bufferedAmount` shows what the browser still holds, not the megabyte that the kernel and the line hold
 * beyond it; on a slow line a keystroke would wait behind all of that. So each part is followed by a ping, and the time
 * until its pong says how long the line is.
 *
 * Owns: the window in bytes, and which pong answers which ping. Does not know: sockets, parts, files.
 *
 * Invariants:
 *   1. Pongs come in the order of pings.
 *   2. When nothing is on its way, a part may always go.
 */

/** Bytes of one part at least: on the slowest line they go one by one. */
const WINDOW_BYTES_MIN = 64 * 1024;
/** Bytes at first, before anything is known of the line. */
const WINDOW_BYTES_FIRST = 128 * 1024;
/** Bytes that fill a line of 100 Mbit/s and 300 ms. */
const WINDOW_BYTES_MAX = 4 * 1024 * 1024;
/** Milliseconds until a pong below which the line takes more, and above which others wait too long. */
const SHORT_MS = 250;
const LONG_MS = 750;

export class Pace {
  readonly #nowMs: () => number;
  #windowBytes = WINDOW_BYTES_FIRST;
  #aheadBytes = 0;
  #asked: { bytes: number; atMs: number }[] = [];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Whether another part may go. */
  get isOpen(): boolean {
    return this.#aheadBytes < this.#windowBytes;
  }

  /** A ping goes, after so many bytes of a part; 0 for one that only asks whether the line lives. */
  asked(bytes: number): void {
    this.#aheadBytes += bytes;
    this.#asked.push({ bytes, atMs: this.#nowMs() });
  }

  /** A pong came. */
  answered(): void {
    const first = this.#asked.shift();
    if (first === undefined || first.bytes === 0) return;
    this.#aheadBytes -= first.bytes;
    const tookMs = this.#nowMs() - first.atMs;
    if (tookMs < SHORT_MS) this.#windowBytes = Math.min(WINDOW_BYTES_MAX, this.#windowBytes * 2);
    else if (tookMs > LONG_MS) this.#windowBytes = Math.max(WINDOW_BYTES_MIN, this.#windowBytes / 2);
  }
}
