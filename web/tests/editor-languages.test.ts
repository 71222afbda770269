import { describe, expect, test } from "vitest";
import { indentOf } from "../src/editor/indent";
import { inkOn } from "../src/editor/ink";
import { languageOf, loadLanguage } from "../src/editor/languages";
import type { FileRecord } from "../src/messages";
import { PALETTE } from "../src/profile";
import { shortName, treeOf } from "../src/ui/tree";

const LANGUAGES: Record<string, string> = {
  "a.py": "Python",
  "a.pyi": "Python",
  "a.js": "JavaScript",
  "a.mjs": "JavaScript",
  "a.ts": "TypeScript",
  "a.tsx": "TSX",
  "a.html": "HTML",
  "a.svelte": "HTML",
  "a.css": "CSS",
  "a.scss": "SCSS",
  "a.json": "JSON",
  "a.md": "Markdown",
  "a.c": "C",
  "a.cpp": "C++",
  "a.cs": "C#",
  "a.java": "Java",
  "a.kt": "Kotlin",
  "a.go": "Go",
  "a.rs": "Rust",
  "a.rb": "Ruby",
  "a.php": "PHP",
  "a.swift": "Swift",
  "a.sql": "SQL",
  "a.sh": "Shell",
  "a.yaml": "YAML",
  "a.toml": "TOML",
  "a.xml": "XML",
  "a.lua": "Lua",
  "a.hs": "Haskell",
  "a.r": "R",
  "a.jl": "Julia",
  "a.scala": "Scala",
  "a.vue": "Vue",
  "deep/Dockerfile": "Dockerfile",
  "Cargo.lock": "TOML",
  ".env": "Properties files",
};

describe("languages", () => {
  test.each(Object.entries(LANGUAGES))("%s is %s", async (path, name) => {
    expect(languageOf(path)?.name).toBe(name);
    expect(await loadLanguage(path)).not.toBeNull();
  });

  test("a name that tells nothing is plain text", async () => {
    expect(languageOf("LICENSE")).toBeNull();
    expect(await loadLanguage("LICENSE")).toBeNull();
  });
});

describe("indentation", () => {
  test.each([
    ["", "    "],
    ["a\n  b\n    c\n  d", "  "],
    ["a\n    b\n        c", "    "],
    ["a\n\tb\n\t\tc", "\t"],
  ])("of %j", (text, step) => {
    expect(indentOf(text)).toBe(step);
  });
});

describe("colours", () => {
  test("each of the palette takes white letters, a light one of a stranger black ones", () => {
    expect(PALETTE.map(inkOn)).toEqual(PALETTE.map(() => "#ffffff"));
    expect(inkOn("#ffee88")).toBe("#000000");
    expect(inkOn("nonsense")).toBe("#ffffff");
  });
});

describe("the file list", () => {
  const file = (file_id: number, path: string): FileRecord => ({
    file_id,
    path,
    epoch: "e",
    eol: "lf",
    deleted_at_ms: null,
  });

  test("shows folders first, and counts as people do", () => {
    const paths = ["b10.txt", "b9.txt", "a/z.py", "a/b/c.py", "A.md"];
    const show = (entries: ReturnType<typeof treeOf>): unknown[] =>
      entries.map((entry) => (entry.kind === "folder" ? [entry.path, ...show(entry.entries)] : entry.name));
    expect(show(treeOf(paths.map((path, at) => file(at + 1, path))))).toEqual([
      ["a", ["a/b", "c.py"], "z.py"],
      "A.md",
      "b9.txt",
      "b10.txt",
    ]);
  });

  test("a tab shows as much of a path as tells it apart", () => {
    const paths = ["a/main.py", "b/main.py", "x/b/main.py", "one.py"];
    expect(paths.map((path) => shortName(path, paths))).toEqual(["a/main.py", "b/main.py", "x/b/main.py", "one.py"]);
  });
});
