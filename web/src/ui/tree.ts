/**
 * The files of a workspace as folders, from their paths, and as the rows that are seen of them.
 *
 * Owns: the order in which they are listed: folders first, then names as people count. Does not know: what is folded.
 */
import { foldersOf, nameOf } from "../files/paths";
import type { FileRecord } from "../messages";

export { nameOf };

export interface Folder {
  readonly kind: "folder";
  readonly name: string;
  /** Ends without a slash; unique among folders. */
  readonly path: string;
  readonly entries: readonly Entry[];
}

export interface Leaf {
  readonly kind: "file";
  readonly name: string;
  readonly file: FileRecord;
}

export type Entry = Folder | Leaf;

/** One line of the list. `position` and `count`: among its siblings, from 1. `level`: from 1. */
interface Placed {
  /** Unique among rows. */
  readonly key: string;
  readonly path: string;
  readonly name: string;
  readonly level: number;
  readonly position: number;
  readonly count: number;
}
export interface FolderRow extends Placed {
  readonly kind: "folder";
  readonly isOpen: boolean;
  /** Nothing lies in it: the server does not know it. */
  readonly isEmpty: boolean;
}
export interface FileRow extends Placed {
  readonly kind: "file";
  readonly file: FileRecord;
}
export type Row = FolderRow | FileRow;

interface Growing {
  folders: Map<string, Growing>;
  files: Leaf[];
}

const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** Return the entries at the root. `folders`: some that may be empty. */
export function treeOf(files: Iterable<FileRecord>, folders: Iterable<string> = []): readonly Entry[] {
  const root: Growing = { folders: new Map(), files: [] };
  const grown = new Map<string, Growing>([["", root]]);
  const grow = (path: string): Growing => {
    let at = grown.get(path);
    if (at !== undefined) return at;
    at = { folders: new Map(), files: [] };
    grown.set(path, at);
    grow(path.slice(0, Math.max(0, path.lastIndexOf("/")))).folders.set(nameOf(path), at);
    return at;
  };
  for (const file of files) {
    const cut = file.path.lastIndexOf("/");
    grow(file.path.slice(0, Math.max(0, cut))).files.push({ kind: "file", name: file.path.slice(cut + 1), file });
  }
  for (const folder of folders) grow(folder);
  return entriesOf(root, "");
}

function entriesOf(growing: Growing, prefix: string): readonly Entry[] {
  const folders = [...growing.folders]
    .map(
      ([name, inner]): Folder => ({
        kind: "folder",
        name,
        path: prefix + name,
        entries: entriesOf(inner, `${prefix}${name}/`),
      }),
    )
    .sort((a, b) => order.compare(a.name, b.name));
  const files = [...growing.files].sort((a, b) => order.compare(a.name, b.name));
  return [...folders, ...files];
}

export function folderKey(path: string): string {
  return `folder:${path}`;
}

/** The rows that are seen, from the top. */
export function rowsOf(entries: readonly Entry[], isOpen: (folder: string) => boolean): Row[] {
  const rows: Row[] = [];
  const add = (siblings: readonly Entry[], level: number): void => {
    for (const [at, entry] of siblings.entries()) {
      const placed = { name: entry.name, level, position: at + 1, count: siblings.length };
      if (entry.kind === "file") {
        const { file } = entry;
        rows.push({ kind: "file", key: String(file.file_id), path: file.path, file, ...placed });
        continue;
      }
      const { path, entries: inner } = entry;
      const isUnfolded = isOpen(path);
      const isEmpty = inner.length === 0;
      rows.push({ kind: "folder", key: folderKey(path), path, isOpen: isUnfolded, isEmpty, ...placed });
      if (isUnfolded) add(inner, level + 1);
    }
  };
  add(entries, 1);
  return rows;
}

/** Every folder, in the order of the list. */
export function foldersIn(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry) => (entry.kind === "folder" ? [entry.path, ...foldersIn(entry.entries)] : []));
}

/** Those of `rows` that lie in no folder among them: what is done to a folder is done to what is in it. */
export function outermost(rows: readonly Row[]): Row[] {
  const folders = new Set(rows.flatMap((row) => (row.kind === "folder" ? [row.path] : [])));
  return rows.filter((row) => !foldersOf(row.path).some((folder) => folders.has(folder)));
}

/** The shortest ending of `path` that no other of `paths` has: what a tab shows to tell two `main.py` apart. */
export function shortName(path: string, paths: readonly string[]): string {
  const parts = path.split("/");
  for (let taken = 1; taken < parts.length; taken++) {
    const ending = parts.slice(-taken).join("/");
    if (!paths.some((other) => other !== path && (other === ending || other.endsWith(`/${ending}`)))) return ending;
  }
  return path;
}
