import { expect, test, vi } from "vitest";
import type { TextEdit } from "../model";
import { carried } from "./carried";
import { excerptOf } from "./excerpt";
import { pathFilter, patternOf, type Query } from "./pattern";
import { applied, becomes, inverse } from "./replacing";
import { type Match, scan } from "./scan";
import { SCAN_MS_MAX, Scanner, type WorkerLike } from "./scanner";
import type { Answer, Task } from "./worker";

const asked = (text: string, change: Partial<Query> = {}): Query => ({
  text,
  isRegexp: false,
  matchCase: false,
  wholeWord: false,
  include: "",
  exclude: "",
  ...change,
});
const found = (query: Query, text: string, max = 100): Match[] => scan(text, patternOf(query), max);
const words = (query: Query, text: string): string[] => found(query, text).map(({ from, to }) => text.slice(from, to));

test("plain text means itself, in any case unless asked otherwise", () => {
  expect(words(asked("a.c"), "abc a.c A.C")).toEqual(["a.c", "A.C"]);
  expect(words(asked("a.c", { matchCase: true }), "abc a.c A.C")).toEqual(["a.c"]);
  expect(words(asked("$[x](y)|{z}^\\/*?+-"), "1 $[x](y)|{z}^\\/*?+- 2")).toEqual(["$[x](y)|{z}^\\/*?+-"]);
});

test("whole words end where letters end, in every script", () => {
  expect(words(asked("for", { wholeWord: true }), "for before for_ fort (for)")).toEqual(["for", "for"]);
  expect(words(asked("ре", { wholeWord: true }), "ре море река")).toEqual(["ре"]);
  expect(words(asked("f(", { wholeWord: true }), "f(x) if(x)")).toEqual(["f("]);
  expect(words(asked("a|ab", { wholeWord: true, isRegexp: true }), "a ab abc")).toEqual(["a", "ab"]);
});

test("a regular expression works by lines, finds nothing empty, and never half a character", () => {
  expect(words(asked("^\\w+", { isRegexp: true }), "one two\nthree")).toEqual(["one", "three"]);
  expect(found(asked("x*", { isRegexp: true }), "ab🦀xx")).toMatchObject([{ from: 4, to: 6 }]);
  expect(words(asked("[^a]", { isRegexp: true }), "a🦀")).toEqual(["🦀"]);
  expect(words(asked("\\_{", { isRegexp: true }), "_{")).toEqual(["_{"]);
});

test("what is no regular expression says why, without the expression", () => {
  expect(() => patternOf(asked("a(", { isRegexp: true }))).toThrow(/^Unterminated group$/);
  expect(() => patternOf(asked("a(", { isRegexp: true, wholeWord: true }))).toThrow(SyntaxError);
});

test("lines are counted from 1, and no more matches are taken than asked for", () => {
  expect(found(asked("x"), "x\n\nxx\nx").map(({ line }) => line)).toEqual([1, 3, 3, 4]);
  expect(found(asked("x"), "xxxx", 2)).toHaveLength(2);
});

test("globs: a name in any folder, folders with all in them, and folders in between", () => {
  const taken = (include: string, exclude = ""): string[] =>
    ["main.py", "src/a.ts", "src/ui/b.ts", "src/ui/b.test.ts", "docs/a.md"].filter(pathFilter({ include, exclude }));
  expect(taken("")).toHaveLength(5);
  expect(taken("*.py, *.md")).toEqual(["main.py", "docs/a.md"]);
  expect(taken("src")).toEqual(["src/a.ts", "src/ui/b.ts", "src/ui/b.test.ts"]);
  expect(taken("src/*.ts")).toEqual(["src/a.ts"]);
  expect(taken("src/**/*.ts", "*.test.ts")).toEqual(["src/a.ts", "src/ui/b.ts"]);
  expect(taken("*.{py,md}")).toEqual(["main.py", "docs/a.md"]);
  expect(taken("./ui/")).toEqual(["src/ui/b.ts", "src/ui/b.test.ts"]);
  expect(taken("a.?s")).toEqual(["src/a.ts"]);
  expect(taken("{a")).toEqual([]);
});

test("a replacement names groups only with a regular expression", () => {
  const text = "key=value";
  const [match] = found(asked("(?<left>\\w+)=(\\w+)", { isRegexp: true }), text);
  if (match === undefined) throw new Error("no match");
  const made = (template: string): string => becomes(template, true, match, text);
  expect(made("$2=$1")).toBe("value=key");
  expect(made("$<left>!$&$$1\\n\\t\\\\")).toBe("key!key=value$1\n\t\\");
  expect(made("$12 $3 $<none> $0")).toBe("key2 $3 $<none> $0");
  expect(becomes("$2=$1\\n\r\n", false, match, text)).toBe("$2=$1\\n\n");
});

test("a group that took no part is nothing", () => {
  const [match] = found(asked("(a)|(b)", { isRegexp: true }), "b");
  if (match === undefined) throw new Error("no match");
  expect(becomes("[$1$2]", true, match, "b")).toBe("[b]");
});

