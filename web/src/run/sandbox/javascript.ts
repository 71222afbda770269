/**
 * The worker that runs JavaScript and TypeScript: one program.
 *
 * Owns: what a program finds around it, and when it has ended. Does not know: who reads the output, other runs.
 *
 * A program has ended when its file has run to the end and no timer of it is pending; an uncaught error or
 * rejection, or `process.exit`, ends it at once.
 */
import type { Files, Program, WorkerOrder, WorkerReport } from "../messages";
import { makeConsole } from "./console";
import { errorText, inspect } from "./inspect";
import { Modules, placed, Unreadable } from "./modules";
import { Printer } from "./printer";

/** After the last timer: what waits for neither timers nor its own file, such as a digest, gets this long. */
const GRACE_MS = 30;

/** How long the line of an error of syntax is looked for. */
const LOCATE_MS = 1000;

/** Unwinds the program after `process.exit`. */
class Exit extends Error {}

const say = self.postMessage.bind(self) as (report: WorkerReport) => void;
const after = self.setTimeout.bind(self);
const printer = new Printer(
  (chunks) => say({ type: "out", chunks }),
  () => performance.now(),
);
const pending = new Set<number>();
const exit = { code: 0, hasEnded: false, isAtEnd: false };

self.onmessage = (event: MessageEvent<WorkerOrder>): void => {
  if (event.data.type !== "run") return;
  self.onmessage = null;
  void begin(event.data.program);
};

async function begin(program: Program): Promise<void> {
  say({ type: "running" });
  const modules = surround(program);
  try {
    await modules.start(program.path);
  } catch (error) {
    if (error instanceof Unreadable) await locate(error);
    fail(error);
  }
  exit.isAtEnd = true;
  rest();
}

/** End if there is nothing left to wait for. */
function rest(): void {
  if (exit.isAtEnd && pending.size === 0) after(() => pending.size === 0 && end(exit.code), GRACE_MS);
}

function end(code: number): void {
  if (exit.hasEnded) return;
  exit.hasEnded = true;
  printer.flush();
  say({ type: "end", code });
}

function fail(error: unknown): void {
  if (error instanceof Exit || exit.hasEnded) return;
  printer.write("err", `Uncaught ${error instanceof Error ? errorText(error) : inspect(error)}\n`);
  end(1);
}

/** Have the code read once more by a worker, which is told the line, and does not get to run anything. */
async function locate(error: Unreadable): Promise<void> {
  const address = URL.createObjectURL(new Blob([error.source], { type: "text/javascript" }));
  const reader = new Worker(address);
  await new Promise<void>((resolve) => {
    reader.onerror = (event) => {
      event.preventDefault();
      if (event.lineno > 0) error.stack = placed(error.path, event.lineno);
      resolve();
    };
    after(resolve, LOCATE_MS);
  });
  reader.terminate();
  if (/\bawait\b/.test(error.message)) error.message += " (only the file that is run may await at its top level)";
}

/** Put around the program what it expects. */
function surround(program: Program): Modules {
  const write = (stream: "out" | "err", text: string): void => printer.write(stream, text);
  Object.assign(
    console,
    makeConsole(write, () => performance.now()),
  );
  addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.error ?? event.message);
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  });
  countTimers();
  const lines = [...program.stdin];
  const prompt = (question?: unknown): string | null => {
    if (question !== undefined) write("out", `${String(question)} `);
    const line = lines.shift();
    if (line !== undefined) printer.write("in", `${line}\n`);
    return line ?? null;
  };
  const process = processOf(program.path, write);
  const fs = fileSystemOf(program.files, lines);
  Object.assign(self, { prompt, process, global: self });
  const given = new Map<string, unknown>([
    ["process", process],
    ["fs", fs],
    ["fs/promises", fs.promises],
  ]);
  return new Modules(program.files, given);
}

