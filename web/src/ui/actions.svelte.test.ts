import { expect, test } from "vitest";
import { type Action, Actions, nativeKeys, pressesOf, shownKeys, shownOf } from "./actions.svelte";

/** A press of keys as browsers tell it. */
function press(
  key: string,
  code: string,
  held: readonly ("ctrl" | "alt" | "shift" | "meta" | "altgraph")[] = [],
): KeyboardEvent & { used: string[] } {
  const used: string[] = [];
  return {
    key,
    code,
    ctrlKey: held.includes("ctrl"),
    altKey: held.includes("alt"),
    shiftKey: held.includes("shift"),
    metaKey: held.includes("meta"),
    isComposing: false,
    defaultPrevented: false,
    getModifierState: (name: string) => name === "AltGraph" && held.includes("altgraph"),
    preventDefault: () => used.push("default"),
    stopPropagation: () => used.push("others"),
    used,
  } as unknown as KeyboardEvent & { used: string[] };
}

function action(id: string, keys: readonly string[], more: Partial<Action> = {}): Action & { ran: number } {
  const made = { id, label: id, group: "g", keys, ran: 0, run: () => void made.ran++, ...more };
  return made;
}

test("a press is named by its character, held keys first", () => {
  expect(pressesOf(press("F", "KeyF", ["ctrl", "shift"]), false)).toEqual(["Mod-Shift-f"]);
  expect(pressesOf(press("f", "KeyF", ["meta", "shift"]), true)).toEqual(["Mod-Shift-f"]);
  expect(pressesOf(press("f", "KeyF", ["ctrl"]), true)).toEqual(["Ctrl-f"]);
  expect(pressesOf(press("PageDown", "PageDown", ["alt"]), false)).toEqual(["Alt-PageDown"]);
  expect(pressesOf(press("x", "KeyX"), false)).toEqual(["x"]);
});

test("where a key has no Latin letter or digit, its place counts as well", () => {
  expect(pressesOf(press("з", "KeyP", ["ctrl"]), false)).toEqual(["Mod-з", "Mod-p"]);
  expect(pressesOf(press("&", "Digit1", ["alt"]), false)).toEqual(["Alt-&", "Alt-1"]);
  expect(pressesOf(press("ç", "KeyC", ["ctrl", "alt"]), true)).toEqual(["Ctrl-Alt-ç", "Ctrl-Alt-c"]);
  expect(pressesOf(press("≠", "Equal", ["ctrl", "alt"]), true)).toContain("Ctrl-Alt-=");
  // On a French keyboard A is where others have Q: it means A, and not Q.
  expect(pressesOf(press("a", "KeyQ", ["ctrl"]), false)).toEqual(["Mod-a"]);
});

test("what types a character is no action's: AltGr, numbers typed with Alt, Option on a Mac", () => {
  const actions = new Actions();
  const all = ["Mod-Alt-q", "Alt-q", "Alt-5", "Alt-n", "@"].map((keys) => action(keys, [keys]));
  actions.add(all.slice(0, 4));
  expect(actions.press(press("@", "KeyQ", ["ctrl", "alt", "altgraph"]), false)).toBe(false);
  expect(actions.press(press("5", "Numpad5", ["alt"]), false)).toBe(false);
  expect(actions.press(press("[", "Digit5", ["alt"]), true)).toBe(false);
  expect(actions.press(press("Dead", "KeyN", ["alt"]), true)).toBe(false);
  expect(all.every(({ ran }) => ran === 0)).toBe(true);
});

