/**
 * A place in a file as people write it: `12`, `12:5`, `main.py:12`, `:12`.
 *
 * Owns: reading it. Does not know: which files there are.
 */

export interface Address {
  /** Part of a path; empty means the seen file. */
  readonly path: string;
  /** From 1; null when none was named. */
  readonly line: number | null;
  readonly column: number | null;
}

export function addressOf(written: string): Address {
  const found = /^(.*?):(\d{0,9})(?::(\d{0,9}))?\s*$/.exec(written);
  if (found === null) return { path: written.trim(), line: null, column: null };
  const [, path = "", line = "", column = ""] = found;
  return { path: path.trim(), line: numberOf(line), column: numberOf(column) };
}

function numberOf(digits: string): number | null {
  return digits === "" ? null : Math.max(1, Number(digits));
}
