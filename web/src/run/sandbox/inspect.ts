/**
 * JavaScript values as a person can read them: what console.log prints.
 *
 * Owns: the notation, and its bounds. Does not know: where it goes.
 *
 * Invariants:
 *   1. At most about `UNITS_MAX` units for one value, whatever it holds.
 *   2. No getter of the program is called, and a value that throws when it is looked at spoils nothing else.
 */

const UNITS_MAX = 32_768;
const DEPTH_MAX = 4;
const ENTRIES_MAX = 100;
const STRING_UNITS_MAX = 10_000;
/** Up to this width an object stands on one line. */
const LINE_UNITS_MAX = 76;

interface Looking {
  readonly seen: Set<object>;
  units: number;
}

/** Write `value` as it is shown inside of others: strings in quotes. */
export function inspect(value: unknown): string {
  return write(value, 0, { seen: new Set(), units: UNITS_MAX });
}

function write(value: unknown, depth: number, looking: Looking): string {
  let text: string;
  try {
    text = writeUnguarded(value, depth, looking);
  } catch {
    text = "[cannot be shown]";
  }
  looking.units -= text.length;
  return text;
}

function writeUnguarded(value: unknown, depth: number, looking: Looking): string {
  switch (typeof value) {
    case "string":
      return quoted(value);
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "function":
      return named(value);
    case "object":
      return value === null ? "null" : object(value, depth, looking);
    default:
      return String(value);
  }
}

function quoted(text: string): string {
  const cut = text.length > STRING_UNITS_MAX ? `${text.slice(0, STRING_UNITS_MAX)}…` : text;
  const mark = !cut.includes("'") ? "'" : !cut.includes('"') ? '"' : "`";
  const escaped = cut.replace(
    /[\\\n\r\t]/g,
    (sign) => ({ "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" })[sign] ?? sign,
  );
  return `${mark}${mark === "`" ? escaped.replaceAll("`", "\\`") : escaped}${mark}`;
}

function named(value: object): string {
  const name = Object.getOwnPropertyDescriptor(value, "name")?.value as unknown;
  const isClass = /^class\b/.test(Function.prototype.toString.call(value).slice(0, 6));
  return `[${isClass ? "class" : "Function"}${typeof name === "string" && name !== "" ? `${isClass ? " " : ": "}${name}` : " (anonymous)"}]`;
}

/** The name of what made an object; empty for a plain one. */
function makerOf(value: object): string {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === null) return "[Object: null prototype]";
  const maker = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value as { name?: unknown } | undefined;
  const name = typeof maker === "function" ? maker.name : "";
  return typeof name === "string" && name !== "Object" ? name : "";
}

function object(value: object, depth: number, looking: Looking): string {
  if (value instanceof Error) return errorText(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return RegExp.prototype.toString.call(value);
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) return `${makerOf(value)} {}`;
  if (looking.seen.has(value)) return "[Circular]";
  const maker = makerOf(value);
  const isList = Array.isArray(value) || ArrayBuffer.isView(value);
  if (depth >= DEPTH_MAX || looking.units <= 0) return `[${maker || "Object"}]`;
  looking.seen.add(value);
  try {
    const entries = entriesOf(value, depth + 1, looking);
    const hasSize = value instanceof Map || value instanceof Set || (isList && maker !== "Array");
    const size = value instanceof Map || value instanceof Set ? value.size : isList ? lengthOf(value) : 0;
    const head = maker === "Array" ? "" : hasSize ? `${maker}(${size}) ` : maker === "" ? "" : `${maker} `;
    return joined(head, entries, isList ? "[]" : "{}", depth);
  } finally {
    looking.seen.delete(value);
  }
}

function lengthOf(value: object): number {
  return Number((value as { length?: number }).length ?? 0);
}

function joined(head: string, entries: readonly string[], brackets: string, depth: number): string {
  const [open, close] = brackets;
  if (entries.length === 0) return `${head}${brackets}`;
  const line = entries.join(", ");
  const isShort = line.length + depth * 2 <= LINE_UNITS_MAX && !line.includes("\n");
  if (isShort) return open === "[" ? `${head}[ ${line} ]` : `${head}{ ${line} }`;
  const indent = "  ".repeat(depth + 1);
  return `${head}${open}\n${indent}${packed(entries, brackets).join(`,\n${indent}`)}\n${"  ".repeat(depth)}${close}`;
}

