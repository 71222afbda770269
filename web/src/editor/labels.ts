/**
 * Where the names at carets stand, so that each can be read and none is in the way.
 *
 * Owns: the arithmetic. Does not know: views, colours, time; all numbers are pixels of the scrolled content.
 *
 * Invariants:
 *   1. No name lies on a line in which this person types, nor above the first line.
 *   2. Names that would lie on each other are shortened and stand side by side; one that finds no room near its caret
 *      is left out, and its flag remains.
 */

export interface Spot {
  left: number;
  top: number;
  height: number;
}

export interface Asking extends Spot {
  name: string;
  /** The text there runs from right to left, and so does the name. */
  isRightToLeft: boolean;
  /** It is to be seen now, and not only when the pointer comes near. */
  isLive: boolean;
}

export interface Label {
  text: string;
  side: "above" | "below";
  /** To which side of its caret it reaches. */
  reach: "right" | "left";
  /** How far it stands from where its caret alone would have it, along the line. */
  shift: number;
}

/** The size of a name's plate, as theme.ts draws it. */
export const LABEL_HEIGHT = 18;
const PADDING = 10;
const LETTER = 6.8;
/** Of letters and emoji that are as wide as they are high. */
const WIDE_LETTER = 12;
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\u{1f000}-\u{1ffff}]/u;
/** Longer names are cut on their plate; the list of people has them whole. */
const CHARACTERS_MAX = 24;
/** Farther from its caret, a name would seem to be someone else's. */
const SHIFT_MAX = 90;
/** It begins a little before its caret. */
const LEAD = 2;

/** Return a name as its plate has it. */
export function cut(name: string): string {
  const characters = [...name];
  return characters.length > CHARACTERS_MAX ? `${characters.slice(0, CHARACTERS_MAX).join("")}…` : name;
}

/** Return the first letters of a name's first two words. */
export function initials(name: string): string {
  const words = name.split(/\s+/u).filter((word) => word !== "");
  return words
    .slice(0, 2)
    .map((word) => [...word][0] ?? "")
    .join("");
}

/** Return about how wide a plate with `text` is: near enough to keep plates apart without asking for a layout. */
export function widthOf(text: string): number {
  let width = PADDING;
  for (const character of text) width += WIDE.test(character) ? WIDE_LETTER : LETTER;
  return width;
}

/** Return a place for each of `asking`, in their order; null is a flag without a name. `own` is where one types. */
export function layLabels(
  asking: readonly Asking[],
  edges: { left: number; right: number; top: number },
  own: readonly Spot[],
): (Label | null)[] {
  const placed: (Label | null)[] = asking.map((each) => labelOf(each, edges, own));
  const rows = new Map<string, number[]>();
  for (const [at, { isLive, top }] of asking.entries()) {
    const label = placed[at];
    if (!isLive || label == null) continue;
    const row = `${label.side} ${Math.round(top)}`;
    rows.set(row, [...(rows.get(row) ?? []), at]);
  }
  for (const row of rows.values()) setApart(row, asking, placed, edges.right);
  return placed;
}

function labelOf(
  { left, top, height, name, isRightToLeft }: Asking,
  edges: { left: number; right: number; top: number },
  own: readonly Spot[],
): Label | null {
  const text = cut(name);
  const width = widthOf(text);
  const isTaken = (from: number, to: number): boolean =>
    own.some((caret) => caret.top < to - 1 && caret.top + caret.height > from + 1);
  const isOpen = {
    above: top - LABEL_HEIGHT >= edges.top && !isTaken(top - LABEL_HEIGHT, top),
    below: !isTaken(top + height, top + height + LABEL_HEIGHT),
  };
  if (!isOpen.above && !isOpen.below) return null;
  const fitsRight = left + width <= edges.right;
  const fitsLeft = left - width >= edges.left;
  const reach = isRightToLeft ? (fitsLeft || !fitsRight ? "left" : "right") : fitsRight || !fitsLeft ? "right" : "left";
  return { text, side: isOpen.above ? "above" : "below", reach, shift: 0 };
}

function startOf({ left }: Spot, { text, reach }: Label): number {
  return reach === "right" ? left - LEAD : left + LEAD - widthOf(text);
}

/** Shorten those of one row that touch a neighbour, then push each behind the one before it. */
function setApart(row: number[], asking: readonly Asking[], placed: (Label | null)[], right: number): void {
  const spans = row
    .flatMap((at) => {
      const [spot, label] = [asking[at], placed[at]];
      if (spot === undefined || label == null) return [];
      const start = startOf(spot, label);
      return [{ at, spot, label, start, end: start + widthOf(label.text), isClose: false }];
    })
    .sort((a, b) => a.start - b.start);
  let far = spans[0];
  for (const span of spans.slice(1)) {
    if (far === undefined) break;
    if (span.start < far.end) far.isClose = span.isClose = true;
    if (span.end > far.end) far = span;
  }
  let end = Number.NEGATIVE_INFINITY;
  for (const { at, spot, label, isClose } of spans) {
    const short: Label = isClose ? { ...label, text: initials(spot.name) } : label;
    const natural = startOf(spot, short);
    const start = Math.max(natural, end + 1);
    const width = widthOf(short.text);
    const hasRoom = start - natural <= SHIFT_MAX && start + width <= Math.max(right, natural + width);
    placed[at] = hasRoom ? { ...short, shift: Math.round(start - natural) } : null;
    if (hasRoom) end = start + width;
  }
}
