/**
 * Draws the carets and selections of the others over the text.
 *
 * Owns: what is drawn where. Does not know: the session, how a caret keeps its place (carets.ts).
 * All of it lies in layers beside the text, never inside it, so that presence cannot disturb an input method; and the
 * layers take no pointer events, so that nobody's caret stands in the way of a click.
 *
 * Invariants:
 *   1. Only what is in sight is measured and drawn, whatever the number of carets and the size of the file.
 *   2. A name is seen for a moment after its caret moved and while the pointer is near; else there is a flag.
 */
import { EditorSelection, type Extension } from "@codemirror/state";
import { Direction, EditorView, type LayerMarker, layer, RectangleMarker, type ViewUpdate } from "@codemirror/view";
import { type Caret, placed } from "./carets";
import { inkOn } from "./ink";
import { type Asking, cut, type Label, layLabels, type Spot } from "./labels";

/** How long a name stays after its caret moved: long enough to read it, short enough not to cover code. */
export const NAME_MOMENT_MS = 1_500;
/** A name is shown when the pointer comes this near to its caret, in pixels. */
const HOVER_REACH = 7;
/** Of so many carets of one's own, those after the first hold no name away. */
const OWN_MAX = 20;

class CaretMarker implements LayerMarker {
  readonly caret: Caret;
  readonly spot: Spot;
  readonly label: Label | null;

  constructor(caret: Caret, spot: Spot, label: Label | null) {
    this.caret = caret;
    this.spot = spot;
    this.label = label;
  }

  eq({ caret, spot, label }: CaretMarker): boolean {
    return (
      this.caret.memberId === caret.memberId &&
      this.caret.moves === caret.moves &&
      this.caret.name === caret.name &&
      this.caret.color === caret.color &&
      this.spot.left === spot.left &&
      this.spot.top === spot.top &&
      this.spot.height === spot.height &&
      this.label?.text === label?.text &&
      this.label?.side === label?.side &&
      this.label?.reach === label?.reach &&
      this.label?.shift === label?.shift
    );
  }

  draw(): HTMLElement {
    const dom = document.createElement("div");
    // A name may run from right to left in a text that does not.
    dom.appendChild(document.createElement("span")).dir = "auto";
    this.write(dom);
    return dom;
  }

  update(dom: HTMLElement, before: CaretMarker): boolean {
    if (before.caret.memberId !== this.caret.memberId) return false;
    this.write(dom);
    return true;
  }

  /** Whether it moved a moment ago. */
  isLive(now_ms: number): boolean {
    return now_ms - this.caret.movedAt_ms < NAME_MOMENT_MS;
  }

