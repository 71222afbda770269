/**
 * How the lines of a file are indented, so that Tab writes what the file already uses.
 *
 * Owns: the guess. Does not know: editors.
 */

/** Lines that are looked at: the head of a file tells as much as all of it. */
const LINES_MAX = 500;

/** Return one step of indentation: a tab, or two, four or eight spaces; four when nothing tells. */
export function indentOf(text: string): string {
  let tabs = 0;
  const steps = new Map<number, number>();
  let before = 0;
  for (const line of text.slice(0, 100_000).split("\n", LINES_MAX)) {
    if (line.trim() === "") continue;
    const white = /^[\t ]*/.exec(line)?.[0] ?? "";
    if (white.startsWith("\t")) tabs += 1;
    const step = white.length - before;
    if (!white.includes("\t") && (step === 2 || step === 4 || step === 8)) steps.set(step, (steps.get(step) ?? 0) + 1);
    before = white.length;
  }
  const [best] = [...steps].sort((a, b) => b[1] - a[1]);
  if (best === undefined) return tabs > 0 ? "\t" : "    ";
  return tabs > best[1] ? "\t" : " ".repeat(best[0]);
}
