/**
 * Output on its way to whoever is slower than the program that prints it.
 *
 * Owns: what waits. Does not know: clocks, who prints, who reads.
 *
 * Invariants:
 *   1. At most `unitsMax` units wait, however much is written.
 *   2. What is left out is the oldest, and a `gap` with the number of its lines stands where it was: the last words of a
 *      program, such as its traceback, come through every flood.
 */
import type { Chunk, Stream } from "./messages";

/** Units that a chunk costs besides its text, so that empty ones are bounded, too. */
const CHUNK_UNITS = 8;

export class Spout {
  readonly #unitsMax: number;
  #chunks: Chunk[] = [];
  #units = 0;
  #linesLost = 0;

  constructor(unitsMax: number) {
    this.#unitsMax = unitsMax;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0 && this.#linesLost === 0;
  }

  get units(): number {
    return this.#units;
  }

  write(stream: Stream, text: string): void {
    if (stream === "gap") {
      this.#lose(Number(text) || 0);
      return;
    }
    if (text === "") return;
    let kept = text;
    if (kept.length + CHUNK_UNITS > this.#unitsMax) {
      this.#clear();
      const cut = wholeFrom(kept, kept.length - this.#unitsMax + CHUNK_UNITS);
      this.#linesLost += linesIn(kept.slice(0, cut));
      kept = kept.slice(cut);
    }
    const last = this.#chunks.at(-1);
    if (last !== undefined && last[0] === stream && last[1].length + kept.length <= this.#unitsMax / 4) {
      this.#chunks[this.#chunks.length - 1] = [stream, last[1] + kept];
      this.#units += kept.length;
    } else {
      this.#chunks.push([stream, kept]);
      this.#units += kept.length + CHUNK_UNITS;
    }
    if (this.#units > this.#unitsMax) this.#shed();
  }

  /** Take what waits, oldest first, but no more than `unitsMax` units besides a gap; the rest goes on waiting. */
  take(unitsMax = this.#unitsMax): Chunk[] {
    const taken: Chunk[] = [];
    if (this.#linesLost > 0) taken.push(["gap", String(this.#linesLost)]);
    this.#linesLost = 0;
    let units = 0;
    let count = 0;
    for (const [stream, text] of this.#chunks) {
      const room = unitsMax - units - CHUNK_UNITS;
      if (text.length > room) {
        const cut = room > 1 ? wholeFrom(text, room, -1) : 0;
        if (cut > 0) {
          taken.push([stream, text.slice(0, cut)]);
          this.#chunks[count] = [stream, text.slice(cut)];
          this.#units -= cut;
        }
        break;
      }
      taken.push([stream, text]);
      units += text.length + CHUNK_UNITS;
      this.#units -= text.length + CHUNK_UNITS;
      count++;
    }
    this.#chunks.splice(0, count);
    return taken;
  }

  #lose(lines: number): void {
    for (const [, text] of this.#chunks) this.#linesLost += linesIn(text);
    this.#linesLost += lines;
    this.#chunks = [];
    this.#units = 0;
  }

  #clear(): void {
    this.#lose(0);
  }

  /** Let the oldest go, to half of what may wait, so that a flood is not shed line by line. */
  #shed(): void {
    let count = 0;
    while (count < this.#chunks.length - 1 && this.#units > this.#unitsMax / 2) {
      const text = this.#chunks[count]?.[1] ?? "";
      this.#linesLost += linesIn(text);
      this.#units -= text.length + CHUNK_UNITS;
      count++;
    }
    this.#chunks.splice(0, count);
  }
}

/** A place to cut at, near `at`, that leaves both halves of a character together. */
function wholeFrom(text: string, at: number, step: 1 | -1 = 1): number {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit <= 0xdfff ? at + step : at;
}

function linesIn(text: string): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return Math.max(lines, 1);
}
