/**
 * The worker that runs Python: one interpreter, one program.
 *
 * Owns: how the workspace's texts, input and output reach the interpreter. Does not know: who reads the output, other runs.
 */
import type { PyodideAPI } from "pyodide";
import type { Program, PythonParts, WorkerOrder, WorkerReport } from "../messages";
import { Printer } from "./printer";
import source from "./program.py?raw";

/** Of its list of packages only what says which interpreter it fits. */
declare const __CARETS_PYODIDE__: { info: object };

/** Bytes that an interpreter may take. A program that wants more gets a MemoryError, and the browser lives. */
const MEMORY_BYTES_MAX = 1_073_741_824;
const PAGE_BYTES = 65_536;
const ROOT = "/workspace";

/** A Python function, called so that Python may wait inside for what JavaScript promises, where the browser can do that. */
interface Callable {
  (...values: unknown[]): unknown;
  callPromising(...values: unknown[]): Promise<unknown>;
}

const canWait = "Suspending" in WebAssembly;
const say = self.postMessage.bind(self) as (report: WorkerReport) => void;
const printer = new Printer(
  (chunks) => say({ type: "out", chunks }),
  () => performance.now(),
);

let interpreter: Promise<PyodideAPI> | null = null;

self.onmessage = (event: MessageEvent<WorkerOrder>): void => {
  const order = event.data;
  if (order.type === "prepare") {
    interpreter = load(order.python);
    // Told when a program is to be run.
    interpreter.catch(() => undefined);
  } else {
    self.onmessage = null;
    void begin(order.program);
  }
};

async function begin(program: Program): Promise<void> {
  let python: PyodideAPI;
  try {
    if (interpreter === null) throw new Error("not prepared");
    python = await interpreter;
  } catch (error) {
    printer.write("err", `${String(error)}\n`);
    printer.flush();
    say({ type: "end", code: 1, fault: "load" });
    return;
  }
  say({ type: "running" });
  let code = 1;
  try {
    code = await run(python, program);
  } catch (error) {
    printer.write("err", `${String(error)}\n`);
  }
  printer.flush();
  say({ type: "end", code });
}

async function load(parts: PythonParts): Promise<PyodideAPI> {
  // A classic worker, as a frame without an origin has no other; the loader would refuse it for what it finds here.
  Object.defineProperty(self, "importScripts", { value: refuseScripts });
  boundMemory();
  const restore = lend(parts);
  try {
    const { loadPyodide } = (await import(/* @vite-ignore */ `${parts.folder}pyodide.mjs`)) as typeof import("pyodide");
    return await loadPyodide({
      indexURL: parts.folder,
      // No packages: they would come from another host. The list of them is 120 KB.
      lockFileContents: JSON.stringify({ info: __CARETS_PYODIDE__.info, packages: {} }),
      packageBaseUrl: parts.folder,
      env: { HOME: ROOT, PYTHONINSPECT: "", PYTHONDONTWRITEBYTECODE: "1" },
    });
  } finally {
    restore();
  }
}

function refuseScripts(): never {
  throw new Error("Scripts cannot be imported here.");
}

/** Hand out what the frame has fetched and compiled already, while the interpreter asks for it by address. */
function lend(parts: PythonParts): () => void {
  const { fetch } = self;
  const { instantiateStreaming } = WebAssembly;
  self.fetch = (wanted, options) => {
    const address = String(wanted);
    if (address.endsWith(".wasm")) return Promise.resolve(new Response());
    if (address.endsWith("python_stdlib.zip")) return Promise.resolve(new Response(parts.library));
    return fetch(wanted, options);
  };
  WebAssembly.instantiateStreaming = async (_, imports) => {
    const instance = await WebAssembly.instantiate(parts.wasm, imports);
    return { instance, module: parts.wasm };
  };
  return () => {
    self.fetch = fetch;
    WebAssembly.instantiateStreaming = instantiateStreaming;
  };
}

function boundMemory(): void {
  const { grow } = WebAssembly.Memory.prototype;
  WebAssembly.Memory.prototype.grow = function (this: WebAssembly.Memory, pages: number): number {
    if (this.buffer.byteLength + pages * PAGE_BYTES > MEMORY_BYTES_MAX) throw new RangeError("too much memory");
    return grow.call(this, pages);
  };
}

async function run(python: PyodideAPI, program: Program): Promise<number> {
  connect(python, program.stdin);
  python.FS.mkdirTree(ROOT);
  for (const [path, text] of program.files) {
    const place = `${ROOT}/${path}`;
    python.FS.mkdirTree(place.slice(0, place.lastIndexOf("/")));
    python.FS.writeFile(place, text);
  }
  const globals = python.toPy({ __name__: "carets" });
  const [start, finish] = python.runPython(source, { globals, filename: "/carets/program.py" }) as [Callable, Callable];
  const pause = canWait ? pauseWith(python) : null;
  const flush = (): void => printer.flush();
  const code = canWait ? await start.callPromising(program.path, flush, pause) : start(program.path, flush, pause);
  return Number(await finish(code));
}

function pauseWith(python: PyodideAPI): unknown {
  const promised = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const made = python.runPython(
    "from pyodide.ffi import run_sync\nlambda promised: lambda ms: run_sync(promised(ms))",
    { globals: python.toPy({}) },
  ) as Callable;
  return made(promised);
}

function connect(python: PyodideAPI, stdin: readonly string[]): void {
  for (const [stream, set] of [
    ["out", python.setStdout],
    ["err", python.setStderr],
  ] as const) {
    // Bytes come in any pieces: a character may lie in two.
    const decoder = new TextDecoder();
    set({
      write(bytes: Uint8Array): number {
        printer.write(stream, decoder.decode(bytes.slice(), { stream: true }));
        return bytes.length;
      },
    });
  }
  const encoder = new TextEncoder();
  let lines = stdin.map((line) => encoder.encode(`${line}\n`));
  python.setStdin({
    // A line at a time, as a terminal gives it, so that only what was taken is shown as taken.
    read(buffer: Uint8Array): number {
      const [line, ...rest] = lines;
      printer.flush();
      if (line === undefined) return 0;
      const count = Math.min(line.length, buffer.length);
      buffer.set(line.subarray(0, count));
      lines = count < line.length ? [line.subarray(count), ...rest] : rest;
      printer.write("in", new TextDecoder().decode(line.subarray(0, count)));
      return count;
    },
  });
}
