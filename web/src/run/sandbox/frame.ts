/**
 * The frame in which programs run: a document without an origin, which makes workers and passes on what they print.
 *
 * Owns: the workers, and Python's parts once they are fetched. Does not know: the workspace, its keys, people, the network
 * beyond the folder that it was served from.
 *
 * Invariants:
 *   1. No code of the workspace runs in this document: only in workers, which have no document, parent or address to change.
 *   2. A run is a new worker. When it ends, for whatever reason, the worker is terminated.
 *   3. What a worker says is data: it is read, bounded, and paced.
 */
import {
  CONNECT,
  type Fault,
  type Language,
  type Order,
  type Program,
  type PythonParts,
  type Report,
  readChunks,
  type WorkerOrder,
} from "../messages";
import { Spout } from "../spout";

/** Sizes of Python's parts as they are once unpacked, since the transfer may be compressed. */
declare const __CARETS_PYODIDE__: { version: string; wasmBytes: number; libraryBytes: number };

/** Between two messages to the page. */
const TICK_MS = 100;
/** In one message to the page; with the tick this is what a flood costs it at most. */
const TICK_UNITS_MAX = 16_384;
/** What waits for the page. */
const WAITING_UNITS_MAX = 65_536;
/** In one message of a worker; its own spout sends at most half of that. */
const MESSAGE_UNITS_MAX = 262_144;
/** A prepared interpreter takes about 60 MB; after this it is let go. */
const WARM_MS = 300_000;

const folder = new URL("./", location.href).href;

interface Run {
  readonly number: number;
  readonly worker: Worker | null;
  readonly spout: Spout;
  beganMs: number;
  timer: number;
}

let port: MessagePort | null = null;
let run: Run | null = null;
let parts: Promise<PythonParts> | null = null;
const sources = new Map<Language, Promise<string>>();
let warm: { worker: Worker; timer: number } | null = null;

function tell(report: Report): void {
  port?.postMessage(report);
}

/** A second wall besides the header: before any worker is made, and inherited by each. */
function narrow(): void {
  const policy = document.createElement("meta");
  policy.httpEquiv = "Content-Security-Policy";
  policy.content = `script-src ${folder} blob: 'unsafe-eval' 'wasm-unsafe-eval'; connect-src ${folder}; worker-src blob:`;
  document.head.append(policy);
}

addEventListener("message", (event: MessageEvent) => {
  if (event.source !== parent || parent === window || port !== null) return;
  if (event.data !== CONNECT || event.ports[0] === undefined) return;
  narrow();
  port = event.ports[0];
  port.onmessage = (message: MessageEvent<Order>) => take(message.data);
  tell({ type: "pong" });
});

function take(order: Order): void {
  switch (order.type) {
    case "ping":
      tell({ type: "pong" });
      return;
    case "stop":
      if (run?.number === order.run) end(null, null);
      return;
    case "start":
      end(null, null);
      run = {
        number: order.run,
        worker: null,
        spout: new Spout(WAITING_UNITS_MAX),
        beganMs: performance.now(),
        timer: 0,
      };
      void start(run, order.language, order.program);
  }
}

async function start(own: Run, language: Language, program: Program): Promise<void> {
  let worker: Worker;
  try {
    worker = language === "python" ? await pythonWorker(own) : await newWorker("javascript");
  } catch {
    if (run === own) end(1, "load");
    return;
  }
  if (run !== own) {
    worker.terminate();
    return;
  }
  const begun: Run = { ...own, worker, beganMs: performance.now() };
  run = begun;
  worker.onmessage = (event: MessageEvent<unknown>) => {
    if (run === begun) hear(begun, event.data);
  };
  // An error that the runtime has not caught itself is the end of the worker, for want of memory as a rule.
  worker.onerror = (event) => {
    event.preventDefault();
    if (run === begun) end(1, "crash");
  };
  post(worker, { type: "run", program });
}

function post(worker: Worker, order: WorkerOrder): void {
  worker.postMessage(order);
}

function hear(own: Run, said: unknown): void {
  if (typeof said !== "object" || said === null || !("type" in said)) return;
  if (said.type === "running") {
    own.beganMs = performance.now();
    tell({ type: "running", run: own.number });
  } else if (said.type === "out" && "chunks" in said) {
    for (const [stream, text] of readChunks(said.chunks, MESSAGE_UNITS_MAX) ?? []) own.spout.write(stream, text);
    if (own.timer === 0) {
      flush(own);
      own.timer = setTimeout(() => tick(own), TICK_MS);
    }
  } else if (said.type === "end" && "code" in said && Number.isSafeInteger(said.code)) {
    end(Number(said.code), "fault" in said && said.fault === "load" ? "load" : null);
  }
}

