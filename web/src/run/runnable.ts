/**
 * Which files can be run: known before anything of running is fetched.
 *
 * Owns: the endings of their names. Does not know: how they are run.
 */
import type { Language } from "./messages";

const BY_ENDING: Readonly<Record<string, Language>> = {
  py: "python",
  js: "javascript",
  mjs: "javascript",
  cjs: "javascript",
  ts: "javascript",
  mts: "javascript",
  cts: "javascript",
};

/** The language in which the file at `path` can be run; null when it cannot. */
export function languageOfRun(path: string): Language | null {
  if (/\.d\.[cm]?ts$/i.test(path)) return null;
  return BY_ENDING[/\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase() ?? ""] ?? null;
}
