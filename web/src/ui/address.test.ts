import { expect, test } from "vitest";
import { addressOf } from "./address";
import { pathParts } from "./choice";

test("a path, a line, a column, in each way in which people write them", () => {
  expect(addressOf("main.py")).toEqual({ path: "main.py", line: null, column: null });
  expect(addressOf("main.py:12")).toEqual({ path: "main.py", line: 12, column: null });
  expect(addressOf("src/main.py:12:5 ")).toEqual({ path: "src/main.py", line: 12, column: 5 });
  expect(addressOf(":7")).toEqual({ path: "", line: 7, column: null });
  expect(addressOf("main.py:")).toEqual({ path: "main.py", line: null, column: null });
  expect(addressOf("main.py:0")).toEqual({ path: "main.py", line: 1, column: null });
  expect(addressOf("a:b.py")).toEqual({ path: "a:b.py", line: null, column: null });
  expect(addressOf("12")).toEqual({ path: "12", line: null, column: null });
});

test("a path is shown as its name and its folder, with what was matched in each", () => {
  expect(
    pathParts("src/ui/main.py", [
      [0, 3],
      [5, 9],
    ]),
  ).toEqual({
    label: "main.py",
    labelStretches: [[0, 2]],
    detail: "src/ui",
    detailStretches: [
      [0, 3],
      [5, 6],
    ],
  });
  expect(pathParts("main.py", [[0, 1]])).toEqual({ label: "main.py", labelStretches: [[0, 1]] });
});