/** Many short entries of a list share lines. */
function packed(entries: readonly string[], brackets: string): readonly string[] {
  if (brackets !== "[]" || entries.length <= 6 || entries.some((entry) => entry.length > 16)) return entries;
  const lines: string[] = [];
  for (const entry of entries) {
    const last = lines.at(-1);
    if (last === undefined || last.length + entry.length + 2 > LINE_UNITS_MAX) lines.push(entry);
    else lines[lines.length - 1] = `${last}, ${entry}`;
  }
  return lines;
}

function entriesOf(value: object, depth: number, looking: Looking): string[] {
  const entries: string[] = [];
  let left = 0;
  const add = (make: () => string): void => {
    if (entries.length < ENTRIES_MAX && looking.units > 0) entries.push(make());
    else left++;
  };
  if (value instanceof Map) {
    for (const [key, each] of Map.prototype.entries.call(value)) {
      add(() => `${write(key, depth, looking)} => ${write(each, depth, looking)}`);
    }
  } else if (value instanceof Set) {
    for (const each of Set.prototype.values.call(value)) add(() => write(each, depth, looking));
  } else if (ArrayBuffer.isView(value) || Array.isArray(value)) {
    const count = lengthOf(value);
    const shown = Math.min(count, ENTRIES_MAX);
    for (let at = 0; at < shown; at++) {
      add(() => (at in value ? property(value, at, depth, looking) : "<empty>"));
    }
    left += count - shown;
  }
  if (!ArrayBuffer.isView(value)) {
    for (const key of Reflect.ownKeys(value)) {
      if (Array.isArray(value) && typeof key === "string" && (/^\d+$/.test(key) || key === "length")) continue;
      if (Object.getOwnPropertyDescriptor(value, key)?.enumerable !== true) continue;
      add(() => `${keyText(key)}: ${property(value, key, depth, looking)}`);
    }
  }
  if (left > 0) entries.push(`… ${left} more`);
  return entries;
}

function keyText(key: string | symbol): string {
  if (typeof key === "symbol") return `[${String(key)}]`;
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? key : quoted(key);
}

function property(value: object, key: PropertyKey, depth: number, looking: Looking): string {
  const found = Object.getOwnPropertyDescriptor(value, key);
  if (found === undefined) return "undefined";
  if (found.get !== undefined) return found.set === undefined ? "[Getter]" : "[Getter/Setter]";
  if (found.set !== undefined) return "[Setter]";
  return write(found.value, depth, looking);
}

/** An error with the places of the workspace where it came by, and no others. */
export function errorText(error: Error): string {
  const head = `${error.name}: ${error.message}`.replace(/: $/, "");
  const stack = typeof error.stack === "string" ? error.stack : "";
  const places = stack.split("\n").flatMap((line) => placeIn(line) ?? []);
  const cause =
    error.cause === undefined
      ? ""
      : `\n  cause: ${error.cause instanceof Error ? errorText(error.cause) : inspect(error.cause)}`;
  return [head, ...places.map((place) => `    at ${place}`)].join("\n") + cause;
}

/** The address under which the code of a workspace's file is known to the engine. */
export const SOURCE_PREFIX = "workspace:/";

/** `name (folder/file.js:3:5)` out of a line of a stack, whichever browser wrote it; null when it is not the program's. */
function placeIn(line: string): string | null {
  const at = line.lastIndexOf(SOURCE_PREFIX);
  if (at < 0) return null;
  const place = /^([^\s)]+?)((?::\d+){0,2})(?=[\s)]|$)/.exec(line.slice(at + SOURCE_PREFIX.length));
  if (place === null) return null;
  const where = decodeURI(place[1] ?? "") + place[2];
  const name = /^\s*at (?:async )?(?:new )?([^\s(]+) \(/.exec(line)?.[1] ?? /^([^@\s]+)@/.exec(line)?.[1] ?? "";
  return name === "" || name === "eval" ? where : `${name} (${where})`;
}
