/**
 * Which matches of a file that was searched again are those of before.
 *
 * Owns: that, from what the two texts begin and end with alike. Does not know: who changed the text.
 */
import type { Match } from "./scan";

interface Searched {
  readonly text: string;
  readonly matches: readonly Match[];
}

/**
 * The places in `after.matches` of what was left out of `before.matches`. Of matches in the changed part nobody can say
 * which is which: if one of them was left out, those that are there now are, too, since leaving out harms nothing.
 */
export function carried(before: Searched, after: Searched, leftOut: ReadonlySet<number>): ReadonlySet<number> {
  const head = alikeAtStart(before.text, after.text);
  const tail = alikeAtEnd(before.text, after.text, head);
  const shift = after.text.length - before.text.length;
  const isBehind = (match: Match, text: string): boolean => match.from >= text.length - tail;
  const out = new Set<number>();
  let isDoubtful = false;
  for (const at of leftOut) {
    const match = before.matches[at];
    if (match === undefined) continue;
    if (match.to <= head) out.add(match.from);
    else if (isBehind(match, before.text)) out.add(match.from + shift);
    else isDoubtful = true;
  }
  const isOut = (match: Match): boolean => {
    const isBetween = match.to > head && !isBehind(match, after.text);
    return isBetween ? isDoubtful : out.has(match.from);
  };
  return new Set(after.matches.flatMap((match, at) => (isOut(match) ? [at] : [])));
}

/** Whether the same was found in the same order, though perhaps elsewhere in the text. */
export function isSame(a: Searched, b: Searched): boolean {
  if (a.matches.length !== b.matches.length) return false;
  return a.matches.every((match, at) => {
    const other = b.matches[at];
    return other !== undefined && a.text.slice(match.from, match.to) === b.text.slice(other.from, other.to);
  });
}

function alikeAtStart(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  return at;
}

/** No further back than `head`, so that the two parts never overlap. */
function alikeAtEnd(a: string, b: string, head: number): number {
  const end = Math.min(a.length, b.length) - head;
  let count = 0;
  while (count < end && a.charCodeAt(a.length - 1 - count) === b.charCodeAt(b.length - 1 - count)) count++;
  return count;
}