function tick(own: Run): void {
  own.timer = 0;
  if (run !== own || own.spout.isEmpty) return;
  flush(own);
  own.timer = setTimeout(() => tick(own), TICK_MS);
}

function flush(own: Run): void {
  const chunks = own.spout.take(TICK_UNITS_MAX);
  if (chunks.length > 0) tell({ type: "out", run: own.number, chunks });
}

/** End the run that there is; `code` is null when it was stopped. */
function end(code: number | null, fault: Fault | null): void {
  if (run === null) return;
  const ended = run;
  run = null;
  ended.worker?.terminate();
  clearTimeout(ended.timer);
  while (!ended.spout.isEmpty) flush(ended);
  tell({ type: "end", run: ended.number, code, ms: Math.round(performance.now() - ended.beganMs), fault });
  if (parts !== null && fault === null) void keepWarm();
}

// -- workers

function sourceOf(language: Language): Promise<string> {
  const known = sources.get(language);
  if (known !== undefined) return known;
  const fetched = fetch(`${folder}${language}-${__CARETS_BUILD__}.js`)
    .then(read)
    .then((answer) => answer.text());
  sources.set(language, fetched);
  fetched.catch(() => sources.delete(language));
  return fetched;
}

function read(answer: Response): Response {
  if (!answer.ok) throw new Error(`${answer.url}: ${answer.status}`);
  return answer;
}

/** A worker may only come from a blob here, since the document has no origin that an address could share. */
async function newWorker(language: Language): Promise<Worker> {
  const address = URL.createObjectURL(new Blob([await sourceOf(language)], { type: "text/javascript" }));
  try {
    return new Worker(address);
  } finally {
    // The worker has taken hold of the blob, and what runs in it cannot fetch it again.
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}

async function pythonWorker(own: Run): Promise<Worker> {
  const known = warm;
  if (known !== null) {
    warm = null;
    clearTimeout(known.timer);
    return known.worker;
  }
  parts ??= fetchPython((bytes, totalBytes) => {
    if (run === own) tell({ type: "loading", run: own.number, bytes, totalBytes });
  });
  try {
    const python = await parts;
    const worker = await newWorker("python");
    post(worker, { type: "prepare", python });
    return worker;
  } catch (error) {
    parts = null;
    throw error;
  }
}

/** The next run finds an interpreter that is ready, and that nobody has used. */
async function keepWarm(): Promise<void> {
  const memoryGb = (navigator as { deviceMemory?: number }).deviceMemory ?? 8;
  if (warm !== null || parts === null || memoryGb < 4) return;
  const python = await parts;
  const worker = await newWorker("python");
  if (warm !== null) {
    worker.terminate();
    return;
  }
  post(worker, { type: "prepare", python });
  const timer = setTimeout(() => {
    worker.terminate();
    warm = null;
  }, WARM_MS);
  warm = { worker, timer };
}

async function fetchPython(onBytes: (bytes: number, totalBytes: number) => void): Promise<PythonParts> {
  const { version, wasmBytes, libraryBytes } = __CARETS_PYODIDE__;
  const place = `${folder}pyodide-${version}/`;
  let bytes = 0;
  const count = (part: number): void => {
    bytes += part;
    onBytes(bytes, Math.max(bytes, wasmBytes + libraryBytes));
  };
  const [wasm, library] = await Promise.all([
    counted(`${place}pyodide.asm.wasm`, "application/wasm", count).then((answer) =>
      WebAssembly.compileStreaming(answer),
    ),
    counted(`${place}python_stdlib.zip`, "application/zip", count).then((answer) => answer.arrayBuffer()),
  ]);
  return { folder: place, wasm, library };
}

async function counted(address: string, type: string, onPart: (bytes: number) => void): Promise<Response> {
  const answer = read(await fetch(address));
  const counting = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(part, controller) {
      onPart(part.byteLength);
      controller.enqueue(part);
    },
  });
  return new Response(answer.body?.pipeThrough(counting) ?? null, { headers: { "Content-Type": type } });
}
