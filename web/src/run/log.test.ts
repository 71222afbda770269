import { expect, test } from "vitest";
import { RunLog } from "./log";
import { partsOf } from "./places";

const gap = (lines: number): string => `[${lines}]`;

test("streams are told apart, and one stream's text stays together", () => {
  const log = new RunLog();
  log.append([
    ["out", "a"],
    ["out", "b\n"],
    ["err", "c\n"],
    ["gap", "3"],
    ["out", "d"],
  ]);
  expect(log.printed.value.pieces.map(({ stream, text }) => [stream, text])).toEqual([
    ["out", "ab\n"],
    ["err", "c\n"],
    ["gap", "3"],
    ["out", "d"],
  ]);
  expect(log.text(gap)).toBe("ab\nc\n[3]\nd");
});

test("it keeps the end, within its bounds, and says that it is cut", () => {
  const log = new RunLog(10_000);
  for (let line = 0; line < 5000; line++) log.append([["out", `line ${line}\n`]]);
  const text = log.text(gap);
  expect(text.length).toBeLessThanOrEqual(10_000);
  expect(text.endsWith("line 4999\n")).toBe(true);
  expect(log.printed.value.isCut).toBe(true);
  expect(log.printed.value.lines).toBe(5000);
});

test("empty lines are bounded, too", () => {
  const log = new RunLog();
  for (let turn = 0; turn < 20; turn++) log.append([["out", "\n".repeat(1000)]]);
  expect(log.text(gap).length).toBeLessThanOrEqual(4000);
});

test("a piece that is full is left alone, so that nothing is drawn twice", () => {
  const log = new RunLog();
  for (let line = 0; line < 200; line++) log.append([["out", `${line}\n`]]);
  const first = log.printed.value.pieces[0];
  log.append([["out", "more\n"]]);
  expect(log.printed.value.pieces[0]).toBe(first);
  expect(log.printed.value.pieces.length).toBeGreaterThan(2);
});

test("escape sequences and control characters are no text, even cut in two", () => {
  const log = new RunLog();
  log.append([["out", "a\x1b[1;3"]]);
  log.append([["out", "1mred\x1b[0m\x07 \x1b]8;;http://x\x07link\x1b]8;;\x07\x00.\t\x9b\n"]]);
  expect(log.text(gap)).toBe("ared link.\t\n");
});

test("a carriage return writes the line anew", () => {
  const log = new RunLog();
  log.append([["out", "begin\n 1 %\r"]]);
  log.append([["out", " 2 %\r"]]);
  log.append([["out", "100 %\r\nend\r\n"]]);
  expect(log.text(gap)).toBe("begin\n100 %\nend\n");
});

test("places are found in the errors of both languages", () => {
  const places = (text: string): unknown[] => partsOf(text).flatMap(({ place }) => place ?? []);
  const python = 'Traceback:\n  File "/workspace/lib/a b.py", line 12, in run\n    at()\nValueError: x.py:3\n';
  expect(places(python)).toEqual([{ path: "lib/a b.py", line: 12 }]);
  const script = "Uncaught Error: no a.js:1:2\n    at run (lib/a.ts:3:5)\n    at b.js:7\n    at c.js:9:1\n";
  expect(places(script)).toEqual([
    { path: "lib/a.ts", line: 3 },
    { path: "b.js", line: 7 },
    { path: "c.js", line: 9 },
  ]);
  for (const text of [python, script, "", "no place"]) {
    expect(
      partsOf(text)
        .map((part) => part.text)
        .join(""),
    ).toBe(text);
  }
});
