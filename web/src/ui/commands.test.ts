// @vitest-environment node
import { closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap } from "@codemirror/commands";
import { foldKeymap } from "@codemirror/language";
import { searchKeymap } from "@codemirror/search";
import { beforeAll, expect, test, vi } from "vitest";
import type { Action } from "./actions.svelte";

/** What no page ever gets: Chrome, Edge and Firefox on Windows and Linux, then all three and Safari on a Mac. */
const KEPT_BY_BROWSERS = [
  "Mod-n",
  "Mod-t",
  "Mod-w",
  "Mod-Shift-n",
  "Mod-Shift-t",
  "Mod-Shift-w",
  "Mod-q",
  "Mod-Tab",
  "F11",
];
/** What Firefox keeps on top of that. */
const KEPT_BY_FIREFOX = ["Mod-Shift-p"];
/** What closes windows and switches among them. */
const KEPT_BY_SYSTEMS = [
  "Alt-F4",
  "Alt-Tab",
  "Mod-h",
  "Mod-m",
  "Alt-Space",
  "Alt-d",
  "Alt-ArrowLeft",
  "Alt-ArrowRight",
];

/** Taken from the text on purpose: so programs are run wherever code is written. A blank line is End and Enter. */
const TAKEN_ON_PURPOSE = ["Mod-Enter"];

let actions: readonly Action[] = [];
beforeAll(async () => {
  vi.stubGlobal("window", { localStorage: null, innerWidth: 1000 });
  const { workspaceActions } = await import("./commands");
  const nothing = { value: null };
  const session = { role: nothing, setAside: { value: { count: 0 } }, files: { value: new Map() } };
  const opened = { active: null, editor: null, list: [], isReopenable: false };
  const screen = { session, opened, layout: {}, path: () => null, createFile: () => undefined };
  actions = workspaceActions(screen as unknown as Parameters<typeof workspaceActions>[0]);
  vi.unstubAllGlobals();
});

test("each action has an id of its own, and each key one action", () => {
  const ids = actions.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const keys = actions.flatMap((action) => action.keys ?? []);
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys.length).toBeGreaterThan(25);
});

test("no action has a key that browsers or systems keep; one that Firefox keeps has others", () => {
  for (const { id, keys = [] } of actions) {
    for (const each of keys) expect([...KEPT_BY_BROWSERS, ...KEPT_BY_SYSTEMS], id).not.toContain(each);
    if (keys.some((each) => KEPT_BY_FIREFOX.includes(each))) {
      expect(keys.filter((each) => !KEPT_BY_FIREFOX.includes(each)).length, id).toBeGreaterThan(0);
    }
  }
});

test("no action has a key that means something in the text", () => {
  const bindings = [...defaultKeymap, ...searchKeymap, ...foldKeymap, ...completionKeymap, ...closeBracketsKeymap];
  const taken = new Set(bindings.flatMap(({ key, win, linux }) => [key, win, linux]).map(ordered));
  for (const { id, keys = [] } of actions)
    for (const each of keys.filter((key) => !TAKEN_ON_PURPOSE.includes(key)))
      expect(taken.has(ordered(each)), `${id}: ${each}`).toBe(false);
});

/** With what is held in one order, since `Shift-Mod-k` is `Mod-Shift-k`, and `Alt-A` is `Alt-Shift-a`. */
function ordered(keys: string | undefined): string {
  if (keys === undefined) return "";
  const parts = keys.split(/-(?!$)/);
  const key = parts.pop() ?? "";
  const isCapital = /^[A-Z]$/.test(key);
  const held = new Set([...parts.map((part) => (part === "Ctrl" ? "Mod" : part)), ...(isCapital ? ["Shift"] : [])]);
  return [...[...held].sort(), isCapital ? key.toLowerCase() : key].join("-");
}

test("what the editor can do is listed, with the keys to which it answers", () => {
  const undo = actions.find(({ id }) => id === "editor-undo");
  expect(undo).toMatchObject({ label: "Undo" });
  expect(undo?.keys).toBeUndefined();
  expect(undo?.shown?.()).toBe("Mod-z");
  expect(undo?.enabled?.()).toBe(false);
});
