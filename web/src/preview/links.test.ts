import { expect, test } from "vitest";
import { linkedPath } from "./links";

test.each([
  ["a.md", "b.md", "b.md"],
  ["docs/a.md", "b.md", "docs/b.md"],
  ["docs/a.md", "./b.md#part", "docs/b.md"],
  ["docs/a.md", "../src/main.py?plain=1#L3", "src/main.py"],
  ["docs/a.md", "/README.md", "README.md"],
  ["docs/a.md", "../../../b.md", "b.md"],
  ["a.md", "folder/", "folder"],
])("in %s, %s leads to %s", (from, target, path) => {
  expect(linkedPath(from, target)).toBe(path);
});

test("names with signs that addresses write otherwise are found", () => {
  expect(linkedPath("docs/a.md", "%5Bslug%5D.md")).toBe("docs/[slug].md");
  expect(linkedPath("a.md", "a%20b.md")).toBe("a b.md");
  expect(linkedPath("a.md", "100%25.md")).toBe("100%.md");
  expect(linkedPath("a.md", "what%3F.md")).toBe("what?.md");
  expect(linkedPath("a.md", "C%23/x.md")).toBe("C#/x.md");
  expect(linkedPath("a.md", "%zz.md")).toBe("%zz.md");
});

test("what is no place in the workspace leads nowhere", () => {
  for (const target of ["", "#part", "//host/a.md", "//[", "ftp://host/a.md", "javascript:alert(1)"]) {
    expect(linkedPath("docs/a.md", target), target).toBe(null);
  }
});
