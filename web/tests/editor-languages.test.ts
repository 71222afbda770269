import { describe, expect, test } from "vitest";
import { columnsOf } from "../src/editor/continuation";
import { runsRight } from "../src/editor/direction";
import { indentationOf, indentIn } from "../src/editor/indent";
import { inkOn } from "../src/editor/ink";
import {
  languageFor,
  languageNamed,
  languageNames,
  languageOf,
  languageOfLine,
  loadLanguage,
} from "../src/editor/languages";
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
    expect(await loadLanguage(languageOf(path))).not.toBeNull();
  });

  test("a name that tells nothing is plain text", async () => {
    expect(languageOf("LICENSE")).toBeNull();
    expect(await loadLanguage(languageOf("LICENSE"))).toBeNull();
  });
});

describe("a language", () => {
  test.each([
    ["#!/usr/bin/env python3", "Python"],
    ["#!/bin/sh -e", "Shell"],
    ["#!/usr/bin/env -S deno run", "TypeScript"],
    ["#!/usr/bin/node", "JavaScript"],
    ['<?xml version="1.0"?>', "XML"],
    ["<!doctype html>", "HTML"],
    ["<?php", "PHP"],
    ["diff --git a/x b/x", "diff"],
  ])("is told by the first line %j", (line, name) => {
    expect(languageOfLine(line)?.name).toBe(name);
  });

  test("is not told by prose, nor by a program whose name only begins like another", () => {
    for (const line of ["", "python is a language", "# sh", "#!/opt/crash", "a <?xml"]) {
      expect(languageOfLine(line), line).toBeNull();
    }
  });

  test("is by hand first, by name then, by the first line last", () => {
    expect(languageFor("a.py", "Rust", "#!/bin/sh")?.name).toBe("Rust");
    expect(languageFor("a.py", null, "#!/bin/sh")?.name).toBe("Python");
    expect(languageFor("run", null, "#!/bin/sh")?.name).toBe("Shell");
    expect(languageFor("run", null, "hello")).toBeNull();
  });

  test("can be chosen from a sorted list, each once", () => {
    const names = languageNames();
    expect(names.length).toBeGreaterThan(130);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual([...names].sort((a, b) => a.localeCompare(b, "en", { sensitivity: "base" })));
    for (const name of names) expect(languageNamed(name)?.name).toBe(name);
  });
});

describe("indentation", () => {
  test.each([
    ["", null],
    ["no white space\nat all", null],
    ["a\n  b\n    c\n  d", 2],
    ["a\n    b\n        c", 4],
    ["a\n        b\n                c", 8],
    ["a\n\tb\n\t\tc", "tab"],
  ] as const)("of %j", (text, unit) => {
    expect(indentIn(text)).toBe(unit);
  });

  test("is chosen first, by content then, by what is customary last", () => {
    expect(indentationOf(8, "a.py", "a\n  b")).toEqual({ unit: 8, isAuto: false });
    expect(indentationOf("auto", "Makefile", "a\n  b")).toEqual({ unit: 2, isAuto: true });
    expect(indentationOf("auto", "src/Makefile", "")).toEqual({ unit: "tab", isAuto: true });
    expect(indentationOf("auto", "a.ts", "")).toEqual({ unit: 2, isAuto: true });
    expect(indentationOf("auto", "a.py", "")).toEqual({ unit: 4, isAuto: true });
  });

  test("of a wrapped line is counted in columns, and bounded", () => {
    expect(columnsOf("   a", 4)).toBe(3);
    expect(columnsOf("\ta", 4)).toBe(4);
    expect(columnsOf("  \ta", 4)).toBe(4);
    expect(columnsOf(" ".repeat(100), 4)).toBe(24);
    expect(columnsOf("a", 4)).toBe(0);
  });
});

describe("direction", () => {
  test("is that of the first letter, whatever signs stand before it", () => {
    for (const line of ["שלום world", "1. مرحبا", "- «שלום»"]) expect(runsRight(line), line).toBe(true);
    for (const line of ["", "hello שלום", "// x", "\u061c\u200f", "123"]) expect(runsRight(line), line).toBe(false);
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
