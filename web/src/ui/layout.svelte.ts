/**
 * Which parts of a workspace are shown besides the editor.
 *
 * Owns: that, and what of it this browser remembers. Does not know: what the parts are made of.
 */
import { getContext, setContext } from "svelte";
import { MediaQuery } from "svelte/reactivity";
import type { Drawer } from "../browser";

export type Left = "files" | "search";
export type Aux = "chat" | "preview";
export type DialogName =
  | "share"
  | "you"
  | "palette"
  | "quickopen"
  | "gotoline"
  | "rescue"
  | "light"
  | "language"
  | "indent"
  | "workspace";

const KEY = "carets.layout";
/** Below this width the parts cover the editor instead of standing beside it, in pixels. */
export const NARROW_PX = 720;

export class Layout {
  /** What the left column shows. */
  left = $state<Left>("files");
  /** Whether the left column is there on a wide screen. */
  isLeftOpen = $state(true);
  /** Whether the left column covers a narrow screen. */
  listShown = $state(false);
  /** The right column. */
  aux = $state<Aux | null>(null);
  /** The output of runs below the editor. */
  isRunShown = $state(false);
  /** The seen file is to be run as soon as that part is there. */
  isRunWanted = $state(false);
  dialog = $state<DialogName | null>(null);
  /** The search is to have the keyboard, and whether replacing was asked for; null once it has it. */
  searchWanted = $state<"find" | "replace" | null>(null);
  private readonly drawer: Drawer | null;
  private readonly narrow = new MediaQuery(`max-width: ${NARROW_PX}px`);

  constructor(drawer: Drawer | null) {
    this.drawer = drawer;
    try {
      const kept = JSON.parse(drawer?.getItem(KEY) ?? "{}") as Record<string, unknown>;
      this.isLeftOpen = kept["left"] !== false;
    } catch {
      // Written by something else, or storage is forbidden: the column is there.
    }
  }

  /** Whether the parts cover the editor. */
  get isNarrow(): boolean {
    return this.narrow.current;
  }

  /** Show a left part; a second time hides it. */
  toggleLeft(part: Left): void {
    const isShown = this.left === part && (this.isNarrow ? this.listShown : this.isLeftOpen);
    this.left = part;
    this.setLeft(!isShown);
  }

  showLeft(part: Left): void {
    this.left = part;
    this.setLeft(true);
  }

  /** Show the search over all files, with the keyboard in it. */
  search(isToReplace: boolean): void {
    this.searchWanted = isToReplace ? "replace" : "find";
    this.showLeft("search");
  }

  toggleAux(part: Aux): void {
    this.aux = this.aux === part ? null : part;
  }

  /** Run the seen file, and show what it prints. */
  run(): void {
    this.isRunShown = true;
    this.isRunWanted = true;
  }

  close(): void {
    this.dialog = null;
  }

  private setLeft(isShown: boolean): void {
    if (this.isNarrow) {
      this.listShown = isShown;
      return;
    }
    this.isLeftOpen = isShown;
    try {
      this.drawer?.setItem(KEY, JSON.stringify({ left: isShown }));
    } catch {
      // It lasts as long as the page.
    }
  }
}

const CONTEXT = Symbol("layout");

/** Make the layout of a screen, for it and all that it shows. */
export function provideLayout(drawer: Drawer | null): Layout {
  return setContext(CONTEXT, new Layout(drawer));
}

export function useLayout(): Layout {
  return getContext<Layout>(CONTEXT);
}
