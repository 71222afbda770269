import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { FileRecord, MemberRecord, Role } from "../messages";
import type { Me } from "../model";
import { Cell } from "../observable";
import type { Chunk } from "./messages";
import { languageOfRun } from "./runnable";
import { Runner, type RunRequest, type RunState } from "./runner";
import { type Room, SharedRuns } from "./shared";

interface Signal {
  readonly kind: string;
  readonly sent: Record<string, unknown>;
  readonly to: number | undefined;
  readonly atMs: number;
}

/** A runner whose frame is the test. */
class FakeRunner extends Runner {
  readonly cell = new Cell<RunState>({ kind: "idle" });
  started: RunRequest | null = null;
  stops = 0;
  override get state(): Cell<RunState> {
    return this.cell;
  }
  override start(request: RunRequest): void {
    this.started = request;
    this.cell.set({ kind: "running", sinceMs: 0 });
  }
  override stop(): void {
    this.stops++;
    if (this.cell.value.kind === "running") this.cell.set({ kind: "stopped", ms: 5 });
  }
}

function member(memberId: number, name: string): MemberRecord {
  return { member_id: memberId, name, color: "#112233", role: "editor", file_id: null } as MemberRecord;
}

const files = new Map(
  ["main.py", "lib.py", "gone.py", "lost.py"].map((path, at) => [
    at + 1,
    { file_id: at + 1, path, epoch: "e", eol: "lf", deleted_at_ms: path === "gone.py" ? 1 : null } as FileRecord,
  ]),
);

function room(role: Role = "editor") {
  const signals: Signal[] = [];
  const takes = new Map<string, (memberId: number, data: unknown) => void>();
  const members = new Cell<ReadonlyMap<number, MemberRecord>>(
    new Map([
      [1, member(1, "Me")],
      [2, member(2, "Ann")],
    ]),
  );
  const made: Room = {
    me: new Cell<Me | null>({ memberId: 1, name: "Me", color: "#000000" }),
    members,
    files: new Cell(files),
    role: new Cell<Role | null>(role),
    sendSignal: (kind, sent, to) =>
      void signals.push({ kind, sent: JSON.parse(JSON.stringify(sent)), to, atMs: performance.now() }),
    onSignal: (kind, take) => {
      takes.set(kind, take);
      return () => takes.delete(kind);
    },
    textOf: async (fileId) => {
      if (fileId === 4) throw new Error("not here");
      return `text ${fileId}`;
    },
  };
  let runner: FakeRunner | undefined;
  let print: (chunks: readonly Chunk[]) => void = () => undefined;
  const runs = new SharedRuns(made, (onOutput) => {
    print = onOutput;
    runner = new FakeRunner({ base: "http://x/", build: "b", onOutput });
    return runner;
  });
  const hear = (kind: string, data: unknown, memberId = 2): void => takes.get(kind)?.(memberId, data);
  return { runs, signals, members, hear, runner: runner as FakeRunner, print: (chunks: Chunk[]) => print(chunks) };
}

const gap = (lines: number): string => `[${lines}]`;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a run gets every live text that can be had, and says what it lacks", async () => {
  const { runs, runner } = room();
  await runs.start(1, ["a"]);
  expect(runner.started?.path).toBe("main.py");
  expect(runner.started?.stdin).toEqual(["a"]);
  expect([...(runner.started?.files ?? [])].sort()).toEqual([
    ["lib.py", "text 2"],
    ["main.py", "text 1"],
  ]);
  expect(runs.runs.value[0]?.missing.value).toEqual(["lost.py"]);
});

test("a file that cannot be had is not run", async () => {
  const { runs, runner } = room();
  await runs.start(4, []);
  expect(runner.started).toBeNull();
  expect(runs.runs.value[0]?.state.value).toEqual({ kind: "failed", fault: "load" });
});

test("the others are told its begin, its output in order, and its end", async () => {
  const { runs, signals, runner, print } = room();
  await runs.start(1, []);
  print([["out", "one\n"]]);
  await vi.advanceTimersByTimeAsync(10);
  print([["err", "two\n"]]);
  runner.cell.set({ kind: "ended", code: 3, ms: 12.4 });
  const { run } = signals[0]?.sent ?? {};
  expect(run).toMatch(/^[a-z0-9]{1,32}$/);
  expect(signals.map(({ kind, sent }) => [kind, sent])).toEqual([
    ["run.begin", { run, path: "main.py", language: "python", seq: 0 }],
    ["run.out", { run, seq: 0, path: "main.py", chunks: [["out", "one\n"]] }],
    ["run.out", { run, seq: 1, path: "main.py", chunks: [["err", "two\n"]] }],
    ["run.end", { run, code: 3, ms: 12 }],
  ]);
});

test("a flood is told at most ten times a second, in small signals, and its end comes through", async () => {
  const { runs, signals, runner, print } = room();
  await runs.start(1, []);
  for (let turn = 0; turn < 100; turn++) {
    print([["out", `${"\ud800\x00".repeat(turn * 40)}${"漢\x1b[31m".repeat(500)}\nline ${turn}\n`]]);
    await vi.advanceTimersByTimeAsync(20);
  }
  print([["err", "the last\n"]]);
  const during = signals.filter(({ kind }) => kind === "run.out").length;
  expect(during).toBeLessThanOrEqual(21);
  expect(during).toBeGreaterThan(15);
  runner.cell.set({ kind: "ended", code: 0, ms: 1 });
  const outs = signals.filter(({ kind }) => kind === "run.out");
  for (const { sent } of outs) expect(new TextEncoder().encode(JSON.stringify(sent)).length).toBeLessThan(16_384);
  expect(JSON.stringify(outs)).toContain('["gap","');
  expect(JSON.stringify(outs.at(-1)?.sent["chunks"])).toContain("the last");
});

