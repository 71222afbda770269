/**
 * The page's side of running programs: the frame, and one run at a time in it.
 *
 * Owns: the frame's element and what the page knows of the run. Does not know: who watches, where the texts come from.
 *
 * Invariants:
 *   1. The frame is not asked for before the first start. It gets texts and input, never a key or an address.
 *   2. The page hears the frame by a port alone: it listens to no message of a window, so none can be forged.
 *   3. `stop` is true for the person at once; a frame that does not follow is thrown away.
 */
import { Cell, type Observable } from "../observable";
import { type Chunk, CONNECT, type Fault, type Files, type Order, type Report, readChunks } from "./messages";
import { languageOfRun } from "./runnable";

export type RunState =
  | { readonly kind: "idle" }
  /** The workspace's texts are being brought together. */
  | { readonly kind: "gathering" }
  /** What it takes is fetched: `bytes` of `totalBytes`, which are 0 where little is fetched. */
  | { readonly kind: "loading"; readonly bytes: number; readonly totalBytes: number }
  | { readonly kind: "running"; readonly sinceMs: number }
  | { readonly kind: "ended"; readonly code: number; readonly ms: number }
  | { readonly kind: "stopped"; readonly ms: number }
  /** `gone`: it ran with somebody who has left. */
  | { readonly kind: "failed"; readonly fault: Fault | "gone" };

export interface RunRequest {
  readonly path: string;
  readonly files: Files;
  readonly stdin: readonly string[];
}

export interface RunnerOptions {
  /** The page's base, ending in `/`. */
  readonly base: string;
  /** This page's build: the frame's files carry it in their names. */
  readonly build: string;
  onOutput(chunks: readonly Chunk[]): void;
}

/** How long the frame may take to be there: it is small, the network may be slow. */
const FRAME_WAIT_MS = 20_000;
/** Between two questions whether the frame lives, and how many may stay without an answer. */
const PING_MS = 2000;
const PINGS_MISSED_MAX = 5;
/** How long a frame may take to end a run. */
const STOP_WAIT_MS = 2000;
/** Of one message of the frame. */
const REPORT_UNITS_MAX = 65_536;

export function isOver(state: RunState): boolean {
  return state.kind === "idle" || state.kind === "ended" || state.kind === "stopped" || state.kind === "failed";
}

interface Frame {
  readonly element: HTMLIFrameElement;
  readonly port: MessagePort;
  pingsMissed: number;
}

export class Runner {
  readonly #state = new Cell<RunState>({ kind: "idle" });
  readonly #options: RunnerOptions;
  #frame: Frame | null = null;
  #opening: Promise<Frame> | null = null;
  #run = 0;
  #watch: ReturnType<typeof setInterval> | null = null;
  #beganMs = 0;
  /** A run that was stopped and whose end the frame has not told yet. */
  #ending: { run: number; timer: ReturnType<typeof setTimeout> } | null = null;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  get state(): Observable<RunState> {
    return this.#state;
  }

  /** Begin a run; one that is under way is stopped. */
  start(request: RunRequest): void {
    const language = languageOfRun(request.path);
    if (language === null) throw new Error(`${request.path} is in no language that can be run`);
    this.stop();
    this.#run++;
    this.#beganMs = performance.now();
    this.#state.set({ kind: "loading", bytes: 0, totalBytes: 0 });
    const order: Order = { type: "start", run: this.#run, language, program: request };
    void this.#begin(this.#run, order);
  }

  stop(): void {
    if (isOver(this.#state.value)) return;
    const run = this.#run;
    const { kind } = this.#state.value;
    this.#end({ kind: "stopped", ms: kind === "running" ? performance.now() - this.#beganMs : 0 });
    if (this.#frame === null) return;
    this.#order({ type: "stop", run });
    this.#forgetEnding();
    this.#ending = { run, timer: setTimeout(() => this.#discardFrame(), STOP_WAIT_MS) };
  }

  dispose(): void {
    this.stop();
    this.#discardFrame();
  }

  async #begin(run: number, order: Order): Promise<void> {
    try {
      await this.#open();
    } catch {
      if (run === this.#run && !isOver(this.#state.value)) this.#end({ kind: "failed", fault: "load" });
      return;
    }
    if (run !== this.#run || isOver(this.#state.value)) return;
    this.#order(order);
    this.#watch ??= setInterval(() => this.#ping(), PING_MS);
  }

  #order(order: Order): void {
    this.#frame?.port.postMessage(order);
  }

  #open(): Promise<Frame> {
    if (this.#frame !== null) return Promise.resolve(this.#frame);
    this.#opening ??= this.#make().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  #make(): Promise<Frame> {
    const element = document.createElement("iframe");
    // Nothing but scripts: no origin, no popups, no dialogs, no forms, no way to move the page.
    element.setAttribute("sandbox", "allow-scripts");
    element.setAttribute("aria-hidden", "true");
    element.tabIndex = -1;
    element.title = "Run";
    element.hidden = true;
    element.src = new URL(`run/frame-${this.#options.build}.html`, this.#options.base).href;
    const { port1: port, port2 } = new MessageChannel();
    const frame: Frame = { element, port, pingsMissed: 0 };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        element.remove();
        port.close();
        reject(new Error("the frame does not answer"));
      }, FRAME_WAIT_MS);
      port.onmessage = (event: MessageEvent<Report>) => {
        if (this.#frame === null) {
          clearTimeout(timer);
          this.#frame = frame;
          resolve(frame);
        }
        if (this.#frame === frame) this.#hear(event.data);
      };
      // An opaque origin has no name, so it cannot be asked for; what is sent is a port, and no secret.
      element.onload = () => element.contentWindow?.postMessage(CONNECT, "*", [port2]);
      document.body.append(element);
    });
  }

  #hear(report: Report): void {
    if (this.#frame !== null) this.#frame.pingsMissed = 0;
    if (report.type === "pong") return;
    if (report.type === "end" && report.run === this.#ending?.run) this.#forgetEnding();
    if (report.run !== this.#run || isOver(this.#state.value)) return;
    switch (report.type) {
      case "loading":
        this.#state.set({ kind: "loading", bytes: report.bytes, totalBytes: report.totalBytes });
        return;
      case "running":
        this.#beganMs = performance.now();
        this.#state.set({ kind: "running", sinceMs: this.#beganMs });
        return;
      case "out": {
        const chunks = readChunks(report.chunks, REPORT_UNITS_MAX);
        if (chunks !== null) this.#options.onOutput(chunks);
        return;
      }
      case "end":
        if (report.fault !== null) this.#end({ kind: "failed", fault: report.fault });
        else if (report.code !== null) this.#end({ kind: "ended", code: report.code, ms: report.ms });
    }
  }

  #end(state: RunState): void {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#watch = null;
    this.#state.set(state);
  }

  #ping(): void {
    if (this.#frame === null) return;
    this.#frame.pingsMissed++;
    if (this.#frame.pingsMissed > PINGS_MISSED_MAX) {
      this.#discardFrame();
      this.#end({ kind: "failed", fault: "crash" });
    } else {
      this.#order({ type: "ping" });
    }
  }

  #forgetEnding(): void {
    if (this.#ending !== null) clearTimeout(this.#ending.timer);
    this.#ending = null;
  }

  /** The next start makes another one. */
  #discardFrame(): void {
    this.#forgetEnding();
    this.#frame?.port.close();
    this.#frame?.element.remove();
    this.#frame = null;
  }
}
