/**
 * Which files of a workspace are open in this tab of the browser, and which of them is seen.
 *
 * Owns: that list, through reloads, and the documents on it. Does not know: editors.
 *
 * Invariant: each listed file has one `openFile` of the session behind it, and each that left the list one `closeFile`.
 */
import type { Drawer } from "../browser";
import type { FileDocument, Session } from "../model";

export interface OpenFile {
  readonly fileId: number;
  readonly document: FileDocument;
}

export class OpenFiles {
  list = $state.raw<readonly OpenFile[]>([]);
  active = $state<number | null>(null);
  /** Files that hold edits which are not on the server's disk. */
  unsaved = $state.raw<ReadonlySet<number>>(new Set());
  /** Files whose view broke: what was typed there last may not have reached the document. */
  broken = $state.raw<ReadonlySet<number>>(new Set());
  /** The file whose editor is to have the keyboard once it is there; null when nobody asked for that. */
  wanted = $state<number | null>(null);
  private readonly session: Session;
  private readonly drawer: Drawer | null;
  private readonly key: string;
  private readonly watches = new Map<number, () => void>();

  constructor(session: Session, drawer: Drawer | null) {
    this.session = session;
    this.drawer = drawer;
    this.key = `carets.open.${session.workspaceId}`;
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
    this.wanted = toType ? fileId : null;
    this.keep();
  }

  close(fileId: number): void {
    const at = this.list.findIndex((each) => each.fileId === fileId);
    if (at < 0) return;
    this.list = this.list.filter((each) => each.fileId !== fileId);
    if (this.active === fileId) this.active = this.list[Math.min(at, this.list.length - 1)]?.fileId ?? null;
    if (this.wanted === fileId) this.wanted = null;
    this.watches.get(fileId)?.();
    this.watches.delete(fileId);
    this.mark(fileId, false);
    this.markBroken(fileId, false);
    this.session.closeFile(fileId);
    this.keep();
  }

  /** Let go of everything, without forgetting what was open. */
  leave(): void {
    for (const end of this.watches.values()) end();
    this.watches.clear();
  }

  private add(fileId: number): void {
    const document = this.session.openFile(fileId);
    this.list = [...this.list, { fileId, document }];
    this.watches.set(
      fileId,
      document.unsaved.subscribe((count) => this.mark(fileId, count > 0)),
    );
  }

  markBroken(fileId: number, isBroken: boolean): void {
    if (this.broken.has(fileId) === isBroken) return;
    const next = new Set(this.broken);
    if (isBroken) next.add(fileId);
    else next.delete(fileId);
    this.broken = next;
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
