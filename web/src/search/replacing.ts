/**
 * What matches become, and the edits that do it and undo it.
 *
 * Owns: the meaning of `$1`, `$<name>`, `$&`, `$$` and `\n`, `\t`, `\\` in a replacement; they mean something only with a
 * regular expression. Does not know: files, sessions.
 */
import type { TextEdit } from "../model";
import type { Match, Span } from "./scan";

/** Return what a match of `text` becomes. */
export function becomes(template: string, isRegexp: boolean, match: Match, text: string): string {
  if (!isRegexp) return withPlainLineEnds(template);
  const slice = (span: Span | null | undefined): string => (span == null ? "" : text.slice(span[0], span[1]));
  const made = template.replace(
    /\\([nt\\])|\$(?:([$&])|(\d{1,2})|<([^>]*)>)/g,
    (whole, control, sign, digits, name) => {
      if (control !== undefined) return control === "n" ? "\n" : control === "t" ? "\t" : "\\";
      if (sign !== undefined) return sign === "$" ? "$" : text.slice(match.from, match.to);
      if (name !== undefined) return Object.hasOwn(match.named, name) ? slice(match.named[name]) : whole;
      return groupOf(match, String(digits), slice) ?? whole;
    },
  );
  return withPlainLineEnds(made);
}

/** `$12` is the group 12, or, where there are fewer, group 1 and a 2; null when there is neither. */
function groupOf(match: Match, digits: string, slice: (span: Span | null | undefined) => string): string | null {
  for (const length of [2, 1]) {
    const number = Number(digits.slice(0, length));
    if (digits.length < length || number < 1 || number > match.groups.length) continue;
    return slice(match.groups[number - 1]) + digits.slice(length);
  }
  return null;
}

function withPlainLineEnds(text: string): string {
  return text.replace(/\r\n?/g, "\n");
}

/** A text after `edits`, which are sorted by `from` and apart from each other. */
export function applied(text: string, edits: readonly TextEdit[]): string {
  const parts: string[] = [];
  let at = 0;
  for (const { from, to, insert } of edits) {
    parts.push(text.slice(at, from), insert);
    at = to;
  }
  return parts.join("") + text.slice(at);
}

/** The edits that take `edits` of `text` back. */
export function inverse(text: string, edits: readonly TextEdit[]): TextEdit[] {
  let shift = 0;
  return edits.map(({ from, to, insert }) => {
    const start = from + shift;
    shift += insert.length - (to - from);
    return { from: start, to: start + insert.length, insert: text.slice(from, to) };
  });
}
