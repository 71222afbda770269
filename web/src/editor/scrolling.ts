/**
 * Where one view is scrolled to, and who scrolled it.
 *
 * Owns: the line at the upper edge, and the word on whether a person scrolled or the page. Does not know: who follows
 * whom, what stands beside the text.
 *
 * Invariants:
 *   1. A scroll that the page began is never told as one by hand; `byUs` comes before it.
 */
import { EditorView } from "@codemirror/view";

/** A scroll within this time after a wheel turn or a key is theirs. */
const HAND_MS = 250;
/** A finger's throw goes on scrolling by itself; events that follow each other this closely are one throw. */
const THROW_MS = 150;

const SCROLL_KEYS = new Set(["PageUp", "PageDown", "ArrowUp", "ArrowDown", "Home", "End"]);

export class Scrolling {
  private readonly view: EditorView;
  private readonly scrolled: () => void;
  private readonly scrolledByHand: () => void;
  private readonly ending = new AbortController();
  private handAt_ms = Number.NEGATIVE_INFINITY;
  private thrownAt_ms = Number.NEGATIVE_INFINITY;
  /** The button is down on the scroll bar, or the text is being dragged over the edge. */
  private isHeld = false;
  private frame = 0;

  constructor(view: EditorView, scrolled: () => void, scrolledByHand: () => void) {
    this.view = view;
    this.scrolled = scrolled;
    this.scrolledByHand = scrolledByHand;
    const { scrollDOM } = view;
    const quietly = { passive: true, signal: this.ending.signal } as const;
    const hand = (): void => {
      this.handAt_ms = performance.now();
    };
    const hold = (isHeld: boolean) => (): void => {
      this.isHeld = isHeld;
    };
    scrollDOM.addEventListener("wheel", hand, quietly);
    scrollDOM.addEventListener("touchmove", hand, quietly);
    scrollDOM.addEventListener("pointerdown", hold(true), quietly);
    for (const end of ["pointerup", "pointercancel", "blur"]) {
      window.addEventListener(end, hold(false), quietly);
    }
    const key = (event: KeyboardEvent): void => {
      if (SCROLL_KEYS.has(event.key) || (event.key === " " && view.state.readOnly)) hand();
    };
    // In the first phase: the editor takes these keys and stops them.
    scrollDOM.addEventListener("keydown", key, { ...quietly, capture: true });
    scrollDOM.addEventListener("scroll", () => this.follow(), quietly);
  }

  detach(): void {
    this.ending.abort();
    cancelAnimationFrame(this.frame);
  }

  /** What scrolls next is not the person. */
  byUs(): void {
    this.handAt_ms = this.thrownAt_ms = Number.NEGATIVE_INFINITY;
  }

  topLine(): number {
    const { view } = this;
    const height = Math.max(0, view.scrollDOM.getBoundingClientRect().top - view.documentTop);
    const block = view.lineBlockAtHeight(height);
    const { number } = view.state.doc.lineAt(block.from);
    const part = block.height > 0 ? (height - block.top) / block.height : 0;
    return number + Math.min(Math.max(0, part), 1);
  }

  toLine(line: number): void {
    const { view } = this;
    const { doc } = view.state;
    const whole = Math.min(Math.max(1, Math.floor(line) || 1), doc.lines);
    const block = view.lineBlockAt(doc.line(whole).from);
    const part = Math.min(Math.max(0, line - whole), 1) || 0;
    this.byUs();
    view.dispatch({
      effects: EditorView.scrollIntoView(block.from, { y: "start", yMargin: -part * block.height, x: "nearest" }),
    });
  }

  private follow(): void {
    const now_ms = performance.now();
    const isThrown = now_ms - this.thrownAt_ms < THROW_MS;
    if (this.isHeld || isThrown || now_ms - this.handAt_ms < HAND_MS) {
      this.thrownAt_ms = now_ms;
      this.scrolledByHand();
    }
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.scrolled();
    });
  }
}
