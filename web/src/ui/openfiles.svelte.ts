/**
 * Which files of a workspace are open in this tab of the browser, in which order, and which of them is seen.
 *
 * Owns: that list, through reloads, the documents on it and the editors that show them. Does not know: how they are shown.
 *
 * Invariant: each listed file has one `openFile` of the session behind it, and each that left the list one `closeFile`.
 */
import type { Drawer } from "../browser";
import type { EditorStatus, FileEditor } from "../editor/editor";
import { WordIndex } from "../editor/words";
import type { FileDocument, Session } from "../model";

export interface OpenFile {
  readonly fileId: number;
  readonly document: FileDocument;
}

/** A place in a file to be shown: a line and column from 1, or a stretch in UTF-16 units, which is selected. */
export type Spot = { readonly line: number; readonly column?: number } | { readonly from: number; readonly to: number };

/** What happened in a view: one typed, one scrolled it by hand, or it was scrolled by whomever; or another file is seen. */
export type EditorEvent = "typed" | "scrolledbyhand" | "scrolled" | "seen";
/** The file; null when none is seen any more. */
type Listener = (event: EditorEvent, fileId: number | null) => void;

/** Closed tabs that can be reopened. */
const CLOSED_MAX = 20;
/** Files that are listed first when one is to be opened. */
const SEEN_MAX = 50;

export class OpenFiles {
  list = $state.raw<readonly OpenFile[]>([]);
  active = $state<number | null>(null);
  /** Files that hold edits which are not on the server's disk. */
  unsaved = $state.raw<ReadonlySet<number>>(new Set());
  /** Files whose view broke: what was typed there last may not have reached the document. */
  broken = $state.raw<ReadonlySet<number>>(new Set());
  /** The file whose editor is to have the keyboard once it is there; null when nobody asked for that. */
  wanted = $state<number | null>(null);
  /** The views, as far as they are there. */
  editors = $state.raw<ReadonlyMap<number, FileEditor>>(new Map());
  /** What is in force in each view. */
  statuses = $state.raw<ReadonlyMap<number, EditorStatus>>(new Map());
  /** Languages chosen by hand, for as long as this page lives. */
  languages = $state.raw<ReadonlyMap<number, string>>(new Map());
  /** Words of the files that this page has had the text of. */
  readonly wordIndex = new WordIndex();
  /** Files in the order in which they were seen last. */
  seen = $state.raw<readonly number[]>([]);
  private readonly listeners = new Set<Listener>();
  private readonly session: Session;
  private readonly drawer: Drawer | null;
  private readonly key: string;
  private readonly watches = new Map<number, () => void>();
  private readonly spots = new Map<number, Spot>();
  private closed = $state.raw<readonly number[]>([]);

  constructor(session: Session, drawer: Drawer | null) {
    this.session = session;
    this.drawer = drawer;
    this.key = `carets.open.${session.workspaceId}`;
  }

  /** The view that is seen; null when there is none, or not yet. */
  get editor(): FileEditor | null {
    return this.active === null ? null : (this.editors.get(this.active) ?? null);
  }

  /** Open what was open before the reload, as far as it still exists. */
  restore(): void {
    const kept = this.read();
    for (const fileId of kept.ids) {
      if (this.session.files.value.get(fileId)?.deleted_at_ms === null) this.add(fileId);
    }
    const isKept = kept.active !== null && this.list.some((each) => each.fileId === kept.active);
    this.active = isKept ? kept.active : (this.list.at(-1)?.fileId ?? null);
    this.wanted = this.active;
  }

  /** `toType`: the keyboard goes along, as when a file was clicked, and not when arrows go through the tabs. */
  open(fileId: number, toType = true): void {
    if (!this.list.some((each) => each.fileId === fileId)) this.add(fileId);
    this.active = fileId;
    this.seen = [fileId, ...this.seen.filter((each) => each !== fileId)].slice(0, SEEN_MAX);
    this.wanted = toType ? fileId : null;
    this.keep();
    this.tell("seen", fileId);
  }

  /** Open a file at a place in it, as soon as its text is there. */
  reveal(fileId: number, spot: Spot, toType = true): void {
    this.spots.set(fileId, spot);
    this.open(fileId, toType);
    this.goToSpot(fileId);
  }

  close(fileId: number): void {
    const at = this.list.findIndex((each) => each.fileId === fileId);
    if (at < 0) return;
    this.list = this.list.filter((each) => each.fileId !== fileId);
    const wasActive = this.active === fileId;
    if (wasActive) this.active = this.list[Math.min(at, this.list.length - 1)]?.fileId ?? null;
    if (this.wanted === fileId) this.wanted = null;
    this.watches.get(fileId)?.();
    this.watches.delete(fileId);
    this.spots.delete(fileId);
    this.mark(fileId, false);
    this.markBroken(fileId, false);
    this.session.closeFile(fileId);
    this.closed = [...this.closed.filter((each) => each !== fileId), fileId].slice(-CLOSED_MAX);
    this.keep();
    if (wasActive) this.tell("seen", this.active);
  }

