/**
 * Finding by a few letters: how well a query fits a text, and where.
 *
 * Owns: the measure. Does not know: what the texts are.
 *
 * The letters of a query stand in the text in their order, the words of a query in any order. Letters count more in the
 * last part of a path, at the beginning of a word (after a separator, at a hump of camelCase), and one after another.
 * Of all ways to fit, the best is taken (dynamic programming over query and text), since the first is often not what was meant.
 */

/** A stretch of a text in UTF-16 units. */
export type Stretch = readonly [from: number, to: number];

export interface Fit {
  /** Higher is better; comparable between texts for one query. */
  readonly score: number;
  /** What was matched, sorted and apart from each other. */
  readonly stretches: readonly Stretch[];
}

/** More is not looked at: the work is the product of the two. */
const QUERY_UNITS_MAX = 64;
const TEXT_UNITS_MAX = 400;

const MATCH = 16;
const AFTER_ANOTHER = 12;
const WORD_START = 14;
const HUMP = 10;
const NAME_START = 22;
const IN_NAME = 4;
const SAME_CASE = 1;
const GAP = -3;
const GAP_LONGER = -1;
/** Among texts that fit alike the shorter is nearer. */
const LENGTH = -0.05;
const NEVER = Number.NEGATIVE_INFINITY;

/** Return how `query` fits `text`; null when it does not. An empty query fits everything, with nothing matched. */
export function fitOf(query: string, text: string): Fit | null {
  const words = query
    .slice(0, QUERY_UNITS_MAX)
    .split(/\s+/)
    .filter((word) => word !== "");
  const seen = text.slice(0, TEXT_UNITS_MAX);
  let score = seen.length * LENGTH;
  const matched: number[] = [];
  if (words.length > 0) {
    const lower = lowered(seen);
    if (!words.every((word) => isWithin(lowered(word), lower))) return null;
    const worth = worthOf(seen, lower);
    for (const word of words) {
      const fit = bestFit(word, seen, lower, worth);
      score += fit.score;
      matched.push(...fit.places);
    }
  }
  return { score, stretches: stretchesOf(matched) };
}

export interface Ranked<Item> {
  readonly item: Item;
  readonly stretches: readonly Stretch[];
}

/** Those of `items` that fit, best first; items come in the order in which they are preferred when they fit alike. */
export function rank<Item>(query: string, items: readonly Item[], textOf: (item: Item) => string): Ranked<Item>[] {
  if (query.trim() === "") return items.map((item) => ({ item, stretches: [] }));
  const fitting = items.flatMap((item) => {
    const fit = fitOf(query, textOf(item));
    return fit === null ? [] : [{ item, ...fit }];
  });
  return fitting.sort((a, b) => b.score - a.score);
}

/** Lower case, unit by unit, so that places stay what they are. */
function lowered(text: string): string {
  const lower = text.toLowerCase();
  return lower.length === text.length
    ? lower
    : [...Array(text.length).keys()].map((at) => lowerUnit(text, at)).join("");
}

function lowerUnit(text: string, at: number): string {
  const lower = text.charAt(at).toLowerCase();
  return lower.length === 1 ? lower : text.charAt(at);
}

function isWithin(word: string, text: string): boolean {
  let at = -1;
  for (const unit of word.split("")) {
    at = text.indexOf(unit, at + 1);
    if (at < 0) return false;
  }
  return true;
}

const SEPARATORS = new Set(" \t/\\_.:,()-");

/** What each place of a text is worth by itself. */
function worthOf(text: string, lower: string): readonly number[] {
  const name = text.lastIndexOf("/") + 1;
  const isDigit = (at: number): boolean => text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57;
  // What has a lower case is a capital, in every script that has any.
  const isCapital = (at: number): boolean => text.charCodeAt(at) !== lower.charCodeAt(at);
  const worth = new Array<number>(text.length);
  for (let at = 0; at < text.length; at++) {
    const inName = name > 0 && at >= name ? IN_NAME : 0;
    if (at === name) worth[at] = NAME_START + inName;
    else if (at === 0 || SEPARATORS.has(text.charAt(at - 1))) worth[at] = WORD_START + inName;
    else if ((isCapital(at) && !isCapital(at - 1)) || (isDigit(at) && !isDigit(at - 1))) worth[at] = HUMP + inName;
    else worth[at] = inName;
  }
  return worth;
}

/** `word` is known to stand in `text`. */
function bestFit(
  word: string,
  text: string,
  lower: string,
  worth: readonly number[],
): { score: number; places: readonly number[] } {
  const wanted = lowered(word);
  const width = text.length;
  // Row by row: the best score of a fit whose last letter stands at this place, and where the letter before it stood.
  let above = new Array<number>(width).fill(0);
  const cameFrom: Int32Array[] = [];
  for (let row = 0; row < wanted.length; row++) {
    const scores = new Array<number>(width).fill(NEVER);
    const from = new Int32Array(width).fill(-1);
    // The best of the row above that is not right before this place, with the gap paid.
    let carried = NEVER;
    let carriedAt = -1;
    for (let at = row; at < width; at++) {
      if (row > 0 && at > 1) {
        const opened = (above[at - 2] ?? NEVER) + GAP;
        carried += GAP_LONGER;
        if (opened > carried) {
          carried = opened;
          carriedAt = at - 2;
        }
      }
      if (lower.charCodeAt(at) !== wanted.charCodeAt(row)) continue;
      const sameCase = text.charCodeAt(at) === word.charCodeAt(row) ? SAME_CASE : 0;
      const own = MATCH + (worth[at] ?? 0) + sameCase;
      if (row === 0) {
        scores[at] = own;
        continue;
      }
      const next = at > 0 ? (above[at - 1] ?? NEVER) + AFTER_ANOTHER : NEVER;
      scores[at] = own + Math.max(next, carried);
      from[at] = next >= carried ? at - 1 : carriedAt;
    }
    cameFrom.push(from);
    above = scores;
  }
  let last = 0;
  for (let at = 1; at < width; at++) if ((above[at] ?? NEVER) > (above[last] ?? NEVER)) last = at;
  const places: number[] = [];
  for (let row = wanted.length - 1, at = last; row >= 0; row--) {
    places.push(at);
    at = cameFrom[row]?.[at] ?? -1;
  }
  return { score: above[last] ?? NEVER, places };
}

function stretchesOf(places: readonly number[]): Stretch[] {
  const stretches: [number, number][] = [];
  for (const at of [...new Set(places)].sort((a, b) => a - b)) {
    const last = stretches.at(-1);
    if (last?.[1] === at) last[1] = at + 1;
    else stretches.push([at, at + 1]);
  }
  return stretches;
}
