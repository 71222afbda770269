/**
 * How one tab looks at the file tree: which folders are unfolded, which rows are chosen, which has the keyboard.
 *
 * Owns: that, through reloads of the tab, and the folders that nothing lies in yet, which exist nowhere else.
 * Does not know: the server, what is done with rows.
 */
import { SvelteMap } from "svelte/reactivity";
import type { Drawer } from "../browser";
import { foldersOf, isWithin } from "../files/paths";
import type { Row } from "./tree";

/** Files above which folders begin folded: a list of some screens can be looked through. */
const UNFOLDED_FILES_MAX = 200;

interface Kept {
  readonly isUnfolded: boolean;
  readonly changed: [string, boolean][];
  readonly empty: string[];
}

export class TreeState {
  /** Folders without files. */
  empty = $state.raw<readonly string[]>([]);
  /** The row that the keyboard is in, or comes to by Tab. */
  current = $state<string | null>(null);
  /** Rows chosen together, by key; none when only the current one is meant. */
  chosen = $state.raw<ReadonlySet<string>>(new Set());
  /** Whether folders that nobody has touched are unfolded; not known before the files are. */
  private isUnfolded = $state<boolean | null>(null);
  private readonly changed = new SvelteMap<string, boolean>();
  private readonly drawer: Drawer | null;
  private readonly key: string;
  /** Where a range of rows begins. */
  private anchor: string | null = null;

  constructor(workspaceId: string, drawer: Drawer | null) {
    this.drawer = drawer;
    this.key = `carets.tree.${workspaceId}`;
    const kept = this.read();
    if (kept === null) return;
    this.isUnfolded = kept.isUnfolded;
    this.empty = kept.empty;
    for (const [path, isOpen] of kept.changed) this.changed.set(path, isOpen);
  }

  /** How many files there are, when that becomes known. */
  settle(fileCount: number): void {
    if (this.isUnfolded === null && fileCount > 0) this.isUnfolded = fileCount <= UNFOLDED_FILES_MAX;
  }

  isOpen(folder: string): boolean {
    return this.changed.get(folder) ?? this.isUnfolded ?? true;
  }

  fold(folder: string, isOpen: boolean): void {
    if (this.isOpen(folder) === isOpen) return;
    this.changed.set(folder, isOpen);
    this.keep();
  }

  /** Unfold every folder that a path lies in. */
  reveal(path: string): void {
    for (const folder of foldersOf(path)) this.fold(folder, true);
  }

  foldAll(folders: Iterable<string>): void {
    for (const folder of folders) this.changed.set(folder, false);
    this.keep();
  }

  addEmpty(folder: string): void {
    this.empty = [...this.empty, folder];
    this.reveal(folder);
    this.keep();
  }

  dropEmpty(folder: string): void {
    this.empty = this.empty.filter((each) => !isWithin(each, folder));
    this.keep();
  }

  /** A folder has another path: it stays as it is folded, with all below it. */
  moved(folder: string, to: string): void {
    const renamed = (path: string): string => (isWithin(path, folder) ? to + path.slice(folder.length) : path);
    for (const [path, isOpen] of [...this.changed]) if (renamed(path) !== path) this.changed.set(renamed(path), isOpen);
    this.empty = this.empty.map(renamed);
    this.keep();
  }

  /** Forget empty folders that a file came into, by whomever. */
  tidy(paths: Iterable<string>): void {
    if (this.empty.length === 0) return;
    const known = new Set([...paths].flatMap((path) => [path, ...foldersOf(path)]));
    const empty = this.empty.filter((folder) => !known.has(folder));
    if (empty.length === this.empty.length) return;
    this.empty = empty;
    this.keep();
  }

  /** Go to a row; nothing else is chosen. */
  goTo(key: string): void {
    this.current = key;
    this.anchor = key;
    if (this.chosen.size > 0) this.chosen = new Set();
  }

  /** Choose one more row, or one less. */
  toggle(key: string): void {
    const chosen = new Set(this.chosen.size === 0 && this.current !== null ? [this.current] : this.chosen);
    if (this.chosen.size > 0 && chosen.has(key)) chosen.delete(key);
    else chosen.add(key);
    this.chosen = chosen;
    this.current = key;
    this.anchor = key;
  }

  /** Choose all rows from where the last choice began to this one. */
  extend(rows: readonly Row[], key: string): void {
    const to = rows.findIndex((row) => row.key === key);
    const from = rows.findIndex((row) => row.key === this.anchor);
    if (to < 0) return;
    const [first, last] = from < 0 ? [to, to] : [Math.min(from, to), Math.max(from, to)];
    this.chosen = new Set(rows.slice(first, last + 1).map((row) => row.key));
    this.current = key;
  }

  /** The rows that are meant when something is done to `row`: those chosen, if it is among them. */
  meant(rows: readonly Row[], row: Row): Row[] {
    return this.chosen.has(row.key) ? rows.filter((each) => this.chosen.has(each.key)) : [row];
  }

  private read(): Kept | null {
    try {
      const kept = JSON.parse(this.drawer?.getItem(this.key) ?? "null") as Partial<Kept> | null;
      if (typeof kept?.isUnfolded !== "boolean" || !Array.isArray(kept.changed) || !Array.isArray(kept.empty))
        return null;
      const changed = kept.changed.filter((each) => typeof each[0] === "string" && typeof each[1] === "boolean");
      const empty = kept.empty.filter((each) => typeof each === "string");
      return { isUnfolded: kept.isUnfolded, changed, empty };
    } catch {
      // Written by something else, or storage is forbidden.
      return null;
    }
  }

  private keep(): void {
    const kept: Kept = {
      isUnfolded: this.isUnfolded ?? true,
      changed: [...this.changed],
      empty: [...this.empty],
    };
    try {
      this.drawer?.setItem(this.key, JSON.stringify(kept));
    } catch {
      // It lasts as long as the page.
    }
  }
}
