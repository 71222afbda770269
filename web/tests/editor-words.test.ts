import { CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { EditorState } from "@codemirror/state";
import { describe, expect, test } from "vitest";
import { languageNamed, loadLanguage } from "../src/editor/languages";
import { WordIndex, wordSource } from "../src/editor/words";

async function asked(
  doc: string,
  options: { language?: string; at?: number; explicit?: boolean; words?: Iterable<string> } = {},
): Promise<string[] | null> {
  const support = await loadLanguage(languageNamed(options.language ?? "JavaScript"));
  const state = EditorState.create({ doc, extensions: support ?? [] });
  const context = new CompletionContext(state, options.at ?? doc.length, options.explicit ?? false);
  const found = (await wordSource(() => options.words ?? [])(context)) as CompletionResult | null;
  return found === null ? null : found.options.map(({ label }) => label);
}

describe("words that are offered", () => {
  test("begin with what was typed, here or in another file", async () => {
    const words = ["renderTable", "reset", "other"];
    expect(await asked("const rendering = 1;\nre", { words })).toEqual(["rendering", "renderTable", "reset"]);
  });

  test("are of three letters at least, and not the one being typed", async () => {
    expect(await asked("re rea read re", { words: ["re", "rea"] })).toEqual(["rea", "read"]);
  });

  test("are of any script", async () => {
    expect(await asked("const größe = 1, zählen = 2;\nzä")).toEqual(["zählen"]);
    expect(await asked("変数名前 = 1;\n変数")).toEqual(["変数名前"]);
  });

  test("come unasked from the second letter on, in code only", async () => {
    expect(await asked("const total = 1;\nt")).toBeNull();
    expect(await asked("const total = 1;\nto")).toEqual(["total"]);
    expect(await asked("const total = 1;\n// to")).toBeNull();
    expect(await asked('const total = 1;\n"to')).toBeNull();
    expect(await asked("const total = 1;\n`to", { at: 20 })).toBeNull();
    expect(await asked("total\n\nto", { language: "Markdown" })).toBeNull();
    expect(await asked("total\n\n```js\nto\n```\n", { language: "Markdown", at: 15 })).toEqual(["total"]);
    expect(await asked("total\nto", { language: "none" })).toBeNull();
  });

  test("come anywhere when asked for", async () => {
    expect(await asked("const total = 1;\n// to", { explicit: true })).toEqual(["total"]);
    expect(await asked("total\n", { language: "none", explicit: true })).toEqual(["total"]);
  });

  test("are sought near the caret only, so that a large file costs nothing", async () => {
    const far = `farAway();\n${"x();\n".repeat(200_000)}`;
    expect(await asked(`${far}nearby();\nfa`)).toBeNull();
    expect(await asked(`${far}nearby();\nne`)).toEqual(["nearby"]);
  });
});

describe("the index", () => {
  test("holds a file's words as they are now", () => {
    const index = new WordIndex();
    index.feed(1, "alpha beta ab");
    index.feed(2, "beta gamma");
    index.feed(1, "delta");
    expect([...index.words()].sort()).toEqual(["beta", "delta", "gamma"]);
    expect([...index.words(2)]).toEqual(["delta"]);
    index.forget(1);
    index.forget(7);
    expect(index.describe()).toEqual({ files: 1, words: 2, units: 9 });
  });

  test("is bounded: the file fed longest ago makes room", () => {
    const index = new WordIndex();
    for (let file = 0; file < 200; file++) {
      const words = Array.from({ length: 3_000 }, (_, at) => `word${file}x${at}${"y".repeat(20)}`);
      index.feed(file, words.join(" "));
    }
    const { files, words, units } = index.describe();
    expect(words).toBeLessThanOrEqual(60_000);
    expect(units).toBeLessThanOrEqual(1024 * 1024);
    expect(files).toBeGreaterThan(1);
    expect([...index.words()].some((word) => word.startsWith("word199x"))).toBe(true);
    expect([...index.words()].some((word) => word.startsWith("word0x"))).toBe(false);
  });

  test("is not filled by encoded data, nor by one file", () => {
    const index = new WordIndex();
    index.feed(1, `${"A".repeat(5_000)} fine`);
    expect([...index.words()]).toEqual(["fine"]);
    index.feed(2, Array.from({ length: 50_000 }, (_, at) => `w${at}abc`).join(" "));
    expect(index.describe().words).toBeLessThan(10_000);
  });
});
