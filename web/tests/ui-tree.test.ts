/** The file tree without a page: rows, keys, what is folded. */

import { describe, expect, it } from "vitest";
import type { FileRecord } from "../src/messages";
import { foldersIn, outermost, type Row, rowsOf, treeOf } from "../src/ui/tree";
import { treeStep } from "../src/ui/treekeys";
import { TreeState } from "../src/ui/treestate.svelte";

function rows(paths: string[], folded: string[] = [], empty: string[] = []): Row[] {
  const files = paths.map(
    (path, at): FileRecord => ({ file_id: at + 1, path, epoch: "e", eol: "lf", deleted_at_ms: null }),
  );
  return rowsOf(treeOf(files, empty), (folder) => !folded.includes(folder));
}

const PATHS = ["b.txt", "a10.txt", "a9.txt", "src/x/deep.ts", "src/y.ts", "__proto__/c"];

describe("the tree", () => {
  it("lists folders first and counts as people do", () => {
    expect(rows(PATHS).map((row) => `${row.level} ${row.path} ${row.position}/${row.count}`)).toEqual([
      "1 __proto__ 1/5",
      "2 __proto__/c 1/1",
      "1 src 2/5",
      "2 src/x 1/2",
      "3 src/x/deep.ts 1/1",
      "2 src/y.ts 2/2",
      "1 a9.txt 3/5",
      "1 a10.txt 4/5",
      "1 b.txt 5/5",
    ]);
    expect(rows(PATHS, ["src", "__proto__"])).toHaveLength(5);
    expect(foldersIn(treeOf([], ["a/b"]))).toEqual(["a", "a/b"]);
    expect(rows(["a/x"], [], ["a/b"]).map((row) => row.kind === "folder" && row.isEmpty)).toEqual([false, true, false]);
  });

  it("means a folder's content with the folder", () => {
    const all = rows(PATHS);
    const chosen = all.filter((row) => ["src", "src/y.ts", "b.txt"].includes(row.path));
    expect(outermost(chosen).map((row) => row.path)).toEqual(["src", "b.txt"]);
  });
});

describe("keys", () => {
  const all = rows(PATHS);
  const at = (path: string): number => all.findIndex((row) => row.path === path);

  it("go through the rows that are seen, and in and out of folders", () => {
    expect(treeStep(all, 0, "ArrowDown")).toEqual({ to: all[1]?.key });
    expect(treeStep(all, 0, "ArrowUp")).toEqual({ to: undefined });
    expect(treeStep(all, 0, "End")).toEqual({ to: all.at(-1)?.key });
    expect(treeStep(all, at("src"), "ArrowRight")).toEqual({ to: "folder:src/x" });
    expect(treeStep(all, at("src"), "ArrowLeft")).toEqual({ fold: "src", isOpen: false });
    expect(treeStep(all, at("src/y.ts"), "ArrowLeft")).toEqual({ to: "folder:src" });
    expect(treeStep(all, at("b.txt"), "ArrowLeft")).toEqual({ to: undefined });
    const folded = rows(PATHS, ["src"]);
    const place = folded.findIndex((row) => row.path === "src");
    expect(treeStep(folded, place, "ArrowRight")).toEqual({ fold: "src", isOpen: true });
    expect(treeStep(all, 0, "x")).toBeNull();
  });
});

describe("what is folded", () => {
  function drawer(): {
    getItem(name: string): string | null;
    setItem(name: string, value: string): void;
    removeItem(name: string): void;
  } {
    const items = new Map<string, string>();
    return {
      getItem: (name) => items.get(name) ?? null,
      setItem: (name, value) => void items.set(name, value),
      removeItem: (name) => void items.delete(name),
    };
  }

  it("outlives a reload of the tab, and goes along when a folder moves", () => {
    const kept = drawer();
    const tree = new TreeState("w", kept);
    tree.settle(3);
    tree.fold("a/b", false);
    tree.addEmpty("new");
    tree.moved("a", "z");
    const again = new TreeState("w", kept);
    expect([again.isOpen("z/b"), again.isOpen("z"), again.empty]).toEqual([false, true, ["new"]]);
    again.tidy(["new/file.txt"]);
    expect(new TreeState("w", kept).empty).toEqual([]);
  });

  it("begins folded where there are many files, and shows the one that is looked at", () => {
    const tree = new TreeState("w", null);
    tree.settle(5_000);
    expect(tree.isOpen("a")).toBe(false);
    tree.reveal("a/b/c.txt");
    expect([tree.isOpen("a"), tree.isOpen("a/b"), tree.isOpen("x")]).toEqual([true, true, false]);
  });

  it("is not broken by what something else wrote", () => {
    for (const text of ["{", "null", "[]", '{"isUnfolded":true,"changed":[1,["a"]],"empty":[2]}']) {
      const kept = drawer();
      kept.setItem("carets.tree.w", text);
      expect(new TreeState("w", kept).isOpen("a")).toBe(true);
    }
  });

  it("chosen rows are those between the first and the last, or each by itself", () => {
    const all = rows(PATHS);
    const tree = new TreeState("w", null);
    const keys = all.map((row) => row.key);
    tree.goTo(keys[1] ?? "");
    tree.extend(all, keys[3] ?? "");
    expect([...tree.chosen]).toEqual(keys.slice(1, 4));
    tree.toggle(keys[2] ?? "");
    expect([...tree.chosen]).toEqual([keys[1], keys[3]]);
    expect(tree.meant(all, all[1] as Row).map((row) => row.key)).toEqual([keys[1], keys[3]]);
    expect(tree.meant(all, all[5] as Row)).toEqual([all[5]]);
    tree.goTo(keys[0] ?? "");
    expect(tree.chosen.size).toBe(0);
  });
});
