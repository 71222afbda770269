import { describe, expect, test } from "vitest";
import { lineAtTop, type Mark, topOfLine } from "./scrolling";

const MARKS: readonly Mark[] = [
  { line: 1, top: 20 },
  { line: 5, top: 100 },
  { line: 6, top: 400 },
];
const LINES = 10;
const HEIGHT = 1_000;

describe("a text and its preview in step", () => {
  test("a block's first line is at its top", () => {
    for (const mark of MARKS) expect(topOfLine(MARKS, mark.line, LINES, HEIGHT)).toBe(mark.top);
  });

  test("between two blocks it goes by parts", () => {
    expect(topOfLine(MARKS, 3, LINES, HEIGHT)).toBe(60);
    expect(topOfLine(MARKS, 5.5, LINES, HEIGHT)).toBe(250);
  });

  test("the last block reaches to the end", () => {
    expect(topOfLine(MARKS, LINES + 1, LINES, HEIGHT)).toBe(HEIGHT);
  });

  test("there and back is the same line", () => {
    for (let line = 1; line <= LINES; line += 0.25) {
      expect(lineAtTop(MARKS, topOfLine(MARKS, line, LINES, HEIGHT), LINES, HEIGHT)).toBeCloseTo(line);
    }
  });

  test("a text without blocks has one stretch", () => {
    expect(topOfLine([], 6, LINES, HEIGHT)).toBe(500);
    expect(lineAtTop([], 500, LINES, HEIGHT)).toBe(6);
  });
});
