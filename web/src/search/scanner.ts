/**
 * Scans texts in a worker, each within a time.
 *
 * Owns: the worker's life. Does not know: files.
 *
 * Invariants:
 *   1. One text at a time is in the worker, so that the time is that text's own.
 *   2. A worker that took too long is ended; the next text has a new one.
 *   3. Without a worker, plain text is searched in the page, and regular expressions are not.
 */
import type { Pattern } from "./pattern";
import { type Match, scan } from "./scan";
import type { Answer, Task } from "./worker";

/** Megabytes are searched in a tenth of it; a pattern that backtracks does not end in any time. */
export const SCAN_MS_MAX = 2_000;
/** A worker that says nothing for so long is not coming: its script was not to be had. */
const START_MS_MAX = 15_000;

export type Scanned =
  | { readonly kind: "matches"; readonly matches: readonly Match[] }
  | { readonly kind: "slow" }
  | { readonly kind: "noworker" };

export interface WorkerLike {
  onmessage: ((event: MessageEvent<Answer>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  postMessage(task: Task): void;
  terminate(): void;
}

export class Scanner {
  private readonly start: () => WorkerLike;
  private worker: WorkerLike | null = null;
  private isReady = false;
  private isMissing = false;
  private nextId = 1;
  private line: Promise<unknown> = Promise.resolve();

  constructor(start: () => WorkerLike = startWorker) {
    this.start = start;
  }

  /** Scan a text when those before it are done. Rejects with the signal's reason when aborted. */
  scan(text: string, pattern: Pattern, countMax: number, signal: AbortSignal): Promise<Scanned> {
    const scanned = this.line.then(() => {
      signal.throwIfAborted();
      return this.scanNow(text, pattern, countMax, signal);
    });
    this.line = scanned.catch(() => undefined);
    return scanned;
  }

  /** End the worker; the next text has a new one. */
  stop(): void {
    this.worker?.terminate();
    this.worker = null;
    this.isReady = false;
  }

  private async scanNow(text: string, pattern: Pattern, countMax: number, signal: AbortSignal): Promise<Scanned> {
    if (!this.isMissing) {
      const scanned = await this.ask({ id: this.nextId++, text, pattern, countMax }, signal);
      if (scanned.kind !== "noworker") return scanned;
      this.isMissing = true;
    }
    return pattern.isBounded ? { kind: "matches", matches: scan(text, pattern, countMax) } : { kind: "noworker" };
  }

  private ask(task: Task, signal: AbortSignal): Promise<Scanned> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout>;
      const end = (settle: () => void, isStopped: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", aborted);
        if (isStopped) this.stop();
        settle();
      };
      const aborted = (): void => end(() => reject(signal.reason), true);
      const run = (worker: WorkerLike): void => {
        timer = setTimeout(() => end(() => resolve({ kind: "slow" }), true), SCAN_MS_MAX);
        worker.postMessage(task);
      };
      signal.addEventListener("abort", aborted, { once: true });
      let worker: WorkerLike;
      try {
        worker = this.worker ??= this.start();
      } catch {
        end(() => resolve({ kind: "noworker" }), true);
        return;
      }
      worker.onerror = () => end(() => resolve({ kind: "noworker" }), true);
      worker.onmessage = ({ data }) => {
        if (data === null) {
          clearTimeout(timer);
          this.isReady = true;
          run(worker);
        } else if (data.id === task.id) {
          // A pattern that ran out of room is as little of use as one out of time.
          const scanned: Scanned = "fault" in data ? { kind: "slow" } : { kind: "matches", matches: data.matches };
          end(() => resolve(scanned), false);
        }
      };
      timer = setTimeout(() => end(() => resolve({ kind: "noworker" }), true), START_MS_MAX);
      if (this.isReady) {
        clearTimeout(timer);
        run(worker);
      }
    });
  }
}

function startWorker(): WorkerLike {
  return new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }) as unknown as WorkerLike;
}
