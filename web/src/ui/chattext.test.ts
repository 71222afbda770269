import { describe, expect, test } from "vitest";
import { piecesOf } from "./chattext";

const FILES: Readonly<Record<string, number>> = { "src/main.py": 1, "README.md": 2, Makefile: 3, "a b.txt": 4 };
const fileAt = (path: string): number | null => FILES[path] ?? null;
const shape = (text: string): string[] =>
  piecesOf(text, fileAt).map((piece) => (piece.kind === "text" ? piece.text : `[${piece.kind} ${piece.text}]`));

describe("what a message points at", () => {
  test("a path with a line is a place", () => {
    expect(piecesOf("see src/main.py:12, please", fileAt)).toEqual([
      { kind: "text", text: "see " },
      { kind: "place", text: "src/main.py:12", fileId: 1, line: 12 },
      { kind: "text", text: ", please" },
    ]);
  });

  test("a path alone is a place without a line, and what ends the sentence is not of it", () => {
    expect(shape("Look into README.md.")).toEqual(["Look into ", "[place README.md]", "."]);
    expect(shape("(Makefile)")).toEqual(["(", "[place Makefile]", ")"]);
  });

  test("what is no file stays text", () => {
    expect(shape("at 12:30 in other.py:3")).toEqual(["at 12:30 in other.py:3"]);
  });

  test("an address is one, without the dot behind it, and no place is looked for in it", () => {
    expect(shape("http://x.test/README.md:1. ok")).toEqual(["[address http://x.test/README.md:1]", ". ok"]);
    expect(shape("javascript:alert(1)")).toEqual(["javascript:alert(1)"]);
  });

  test("put together the pieces are the message", () => {
    for (const text of ["", " ", "a\nb", "README.md README.md:1 https://a.b/c?d=e#f!", "<img src=x> Makefile:0"]) {
      const pieces = piecesOf(text, fileAt);
      expect(pieces.map((piece) => piece.text).join("")).toBe(text);
    }
  });
});
