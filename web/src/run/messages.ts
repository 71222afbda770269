/**
 * What the page, the frame and the worker of a run say to each other.
 *
 * Owns: the shapes. Does not know: who acts on them.
 *
 * Invariant: nothing here carries a key, an edit or an address of the workspace: only its texts go in, only text comes out.
 */

export type Language = "python" | "javascript";

/** `out` and `err` are the program's, `in` is input that it took; `gap` is a number of lines that were left out. */
export type Stream = "out" | "err" | "in" | "gap";

/** A piece of output, in order. */
export type Chunk = readonly [stream: Stream, text: string];

/** The workspace's texts by path. */
export type Files = ReadonlyMap<string, string>;

/** A program: the file to run, what it can import and open, and the lines that it can read. */
export interface Program {
  readonly path: string;
  readonly files: Files;
  readonly stdin: readonly string[];
}

/** The page's first message to the frame's window; a port comes with it. */
export const CONNECT = "carets.run.connect";

/** From the page to the frame. */
export type Order =
  | { readonly type: "start"; readonly run: number; readonly language: Language; readonly program: Program }
  | { readonly type: "stop"; readonly run: number }
  | { readonly type: "ping" };

/** From the frame to the page. `run` is the frame's word: a program cannot speak for another run. */
export type Report =
  | { readonly type: "pong" }
  | { readonly type: "loading"; readonly run: number; readonly bytes: number; readonly totalBytes: number }
  | { readonly type: "running"; readonly run: number }
  | { readonly type: "out"; readonly run: number; readonly chunks: readonly Chunk[] }
  /** `code` is null when the program was stopped; `fault` says what broke that is not the program's own doing. */
  | {
      readonly type: "end";
      readonly run: number;
      readonly code: number | null;
      readonly ms: number;
      readonly fault: Fault | null;
    };

/** `load`: what it takes could not be fetched. `crash`: the worker died, as it does without memory. */
export type Fault = "load" | "crash";

/** Python's parts, fetched and compiled once for all runs of a frame. */
export interface PythonParts {
  readonly folder: string;
  readonly wasm: WebAssembly.Module;
  readonly library: ArrayBuffer;
}

/** From the frame to a worker. */
export type WorkerOrder =
  | { readonly type: "prepare"; readonly python: PythonParts }
  | { readonly type: "run"; readonly program: Program };

/** From a worker to the frame: data to judge, since the program could have sent it. */
export type WorkerReport =
  | { readonly type: "running" }
  | { readonly type: "out"; readonly chunks: readonly Chunk[] }
  | { readonly type: "end"; readonly code: number; readonly fault?: Fault };

const STREAMS: ReadonlySet<unknown> = new Set(["out", "err", "in", "gap"]);

/** Chunks out of what somebody else sent; null when it is nothing of the kind. At most `unitsMax` UTF-16 units of text. */
export function readChunks(sent: unknown, unitsMax: number): Chunk[] | null {
  if (!Array.isArray(sent)) return null;
  const chunks: Chunk[] = [];
  let units = 0;
  for (const each of sent) {
    if (!Array.isArray(each) || each.length !== 2 || !STREAMS.has(each[0]) || typeof each[1] !== "string") return null;
    units += each[1].length + 1;
    if (units > unitsMax) return null;
    if (each[0] === "gap" && !/^\d{1,12}$/.test(each[1])) return null;
    chunks.push([each[0] as Stream, each[1]]);
  }
  return chunks;
}
