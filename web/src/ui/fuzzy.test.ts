import { expect, test } from "vitest";
import { fitOf, rank } from "./fuzzy";

const best = (query: string, texts: readonly string[]): string[] =>
  rank(query, texts, (text) => text).map(({ item }) => item);
const marked = (query: string, text: string): string => {
  const fit = fitOf(query, text);
  if (fit === null) return "(none)";
  let shown = "";
  let at = 0;
  for (const [from, to] of fit.stretches) {
    shown += `${text.slice(at, from)}[${text.slice(from, to)}]`;
    at = to;
  }
  return shown + text.slice(at);
};

test("the letters stand in their order, or it does not fit", () => {
  expect(fitOf("abc", "xaxbxcx")).not.toBeNull();
  expect(fitOf("abc", "cba")).toBeNull();
  expect(fitOf("aa", "a")).toBeNull();
  expect(fitOf("", "anything")).toEqual({ score: expect.any(Number), stretches: [] });
  expect(fitOf("a", "")).toBeNull();
});

test("the best place is marked, not the first", () => {
  expect(marked("main", "src/domain/main.py")).toBe("src/domain/[main].py");
  expect(marked("op", "ui/openProject.ts")).toBe("ui/[op]enProject.ts");
  expect(marked("sp", "ui/stopOpenPort.ts")).toBe("ui/[s]topOpen[P]ort.ts");
  expect(marked("qo", "src/ui/QuickOpen.svelte")).toBe("src/ui/[Q]uick[O]pen.svelte");
  expect(marked("tt", "test_tabs.py")).toBe("[t]est_[t]abs.py");
});

test("a name goes before folders, a word's beginning before its middle, what is together before what is apart", () => {
  expect(best("model", ["model/deep/file.ts", "src/model.ts"])).toEqual(["src/model.ts", "model/deep/file.ts"]);
  expect(best("list", ["src/analyst.ts", "src/list.ts", "src/FileList.ts"])[0]).toBe("src/list.ts");
  expect(best("list", ["src/backlist.ts", "src/FileList.ts"])[0]).toBe("src/FileList.ts");
  expect(best("tab", ["ui/new-tab.ts", "ui/tab-new.ts"])[0]).toBe("ui/tab-new.ts");
  expect(best("abc", ["a-x-b-x-c", "xxabcxx", "abc"])[0]).toBe("abc");
});

test("a path part and a name are found together", () => {
  const texts = ["src/ui/index.ts", "src/run/index.ts", "ui/main.ts"];
  expect(best("ui/ind", texts)).toEqual(["src/ui/index.ts"]);
  expect(best("run index", texts)[0]).toBe("src/run/index.ts");
  expect(best("index run", texts)[0]).toBe("src/run/index.ts");
  expect(best("main run", texts)).toEqual([]);
});

test("what fits alike stays in the order in which it came", () => {
  expect(best("a", ["ab", "ac", "ad"])).toEqual(["ab", "ac", "ad"]);
  expect(best("  ", ["b", "a"])).toEqual(["b", "a"]);
});

test("places hold where lower case is longer, and beyond the basic plane", () => {
  expect(marked("st", "İİ/st.txt")).toBe("İİ/[st].txt");
  expect(marked("b", "🦀/b")).toBe("🦀/[b]");
});

test("5,000 long paths and a query that fits them all take less than a frame or three", () => {
  const paths = Array.from(
    { length: 5000 },
    (_, at) => `packages/part${at % 50}/source/components/deep/Component${at}.svelte`,
  );
  const begun = performance.now();
  expect(best("comp123", paths).length).toBeGreaterThan(0);
  // Generous: it is 30 ms on a laptop, and this machine may be busy.
  expect(performance.now() - begun).toBeLessThan(1000);
});
