/**
 * How a program's output leaves its worker: at once while it is little, gathered when it is a flood.
 *
 * Owns: the pace. Does not know: languages, who reads.
 *
 * A program that never pauses lets no timer run, so there is none: each write decides by the clock. A burst goes out write by
 * write, so that what was printed before a long computation is seen; only who prints without end is gathered.
 */
import type { Chunk, Stream } from "../messages";
import { Spout } from "../spout";

/** Writes that go out one by one before a program counts as flooding, and how many come free again per millisecond. */
const BURST_WRITES = 1000;
const WRITES_PER_MS = 1;
/** Between two messages of a flood. */
const FLOOD_MS = 50;
const WAITING_UNITS_MAX = 65_536;

export class Printer {
  readonly #spout = new Spout(WAITING_UNITS_MAX);
  readonly #post: (chunks: Chunk[]) => void;
  readonly #nowMs: () => number;
  #free = BURST_WRITES;
  #seenMs: number;
  #sentMs = 0;

  constructor(post: (chunks: Chunk[]) => void, nowMs: () => number) {
    this.#post = post;
    this.#nowMs = nowMs;
    this.#seenMs = nowMs();
  }

  write(stream: Stream, text: string): void {
    this.#spout.write(stream, text);
    const now = this.#nowMs();
    this.#free = Math.min(BURST_WRITES, this.#free + (now - this.#seenMs) * WRITES_PER_MS);
    this.#seenMs = now;
    if (this.#free >= 1 && this.#spout.units < WAITING_UNITS_MAX / 8) {
      this.#free--;
      this.flush();
    } else if (now - this.#sentMs >= FLOOD_MS) {
      this.flush();
    }
  }

  /** Send what waits: when the program pauses or ends. */
  flush(): void {
    if (this.#spout.isEmpty) return;
    this.#sentMs = this.#nowMs();
    this.#post(this.#spout.take());
  }
}
