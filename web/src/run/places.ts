/**
 * Places in the workspace's files, as errors name them.
 *
 * Owns: how they look in what Python and JavaScript print. Does not know: which files there are.
 */

export interface Part {
  readonly text: string;
  /** Where it leads, if it names a place: a path and a line from 1. */
  readonly place: { readonly path: string; readonly line: number } | null;
}

/** `File "/workspace/a.py", line 3` and `at run (a.js:3:5)`. */
const PLACES =
  /File "\/workspace\/(?<python>[^"\n]+)", line (?<pythonLine>\d+)|(?<= {4}at (?:[^\n]* \()?)(?<script>[^\s():][^\n():]*):(?<scriptLine>\d+)(?::\d+)?(?=\)?$)/gm;
/** Longer output is shown without being looked through. */
const UNITS_MAX = 16_384;

/** Cut a text into parts that name a place and parts that do not. */
export function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (const found of text.length > UNITS_MAX ? [] : text.matchAll(PLACES)) {
    const { python, pythonLine, script, scriptLine } = found.groups ?? {};
    if (found.index > at) parts.push({ text: text.slice(at, found.index), place: null });
    const place = { path: python ?? script ?? "", line: Number(pythonLine ?? scriptLine) };
    parts.push({ text: found[0], place });
    at = found.index + found[0].length;
  }
  if (at < text.length) parts.push({ text: text.slice(at), place: null });
  return parts;
}