test("edits and what takes them back", () => {
  const text = "one two three two";
  const edits: TextEdit[] = found(asked("two"), text).map(({ from, to }) => ({ from, to, insert: "twenty" }));
  const after = applied(text, edits);
  expect(after).toBe("one twenty three twenty");
  expect(applied(after, inverse(text, edits))).toBe(text);
});

test("what was left out stays left out when others type before, behind and in it", () => {
  const query = asked("x");
  const searched = (text: string): { text: string; matches: Match[] } => ({ text, matches: found(query, text) });
  const before = searched("x1 x2 x3");
  const out = (text: string, places: number[]): number[] => [...carried(before, searched(text), new Set(places))];
  expect(out("x1 x2 x3 and x4", [1])).toEqual([1]);
  expect(out("x0 x1 x2 x3", [1])).toEqual([2]);
  expect(out("x1 x2 new x x3", [2])).toEqual([3]);
  // The one that was left out was typed into: doubtful, so what stands there now is left out.
  expect(out("x1 yx3", [1])).toEqual([]);
  expect(out("x1 xx3", [2])).toEqual([2]);
  expect(out("x1 x-2 x3", [0, 2])).toEqual([0, 2]);
  expect(out("nothing", [0])).toEqual([]);
  const pair = (text: string): { text: string; matches: Match[] } => ({ text, matches: found(asked("ab"), text) });
  expect([...carried(pair("ab ab ab"), pair("ab aab ab"), new Set([1]))]).toEqual([1]);
  expect([...carried(pair("ab ab ab"), pair("ab aab ab"), new Set([2]))]).toEqual([2]);
});

test("an excerpt is one line, cut where it is long", () => {
  const text = `first\n    ${"word ".repeat(20)}NEEDLE\nmore ${"tail ".repeat(100)}`;
  const [match] = found(asked("NEEDLE\\n", { isRegexp: true }), text);
  if (match === undefined) throw new Error("no match");
  const { before, matched, after } = excerptOf(text, match);
  expect(before).toMatch(/^…[\w ]{16}$/);
  expect(matched).toBe("NEEDLE⏎");
  expect(after.length).toBeLessThan(200);
  expect(excerptOf("  x y\nz", { from: 2, to: 3, line: 1, groups: [], named: {} })).toEqual({
    before: "",
    matched: "x",
    after: " y",
  });
});

/** A worker whose answers a test gives. */
class FakeWorker implements WorkerLike {
  onmessage: ((event: MessageEvent<Answer>) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  readonly tasks: Task[] = [];
  isEnded = false;

  postMessage(task: Task): void {
    this.tasks.push(task);
  }

  terminate(): void {
    this.isEnded = true;
  }

  say(data: Answer): void {
    this.onmessage?.({ data } as MessageEvent<Answer>);
  }
}

function scanner(): { scanner: Scanner; workers: FakeWorker[] } {
  const workers: FakeWorker[] = [];
  return {
    workers,
    scanner: new Scanner(() => {
      workers.push(new FakeWorker());
      return workers.at(-1) as FakeWorker;
    }),
  };
}
const risky = patternOf(asked("(a+)+$", { isRegexp: true }));
const plain = patternOf(asked("a"));
const never = new AbortController().signal;

test("a pattern that takes forever is ended in time, and the next text has a new worker", async () => {
  vi.useFakeTimers();
  try {
    const { scanner: one, workers } = scanner();
    const first = one.scan("aaaa!", risky, 9, never);
    await vi.advanceTimersByTimeAsync(0);
    workers[0]?.say(null);
    expect(workers[0]?.tasks).toHaveLength(1);
    const second = one.scan("b", risky, 9, never);
    await vi.advanceTimersByTimeAsync(SCAN_MS_MAX - 1);
    expect(workers[0]?.isEnded).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await first).toEqual({ kind: "slow" });
    expect(workers[0]?.isEnded).toBe(true);
    await vi.advanceTimersByTimeAsync(0);
    workers[1]?.say(null);
    workers[1]?.say({ id: workers[1].tasks[0]?.id ?? 0, matches: [] });
    expect(await second).toEqual({ kind: "matches", matches: [] });
  } finally {
    vi.useRealTimers();
  }
});

test("a search that is given up ends the worker in the middle of its text", async () => {
  const { scanner: one, workers } = scanner();
  const end = new AbortController();
  const first = one.scan("aaaa!", risky, 9, end.signal);
  await Promise.resolve();
  await Promise.resolve();
  workers[0]?.say(null);
  end.abort(new Error("given up"));
  await expect(first).rejects.toThrow("given up");
  expect(workers[0]?.isEnded).toBe(true);
});

test("without a worker plain text is searched, and a regular expression is not", async () => {
  const missing = new Scanner(() => {
    throw new Error("no workers here");
  });
  expect(await missing.scan("aba", plain, 9, never)).toMatchObject({
    kind: "matches",
    matches: [{ from: 0 }, { from: 2 }],
  });
  expect(await missing.scan("aba", risky, 9, never)).toEqual({ kind: "noworker" });
  const { scanner: broken, workers } = scanner();
  const asked = broken.scan("aba", risky, 9, never);
  await Promise.resolve();
  await Promise.resolve();
  workers[0]?.onerror?.({} as ErrorEvent);
  expect(await asked).toEqual({ kind: "noworker" });
});
