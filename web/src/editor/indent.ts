/**
 * How the lines of a file are indented, so that Tab writes what the file already uses.
 *
 * Owns: the guess, what stands in for it, and what a person chose instead. Does not know: views.
 */
import { indentUnit } from "@codemirror/language";
import { EditorState, type Extension } from "@codemirror/state";

/** What a person may choose; "auto" goes by the content of the file. */
export type IndentChoice = "auto" | "tab" | 2 | 4 | 8;

/** What is in force: a tab or so many spaces, and whether the file's content or name told it. */
export interface Indentation {
  unit: "tab" | 2 | 4 | 8;
  isAuto: boolean;
}

/** Lines that are looked at: the head of a file tells as much as all of it. */
const LINES_MAX = 500;
/** And no more of it than this, in UTF-16 units. */
export const HEAD_UNITS = 100_000;
const TAB_COLUMNS = 4;

/** What people expect of a file in which nothing is indented yet. */
const CUSTOMARY: readonly [RegExp, Indentation["unit"]][] = [
  [/(^|\/)(GNU)?[Mm]akefile$|\.(mk|go|tsv)$|(^|\/)go\.mod$/, "tab"],
  [
    /\.([cm]?[jt]sx?|json[c5]?|html?|css|scss|less|sass|vue|svelte|ya?ml|md|rb|lua|xml|svg|dart|ex|exs|r|scala|nix)$/i,
    2,
  ],
];

/** Return what the content tells; null when nothing in it is indented. */
export function indentIn(text: string): Indentation["unit"] | null {
  let tabs = 0;
  const steps = new Map<2 | 4 | 8, number>();
  let before = 0;
  for (const line of text.slice(0, HEAD_UNITS).split("\n", LINES_MAX)) {
    if (line.trim() === "") continue;
    const white = /^[\t ]*/.exec(line)?.[0] ?? "";
    if (white.startsWith("\t")) tabs += 1;
    const step = white.length - before;
    if (!white.includes("\t") && (step === 2 || step === 4 || step === 8)) steps.set(step, (steps.get(step) ?? 0) + 1);
    before = white.length;
  }
  const [best] = [...steps].sort((a, b) => b[1] - a[1]);
  if (best === undefined) return tabs > 0 ? "tab" : null;
  return tabs > best[1] ? "tab" : best[0];
}

/** Return what is in force in the file at `path` that begins with `head`. */
export function indentationOf(choice: IndentChoice, path: string, head: string): Indentation {
  if (choice !== "auto") return { unit: choice, isAuto: false };
  const customary = CUSTOMARY.find(([pattern]) => pattern.test(path))?.[1] ?? 4;
  return { unit: indentIn(head) ?? customary, isAuto: true };
}

/** The extension: Tab and automatic indentation write `unit`. */
export function indenting(unit: Indentation["unit"]): Extension {
  return [indentUnit.of(unit === "tab" ? "\t" : " ".repeat(unit)), EditorState.tabSize.of(TAB_COLUMNS)];
}
