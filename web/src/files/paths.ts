/**
 * Paths of files: what the server takes, what nobody wants, and how they are put together.
 *
 * Owns: the page's twin of `access.clean_path`, and the names that uploads leave out. Does not know: which files there are.
 *
 * Invariant: a path without a fault has parts joined by `/`, none of them empty, `.` or `..`, and no backslash.
 */

/** Characters of a path. Source: `PATH_UNITS_MAX` in `src/carets/limits.py`. */
export const PATH_UNITS_MAX = 512;
/** Bytes of one part of a path. Source: `PATH_PART_BYTES_MAX`. */
const PART_BYTES_MAX = 255;

/** Marks on one character. Source: `access._NAME_MARKS_MAX`. */
const HEAP = /[\p{Mn}\p{Me}]{9}/u;

/** What cannot be seen, or makes what is beside it read otherwise. Source: `src/carets/protocol/appearance.py`. */
const HIDDEN =
  /\u034f|[\p{Cc}\p{Cs}\p{Co}\p{Noncharacter_Code_Point}\u00ad\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}]/u;

/** Joiners and selectors stand between, or behind, characters that are not ASCII; elsewhere they only make twins of paths. */
const JOINERS = "\\u200c\\u200d";
const SELECTORS = "\\u180b-\\u180f\\ufe00-\\ufe0f\\u{e0100}-\\u{e01ef}";
const STRAY = new RegExp(
  `(?<![^\\p{ASCII}${JOINERS}])[${JOINERS}]|[${JOINERS}](?![^\\p{ASCII}${JOINERS}${SELECTORS}])` +
    `|(?<![^\\p{ASCII}${JOINERS}${SELECTORS}])[${SELECTORS}](?!(?<=[0-9#*]\\ufe0f)\\u20e3)`,
  "u",
);

/** What Windows has no file names with, or opens as a device. Source: `access._RESERVED`, `access._DEVICE`. */
const RESERVED = /[<>:"|?*]|^(?:con|prn|aux|nul|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$) *(?:\.|$)/iu;

/** What a version control, a package manager or a desktop puts beside the work of people. */
const UNWANTED_FOLDERS = new Set([
  ".git",
  ".hg",
  ".svn",
  "node_modules",
  "__pycache__",
  ".venv",
  "venv",
  ".mypy_cache",
  ".pytest_cache",
  ".ruff_cache",
  ".tox",
  "__MACOSX",
]);
const UNWANTED_FILES = new Set([".DS_Store", "Thumbs.db", "desktop.ini"]);

export type PathFault = "empty" | "long" | "hidden" | "backslash" | "parts" | "edges" | "tilde" | "reserved";

/** What the server would refuse of a path; null when it takes it. The path is in NFC already. */
export function pathFault(path: string): PathFault | null {
  if (path === "") return "empty";
  // The server counts code points.
  if (path.length > 4 * PATH_UNITS_MAX || [...path].length > PATH_UNITS_MAX) return "long";
  if ([HIDDEN, STRAY, HEAP].some((kind) => kind.test(path))) return "hidden";
  if (path.includes("\\")) return "backslash";
  if (path.startsWith("~")) return "tilde";
  const encoder = new TextEncoder();
  for (const part of path.split("/")) {
    if (part === "" || part === "." || part === "..") return "parts";
    if (part !== part.trim() || part.endsWith(".")) return "edges";
    if (RESERVED.test(part)) return "reserved";
    if (encoder.encode(part).length > PART_BYTES_MAX) return "long";
  }
  return null;
}

/** The same, for a path out of an archive, which may also name a drive or the root. */
export function archivePathFault(path: string): PathFault | null {
  return /^(?:[A-Za-z]:|\/)/.test(path) ? "parts" : pathFault(path);
}

/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The folder of a path, without a slash at its end; empty for the root. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

/** `name` in `folder`, where the empty folder is the root. */
export function joined(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/** Whether `path` is `folder` or lies below it; everything lies below the root. */
export function isWithin(path: string, folder: string): boolean {
  return folder === "" || path === folder || path.startsWith(`${folder}/`);
}

/** All folders that a path lies in, from the outermost. */
export function foldersOf(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join("/"));
}

/**
 * The beginning of a path that is not wanted in a workspace; null when all of it may be. A folder's ends with `/`.
 * `isFolder`: the path is a folder's.
 */
export function unwantedPart(path: string, isFolder = false): string | null {
  const parts = path.split("/");
  const folders = isFolder ? parts : parts.slice(0, -1);
  const at = folders.findIndex((part) => UNWANTED_FOLDERS.has(part));
  if (at >= 0) return `${parts.slice(0, at + 1).join("/")}/`;
  return !isFolder && UNWANTED_FILES.has(parts.at(-1) ?? "") ? path : null;
}

/** `path`, or the first of `name (2).py`, `name (3).py`, … that is not taken. */
export function freePath(path: string, isTaken: (path: string) => boolean): string {
  const name = nameOf(path);
  const dot = name.lastIndexOf(".");
  const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  let free = path;
  for (let count = 2; isTaken(free); count++) free = joined(folderOf(path), `${stem} (${count})${ending}`);
  return free;
}
