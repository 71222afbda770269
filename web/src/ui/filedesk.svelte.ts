/**
 * What can be done with files and folders, wherever on the page it is asked for.
 *
 * Owns: the verbs, what is said of them, and which of the menu, the dialogs and the inputs is open for them.
 * Does not know: how any of it is shown.
 *
 * Invariant: a verb says what came of it, and where it can be taken back, offers that.
 */
import { getContext, setContext } from "svelte";
import type { Drawer } from "../browser";
import type { Source } from "../files/gather";
import { folderOf, freePath, isWithin, joined, nameOf, pathFault } from "../files/paths";
import { type Report, Upload } from "../files/upload.svelte";
import type { FileRecord } from "../messages";
import type { Session } from "../model";
import { strings } from "../strings";
import type { MenuEntry } from "./menuentry";
import type { OpenFiles } from "./openfiles.svelte";
import { faultOf, toasts } from "./toasts.svelte";
import { folderKey, outermost, type Row, treeOf } from "./tree";
import { TreeState } from "./treestate.svelte";

/** A menu that is open: what `Menu.svelte` takes. */
export interface OpenMenu {
  readonly label: string;
  readonly entries: readonly MenuEntry[];
  /** In pixels of the page's view. */
  readonly x: number;
  readonly y: number;
  /** Has the keyboard again afterwards. */
  readonly from: HTMLElement;
}

/** An input at the top of the list: for a file's path or a folder's, in `folder`. */
export interface NewPath {
  readonly kind: "file" | "folder";
  readonly folder: string;
}

const text = strings.files;

/** Fetched when something is taken home. */
const downloads = (): Promise<typeof import("../files/download")> => import("../files/download");

export class FileDesk {
  readonly session: Session;
  readonly tree: TreeState;
  /** Until the uploads that were asked for are done. */
  private uploads: Promise<void> = Promise.resolve();
  readonly upload: Upload;
  menu = $state.raw<OpenMenu | null>(null);
  /** What is to be moved, while it is asked where to. */
  moving = $state.raw<readonly Row[] | null>(null);
  newPath = $state.raw<NewPath | null>(null);
  /** The row whose path is being edited. */
  renaming = $state<string | null>(null);
  /** For whoever cannot see what moved. */
  said = $state("");
  /** A file chooser is wanted, for this folder. */
  choosing = $state.raw<{ readonly kind: "files" | "folder"; readonly into: string } | null>(null);
  private readonly opened: OpenFiles;

  constructor(session: Session, opened: OpenFiles, drawer: Drawer | null) {
    this.session = session;
    this.opened = opened;
    this.tree = new TreeState(session.workspaceId, drawer);
    this.upload = new Upload(session);
  }

  get mayChange(): boolean {
    return this.session.role.value === "editor" || this.session.role.value === "owner";
  }

  /** Something is open that Escape closes first. */
  get isAsking(): boolean {
    return (
      this.menu !== null ||
      this.moving !== null ||
      this.newPath !== null ||
      this.renaming !== null ||
      this.upload.phase !== "idle"
    );
  }

  live(): FileRecord[] {
    return [...this.session.files.value.values()].filter((file) => file.deleted_at_ms === null);
  }

  entries(): ReturnType<typeof treeOf> {
    return treeOf(this.live(), this.tree.empty);
  }

  // -- names. Each returns what is wrong, or an empty text when it was done.

  async rename(row: Row, path: string): Promise<string> {
    try {
      if (row.kind === "file") await this.session.renameFile(row.file.file_id, path);
      else await this.moveFolder(row.path, path, row.isEmpty);
      this.tree.reveal(path);
      if (row.kind === "folder") this.tree.goTo(folderKey(path));
      return "";
    } catch (error) {
      return faultOf(error);
    }
  }

  /** Make a folder. It is this tab's alone until a file is in it. */
  addFolder(path: string): string {
    const clean = path.replace(/\/+$/, "").normalize("NFC");
    if (pathFault(clean) !== null) return text.pathInvalid;
    const isTaken = this.live().some((file) => file.path === clean || isWithin(file.path, clean));
    if (isTaken || this.tree.empty.includes(clean)) return text.taken(clean);
    this.tree.addEmpty(clean);
    this.tree.goTo(folderKey(clean));
    return "";
  }

  // -- moving

  /** Whether something of `rows` would be elsewhere then. */
  canMove(rows: readonly Row[], folder: string): boolean {
    const isInside = rows.some((row) => row.kind === "folder" && isWithin(folder, row.path));
    return folder === ""
      ? rows.some((row) => folderOf(row.path) !== "")
      : !isInside && rows.some((row) => folderOf(row.path) !== folder);
  }

  async move(rows: readonly Row[], folder: string): Promise<void> {
    const moving = outermost(rows).filter((row) => folderOf(row.path) !== folder);
    if (!this.canMove(moving, folder)) return;
    const done: { row: Row; to: string }[] = [];
    try {
      for (const row of moving) {
        const to = joined(folder, row.name);
        if (row.kind === "file") await this.session.renameFile(row.file.file_id, to);
        else await this.moveFolder(row.path, to, row.isEmpty);
        done.push({ row, to });
      }
    } catch (error) {
      toasts.say(faultOf(error));
    }
    const last = done.at(-1);
    if (last === undefined) return;
    this.tree.reveal(last.to);
    this.tree.goTo(last.row.kind === "file" ? last.row.key : folderKey(last.to));
    const what = done.length === 1 ? last.row.path : text.several(done.length);
    toasts.say(text.moved(what, folder), { label: text.undo, run: () => void this.moveBack(done) });
  }