  /** `stack`: how manieth it is of those that the pointer is near to; they are shown whole, one above the other. */
  write(dom: HTMLElement, stack: number | null = null): void {
    const { memberId, name, color } = this.caret;
    const { left, top, height } = this.spot;
    const label = dom.firstElementChild;
    const side = this.label?.side ?? "above";
    const reach = this.label?.reach ?? "right";
    const isLive = this.label !== null && this.isLive(performance.now());
    const kind = stack !== null ? " carets-caret-hover" : isLive ? " carets-caret-live" : "";
    dom.className = `carets-caret carets-caret-${side} carets-caret-${reach}${kind}`;
    dom.dataset["member"] = String(memberId);
    const shift = stack === null ? (this.label?.shift ?? 0) : 0;
    dom.style.cssText = `left:${left}px;top:${top}px;height:${height}px;--shift:${shift}px;--stack:${stack ?? 0}`;
    dom.style.setProperty("--member", color);
    dom.style.setProperty("--member-ink", inkOn(color));
    const text = stack !== null || this.label === null ? cut(name) : this.label.text;
    if (label !== null && label.textContent !== text) label.textContent = text;
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

/** What is drawn in a view, for the pointer to be near to; and what it is near to. */
const drawn = new WeakMap<EditorView, readonly CaretMarker[]>();
const near = new WeakMap<EditorView, string>();

const moments = new WeakMap<EditorView, ReturnType<typeof setTimeout>>();

/**
 * Hide each name when its moment is over. A timer and not an animation: thirty that run would have the page composed
 * anew for every frame.
 */
function expectEnd(view: EditorView): void {
  const now_ms = performance.now();
  const ends_ms = (drawn.get(view) ?? []).flatMap((marker) =>
    marker.isLive(now_ms) ? marker.caret.movedAt_ms + NAME_MOMENT_MS - now_ms : [],
  );
  if (ends_ms.length === 0 || moments.has(view)) return;
  const timer = setTimeout(
    () => {
      moments.delete(view);
      const ended_ms = performance.now();
      const live = (drawn.get(view) ?? []).filter((marker) => marker.isLive(ended_ms));
      const ids = new Set(live.map(({ caret }) => String(caret.memberId)));
      for (const dom of view.scrollDOM.querySelectorAll<HTMLElement>(".carets-caret-live")) {
        if (!ids.has(dom.dataset["member"] ?? "")) dom.classList.remove("carets-caret-live");
      }
      expectEnd(view);
    },
    Math.min(...ends_ms) + 1,
  );
  moments.set(view, timer);
}

function spotOf(view: EditorView, position: number): Spot | null {
  const { from, to } = view.viewport;
  if (position < from || position > to) return null;
  const [spot] = RectangleMarker.forRange(view, "", EditorSelection.cursor(position));
  return spot ?? null;
}

function caretMarkers(view: EditorView): readonly CaretMarker[] {
  const carets = view.state.field(placed);
  if (carets.size === 0) return [];
  const now_ms = performance.now();
  const found: [Caret, Asking][] = [];
  for (const caret of carets.values()) {
    const spot = spotOf(view, caret.head);
    if (spot === null) continue;
    const { left, top, height } = spot;
    const isRightToLeft = view.textDirectionAt(caret.head) === Direction.RTL;
    const isLive = now_ms - caret.movedAt_ms < NAME_MOMENT_MS;
    found.push([caret, { left, top, height, name: caret.name, isRightToLeft, isLive }]);
  }
  const own = view.state.selection.ranges.slice(0, OWN_MAX).flatMap(({ head }) => spotOf(view, head) ?? []);
  const { scrollDOM, documentPadding } = view;
  const edges = {
    left: scrollDOM.scrollLeft,
    right: scrollDOM.scrollLeft + scrollDOM.clientWidth,
    top: documentPadding.top,
  };
  const asking = found.map(([, each]) => each);
  const labels = layLabels(asking, edges, own);
  return found.map(([caret, spot], at) => new CaretMarker(caret, spot, labels[at] ?? null));
}

const hasMoved = ({ docChanged, startState, state }: ViewUpdate): boolean =>
  docChanged || startState.field(placed) !== state.field(placed);

const caretLayer = layer({
  above: true,
  class: "carets-caret-layer",
  // One's own caret may come to where a name is.
  update: (update) => hasMoved(update) || (update.selectionSet && update.state.field(placed).size > 0),
  mount: (dom) => dom.setAttribute("aria-hidden", "true"),
  markers(view) {
    const markers = caretMarkers(view);
    drawn.set(view, markers);
    expectEnd(view);
    return markers;
  },
});

const selectionLayer = layer({
  above: false,
  class: "carets-selection-layer",
  update: hasMoved,
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

/** Show the names of those whose carets are near to the pointer, and of no others. */
function showNear(view: EditorView, x: number, y: number): void {
  const markers = (drawn.get(view) ?? []).filter(
    ({ spot }) => Math.abs(x - spot.left) <= HOVER_REACH && y >= spot.top && y <= spot.top + spot.height,
  );
  const ids = markers.map(({ caret }) => caret.memberId).join(" ");
  if ((near.get(view) ?? "") === ids) return;
  near.set(view, ids);
  const all = new Map((drawn.get(view) ?? []).map((marker) => [String(marker.caret.memberId), marker]));
  for (const dom of view.scrollDOM.querySelectorAll<HTMLElement>(".carets-caret")) {
    const marker = all.get(dom.dataset["member"] ?? "");
    if (marker === undefined) continue;
    const stack = markers.indexOf(marker);
    if (stack >= 0 || dom.classList.contains("carets-caret-hover")) marker.write(dom, stack >= 0 ? stack : null);
  }
}

const hoverNames = EditorView.domEventHandlers({
  mousemove(event, view) {
    if (view.state.field(placed).size === 0) return;
    const { scrollDOM } = view;
    const box = scrollDOM.getBoundingClientRect();
    showNear(view, event.clientX - box.left + scrollDOM.scrollLeft, event.clientY - box.top + scrollDOM.scrollTop);
  },
  mouseleave: (_event, view) => showNear(view, Number.NaN, Number.NaN),
});

/** The extension: both layers, and names at the pointer. It needs the carets of a `CaretBoard` in the same view. */
export const caretLayers: Extension = [selectionLayer, caretLayer, hoverNames];