test("on a Mac, Alt with a character is Control and Option, and with 1 to 9 it is Control", () => {
  expect(nativeKeys("Alt-c", true)).toBe("Ctrl-Alt-c");
  expect(nativeKeys("Alt-Shift-w", true)).toBe("Ctrl-Alt-Shift-w");
  expect(nativeKeys("Alt--", true)).toBe("Ctrl-Alt--");
  expect(nativeKeys("Alt-0", true)).toBe("Ctrl-Alt-0");
  expect(nativeKeys("Alt-3", true)).toBe("Ctrl-3");
  expect(nativeKeys("Alt-PageDown", true)).toBe("Alt-PageDown");
  expect(nativeKeys("Mod-Shift-f", true)).toBe("Mod-Shift-f");
  expect(nativeKeys("Alt-c", false)).toBe("Alt-c");
  const actions = new Actions();
  const [chat, third] = [action("chat", ["Alt-c"]), action("third", ["Alt-3"])];
  actions.add([chat, third]);
  expect(actions.press(press("ç", "KeyC", ["ctrl", "alt"]), true)).toBe(true);
  expect(actions.press(press("3", "Digit3", ["ctrl"]), true)).toBe(true);
  expect([chat.ran, third.ran]).toEqual([1, 1]);
});

test("keys are shown as the machine writes them", () => {
  expect(shownKeys("Mod-Shift-f", false)).toBe("Ctrl+Shift+F");
  expect(shownKeys("Mod-Shift-f", true)).toBe("⌘⇧F");
  expect(shownKeys("Alt--", false)).toBe("Alt+-");
  expect(shownKeys("Alt-=", false)).toBe("Alt+=");
  expect(shownKeys("Shift-Alt-ArrowUp", false)).toBe("Shift+Alt+↑");
  expect(shownKeys("F1", false)).toBe("F1");
  expect(shownOf(action("chat", ["Alt-c"]), true)).toEqual(["⌃⌥C"]);
  expect(shownOf(action("find", [], { shown: () => "Mod-f" }), false)).toEqual(["Ctrl+F"]);
  expect(shownOf(action("none", [], { shown: () => "" }), false)).toEqual([]);
});

test("a press runs one action, the last that is enabled, and is used up", () => {
  const actions = new Actions();
  const first = action("first", ["Mod-p"]);
  const second = action("second", ["Mod-p"]);
  const off = action("off", ["Mod-p"], { enabled: () => false });
  actions.add([first]);
  const drop = actions.add([second, off]);
  const event = press("p", "KeyP", ["ctrl"]);
  expect(actions.press(event, false)).toBe(true);
  expect([first.ran, second.ran, off.ran]).toEqual([0, 1, 0]);
  expect(event.used).toEqual(["default", "others"]);
  drop();
  expect(actions.press(press("p", "KeyP", ["ctrl"]), false)).toBe(true);
  expect([first.ran, second.ran]).toEqual([1, 1]);
  expect(actions.press(press("p", "KeyP"), false)).toBe(false);
});

test("a press that was used, or belongs to an input method, is left alone", () => {
  const actions = new Actions();
  const one = action("one", ["Mod-p"]);
  actions.add([one]);
  expect(actions.press(Object.assign(press("p", "KeyP", ["ctrl"]), { isComposing: true }), false)).toBe(false);
  expect(actions.press(Object.assign(press("p", "KeyP", ["ctrl"]), { defaultPrevented: true }), false)).toBe(false);
  expect(one.ran).toBe(0);
});

test("who has the keyboard is asked first, and only where there is an action", () => {
  const actions = new Actions();
  const one = action("one", ["Mod-p"]);
  actions.add([one]);
  const asked: string[] = [];
  actions.keeps = (pressed) => {
    asked.push(pressed);
    return true;
  };
  const event = press("p", "KeyP", ["ctrl"]);
  expect(actions.press(event, false)).toBe(false);
  expect(actions.press(press("q", "KeyQ", ["ctrl"]), false)).toBe(false);
  expect(event.used).toEqual([]);
  expect(asked).toEqual(["Mod-p"]);
  expect(one.ran).toBe(0);
});

test("an action is run by its id only while it is enabled", () => {
  const actions = new Actions();
  let isOn = false;
  const one = action("one", ["Alt-x", "F1"], { enabled: () => isOn });
  actions.add([one]);
  actions.run("one");
  isOn = true;
  actions.run("one");
  actions.run("unknown");
  expect(one.ran).toBe(1);
  expect(actions.keysOf("one")).toMatch(/X$/);
  expect(actions.keysOf("unknown")).toBe("");
});