function countTimers(): void {
  const { setTimeout: once, setInterval: often, clearTimeout: clear } = self;
  const done = (timer: number): void => {
    if (pending.delete(timer)) rest();
  };
  const start =
    (set: typeof once, isOnce: boolean) =>
    (run: unknown, ms?: number, ...values: unknown[]) => {
      const timer: number = set(() => {
        try {
          if (typeof run === "function") run(...values);
        } catch (error) {
          fail(error);
        } finally {
          if (isOnce) done(timer);
        }
      }, ms);
      pending.add(timer);
      return timer;
    };
  const stop = (timer?: number): void => {
    clear(timer);
    if (timer !== undefined) done(timer);
  };
  const immediately = (run: unknown, ...values: unknown[]): number =>
    self.setTimeout(run as TimerHandler, 0, ...values);
  Object.assign(self, {
    setTimeout: start(once, true),
    setInterval: start(often as typeof once, false),
    clearTimeout: stop,
    clearInterval: stop,
    setImmediate: immediately,
    clearImmediate: stop,
  });
}

function processOf(path: string, write: (stream: "out" | "err", text: string) => void): object {
  const stream = (name: "out" | "err"): object => ({
    isTTY: false,
    write: (text: unknown) => {
      write(name, String(text));
      return true;
    },
  });
  return {
    argv: ["node", path],
    env: {},
    platform: "browser",
    versions: {},
    cwd: () => "/",
    exit: (code?: number): never => {
      end(Number.isSafeInteger(code) ? Number(code) : exit.code);
      throw new Exit("process.exit");
    },
    get exitCode(): number {
      return exit.code;
    },
    set exitCode(code: number) {
      if (Number.isSafeInteger(code)) exit.code = code;
    },
    hrtime: { bigint: () => BigInt(Math.round(performance.now() * 1e6)) },
    memoryUsage: () => ({}),
    nextTick: (run: (...values: unknown[]) => void, ...values: unknown[]) => queueMicrotask(() => run(...values)),
    on: () => undefined,
    stdout: stream("out"),
    stderr: stream("err"),
  };
}

/** Reading the workspace's files as Node does. What is written stays in this run. */
function fileSystemOf(files: Files, lines: string[]): { promises: object } & Record<string, unknown> {
  const all = new Map(files);
  const clean = (path: unknown): string => {
    const parts: string[] = [];
    for (const part of String(path).split("/")) {
      if (part === "..") parts.pop();
      else if (part !== "" && part !== ".") parts.push(part);
    }
    return parts.join("/");
  };
  const readFileSync = (path: unknown, options?: string | { encoding?: string }): unknown => {
    const text = path === 0 || path === "/dev/stdin" ? lines.splice(0).join("\n") : all.get(clean(path));
    if (text === undefined) {
      throw Object.assign(new Error(`ENOENT: no such file in this workspace: '${String(path)}'`), { code: "ENOENT" });
    }
    const encoding = typeof options === "string" ? options : options?.encoding;
    return encoding === undefined ? new TextEncoder().encode(text) : text;
  };
  const writeFileSync = (path: unknown, text: unknown): void => {
    all.set(clean(path), text instanceof Uint8Array ? new TextDecoder().decode(text) : String(text));
  };
  const readdirSync = (folder: unknown): string[] => {
    const prefix = clean(folder) === "" ? "" : `${clean(folder)}/`;
    const inside = [...all.keys()].filter((path) => path.startsWith(prefix));
    return [...new Set(inside.map((path) => path.slice(prefix.length).split("/")[0] ?? ""))].sort();
  };
  const existsSync = (path: unknown): boolean => all.has(clean(path)) || readdirSync(path).length > 0;
  const promises = {
    readFile: async (path: unknown, options?: string) => readFileSync(path, options),
    writeFile: async (path: unknown, text: unknown) => writeFileSync(path, text),
    readdir: async (folder: unknown) => readdirSync(folder),
  };
  return { readFileSync, writeFileSync, readdirSync, existsSync, promises };
}
