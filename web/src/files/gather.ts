/**
 * What was dropped or chosen, as a list of files: folders walked through, archives opened.
 *
 * Owns: the ways by which browsers hand over files. Does not know: texts, the workspace.
 *
 * Invariant: what has no place in the list is named among what was left out, with the reason.
 */
import { archivePathFault, pathFault, unwantedPart } from "./paths";
import { ZipError, type ZipFault } from "./zipfault";

/** What the browser gave: it must be taken while the event lasts, and can be walked through later. */
export type Source =
  | { readonly kind: "entry"; readonly entry: FileSystemEntry }
  | { readonly kind: "file"; readonly file: File; readonly path: string };

/** A file that may be added; `read` may reject. */
export interface Found {
  readonly path: string;
  readonly bytes: number;
  read(): Promise<Uint8Array>;
}

/** `unwanted`: of what tools make, which can be added all the same. `path`: no path of a workspace. */
export type Reason = "unwanted" | "path" | "unreadable" | ZipFault;

export interface LeftOut {
  /** A folder's ends with `/`. */
  readonly path: string;
  readonly reason: Reason;
}

export interface Gathered {
  readonly found: readonly Found[];
  readonly leftOut: readonly LeftOut[];
  /** There was more than `FOUND_MAX`. */
  readonly isFull: boolean;
}

/** Files in one upload: above any workspace, so that it is no reason to stop reading a folder of a normal project. */
export const FOUND_MAX = 10_000;

/** What a drop holds. Empty when it is a text or a link. */
export function sourcesOf(transfer: DataTransfer): Source[] {
  const sources: Source[] = [];
  for (const item of transfer.items) {
    if (item.kind !== "file") continue;
    const entry = item.webkitGetAsEntry?.() ?? null;
    const file = entry === null ? item.getAsFile() : null;
    if (entry !== null) sources.push({ kind: "entry", entry });
    else if (file !== null) sources.push({ kind: "file", file, path: file.name });
  }
  return sources;
}

/** What a file chooser gave: of a folder, with the paths in it. */
export function sourcesOfList(files: Iterable<File>): Source[] {
  return Array.from(files, (file) => ({
    kind: "file",
    file,
    path: file.webkitRelativePath === "" ? file.name : file.webkitRelativePath,
  }));
}

/** `isEverything`: what nobody wants, too. Rejects with the signal's reason. */
export async function gather(
  sources: readonly Source[],
  isEverything: boolean,
  signal: AbortSignal,
): Promise<Gathered> {
  const gathering = new Gathering(isEverything, signal);
  for (const source of sources) {
    if (source.kind === "entry") await gathering.walk(source.entry, "");
    else await gathering.addFile(source.file, source.path, !source.path.includes("/"));
  }
  return { found: gathering.found, leftOut: [...gathering.leftOut.values()], isFull: gathering.isFull };
}

class Gathering {
  readonly found: Found[] = [];
  readonly leftOut = new Map<string, LeftOut>();
  isFull = false;
  private readonly isEverything: boolean;
  private readonly signal: AbortSignal;

  constructor(isEverything: boolean, signal: AbortSignal) {
    this.isEverything = isEverything;
    this.signal = signal;
  }

  async walk(entry: FileSystemEntry, folder: string): Promise<void> {
    this.signal.throwIfAborted();
    const path = folder + entry.name;
    // A whole disk is walked no further than that.
    if (this.found.length >= FOUND_MAX) {
      this.isFull = true;
      return;
    }
    try {
      if (entry.isFile) {
        await this.addFile(await fileOf(entry as FileSystemFileEntry), path, folder === "");
      } else if (this.isWanted(path, true)) {
        for await (const child of childrenOf(entry as FileSystemDirectoryEntry)) await this.walk(child, `${path}/`);
      }
    } catch (error) {
      this.signal.throwIfAborted();
      if (!(error instanceof DOMException)) throw error;
      this.leave(path, "unreadable");
    }
  }

  /** `isOpened`: an archive is taken for what is in it. Inside of others it is a file like any. */
  async addFile(file: File, path: string, isOpened: boolean): Promise<void> {
    this.signal.throwIfAborted();
    if (isOpened && /\.zip$/i.test(path)) {
      await this.addArchive(file, path);
      return;
    }
    this.add({ path, bytes: file.size, read: async () => new Uint8Array(await file.arrayBuffer()) }, pathFault);
  }

  private async addArchive(file: File, path: string): Promise<void> {
    try {
      const { readZip } = await import("./zip");
      for (const entry of await readZip(file)) {
        if (entry.fault === null) this.add(entry, archivePathFault);
        else if (this.isWanted(entry.path, false)) this.leave(entry.path, entry.fault);
      }
    } catch (error) {
      if (!(error instanceof ZipError || error instanceof DOMException)) throw error;
      this.leave(path, error instanceof ZipError ? error.fault : "unreadable");
    }
  }

  private add(file: Found, faultOf: typeof pathFault): void {
    const path = file.path.replace(/^(?:\.\/)+/, "").normalize("NFC");
    if (!this.isWanted(path, false)) return;
    if (faultOf(path) !== null) this.leave(path, "path");
    else if (this.found.length >= FOUND_MAX) this.isFull = true;
    else this.found.push({ path, bytes: file.bytes, read: () => file.read() });
  }

  private isWanted(path: string, isFolder: boolean): boolean {
    const unwanted = this.isEverything ? null : unwantedPart(path, isFolder);
    if (unwanted !== null) this.leave(unwanted, "unwanted");
    return unwanted === null;
  }

  private leave(path: string, reason: Reason): void {
    this.leftOut.set(path, { path, reason });
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** Browsers hand a folder's entries over in batches, and say by an empty one that it was the last. */
async function* childrenOf(entry: FileSystemDirectoryEntry): AsyncGenerator<FileSystemEntry> {
  const reader = entry.createReader();
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return;
    yield* batch;
  }
}
