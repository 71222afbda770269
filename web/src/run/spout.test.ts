import { expect, test } from "vitest";
import { type Chunk, readChunks } from "./messages";
import { Spout } from "./spout";

const textOf = (chunks: readonly Chunk[]): string => chunks.map(([, text]) => text).join("");
const unitsOf = (chunks: readonly Chunk[]): number => chunks.reduce((sum, [, text]) => sum + text.length + 8, 0);

test("what fits comes out as it went in, and once", () => {
  const spout = new Spout(1000);
  spout.write("out", "one\n");
  spout.write("out", "two\n");
  spout.write("err", "three\n");
  expect(spout.take()).toEqual([
    ["out", "one\ntwo\n"],
    ["err", "three\n"],
  ]);
  expect(spout.isEmpty).toBe(true);
  expect(spout.take()).toEqual([]);
});

test("a flood leaves out the oldest, says how many lines, and keeps the last words", () => {
  const spout = new Spout(400);
  for (let line = 0; line < 1000; line++) {
    spout.write("out", `line ${line}\n`);
    expect(spout.units).toBeLessThanOrEqual(400);
  }
  spout.write("err", "Traceback\n");
  const [gap, ...rest] = spout.take();
  expect(gap?.[0]).toBe("gap");
  expect(unitsOf(rest)).toBeLessThanOrEqual(400);
  const kept = textOf(rest).split("\n").length - 1;
  expect(Number(gap?.[1]) + kept).toBe(1001);
  expect(textOf(rest).endsWith("line 999\nTraceback\n")).toBe(true);
});

test("one text larger than all keeps its end, and no half of a character", () => {
  const spout = new Spout(100);
  spout.write("out", "before\n");
  spout.write("out", `${"\u{1f600}".repeat(200)}!`);
  const chunks = spout.take();
  expect(chunks[0]).toEqual(["gap", "2"]);
  expect(unitsOf(chunks.slice(1))).toBeLessThanOrEqual(100);
  expect(textOf(chunks.slice(1))).toMatch(/^(\u{1f600})+!$/u);
});

test("it is taken in parts that are small enough, and nothing is lost between them", () => {
  const spout = new Spout(10_000);
  const written = Array.from({ length: 300 }, (_, line) => `\u{1f600} line ${line}\n`);
  for (const [at, text] of written.entries()) spout.write(at % 3 === 0 ? "err" : "out", text);
  let taken = "";
  for (let turn = 0; !spout.isEmpty; turn++) {
    const part = spout.take(64);
    expect(unitsOf(part)).toBeLessThanOrEqual(64);
    expect(turn).toBeLessThan(1000);
    taken += textOf(part);
  }
  expect(taken).toBe(written.join(""));
  expect(spout.units).toBe(0);
});

test("gaps add up and come before what followed them", () => {
  const spout = new Spout(1000);
  spout.write("out", "lost with it\n");
  spout.write("gap", "5");
  spout.write("out", "after\n");
  expect(spout.take()).toEqual([
    ["gap", "6"],
    ["out", "after\n"],
  ]);
});

test("chunks of others are taken only in their shape and size", () => {
  expect(readChunks([["out", "text"]], 10)).toEqual([["out", "text"]]);
  expect(readChunks([["gap", "12"]], 10)).toEqual([["gap", "12"]]);
  const wrong: unknown[] = [
    null,
    "out",
    [["out"]],
    [["out", 7]],
    [["sky", "text"]],
    [["out", "text", 1]],
    [["gap", "many"]],
    [["out", "longer than ten"]],
    Array.from({ length: 20 }, () => ["out", ""]),
  ];
  for (const each of wrong) expect(readChunks(each, 10), JSON.stringify(each)).toBeNull();
});