  private async moveBack(done: readonly { row: Row; to: string }[]): Promise<void> {
    try {
      for (const { row, to } of done) {
        if (row.kind === "file") await this.session.renameFile(row.file.file_id, row.path);
        else await this.moveFolder(to, row.path, row.isEmpty);
      }
      this.said = text.undone;
    } catch (error) {
      toasts.say(faultOf(error));
    }
  }

  private async moveFolder(path: string, to: string, isEmpty: boolean): Promise<void> {
    if (!isEmpty) await this.session.renameFolder(path, to);
    this.tree.moved(path, to);
  }

  // -- deleting

  async remove(rows: readonly Row[]): Promise<void> {
    const going = outermost(rows);
    const gone: number[] = [];
    const names: string[] = [];
    try {
      for (const row of going) {
        const inside = this.live().filter((file) => isWithin(file.path, row.path));
        if (row.kind === "file") await this.session.deleteFile(row.file.file_id);
        else if (!row.isEmpty) await this.session.deleteFolder(row.path);
        if (row.kind === "folder") this.tree.dropEmpty(row.path);
        gone.push(...inside.map((file) => file.file_id));
        names.push(row.path);
      }
    } catch (error) {
      toasts.say(faultOf(error));
    }
    const [name] = names;
    if (name === undefined) return;
    const what = names.length === 1 ? name : text.several(names.length);
    const undo = { label: text.restore, run: () => void this.restore(gone, what) };
    toasts.say(text.deletedToast(what), gone.length === 0 ? undefined : undo);
  }

  async restore(fileIds: readonly number[], what: string): Promise<void> {
    try {
      for (const fileId of fileIds) await this.session.restoreFile(fileId);
      toasts.unsay(text.deletedToast(what));
      toasts.say(text.restoredToast(what));
    } catch (error) {
      toasts.say(faultOf(error));
    }
  }

  // -- copies

  async duplicate(file: FileRecord): Promise<void> {
    try {
      const paths = new Set(this.live().map((each) => each.path));
      const path = freePath(file.path, (each) => paths.has(each));
      const copy = await this.session.textOf(file.file_id);
      this.opened.open(await this.session.createFile(path, { eol: file.eol, text: copy }));
    } catch (error) {
      toasts.say(faultOf(error));
    }
  }

  async download(rows: readonly Row[]): Promise<void> {
    const [row] = rows;
    try {
      if (rows.length === 1 && row?.kind === "file") await (await downloads()).downloadFile(this.session, row.file);
      else if (row !== undefined) await this.downloadRows(rows, row);
    } catch (error) {
      toasts.say(faultOf(error));
    }
  }

  private async downloadRows(rows: readonly Row[], first: Row): Promise<void> {
    const files = this.live().filter((file) => rows.some((row) => isWithin(file.path, row.path)));
    const isFolder = rows.length === 1 && first.kind === "folder";
    const { packed, save, zipName } = await downloads();
    const zip = await packed(this.session, files, isFolder ? folderOf(first.path) : "");
    save(zip.blob, zipName(isFolder ? first.name : this.session.title.value));
    if (zip.count < zip.wanted) toasts.say(text.zipPartial(zip.count, zip.wanted));
  }

  async downloadAll(): Promise<void> {
    try {
      const { packedWorkspace, save, zipName } = await downloads();
      const zip = await packedWorkspace(this.session);
      save(zip.blob, zipName(this.session.title.value));
      if (this.session.status.value.kind !== "online") toasts.say(text.zipOffline(zip.count, zip.wanted));
    } catch (error) {
      toasts.say(faultOf(error));
    }
  }

  // -- uploads

  async receive(sources: readonly Source[], folder: string): Promise<void> {
    if (sources.length === 0) return;
    if (!this.mayChange) toasts.say(strings.upload.viewer);
    else if (this.session.status.value.kind !== "online") toasts.say(strings.upload.offline);
    else {
      // What is dropped while another upload goes on is taken after it.
      const turn = this.uploads.then(() => this.finish(this.upload.begin(sources, folder)));
      this.uploads = turn.catch(() => undefined);
      await turn;
    }
  }

  async receiveAll(): Promise<void> {
    await this.finish(this.upload.again());
  }

  /** One file is what one wants to see; of many, what tells about the rest. */
  private async finish(running: Promise<Report | null>): Promise<void> {
    let report: Report | null;
    try {
      report = await running;
    } catch (error) {
      this.upload.close();
      toasts.say(faultOf(error));
      throw error;
    }
    if (report === null) return;
    const { added, replaced, unchanged } = report;
    const all = [...added, ...replaced, ...unchanged];
    const shown = all.length === 1 ? all[0] : readmeOf(added);
    const record = this.live().find((file) => file.path === shown);
    for (const path of all.slice(0, 1)) this.tree.reveal(path);
    if (report.leftOut.length > 0 || report.fault !== "" || report.isFull) return;
    this.upload.close();
    toasts.say(strings.upload.done(report));
    if (record !== undefined) this.opened.open(record.file_id);
  }
}

/** The README that is nearest to the root, if there is one. */
function readmeOf(paths: readonly string[]): string | undefined {
  const depth = (path: string): number => path.split("/").length;
  return paths.filter((path) => /^readme(\.\w+)?$/i.test(nameOf(path))).sort((a, b) => depth(a) - depth(b))[0];
}

const CONTEXT = Symbol("files");

/** Make the desk of a screen, for it and all that it shows. */
export function provideFileDesk(session: Session, opened: OpenFiles, drawer: Drawer | null): FileDesk {
  return setContext(CONTEXT, new FileDesk(session, opened, drawer));
}

export function useFileDesk(): FileDesk {
  return getContext<FileDesk>(CONTEXT);
}
