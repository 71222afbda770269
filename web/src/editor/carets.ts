/**
 * Draws the carets and selections of the other members over one file's text.
 *
 * Owns: where each is, and what is drawn. Does not know: the session; it is handed presence entries by member id.
 * All of it is drawn in layers beside the text, never inside it, so that presence cannot disturb an input method.
 *
 * Invariants:
 *   1. A caret keeps its place in the text while others edit: it is mapped through every change.
 *   2. A position that names text which has not arrived yet is tried again after each change, never guessed.
 *   3. Whatever an entry holds, it is drawn or left out; it never throws.
 */
import { EditorSelection, type Extension, StateEffect, StateField } from "@codemirror/state";
import { EditorView, type LayerMarker, layer, RectangleMarker } from "@codemirror/view";
import * as Y from "yjs";
import { inkOn } from "./ink";

/** One member's entry as presence brings it; `anchor` and `head` are Yjs relative positions as JSON. */
export interface CaretEntry {
  memberId: number;
  name: string;
  color: string;
  cursor: { anchor: unknown; head: unknown } | null;
}

/** A caret in the coordinates of the view's document. `moves` counts up whenever its member moved it. */
export interface Caret {
  memberId: number;
  name: string;
  color: string;
  anchor: number;
  head: number;
  moves: number;
}

type Carets = ReadonlyMap<number, Caret>;

/** A caret that comes this close to the top has its name below it, in pixels. */
const LABEL_HEIGHT = 20;
/** A name is shown when the pointer comes this near to its caret, in pixels. */
const HOVER_REACH = 7;
/** Longer names are cut on their label; the list of people has them whole. */
const LABEL_CHARACTERS_MAX = 24;

const placeCarets = StateEffect.define<{ set: readonly Caret[]; gone: readonly number[] }>();

const placed = StateField.define<Carets>({
  create: () => new Map(),
  update(carets, transaction) {
    let next = carets;
    if (transaction.docChanged && carets.size > 0) {
      const map = transaction.changes;
      next = new Map(
        [...carets].map(([id, c]) => [id, { ...c, anchor: map.mapPos(c.anchor, 1), head: map.mapPos(c.head, 1) }]),
      );
    }
    for (const effect of transaction.effects) {
      if (!effect.is(placeCarets)) continue;
      const changed = new Map(next);
      for (const id of effect.value.gone) changed.delete(id);
      for (const caret of effect.value.set) changed.set(caret.memberId, caret);
      next = changed;
    }
    return next;
  },
});

/** Keeps the carets of one view in step with the presence entries of its file. */
export class CaretBoard {
  private readonly text: Y.Text;
  private view: EditorView | null = null;
  private readonly entries = new Map<number, CaretEntry & { raw: string }>();
  private readonly waiting = new Set<number>();

  constructor(text: Y.Text) {
    this.text = text;
  }

  get extension(): Extension {
    return [placed, selectionLayer, caretLayer, hoverNames];
  }

  attach(view: EditorView): void {
    this.view = view;
    this.text.observe(this.retry);
  }

  detach(): void {
    this.text.unobserve(this.retry);
    this.view = null;
  }

  /** Take the entries of all other members that have this file open. */
  receive(entries: readonly CaretEntry[]): void {
    const set: Caret[] = [];
    const present = new Set<number>();
    for (const entry of entries) {
      present.add(entry.memberId);
      const raw = JSON.stringify([entry.name, entry.color, entry.cursor]);
      if (this.entries.get(entry.memberId)?.raw === raw) continue;
      this.entries.set(entry.memberId, { ...entry, raw });
      this.place(entry, set);
    }
    const gone = [...this.entries.keys()].filter((id) => !present.has(id) || this.entries.get(id)?.cursor === null);
    for (const id of gone) {
      this.waiting.delete(id);
      if (!present.has(id)) this.entries.delete(id);
    }
    this.show(set, gone);
  }

  /** Where a member's caret is in the document, if it is known. */
  positionOf(memberId: number): number | null {
    return this.view?.state.field(placed).get(memberId)?.head ?? null;
  }

  /** The carets that are drawn, for tests and for lists of who is where. */
  get carets(): readonly Caret[] {
    return [...(this.view?.state.field(placed).values() ?? [])];
  }

  private readonly retry = (): void => {
    if (this.waiting.size === 0) return;
    // The view takes the same change in its own observer; the carets follow when both have settled.
    queueMicrotask(() => {
      const set: Caret[] = [];
      for (const id of [...this.waiting]) {
        const entry = this.entries.get(id);
        if (entry !== undefined) this.place(entry, set);
      }
      this.show(set, []);
    });
  };

  private place(entry: CaretEntry, set: Caret[]): void {
    this.waiting.delete(entry.memberId);
    if (entry.cursor === null || this.view === null) return;
    const anchor = this.resolve(entry.cursor.anchor);
    const head = this.resolve(entry.cursor.head);
    if (anchor === null || head === null) {
      this.waiting.add(entry.memberId);
      return;
    }
    const before = this.view.state.field(placed).get(entry.memberId);
    const { memberId, name, color } = entry;
    set.push({ memberId, name, color, anchor, head, moves: (before?.moves ?? 0) + 1 });
  }

  private resolve(json: unknown): number | null {
    const doc = this.text.doc;
    if (doc === null || typeof json !== "object" || json === null) return null;
    try {
      const position = Y.createRelativePositionFromJSON(json);
      const found = Y.createAbsolutePositionFromRelativePosition(position, doc);
      return found === null || found.type !== this.text ? null : found.index;
    } catch {
      // A stranger's client may send any JSON as its position; such a caret is not drawn.
      return null;
    }
  }

