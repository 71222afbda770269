/**
 * The files of a workspace as folders, from their paths.
 *
 * Owns: the order in which they are listed: folders first, then names as people count. Does not know: what is folded.
 */
import type { FileRecord } from "../messages";

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

interface Growing {
  folders: Map<string, Growing>;
  files: Leaf[];
}

const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Return the entries at the root. */
export function treeOf(files: Iterable<FileRecord>): readonly Entry[] {
  const root: Growing = { folders: new Map(), files: [] };
  for (const file of files) {
    const parts = file.path.split("/");
    let at = root;
    for (const part of parts.slice(0, -1)) {
      const known = at.folders.get(part) ?? { folders: new Map(), files: [] };
      at.folders.set(part, known);
      at = known;
    }
    at.files.push({ kind: "file", name: parts.at(-1) ?? file.path, file });
  }
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

/** The shortest ending of `path` that no other of `paths` has: what a tab shows to tell two `main.py` apart. */
export function shortName(path: string, paths: readonly string[]): string {
  const parts = path.split("/");
  for (let taken = 1; taken < parts.length; taken++) {
    const ending = parts.slice(-taken).join("/");
    if (!paths.some((other) => other !== path && (other === ending || other.endsWith(`/${ending}`)))) return ending;
  }
  return path;
}
