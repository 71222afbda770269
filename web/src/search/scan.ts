/**
 * All matches of a pattern in one text.
 *
 * Owns: going through it. Does not know: workers, time; whoever calls it stops it from outside.
 */
import type { Pattern } from "./pattern";

/** From and to, in UTF-16 units. */
export type Span = readonly [from: number, to: number];

export interface Match {
  readonly from: number;
  readonly to: number;
  /** From 1. */
  readonly line: number;
  /** What the groups of a regular expression matched, from the first; null for those that took no part. */
  readonly groups: readonly (Span | null)[];
  readonly named: Readonly<Record<string, Span | null>>;
}

/** Return the matches in their order, `count_max` at most. Those of nothing are none: there is nothing to show. */
export function scan(text: string, pattern: Pattern, count_max: number): Match[] {
  const expression = new RegExp(pattern.source, pattern.flags);
  const matches: Match[] = [];
  let line = 1;
  let counted = 0;
  while (matches.length < count_max) {
    const found = expression.exec(text);
    if (found === null) break;
    if (found[0] === "") {
      expression.lastIndex += stepAt(text, expression.lastIndex);
      continue;
    }
    for (let at = text.indexOf("\n", counted); at >= 0 && at < found.index; at = text.indexOf("\n", counted)) {
      line++;
      counted = at + 1;
    }
    matches.push({
      from: found.index,
      to: found.index + found[0].length,
      line,
      groups: pattern.isBounded ? [] : (found.indices?.slice(1) ?? []).map(spanOf),
      named: Object.fromEntries(
        Object.entries(found.indices?.groups ?? {}).map(([name, span]) => [name, spanOf(span)]),
      ),
    });
  }
  return matches;
}

function spanOf(span: [number, number] | undefined): Span | null {
  return span ?? null;
}

/** One character on, not half of one. */
function stepAt(text: string, at: number): number {
  return (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
}