  private show(set: readonly Caret[], gone: readonly number[]): void {
    const { view } = this;
    if (view === null || (set.length === 0 && gone.length === 0)) return;
    const end = view.state.doc.length;
    const inside = set.map((c) => ({ ...c, anchor: Math.min(c.anchor, end), head: Math.min(c.head, end) }));
    view.dispatch({ effects: placeCarets.of({ set: inside, gone }) });
  }
}

/** Return one's own selection as presence carries it. */
export function cursorOf(text: Y.Text, anchor: number, head: number): { anchor: unknown; head: unknown } {
  const at = (index: number): unknown =>
    Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(text, Math.min(index, text.length)));
  const from = at(anchor);
  return { anchor: from, head: head === anchor ? from : at(head) };
}

class CaretMarker implements LayerMarker {
  readonly caret: Caret;
  readonly left: number;
  readonly top: number;
  readonly height: number;
  readonly flipped: boolean;

  constructor(caret: Caret, left: number, top: number, height: number, flipped: boolean) {
    this.caret = caret;
    this.left = left;
    this.top = top;
    this.height = height;
    this.flipped = flipped;
  }

  eq(other: CaretMarker): boolean {
    return (
      this.caret.memberId === other.caret.memberId &&
      this.caret.moves === other.caret.moves &&
      this.caret.name === other.caret.name &&
      this.caret.color === other.caret.color &&
      this.left === other.left &&
      this.top === other.top &&
      this.height === other.height &&
      this.flipped === other.flipped
    );
  }

  draw(): HTMLElement {
    const dom = document.createElement("div");
    dom.appendChild(document.createElement("span"));
    this.write(dom);
    return dom;
  }

  update(dom: HTMLElement, before: CaretMarker): boolean {
    if (before.caret.memberId !== this.caret.memberId) return false;
    this.write(dom);
    return true;
  }

  private write(dom: HTMLElement): void {
    const { memberId, name, color, moves } = this.caret;
    dom.className = `carets-caret${this.flipped ? " carets-caret-low" : ""}`;
    dom.dataset["member"] = String(memberId);
    // Two animations of the same look: switching between them starts the moment of the name anew.
    dom.dataset["moment"] = String(moves % 2);
    dom.style.cssText = `left:${this.left}px;top:${this.top}px;height:${this.height}px`;
    dom.style.setProperty("--member", color);
    dom.style.setProperty("--member-ink", inkOn(color));
    const label = dom.firstElementChild;
    const characters = [...name];
    const short = characters.slice(0, LABEL_CHARACTERS_MAX).join("");
    if (label !== null) label.textContent = characters.length > LABEL_CHARACTERS_MAX ? `${short}…` : name;
  }
}

class SelectionMarker implements LayerMarker {
  readonly rectangle: RectangleMarker;
  readonly color: string;

  constructor(rectangle: RectangleMarker, color: string) {
    this.rectangle = rectangle;
    this.color = color;
  }

  eq(other: SelectionMarker): boolean {
    return this.color === other.color && this.rectangle.eq(other.rectangle);
  }

  draw(): HTMLElement {
    const dom = this.rectangle.draw();
    dom.style.setProperty("--member", this.color);
    return dom;
  }

  update(dom: HTMLElement, before: SelectionMarker): boolean {
    dom.style.setProperty("--member", this.color);
    return this.rectangle.update(dom, before.rectangle);
  }
}

const caretLayer = layer({
  above: true,
  class: "carets-caret-layer",
  update: (update) => update.docChanged || update.startState.field(placed) !== update.state.field(placed),
  mount: (dom) => dom.setAttribute("aria-hidden", "true"),
  markers(view) {
    const markers: CaretMarker[] = [];
    for (const caret of view.state.field(placed).values()) {
      if (caret.head < view.viewport.from || caret.head > view.viewport.to) continue;
      const [spot] = RectangleMarker.forRange(view, "", EditorSelection.cursor(caret.head));
      if (spot === undefined) continue;
      const flipped = spot.top - view.documentPadding.top < LABEL_HEIGHT;
      markers.push(new CaretMarker(caret, spot.left, spot.top, spot.height, flipped));
    }
    return markers;
  },
});

const selectionLayer = layer({
  above: false,
  class: "carets-selection-layer",
  update: (update) => update.docChanged || update.startState.field(placed) !== update.state.field(placed),
  mount: (dom) => dom.setAttribute("aria-hidden", "true"),
  markers(view) {
    const markers: SelectionMarker[] = [];
    const { from: first, to: last } = view.viewport;
    for (const { anchor, head, color } of view.state.field(placed).values()) {
      const from = Math.max(Math.min(anchor, head), first);
      const to = Math.min(Math.max(anchor, head), last);
      if (from >= to) continue;
      const range = EditorSelection.range(from, to);
      for (const rectangle of RectangleMarker.forRange(view, "carets-selection", range)) {
        markers.push(new SelectionMarker(rectangle, color));
      }
    }
    return markers;
  },
});

/** The layer takes no pointer events, so that nobody's caret stands in the way of a click. Nearness shows the name. */
const hoverNames = EditorView.domEventHandlers({
  mousemove(event, view) {
    if (view.state.field(placed).size === 0) return;
    for (const dom of view.scrollDOM.querySelectorAll<HTMLElement>(".carets-caret")) {
      const box = dom.getBoundingClientRect();
      const near =
        Math.abs(event.clientX - box.left) <= HOVER_REACH && event.clientY >= box.top && event.clientY <= box.bottom;
      dom.classList.toggle("carets-caret-hover", near);
    }
  },
});