  closeOthers(fileId: number): void {
    for (const each of this.list) if (each.fileId !== fileId) this.close(each.fileId);
  }

  closeRight(fileId: number): void {
    const at = this.list.findIndex((each) => each.fileId === fileId);
    if (at >= 0) for (const each of this.list.slice(at + 1)) this.close(each.fileId);
  }

  get isReopenable(): boolean {
    const { value } = this.session.files;
    return this.closed.some((fileId) => value.get(fileId)?.deleted_at_ms === null);
  }

  /** Open the tab again that was closed last and whose file is still there. Returns whether there was one. */
  reopen(): boolean {
    while (this.closed.length > 0) {
      const fileId = this.closed.at(-1);
      this.closed = this.closed.slice(0, -1);
      if (fileId === undefined || this.session.files.value.get(fileId)?.deleted_at_ms !== null) continue;
      this.open(fileId);
      return true;
    }
    return false;
  }

  /** Put a tab before the one that is at `to` now, counted without it. */
  move(fileId: number, to: number): void {
    const moved = this.list.find((each) => each.fileId === fileId);
    if (moved === undefined) return;
    const rest = this.list.filter((each) => each !== moved);
    const at = Math.max(0, Math.min(to, rest.length));
    this.list = [...rest.slice(0, at), moved, ...rest.slice(at)];
    this.keep();
  }

  /** The next tab, or the one before, round and round. */
  step(by: 1 | -1): void {
    const at = this.list.findIndex((each) => each.fileId === this.active);
    const next = this.list[(at + by + this.list.length) % this.list.length];
    if (next !== undefined) this.open(next.fileId);
  }

  /** A view is there, or is not any more. */
  setEditor(fileId: number, editor: FileEditor | null): void {
    const next = new Map(this.editors);
    if (editor === null) next.delete(fileId);
    else next.set(fileId, editor);
    this.editors = next;
    this.goToSpot(fileId);
  }

  setStatus(fileId: number, status: EditorStatus): void {
    this.statuses = new Map(this.statuses).set(fileId, status);
  }

  /** Choose a file's language by hand; null goes by its name again. */
  setLanguage(fileId: number, name: string | null): void {
    const next = new Map(this.languages);
    if (name === null) next.delete(fileId);
    else next.set(fileId, name);
    this.languages = next;
  }

  /** Hear what happens in the views; the answer ends it. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  tell(event: EditorEvent, fileId: number | null): void {
    for (const listener of this.listeners) listener(event, fileId);
  }

  /** Let go of everything, without forgetting what was open. */
  leave(): void {
    for (const end of this.watches.values()) end();
    this.watches.clear();
  }

  markBroken(fileId: number, isBroken: boolean): void {
    if (this.broken.has(fileId) === isBroken) return;
    const next = new Set(this.broken);
    if (isBroken) next.add(fileId);
    else next.delete(fileId);
    this.broken = next;
  }

  private add(fileId: number): void {
    const document = this.session.openFile(fileId);
    this.list = [...this.list, { fileId, document }];
    this.watches.set(
      fileId,
      document.unsaved.subscribe((count) => this.mark(fileId, count > 0)),
    );
  }

  private goToSpot(fileId: number): void {
    const editor = this.editors.get(fileId);
    const spot = this.spots.get(fileId);
    if (editor === undefined || spot === undefined) return;
    this.spots.delete(fileId);
    if ("line" in spot) editor.goToLine(spot.line, spot.column);
    else editor.select(spot.from, spot.to);
  }

  private mark(fileId: number, isUnsaved: boolean): void {
    if (this.unsaved.has(fileId) === isUnsaved) return;
    const next = new Set(this.unsaved);
    if (isUnsaved) next.add(fileId);
    else next.delete(fileId);
    this.unsaved = next;
  }

  private read(): { ids: number[]; active: number | null } {
    try {
      const kept: unknown = JSON.parse(this.drawer?.getItem(this.key) ?? "null");
      if (typeof kept === "object" && kept !== null && "ids" in kept && Array.isArray(kept.ids)) {
        const active = "active" in kept && typeof kept.active === "number" ? kept.active : null;
        return { ids: kept.ids.filter((id): id is number => typeof id === "number"), active };
      }
    } catch {
      // Written by something else, or storage is forbidden: begin with no open file.
    }
    return { ids: [], active: null };
  }

  private keep(): void {
    try {
      this.drawer?.setItem(
        this.key,
        JSON.stringify({ ids: this.list.map((each) => each.fileId), active: this.active }),
      );
    } catch {
      // Storage is full or forbidden: the files are open until the reload.
    }
  }
}
