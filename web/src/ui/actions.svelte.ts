/**
 * What can be done on the page, each with its name and keys: what the palette lists, and what the keyboard does.
 *
 * Owns: the registry, and which press of keys means which action. Does not know: what an action does.
 *
 * Invariants:
 *   1. A press runs at most one action: the one that was added last among those that are enabled.
 *   2. No press that types a character is taken: AltGr writes on PCs, Option on Macs, so Alt means ⌃⌥ there.
 */
import { getContext, setContext } from "svelte";

export interface Action {
  readonly id: string;
  readonly label: string;
  /** The heading under which the palette shows it. */
  readonly group: string;
  /**
   * Written as CodeMirror writes keys: `Mod-Shift-f`, where Mod is ⌘ on a Mac and Ctrl elsewhere. `Alt-f` is ⌃⌥F on a
   * Mac, and `Alt-1` is ⌃1. The first is shown in hints, all of them in the palette.
   */
  readonly keys?: readonly string[];
  /** Keys that something else answers to, the editor for instance: they are only shown. */
  shown?(): string;
  /** Whether it can be done now; by default always. */
  enabled?(): boolean;
  run(): void;
}

/** Whether whoever has the keyboard means something of its own by this press. */
export type Keeps = (press: string, event: KeyboardEvent) => boolean;

export class Actions {
  list = $state.raw<readonly Action[]>([]);
  /** Asked before a press becomes an action; an editor with the keys of vim or emacs keeps some. */
  keeps: Keeps = () => false;

  /** Add some; the answer takes them away again. */
  add(actions: readonly Action[]): () => void {
    this.list = [...this.list, ...actions];
    return () => {
      this.list = this.list.filter((action) => !actions.includes(action));
    };
  }

  /** Do what a press of keys means. Returns whether it meant anything; the event is used up then. */
  press(event: KeyboardEvent, isMac = IS_MAC): boolean {
    if (event.defaultPrevented || event.isComposing) return false;
    for (const press of pressesOf(event, isMac)) {
      const action = this.list.findLast(
        (each) => each.keys?.some((keys) => nativeKeys(keys, isMac) === press) === true && each.enabled?.() !== false,
      );
      if (action === undefined || this.keeps(press, event)) continue;
      event.preventDefault();
      event.stopPropagation();
      action.run();
      return true;
    }
    return false;
  }

  /** Run an action by its id, if it is there and enabled. */
  run(id: string): void {
    const action = this.list.findLast((each) => each.id === id);
    if (action !== undefined && action.enabled?.() !== false) action.run();
  }

  /** The keys of an action as this machine writes them; empty when it has none. */
  keysOf(id: string): string {
    const action = this.list.findLast((each) => each.id === id);
    return action === undefined ? "" : (shownOf(action)[0] ?? "");
  }
}

export const IS_MAC = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform);

/** All keys of an action as this machine writes them. */
export function shownOf(action: Action, isMac = IS_MAC): readonly string[] {
  const others = action.shown?.() ?? "";
  const own = action.keys?.map((keys) => shownKeys(nativeKeys(keys, isMac), isMac)) ?? [];
  return others === "" ? own : [...own, shownKeys(others, isMac)];
}

/** The keys that an action has on this machine: with Option alone a Mac writes characters, brackets among them. */
export function nativeKeys(keys: string, isMac = IS_MAC): string {
  if (!isMac) return keys;
  return keys.replace(/^Alt-(?=(?:Shift-)?[1-9]$)/, "Ctrl-").replace(/^Alt-(?=(?:Shift-)?.$)/, "Ctrl-Alt-");
}

const PLACES: Readonly<Record<string, string>> = { Equal: "=", Minus: "-", Comma: "," };

/**
 * What a press of keys may be called, the likeliest first: by the character on the key, and, where that is no Latin
 * letter or digit, by the key's place, so that it works on a Russian keyboard, a French one, and with Option on a Mac.
 */
export function pressesOf(event: KeyboardEvent, isMac = IS_MAC): readonly string[] {
  if (!isMac && event.getModifierState("AltGraph")) return [event.key];
  // With Alt, the digits of the number pad write characters by their numbers.
  if (event.altKey && event.code.startsWith("Numpad")) return [];
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isMod = isMac ? event.metaKey : event.ctrlKey;
  const isCtrl = isMac && event.ctrlKey;
  const held = `${isMod ? "Mod-" : ""}${isCtrl ? "Ctrl-" : ""}${event.altKey ? "Alt-" : ""}${event.shiftKey ? "Shift-" : ""}`;
  const place = /^(?:Key|Digit)(.)$/.exec(event.code)?.[1]?.toLowerCase() ?? PLACES[event.code];
  const isByPlace =
    place !== undefined && place !== key && (isMod || isCtrl || event.altKey) && !/^[a-z0-9]$/.test(key);
  return isByPlace ? [held + key, held + place] : [held + key];
}

const SIGNS: Readonly<Record<string, string>> = {
  Mod: "Ctrl",
  PageUp: "PgUp",
  PageDown: "PgDn",
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
};
const MAC_SIGNS: Readonly<Record<string, string>> = {
  ...SIGNS,
  Mod: "⌘",
  Ctrl: "⌃",
  Alt: "⌥",
  Shift: "⇧",
  Enter: "↩",
};

/** Keys for reading: `Ctrl+Shift+F`, or `⌘⇧F` on a Mac. */
export function shownKeys(keys: string, isMac = IS_MAC): string {
  const parts = keys.split(/-(?!$)/).map((part) => {
    const sign = (isMac ? MAC_SIGNS : SIGNS)[part] ?? part;
    return sign.length === 1 ? sign.toUpperCase() : sign;
  });
  return parts.join(isMac ? "" : "+");
}

const CONTEXT = Symbol("actions");

/** Make the registry of a screen, for it and all that it shows. */
export function provideActions(): Actions {
  return setContext(CONTEXT, new Actions());
}

export function useActions(): Actions {
  return getContext<Actions>(CONTEXT);
}
