/**
 * Rows of the file tree carried to another folder, by mouse, pen or finger.
 *
 * Owns: when a press becomes a drag, which folder is under the pointer. Does not know: what is dropped there, the keyboard.
 *
 * A finger has to rest first, since moving it at once scrolls. Resting without moving asks for the menu.
 *
 * Invariant: while nothing is carried, scrolling, clicking and choosing are the browser's as ever.
 */
import { folderOf } from "../files/paths";
import type { Row } from "./tree";

export interface Carrying {
  /** The row of a key; null when it is gone. */
  rowOf(key: string): Row | null;
  /** What would be carried from this row; none when nothing may be. */
  rowsFor(row: Row): readonly Row[];
  canDrop(rows: readonly Row[], folder: string): boolean;
  /** Null: over nothing that it can be dropped on. */
  over(rows: readonly Row[], folder: string | null): void;
  unfold(folder: string): void;
  drop(rows: readonly Row[], folder: string): void;
  rested(row: Row, x: number, y: number): void;
}

/** Pixels that a pointer may tremble. */
const TREMBLE_PX = 6;
/** Milliseconds that a finger rests before it carries: what phones take for a long press. */
const REST_MS = 450;
/** Milliseconds over a folded folder until it unfolds. */
const UNFOLD_MS = 650;
/** Pixels from an edge of the list in which it scrolls, and pixels for each frame. */
const EDGE_PX = 28;
const SCROLL_PX = 9;

export class RowDrag {
  rows = $state.raw<readonly Row[]>([]);
  /** The folder beneath the pointer, the root being empty; null when it is none that takes them. */
  target = $state<string | null>(null);
  x = $state(0);
  y = $state(0);
  private readonly to: Carrying;
  private list: HTMLElement | null = null;
  private pressed: { row: Row; x: number; y: number; isTouch: boolean } | null = null;
  private isRested = false;
  private restTimer: ReturnType<typeof setTimeout> | undefined;
  private unfoldTimer: ReturnType<typeof setTimeout> | undefined;
  private frame = 0;
  private hovered = "";

  constructor(to: Carrying) {
    this.to = to;
  }

  get isOn(): boolean {
    return this.rows.length > 0;
  }

  /** To be attached to the element that scrolls. */
  readonly attach = (list: HTMLElement): (() => void) => {
    this.list = list;
    list.addEventListener("pointerdown", this.down);
    list.addEventListener("contextmenu", this.menuAsked);
    list.addEventListener("touchmove", this.touchMoved, { passive: false });
    return () => {
      this.end();
      list.removeEventListener("pointerdown", this.down);
      list.removeEventListener("contextmenu", this.menuAsked);
      list.removeEventListener("touchmove", this.touchMoved);
    };
  };

  private readonly down = (event: PointerEvent): void => {
    const target = event.target as Element;
    const key = target.closest<HTMLElement>("[data-row]")?.dataset["row"];
    const row = key === undefined ? null : this.to.rowOf(key);
    this.end();
    if (!event.isPrimary || event.button !== 0 || row === null || target.closest("button, input") !== null) return;
    const isTouch = event.pointerType === "touch";
    this.pressed = { row, x: event.clientX, y: event.clientY, isTouch };
    if (isTouch) this.restTimer = setTimeout(() => (this.isRested = true), REST_MS);
    window.addEventListener("pointermove", this.moved);
    window.addEventListener("pointerup", this.up);
    window.addEventListener("pointercancel", this.end);
    window.addEventListener("keydown", this.key, { capture: true });
  };

  private readonly moved = (event: PointerEvent): void => {
    if (this.pressed === null || !event.isPrimary) return;
    const { row, x, y, isTouch } = this.pressed;
    if (!this.isOn) {
      if (Math.hypot(event.clientX - x, event.clientY - y) < TREMBLE_PX) return;
      const rows = isTouch && !this.isRested ? [] : this.to.rowsFor(row);
      if (rows.length === 0) {
        this.end();
        return;
      }
      this.rows = rows;
      this.frame = requestAnimationFrame(this.scroll);
    }
    this.x = event.clientX;
    this.y = event.clientY;
    this.look();
  };

  private readonly up = (event: PointerEvent): void => {
    const { rows, target, pressed, isRested } = this;
    const wasOn = this.isOn;
    this.end();
    if (wasOn || isRested) swallowClick();
    if (wasOn && target !== null) this.to.drop(rows, target);
    else if (!wasOn && isRested && pressed !== null) this.to.rested(pressed.row, event.clientX, event.clientY);
  };

  private readonly key = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !this.isOn) return;
    event.preventDefault();
    event.stopPropagation();
    this.end();
    swallowClick();
  };

  /** A finger that carries does not scroll. */
  private readonly touchMoved = (event: TouchEvent): void => {
    if (this.isRested && event.cancelable) event.preventDefault();
  };

  /** Phones ask for a menu while the finger still rests: it may go on to carry. */
  private readonly menuAsked = (event: Event): void => {
    if (this.pressed?.isTouch !== true) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };

  private readonly end = (): void => {
    clearTimeout(this.restTimer);
    clearTimeout(this.unfoldTimer);
    cancelAnimationFrame(this.frame);
    this.pressed = null;
    this.isRested = false;
    this.hovered = "";
    if (this.isOn) {
      this.rows = [];
      this.target = null;
    }
    window.removeEventListener("pointermove", this.moved);
    window.removeEventListener("pointerup", this.up);
    window.removeEventListener("pointercancel", this.end);
    window.removeEventListener("keydown", this.key, { capture: true });
  };

  private look(): void {
    const beneath = document.elementFromPoint(this.x, this.y);
    const row = this.to.rowOf(beneath?.closest<HTMLElement>("[data-row]")?.dataset["row"] ?? "");
    const isInside = beneath !== null && this.list?.contains(beneath) === true;
    const folder = row === null ? "" : row.kind === "folder" ? row.path : folderOf(row.path);
    const target = isInside && this.to.canDrop(this.rows, folder) ? folder : null;
    if (target !== this.target) {
      this.target = target;
      this.to.over(this.rows, target);
    }
    const hovered = row?.kind === "folder" && !row.isOpen ? row.path : "";
    if (hovered === this.hovered) return;
    this.hovered = hovered;
    clearTimeout(this.unfoldTimer);
    if (hovered !== "") this.unfoldTimer = setTimeout(() => this.to.unfold(hovered), UNFOLD_MS);
  }

  private readonly scroll = (): void => {
    if (!this.isOn || this.list === null) return;
    const { top, bottom } = this.list.getBoundingClientRect();
    const before = this.list.scrollTop;
    if (this.y < top + EDGE_PX) this.list.scrollTop -= SCROLL_PX;
    else if (this.y > bottom - EDGE_PX) this.list.scrollTop += SCROLL_PX;
    if (this.list.scrollTop !== before) this.look();
    this.frame = requestAnimationFrame(this.scroll);
  };
}

/** The click that a browser makes of the press and the release. It comes in this turn, or not at all. */
function swallowClick(): void {
  const swallow = (event: Event): void => {
    event.preventDefault();
    event.stopPropagation();
  };
  window.addEventListener("click", swallow, { capture: true, once: true });
  setTimeout(() => window.removeEventListener("click", swallow, { capture: true }));
}
