/**
 * What a run has printed, as it is shown.
 *
 * Owns: the text, in pieces that change as little as possible. Does not know: who printed it, how it is drawn.
 *
 * Invariants:
 *   1. At most `unitsMax` units and `LINES_MAX` lines; the oldest goes first, and `isCut` says so.
 *   2. Text only: no escape sequence and no control character but newline and tab is in it.
 */
import { Cell, type Observable } from "../observable";
import type { Chunk, Stream } from "./messages";

export interface Piece {
  readonly id: number;
  readonly stream: Stream;
  /** Of a `gap`: how many lines are missing; 0 when nobody knows. */
  readonly text: string;
}

export interface Printed {
  readonly pieces: readonly Piece[];
  readonly isCut: boolean;
  /** Lines that ever came: the pace of a flood can be seen by it. */
  readonly lines: number;
}

export const LOG_UNITS_MAX = 262_144;
/** More are of no use to a reader, and are what makes a browser slow. */
const LINES_MAX = 4000;
/** A piece grows to this and is left alone then. */
const PIECE_UNITS_MAX = 4096;
const PIECE_LINES_MAX = 60;
/** An escape sequence that has not ended by then was none. */
const ESCAPE_UNITS_MAX = 256;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROLS = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const OPEN_ESCAPE = /\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*|[ -/]*)$/;

const NOTHING: Printed = { pieces: [], isCut: false, lines: 0 };

export class RunLog {
  readonly #printed = new Cell<Printed>(NOTHING);
  readonly #unitsMax: number;
  #pieces: Piece[] = [];
  #units = 0;
  #lines = 0;
  #linesEver = 0;
  #isCut = false;
  #ids = 0;
  /** The begin of an escape sequence or a line end, whose rest comes with the next chunk. */
  #open = "";

  constructor(unitsMax = LOG_UNITS_MAX) {
    this.#unitsMax = unitsMax;
  }

  get printed(): Observable<Printed> {
    return this.#printed;
  }

  append(chunks: readonly Chunk[]): void {
    for (const [stream, text] of chunks) {
      if (stream === "gap") this.#add("gap", text);
      else this.#take(stream, text);
    }
    this.#trim();
    this.#show();
  }

  clear(): void {
    this.#pieces = [];
    this.#units = 0;
    this.#lines = 0;
    this.#isCut = false;
    this.#show();
  }

  /** All that is kept, as plain text. */
  text(gap: (lines: number) => string): string {
    const words = this.#pieces.map((piece) => (piece.stream === "gap" ? `${gap(Number(piece.text))}\n` : piece.text));
    return words.join("");
  }

  #take(stream: Stream, sent: string): void {
    let text = this.#open + sent;
    this.#open = "";
    const open = text.endsWith("\r") ? "\r" : (OPEN_ESCAPE.exec(text)?.[0] ?? "");
    if (open !== "" && open.length <= ESCAPE_UNITS_MAX) {
      this.#open = open;
      text = text.slice(0, -open.length);
    }
    text = text.replace(ESCAPES, "").replace(CONTROLS, "").replaceAll("\r\n", "\n");
    for (const line of text.split(/(?<=\n)/)) this.#line(stream, line);
  }

  /** A line or a part of one; after a lone carriage return it is written anew, as progress bars do. */
  #line(stream: Stream, line: string): void {
    const back = line.lastIndexOf("\r");
    if (back >= 0) this.#unwriteLine(stream);
    this.#add(stream, back < 0 ? line : line.slice(back + 1));
  }

  #unwriteLine(stream: Stream): void {
    const last = this.#pieces.at(-1);
    if (last === undefined || last.stream !== stream || last.text.endsWith("\n")) return;
    const kept = last.text.slice(0, last.text.lastIndexOf("\n") + 1);
    this.#units -= last.text.length - kept.length;
    if (kept === "") this.#pieces.pop();
    else this.#pieces[this.#pieces.length - 1] = { ...last, text: kept };
  }

  #add(stream: Stream, text: string): void {
    if (text === "") return;
    const last = this.#pieces.at(-1);
    const lines = stream === "gap" || text.endsWith("\n") ? 1 : 0;
    this.#lines += lines;
    this.#linesEver += lines;
    this.#units += text.length;
    const fits =
      last !== undefined &&
      last.stream === stream &&
      stream !== "gap" &&
      last.text.length + text.length <= PIECE_UNITS_MAX &&
      linesIn(last.text) < PIECE_LINES_MAX;
    if (fits) {
      this.#pieces[this.#pieces.length - 1] = { ...last, text: last.text + text };
      return;
    }
    for (let at = 0; at < text.length; at += PIECE_UNITS_MAX) {
      this.#pieces.push({ id: this.#ids++, stream, text: text.slice(at, at + PIECE_UNITS_MAX) });
    }
  }

  #trim(): void {
    let count = 0;
    while (this.#units > this.#unitsMax || this.#lines > LINES_MAX) {
      const piece = this.#pieces[count];
      if (piece === undefined) break;
      this.#units -= piece.text.length;
      this.#lines -= piece.stream === "gap" ? 1 : linesIn(piece.text);
      this.#isCut = true;
      count++;
    }
    this.#pieces.splice(0, count);
  }

  #show(): void {
    this.#printed.set({ pieces: [...this.#pieces], isCut: this.#isCut, lines: this.#linesEver });
  }
}

function linesIn(text: string): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}
