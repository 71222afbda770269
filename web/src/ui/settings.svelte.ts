/**
 * How this browser likes the page and its editor.
 *
 * Owns: these choices and where they are kept. Does not know: what they look like; styles/tokens.css does.
 */
import { thisBrowser } from "../browser";
import { NARROW_PX } from "./layout.svelte";

export type ThemeChoice = "system" | "light" | "dark";
export const THEME_CHOICES: readonly ThemeChoice[] = ["system", "light", "dark"];
export type KeymapChoice = "default" | "vim" | "emacs";
export const KEYMAP_CHOICES: readonly KeymapChoice[] = ["default", "vim", "emacs"];
/** `auto`: as the file's own text has it. A number is that many spaces. */
export type IndentChoice = "auto" | "tab" | 2 | 4 | 8;
export const INDENT_CHOICES: readonly IndentChoice[] = ["auto", 2, 4, 8, "tab"];

/** Pixels of the code's letters. */
export const FONT_PX_MIN = 10;
export const FONT_PX_MAX = 28;

const KEY = "carets.settings";

interface Kept {
  theme: ThemeChoice;
  /** Null: wrapped on narrow screens only. */
  wrap: boolean | null;
  /** Null: as large as the page's tokens say. */
  fontPx: number | null;
  keymap: KeymapChoice;
  whitespace: boolean;
  indent: IndentChoice;
  words: boolean;
  joinNotices: boolean;
}

const FIRST: Kept = {
  theme: "system",
  wrap: null,
  fontPx: null,
  keymap: "default",
  whitespace: false,
  indent: "auto",
  words: true,
  joinNotices: true,
};

class Settings {
  private kept = $state.raw<Kept>(FIRST);
  private readonly drawer = thisBrowser().localStorage;

  /** Take up what was chosen before; once, before anything is drawn. */
  load(): void {
    this.kept = { ...FIRST, ...this.read() };
    this.apply();
  }

  get theme(): ThemeChoice {
    return this.kept.theme;
  }

  /** Whether long lines wrap. */
  get wrap(): boolean {
    return this.kept.wrap ?? window.innerWidth <= NARROW_PX;
  }

  get fontPx(): number | null {
    return this.kept.fontPx;
  }

  get keymap(): KeymapChoice {
    return this.kept.keymap;
  }

  /** Whether spaces and tabs are marked. */
  get whitespace(): boolean {
    return this.kept.whitespace;
  }

  get indent(): IndentChoice {
    return this.kept.indent;
  }

  /** Whether words of the workspace are offered while typing. */
  get words(): boolean {
    return this.kept.words;
  }

  /** Whether it is told when somebody comes or goes. */
  get joinNotices(): boolean {
    return this.kept.joinNotices;
  }

  set(change: Partial<Kept>): void {
    this.kept = { ...this.kept, ...change };
    this.apply();
    try {
      this.drawer?.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // A full or forbidden storage: the choice lasts as long as the page.
    }
  }

  /** Letters of the code larger or smaller by a pixel; 0 is back to how they were. */
  zoom(step: -1 | 0 | 1): void {
    const now = this.kept.fontPx ?? Math.round(Number.parseFloat(style().getPropertyValue("--code-size")));
    this.set({ fontPx: step === 0 ? null : Math.min(FONT_PX_MAX, Math.max(FONT_PX_MIN, now + step)) });
  }

  private apply(): void {
    const { theme, fontPx } = this.kept;
    const root = document.documentElement;
    if (theme === "system") delete root.dataset["theme"];
    else root.dataset["theme"] = theme;
    if (fontPx === null) root.style.removeProperty("--code-size");
    else root.style.setProperty("--code-size", `${fontPx}px`);
  }

  /** What was kept, as far as it is of the right shape: another version or a person may have written it. */
  private read(): Partial<Kept> {
    try {
      const kept = JSON.parse(this.drawer?.getItem(KEY) ?? "{}") as Record<string, unknown>;
      const good = Object.entries(kept).filter(([name, value]) => CHECKS[name as keyof Kept]?.(value) === true);
      return Object.fromEntries(good) as Partial<Kept>;
    } catch {
      return {};
    }
  }
}

const isFlag = (value: unknown): boolean => typeof value === "boolean";
const CHECKS: Readonly<Record<keyof Kept, (value: unknown) => boolean>> = {
  theme: (value) => THEME_CHOICES.some((each) => each === value),
  wrap: isFlag,
  fontPx: (value) => typeof value === "number" && value >= FONT_PX_MIN && value <= FONT_PX_MAX,
  keymap: (value) => KEYMAP_CHOICES.some((each) => each === value),
  whitespace: isFlag,
  indent: (value) => INDENT_CHOICES.some((each) => each === value),
  words: isFlag,
  joinNotices: isFlag,
};

function style(): CSSStyleDeclaration {
  return getComputedStyle(document.documentElement);
}

export const settings = new Settings();
