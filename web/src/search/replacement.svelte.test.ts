import { afterEach, beforeEach, expect, test, vi } from "vitest";
import * as Y from "yjs";
import type { FileRecord } from "../messages";
import type { FileDocument, Session, Status, TextEdit } from "../model";
import { Cell } from "../observable";
import type { Query } from "./pattern";
import { Replacement } from "./replacement.svelte";
import { applied } from "./replacing";
import { scan } from "./scan";
import type { Scanned, Scanner } from "./scanner";
import { Search } from "./search.svelte";

const record = (file_id: number, path: string, deleted_at_ms: number | null = null): FileRecord => ({
  file_id,
  path,
  epoch: "e",
  eol: "lf",
  deleted_at_ms,
});
const query = (text: string, change: Partial<Query> = {}): Query => ({
  text,
  isRegexp: false,
  matchCase: false,
  wholeWord: false,
  include: "",
  exclude: "",
  ...change,
});

/** A session of plain texts; `before` a file is edited, a test may type in it. */
class Fake {
  readonly texts = new Map<number, string>();
  readonly files: Cell<ReadonlyMap<number, FileRecord>>;
  readonly status = new Cell<Status>({ kind: "online" });
  readonly missing = new Set<number>();
  before: (fileId: number) => void = () => undefined;
  reading = 0;
  readingMost = 0;

  constructor(files: Readonly<Record<string, string>>) {
    const records = Object.entries(files).map(([path, text], at) => {
      this.texts.set(at + 1, text);
      return [at + 1, record(at + 1, path)] as const;
    });
    this.files = new Cell<ReadonlyMap<number, FileRecord>>(new Map(records));
  }

  get session(): Session {
    return this as unknown as Session;
  }

  async textOf(fileId: number, signal?: AbortSignal): Promise<string> {
    this.reading++;
    this.readingMost = Math.max(this.reading, this.readingMost);
    await Promise.resolve();
    this.reading--;
    signal?.throwIfAborted();
    const text = this.texts.get(fileId);
    if (text === undefined || this.missing.has(fileId)) throw new Error("not here");
    return text;
  }

  async editFile(fileId: number, expected: string, edits: readonly TextEdit[]): Promise<boolean> {
    await Promise.resolve();
    this.before(fileId);
    const text = this.texts.get(fileId) ?? "";
    if (text !== expected) return false;
    this.texts.set(fileId, applied(text, edits));
    return true;
  }
}

function made(files: Readonly<Record<string, string>>, isSlow: (text: string) => boolean = () => false) {
  const fake = new Fake(files);
  const scanner = {
    scan: async (text: string, pattern: never, max: number): Promise<Scanned> =>
      isSlow(text) ? { kind: "slow" } : { kind: "matches", matches: scan(text, pattern, max) },
  } as unknown as Scanner;
  const search = new Search(fake.session, scanner);
  const replacement = new Replacement(fake.session, search, () => new Map());
  return { fake, search, replacement };
}
const paths = (search: Search): string[] => search.found.map(({ path, matches }) => `${path} ${matches.length}`);

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("results come by path, with no more than eight texts being read", async () => {
  const files = Object.fromEntries(
    Array.from({ length: 40 }, (_, at) => [`f${String(at).padStart(2, "0")}.py`, "x y x"]),
  );
  const { fake, search } = made({ ...files, "z.py": "y" });
  await search.start(query("x"));
  expect(search.phase).toBe("done");
  expect([search.count, search.found.length, search.done, search.total]).toEqual([80, 40, 41, 41]);
  expect(paths(search)[0]).toBe("f00.py 2");
  expect(fake.readingMost).toBeLessThanOrEqual(8);
});

test("what cannot be read is counted, and the others are searched; it is read once the line is back", async () => {
  const { fake, search } = made({ "a.py": "x", "b.py": "x" });
  fake.missing.add(2);
  fake.status.set({ kind: "offline", retryAtMs: null });
  await search.start(query("x"));
  expect([paths(search), [...search.unread]]).toEqual([["a.py 1"], [2]]);
  const end = search.watch();
  fake.missing.clear();
  fake.status.set({ kind: "online" });
  await vi.advanceTimersByTimeAsync(1_000);
  expect([paths(search), search.unread.size]).toEqual([["a.py 1", "b.py 1"], 0]);
  end();
});

