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

/** Characters that nobody sees and that hide or reorder what is beside them. Source: `access._DECEIVING`. */
const HIDDEN = /[\p{Cc}\p{Cs}\p{Co}\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/u;

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

export type PathFault = "empty" | "long" | "hidden" | "backslash" | "parts" | "edges" | "tilde";

/** What the server would refuse of a path; null when it takes it. The path is in NFC already. */
export function pathFault(path: string): PathFault | null {
  if (path === "") return "empty";
  // The server counts code points.
  if (path.length > 4 * PATH_UNITS_MAX || [...path].length > PATH_UNITS_MAX) return "long";
  if (HIDDEN.test(path)) return "hidden";
  if (path.includes("\\")) return "backslash";
  if (path.startsWith("~")) return "tilde";
  const encoder = new TextEncoder();
  for (const part of path.split("/")) {
    if (part === "" || part === "." || part === "..") return "parts";
    if (part !== part.trim() || part.endsWith(".")) return "edges";
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
