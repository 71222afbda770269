/**
 * How this browser likes the page: its theme, and whether long lines wrap.
 *
 * Owns: these choices and where they are kept. Does not know: what they look like; styles/tokens.css does.
 */
import { thisBrowser } from "../browser";

export type ThemeChoice = "system" | "light" | "dark";
export const THEME_CHOICES: readonly ThemeChoice[] = ["system", "light", "dark"];

const THEME_KEY = "carets.theme";
const WRAP_KEY = "carets.wrap";
/** Below this width lines wrap unless the person has chosen otherwise, in pixels. */
const NARROW_PX = 720;

class Appearance {
  theme = $state<ThemeChoice>("system");
  wrap = $state(false);
  private readonly drawer = thisBrowser().localStorage;

  /** Take up what was chosen before; once, before anything is drawn. */
  load(): void {
    const theme = this.read(THEME_KEY);
    if (theme === "light" || theme === "dark") this.setTheme(theme);
    const wrap = this.read(WRAP_KEY);
    this.wrap = wrap === null ? window.innerWidth < NARROW_PX : wrap === "yes";
  }

  setTheme(theme: ThemeChoice): void {
    this.theme = theme;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    this.write(THEME_KEY, theme);
  }

  setWrap(wrap: boolean): void {
    this.wrap = wrap;
    this.write(WRAP_KEY, wrap ? "yes" : "no");
  }

  private read(key: string): string | null {
    try {
      return this.drawer?.getItem(key) ?? null;
    } catch {
      return null;
    }
  }

  private write(key: string, value: string): void {
    try {
      this.drawer?.setItem(key, value);
    } catch {
      // A full or forbidden storage: the choice lasts as long as the page.
    }
  }
}

export const appearance = new Appearance();