test("a newer search takes the place of an older one, whatever that still brings", async () => {
  const { search } = made({ "a.py": "x y" });
  const first = search.start(query("x"));
  await search.start(query("y"));
  await first;
  expect(search.found[0]?.matches).toMatchObject([{ from: 2 }]);
  await search.start(query(""));
  expect([search.found.length, search.phase]).toEqual([0, "idle"]);
  await search.start(query("(", { isRegexp: true }));
  expect(search.fault).toMatch(/group/i);
});

test("what an older search found too late is dropped", async () => {
  const fake = new Fake({ "a.py": "x y" });
  const answers: ((scanned: Scanned) => void)[] = [];
  const scanner = { scan: () => new Promise<Scanned>((resolve) => answers.push(resolve)) } as unknown as Scanner;
  const search = new Search(fake.session, scanner);
  const match = (from: number) => ({ from, to: from + 1, line: 1, groups: [], named: {} });
  const first = search.start(query("x"));
  await vi.advanceTimersByTimeAsync(0);
  const second = search.start(query("y"));
  await vi.advanceTimersByTimeAsync(0);
  answers[1]?.({ kind: "matches", matches: [match(2)] });
  await second;
  answers[0]?.({ kind: "matches", matches: [match(0)] });
  await first;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(search.found.map(({ matches }) => matches.map(({ from }) => from))).toEqual([[2]]);
});

test("too many matches are cut, and a pattern that is slow everywhere is given up", async () => {
  const { search } = made({ "a.py": "x".repeat(9_000), "b.py": "x".repeat(9_000) });
  await search.start(query("x"));
  expect([search.count, search.isCut, search.phase]).toEqual([10_000, true, "stopped"]);
  const one = made({ "a.py": "x".repeat(10_001) }).search;
  await one.start(query("x"));
  expect([one.count, one.isCut, one.phase]).toEqual([10_000, true, "stopped"]);
  const files = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`${at}.py`, "slow"]));
  const slow = made({ ...files, "a.py": "x" }, (text) => text === "slow").search;
  await slow.start(query("x", { isRegexp: true }));
  expect(slow.phase).toBe("stopped");
  expect(slow.slow.length).toBeGreaterThanOrEqual(3);
  expect(slow.slow.length).toBeLessThan(12);
});

test("files that come, go, get another path or change are searched again", async () => {
  const { fake, search } = made({ "a.py": "x", "b.md": "x" });
  await search.start(query("x", { include: "*.py" }));
  const end = search.watch();
  fake.texts.set(3, "x x");
  fake.files.set(
    new Map([
      [1, record(1, "a.txt")],
      [2, record(2, "b.py")],
      [3, record(3, "c.py")],
    ]),
  );
  await vi.advanceTimersByTimeAsync(1_000);
  expect(paths(search)).toEqual(["b.py 1", "c.py 2"]);
  fake.files.set(
    new Map([
      [2, record(2, "b.py", 1)],
      [3, record(3, "c.py")],
    ]),
  );
  await vi.advanceTimersByTimeAsync(1_000);
  expect(paths(search)).toEqual(["c.py 2"]);
  end();
});

test("an open file is searched again as it is typed in, and what was left out stays left out", async () => {
  const { fake, search } = made({ "a.py": "x1 x2" });
  await search.start(query("x"));
  search.toggle(1, 1);
  const text = new Y.Doc().getText("text");
  text.insert(0, "x1 x2");
  const document = { fileId: 1, text, generation: new Cell(0), ready: new Cell(true) } as unknown as FileDocument;
  const end = search.follow(document);
  text.insert(0, "x0 ");
  fake.texts.set(1, text.toString());
  await vi.advanceTimersByTimeAsync(1_000);
  expect(paths(search)).toEqual(["a.py 3"]);
  expect([0, 1, 2].map((at) => search.isLeftOut(1, at))).toEqual([false, false, true]);
  end();
});

