/**
 * Replacing what a search found, and taking that back.
 *
 * Owns: the edits, and what is remembered of the last replacement. Does not know: how it is shown.
 *
 * Invariants:
 *   1. A file is changed only if it reads as it was shown, or if the same was found in it again in the same order: what
 *      others type meanwhile stays.
 *   2. A file that an editor shows is changed through that editor, so that it is a step of this person's undo there.
 *   3. `undo` changes only files that still read as the replacement left them.
 *   4. What is done is what was asked for: another search ends a replacement, another template is the next one's.
 */
import type { FileEditor } from "../editor/editor";
import type { Session, TextEdit } from "../model";
import { isSame } from "./carried";
import { applied, becomes, inverse } from "./replacing";
import type { Found, Search } from "./search.svelte";

/** What came of it, for the person. */
export interface Report {
  readonly matches: number;
  readonly files: number;
  /** Paths whose text changed meanwhile. */
  readonly changed: readonly string[];
  /** Paths that may not be changed. */
  readonly refused: readonly string[];
  readonly isUndo: boolean;
}

interface Change {
  readonly fileId: number;
  readonly path: string;
  /** What the file read afterwards. */
  readonly text: string;
  readonly edits: readonly TextEdit[];
}

/** Editors by file, none of them broken. */
export type Editors = () => ReadonlyMap<number, FileEditor>;

/** While somebody types without a pause, a file is searched again and tried again so often. */
const TRIES_MAX = 6;

export class Replacement {
  isBusy = $state(false);
  report = $state.raw<Report | null>(null);
  /** The last replacement, as far as it was done. */
  private last = $state.raw<readonly Change[]>([]);
  private readonly session: Session;
  private readonly search: Search;
  private readonly editors: Editors;

  constructor(session: Session, search: Search, editors: Editors) {
    this.session = session;
    this.search = search;
    this.editors = editors;
  }

  get isUndoable(): boolean {
    return this.last.length > 0;
  }

  /** What a match becomes. */
  after(found: Found, at: number, template = this.search.template): string {
    const match = found.matches[at];
    return match === undefined ? "" : becomes(template, this.search.query.isRegexp, match, found.text);
  }

  /** Matches of a file that are taken in. */
  countIn(found: Found): number {
    const leftOut = this.search.leftOut.get(found.fileId);
    return found.matches.reduce((sum, _, at) => sum + (leftOut?.has(at) === true ? 0 : 1), 0);
  }

  /** Replace what was found in these files, but for what was left out. Never rejects. */
  async replace(files: readonly Found[]): Promise<void> {
    await this.run(false, async (tell) => {
      const changes: Change[] = [];
      this.last = [];
      const wanted = files.filter((found) => this.countIn(found) > 0);
      const wish = { template: this.search.template, round: this.search.round };
      for (const found of wanted) {
        const change = await this.attempt(found, wish, tell);
        if (change === null) continue;
        changes.push(change);
        this.last = changes.slice();
      }
      return changes;
    });
  }

  /** Take the last replacement back. Never rejects. */
  async undo(): Promise<void> {
    await this.run(true, async (tell) => {
      const changes: Change[] = [];
      const last = this.last;
      this.last = [];
      for (const change of last) {
        const outcome = await this.edit(change.fileId, change.path, change.text, change.edits, tell);
        if (outcome === true) changes.push(change);
        else if (outcome === false) tell.changed(change.path);
        await this.search.refresh(change.fileId);
      }
      return changes;
    });
  }

  private async run(isUndo: boolean, work: (tell: Tell) => Promise<readonly Change[]>): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    this.report = null;
    const changed: string[] = [];
    const refused: string[] = [];
    try {
      const done = await work({ changed: (path) => changed.push(path), refused: (path) => refused.push(path) });
      const matches = done.reduce((sum, { edits }) => sum + edits.length, 0);
      this.report = { matches, files: done.length, changed, refused, isUndo };
    } finally {
      this.isBusy = false;
    }
  }

  private async attempt(first: Found, wish: Wish, tell: Tell): Promise<Change | null> {
    const { fileId, path } = first;
    let found = first;
    for (let tries = 0; tries < TRIES_MAX && this.search.round === wish.round; tries++) {
      const edits = this.editsOf(found, wish);
      const outcome = await this.edit(fileId, path, found.text, edits, tell);
      if (outcome === true) {
        const change = { fileId, path, text: applied(found.text, edits), edits: inverse(found.text, edits) };
        await this.search.refresh(fileId);
        return change;
      }
      if (outcome === null) return null;
      const fresh = await this.search.refresh(fileId);
      if (fresh === null || !isSame(found, fresh) || !this.becomesSame(found, fresh, wish)) break;
      found = fresh;
    }
    tell.changed(path);
    return null;
  }

  private editsOf(found: Found, { template }: Wish): TextEdit[] {
    return found.matches.flatMap(({ from, to }, at) =>
      this.search.isLeftOut(found.fileId, at) ? [] : [{ from, to, insert: this.after(found, at, template) }],
    );
  }

  private becomesSame(a: Found, b: Found, { template }: Wish): boolean {
    return a.matches.every((_, at) => this.after(a, at, template) === this.after(b, at, template));
  }

  /** True: done. False: the text is another. Null: it may not be changed. */
  private async edit(
    fileId: number,
    path: string,
    expected: string,
    edits: readonly TextEdit[],
    tell: Tell,
  ): Promise<boolean | null> {
    try {
      const editor = this.editors().get(fileId);
      return editor === undefined || editor.view.state.readOnly
        ? await this.session.editFile(fileId, expected, edits)
        : throughEditor(editor, expected, edits);
    } catch {
      tell.refused(path);
      return null;
    }
  }
}

/** What was asked for, and of which search. */
interface Wish {
  readonly template: string;
  readonly round: number;
}

interface Tell {
  changed(path: string): unknown;
  refused(path: string): unknown;
}

function throughEditor({ view }: FileEditor, expected: string, edits: readonly TextEdit[]): boolean {
  if (view.state.doc.toString() !== expected) return false;
  view.dispatch({ changes: [...edits], userEvent: "input.replace.all" });
  return true;
}