test("a viewer's run is told to nobody", async () => {
  const { runs, signals, print } = room("viewer");
  await runs.start(1, []);
  print([["out", "one\n"]]);
  await vi.advanceTimersByTimeAsync(500);
  runs.stop();
  expect(signals).toEqual([]);
});

test("who comes while it runs is told what runs, and nobody else is told again", async () => {
  const { runs, signals, members } = room();
  await runs.start(1, []);
  members.set(new Map([...members.value, [3, member(3, "Late")]]));
  expect(signals.filter(({ to }) => to !== undefined).map(({ kind, to }) => [kind, to])).toEqual([["run.begin", 3]]);
  runs.stop();
  members.set(new Map([...members.value, [4, member(4, "Later")]]));
  expect(signals.filter(({ to }) => to === 4)).toEqual([]);
});

test("the runs of others are shown under their names by the server's word", () => {
  const { runs, hear, members } = room();
  hear("run.begin", { run: "a1", path: "x.py", language: "python", name: "Forged" });
  hear("run.out", { run: "a1", seq: 0, chunks: [["out", "hi\n"]] });
  hear("run.out", { run: "a1", seq: 3, chunks: [["out", "later\n"]] });
  hear("run.out", { run: "a1", seq: 1, chunks: [["out", "again\n"]] });
  const [run] = runs.runs.value;
  expect([run?.name, run?.path, run?.isLate, run?.isOwn]).toEqual(["Ann", "x.py", false, false]);
  expect(run?.log.text(gap)).toBe("hi\n[0]\nlater\n");
  hear("run.end", { run: "a1", code: 2, ms: 7 });
  expect(run?.state.value).toEqual({ kind: "ended", code: 2, ms: 7 });

  hear("run.out", { run: "b2", seq: 9, path: "y.js", chunks: [] });
  expect([runs.runs.value[0]?.path, runs.runs.value[0]?.isLate]).toEqual(["y.js", true]);
  members.set(new Map([[1, member(1, "Me")]]));
  expect(runs.runs.value[0]?.state.value).toEqual({ kind: "failed", fault: "gone" });
});

test("another member cannot end or continue a run that is not theirs", () => {
  const { runs, hear } = room();
  hear("run.begin", { run: "a1", path: "x.py" });
  hear("run.end", { run: "a1", code: 0, ms: 1 }, 1);
  hear("run.out", { run: "a1", seq: 0, chunks: [["out", "forged\n"]] }, 1);
  const ann = runs.runs.value.find((run) => run.name === "Ann");
  expect(ann?.state.value.kind).toBe("running");
  expect(ann?.log.text(gap)).toBe("");
});

test("what is malformed or too much is nothing", () => {
  const { runs, hear } = room();
  const wrong: unknown[] = [
    null,
    7,
    "run",
    [],
    {},
    { run: 7 },
    { run: "A b", path: "x" },
    { run: "a".repeat(33), path: "x" },
    { run: "a", path: 7 },
    { run: "a", path: "x".repeat(2000) },
    { run: "a", path: "exe.\u202etxt" },
    { run: "a", path: "../x" },
    { run: "a", path: "x", seq: -1 },
    { run: "a", path: "x", seq: 0.5 },
  ];
  for (const each of wrong) hear("run.begin", each);
  for (const chunks of [null, [["out", 7]], [["out", "x".repeat(20_000)]]])
    hear("run.out", { run: "a", seq: 0, chunks });
  hear("run.out", { run: "a", seq: "0", chunks: [] });
  hear("run.end", { run: "a", code: 0, ms: 0 });
  expect(runs.runs.value).toEqual([]);
  hear("run.begin", { run: "a", path: "x.py" });
  hear("run.end", { run: "a", code: "0", ms: 1 });
  hear("run.end", { run: "a", code: 0, ms: -1 });
  hear("run.end", { run: "a", code: 0.5, ms: 1 });
  expect(runs.runs.value[0]?.state.value.kind).toBe("running");
});

test("however many runs others tell of, few are kept, and one's own among them", async () => {
  const { runs, hear, members } = room();
  await runs.start(1, []);
  members.set(new Map(Array.from({ length: 40 }, (_, at) => [at + 1, member(at + 1, `M${at}`)])));
  for (let turn = 0; turn < 200; turn++) hear("run.begin", { run: `r${turn}`, path: "x.py" }, (turn % 39) + 2);
  expect(runs.runs.value.length).toBe(12);
  expect(runs.runs.value.filter((run) => run.isOwn).length).toBe(1);
  for (let turn = 0; turn < 20; turn++) hear("run.begin", { run: `s${turn}`, path: "x.py" }, 2);
  expect(runs.runs.value.filter((run) => run.key.startsWith("2:")).length).toBe(3);
});

test("a program is told by its file's name", () => {
  expect(["a.py", "b/C.PY", "a.mjs", "a.ts", "a.d.ts", "a.txt", "py", "a.pyc"].map(languageOfRun)).toEqual([
    "python",
    "python",
    "javascript",
    "javascript",
    null,
    null,
    null,
    null,
  ]);
});