test("all is replaced but what was left out, and taken back", async () => {
  const { fake, search, replacement } = made({ "a.py": "x = x", "b.py": "x", "c.py": "y" });
  await search.start(query("x"));
  search.template = "$1";
  search.toggle(1, 0);
  expect(search.found.map((each) => replacement.countIn(each))).toEqual([1, 1]);
  await replacement.replace(search.found);
  expect([...fake.texts.values()]).toEqual(["x = $1", "$1", "y"]);
  expect(replacement.report).toMatchObject({ matches: 2, files: 2, changed: [], refused: [] });
  fake.texts.set(2, "$1 and more");
  await replacement.undo();
  expect([...fake.texts.values()]).toEqual(["x = x", "$1 and more", "y"]);
  expect(replacement.report).toMatchObject({ files: 1, changed: ["b.py"], isUndo: true });
  expect(replacement.isUndoable).toBe(false);
});

test("what others type meanwhile stays: beside the matches it is replaced around, among them it is not replaced", async () => {
  const { fake, search, replacement } = made({ "a.py": "x x", "b.py": "x x" });
  await search.start(query("x"));
  search.template = "long";
  let left = 3;
  fake.before = (fileId) => {
    if (fileId === 1 && left-- > 0) fake.texts.set(1, `typed ${fake.texts.get(1)}`);
    if (fileId === 2) fake.texts.set(2, "x new x x");
  };
  await replacement.replace(search.found);
  expect(fake.texts.get(1)).toBe("typed typed typed long long");
  expect(fake.texts.get(2)).toBe("x new x x");
  expect(replacement.report).toMatchObject({ matches: 2, files: 1, changed: ["b.py"] });
  expect(paths(search)).toEqual(["b.py 3"]);
});

test("what was left out is not replaced after others typed, either", async () => {
  const { fake, search, replacement } = made({ "a.py": "x1 x2" });
  await search.start(query("x"));
  search.template = "y";
  search.toggle(1, 0);
  let left = 1;
  fake.before = () => {
    if (left-- > 0) fake.texts.set(1, `typed ${fake.texts.get(1)}`);
  };
  await replacement.replace(search.found);
  expect(fake.texts.get(1)).toBe("typed x1 y2");
});

test("another search or another replacement begun meanwhile changes nothing of what was asked for", async () => {
  const { fake, search, replacement } = made({ "a.py": "x", "b.py": "x x", "c.py": "x" });
  await search.start(query("x"));
  search.template = "y";
  search.toggle(2, 0);
  fake.before = (fileId) => {
    if (fileId === 1) search.template = "wrong";
  };
  await replacement.replace(search.found);
  expect([...fake.texts.values()]).toEqual(["y", "x y", "y"]);
  await replacement.undo();
  await search.start();
  search.template = "y";
  search.toggle(2, 0);
  // A panel that is opened again searches anew, and what was left out is no longer known.
  fake.before = (fileId) => {
    if (fileId === 1) void search.start();
  };
  await replacement.replace(search.found);
  expect([...fake.texts.values()]).toEqual(["y", "x x", "x"]);
  expect(replacement.report).toMatchObject({ files: 1, changed: ["b.py", "c.py"] });
});

test("somebody who never stops typing is not waited for for ever, and a refusal is told", async () => {
  const { fake, search, replacement } = made({ "a.py": "x", "b.py": "x" });
  await search.start(query("x"));
  fake.before = (fileId) => {
    if (fileId === 1) fake.texts.set(1, `${fake.texts.get(1)}.`);
    else throw new Error("refused");
  };
  await replacement.replace(search.found);
  expect(replacement.report).toMatchObject({ matches: 0, files: 0, changed: ["a.py"], refused: ["b.py"] });
  expect(fake.texts.get(1)).toMatch(/^x\.+$/);
});
