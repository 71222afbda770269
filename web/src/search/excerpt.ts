/**
 * One line around a match, short enough for a row.
 *
 * Owns: where it is cut. Does not know: how it looks.
 */
import type { Match } from "./scan";

export interface Excerpt {
  readonly before: string;
  readonly matched: string;
  readonly after: string;
}

/** Before the match only as much as tells where it is: a row in a column is short. */
const BEFORE_UNITS = 16;
const MATCHED_UNITS = 120;
const AFTER_UNITS = 160;

export function excerptOf(text: string, { from, to }: Match): Excerpt {
  const near = text.slice(Math.max(0, from - 500), from);
  const line = near.slice(near.lastIndexOf("\n") + 1).trimStart();
  const rest = text.slice(to, to + AFTER_UNITS);
  const end = rest.indexOf("\n");
  return {
    before: line.length > BEFORE_UNITS ? `…${whole(line.slice(-BEFORE_UNITS))}` : line,
    matched: shortened(text.slice(from, Math.min(to, from + MATCHED_UNITS + 1))),
    after: whole(end < 0 ? rest : rest.slice(0, end)),
  };
}

/** On one line, with its end marked, and cut when it is long. */
export function shortened(text: string): string {
  const line = text.replace(/\n/g, "⏎").slice(0, MATCHED_UNITS + 1);
  return line.length > MATCHED_UNITS ? `${whole(line.slice(0, MATCHED_UNITS))}…` : line;
}

/** Without the half characters at its ends. */
function whole(text: string): string {
  return text.replace(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, "");
}
