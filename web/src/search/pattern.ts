/**
 * What is searched for, as a regular expression, and in which files.
 *
 * Owns: reading what a person typed. Does not know: texts, workers.
 */

export interface Query {
  readonly text: string;
  readonly isRegexp: boolean;
  readonly matchCase: boolean;
  readonly wholeWord: boolean;
  /** Globs with commas between them; empty is every file. */
  readonly include: string;
  /** Empty is none. */
  readonly exclude: string;
}

/** A regular expression as it travels to a worker. */
export interface Pattern {
  readonly source: string;
  readonly flags: string;
  /** One that a person wrote may take forever; one made of plain text cannot. */
  readonly isBounded: boolean;
}

/** Longer ones nobody types; a pasted file is no query. */
export const QUERY_UNITS_MAX = 5_000;

/** Return the pattern of a query. Throws `SyntaxError`, with a message for the person, when it is none. */
export function patternOf({ text, isRegexp, matchCase, wholeWord }: Query): Pattern {
  const written = text.slice(0, QUERY_UNITS_MAX);
  // d: where its groups stand. m: ^ and $ are a line's. i only when asked, since it folds more than letters.
  const flags = `dgm${matchCase ? "" : "i"}`;
  if (!isRegexp) {
    // `f(` is whole although a letter comes next: only an end that is a letter has to be a word's end.
    const begin = wholeWord && /^[\p{L}\p{M}\p{N}_]/u.test(written) ? `(?<!${LETTER})` : "";
    const end = wholeWord && /[\p{L}\p{M}\p{N}_]$/u.test(written) ? `(?!${LETTER})` : "";
    return { source: begin + escaped(written) + end, flags: `${flags}u`, isBounded: true };
  }
  try {
    return patternWith(written, `${flags}u`, wholeWord ? LETTER : null);
  } catch {
    // What is an error in Unicode mode may be sloppy and still meant: `\_`, `{`.
    return patternWith(written, flags, wholeWord ? "\\w" : null);
  }
}

const LETTER = "[\\p{L}\\p{M}\\p{N}_]";

function patternWith(written: string, flags: string, letter: string | null): Pattern {
  try {
    new RegExp(written, flags);
  } catch (error) {
    throw new SyntaxError(reasonOf(error));
  }
  const source = letter === null ? written : `(?<!${letter})(?:${written})(?!${letter})`;
  return { source, flags, isBounded: false };
}

/** Browsers say where it is wrong; what they say before that is the pattern again. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^.*:\s*/s, "");
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** Return whether a path is to be searched. */
export function pathFilter({ include, exclude }: Pick<Query, "include" | "exclude">): (path: string) => boolean {
  const [wanted, unwanted] = [globsOf(include), globsOf(exclude)];
  return (path) =>
    (wanted.length === 0 || wanted.some((glob) => glob.test(path))) && !unwanted.some((glob) => glob.test(path));
}

function globsOf(written: string): RegExp[] {
  return splitOutsideBraces(written)
    .map((each) => each.trim())
    .filter((each) => each !== "")
    .map(globOf);
}

function splitOutsideBraces(written: string): string[] {
  const parts = [""];
  let depth = 0;
  for (const letter of written) {
    if (letter === "{") depth++;
    if (letter === "}") depth = Math.max(0, depth - 1);
    if (letter === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += letter;
  }
  return parts;
}

/**
 * `*` and `?` stay in a folder, `**` goes through folders, `{a,b}` is one of them. Without a slash it is a name in any
 * folder, of a file or of a folder; what names a folder means all in it.
 */
function globOf(written: string): RegExp {
  const glob = written
    .replace(/^\.?\//, "")
    .replace(/\/$/, "")
    .slice(0, 500);
  const prefix = glob.includes("/") ? "" : "(?:.*/)?";
  let source = "";
  let depth = 0;
  for (const [token] of glob.matchAll(/\*\*\/|\*\*|[\s\S]/gu)) {
    if (token === "**/") source += "(?:.*/)?";
    else if (token === "**") source += ".*";
    else if (token === "*") source += "[^/]*";
    else if (token === "?") source += "[^/]";
    else if (token === "{") {
      depth++;
      source += "(?:";
    } else if (token === "}" && depth > 0) {
      depth--;
      source += ")";
    } else if (token === "," && depth > 0) source += "|";
    else source += escaped(token);
  }
  return new RegExp(`^${prefix}${source}${")".repeat(depth)}(?:/.*)?$`, "iu");
}
