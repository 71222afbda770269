/**
 * `console` for programs: what it prints, as text.
 *
 * Owns: the methods and their notation. Does not know: where the text goes.
 */
import { errorText, inspect } from "./inspect";

export type Write = (stream: "out" | "err", text: string) => void;

const CELL_UNITS_MAX = 60;
const TABLE_ROWS_MAX = 200;

function shown(value: unknown): string {
  return typeof value === "string" ? value : inspect(value);
}

/** What one call prints, with the placeholders of its first argument filled in. */
export function format(values: readonly unknown[]): string {
  const [first, ...rest] = values;
  if (typeof first !== "string" || rest.length === 0) return values.map(shown).join(" ");
  let at = 0;
  const head = first.replace(/%[sdifjoOc%]/g, (sign) => {
    if (sign === "%%") return "%";
    if (at >= rest.length) return sign;
    const value = rest[at++];
    switch (sign) {
      case "%s":
        return shown(value);
      case "%d":
        return String(Number(value));
      case "%i":
        return String(Number.parseInt(String(value), 10));
      case "%f":
        return String(Number.parseFloat(String(value)));
      case "%j":
        return JSON.stringify(value) ?? "undefined";
      case "%c":
        return "";
      default:
        return inspect(value);
    }
  });
  return [head, ...rest.slice(at).map(shown)].join(" ");
}

/** Rows and columns as text; null when `value` is nothing that has rows. */
export function table(value: unknown): string | null {
  if (typeof value !== "object" || value === null) return null;
  const rows = value instanceof Map ? [...value] : Object.entries(value);
  const columns: string[] = [];
  let hasValues = false;
  for (const [, row] of rows.slice(0, TABLE_ROWS_MAX)) {
    if (typeof row !== "object" || row === null) hasValues = true;
    else for (const key of Object.keys(row)) if (!columns.includes(key)) columns.push(key);
  }
  const cells = rows.slice(0, TABLE_ROWS_MAX).map(([key, row]) => {
    const isRow = typeof row === "object" && row !== null;
    const own = columns.map((column) => (isRow && column in row ? cell((row as Record<string, unknown>)[column]) : ""));
    return [cell(key, true), ...own, ...(hasValues ? [isRow ? "" : cell(row)] : [])];
  });
  const lines = [["(index)", ...columns, ...(hasValues ? ["Values"] : [])], ...cells];
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0))) ?? [];
  const written = lines.map((line) => `│ ${line.map((text, at) => text.padEnd(widths[at] ?? 0)).join(" │ ")} │`);
  const rule = (left: string, middle: string, right: string): string =>
    left + widths.map((width) => "─".repeat(width + 2)).join(middle) + right;
  const [head = "", ...body] = written;
  const left = rows.length > TABLE_ROWS_MAX ? [`… ${rows.length - TABLE_ROWS_MAX} more`] : [];
  return [rule("┌", "┬", "┐"), head, rule("├", "┼", "┤"), ...body, rule("└", "┴", "┘"), ...left].join("\n");
}

function cell(value: unknown, isBare = false): string {
  const text = (isBare ? String(value) : inspect(value)).replaceAll("\n", " ");
  return text.length > CELL_UNITS_MAX ? `${text.slice(0, CELL_UNITS_MAX - 1)}…` : text;
}

/** A console that writes by `write`; `nowMs` is for its timers. */
export function makeConsole(write: Write, nowMs: () => number): Partial<Console> {
  let indent = "";
  const counts = new Map<string, number>();
  const timers = new Map<string, number>();
  const line = (stream: "out" | "err", text: string): void => {
    write(stream, `${indent === "" ? text : indent + text.replaceAll("\n", `\n${indent}`)}\n`);
  };
  const out = (...values: unknown[]): void => line("out", format(values));
  const err = (...values: unknown[]): void => line("err", format(values));
  const since = (label: string): string => `${label}: ${(nowMs() - (timers.get(label) ?? nowMs())).toFixed(3)} ms`;
  return {
    log: out,
    info: out,
    debug: out,
    warn: err,
    error: err,
    dir: (value: unknown) => line("out", inspect(value)),
    dirxml: out,
    table: (value: unknown) => line("out", table(value) ?? format([value])),
    trace: (...values: unknown[]) => {
      const trace = new Error(format(values));
      trace.name = "Trace";
      line("err", errorText(trace));
    },
    assert: (condition?: boolean, ...values: unknown[]) => {
      if (!condition) err(...(values.length === 0 ? ["Assertion failed"] : ["Assertion failed:", ...values]));
    },
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      out(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => void counts.delete(label),
    time: (label = "default") => void timers.set(label, nowMs()),
    timeLog: (label = "default", ...values: unknown[]) => out(since(label), ...values),
    timeEnd: (label = "default") => {
      out(since(label));
      timers.delete(label);
    },
    group: (...values: unknown[]) => {
      if (values.length > 0) out(...values);
      indent += "  ";
    },
    groupCollapsed: (...values: unknown[]) => {
      if (values.length > 0) out(...values);
      indent += "  ";
    },
    groupEnd: () => {
      indent = indent.slice(2);
    },
    clear: () => undefined,
  };
}
