/**
 * One upload: from what was dropped to files in the workspace, with the person's answers in between.
 *
 * Owns: its steps, what is asked, what is told in the end. Does not know: how it is shown, where the sources come from.
 *
 * Invariants:
 *   1. A file that is there is changed only after the person said so, and only by the difference.
 *   2. What was not added is named, with the reason.
 */
import { RefusedError } from "../errors";
import type { FileRecord } from "../messages";
import type { Session } from "../model";
import { decode, faultByName, type TextFault } from "./decoding";
import { type Found, type Reason as GatherReason, gather, type Source } from "./gather";
import { foldersOf, freePath, joined, pathFault } from "./paths";
import { replaceText } from "./replacing";
import { ZipError } from "./zipfault";

/** Bytes of text in one upload: five requests, and far above any source tree that a workspace takes. */
export const TEXT_BYTES_MAX = 128 * 1024 * 1024;
/** Bytes that are inflated or read in one upload, whatever comes of them: what a phone does in seconds. */
export const WORK_BYTES_MAX = 512 * 1024 * 1024;
/** A path that others take while this one is on its way is asked about; so often. */
const TRIES = 3;

/** `inTheWay`: a file is where a folder would be, or the other way round. `total`: the upload as a whole is too large. */
export type Reason = GatherReason | TextFault | "skipped" | "inTheWay" | "total" | "busy" | "refused";

export interface LeftOut {
  readonly path: string;
  readonly reason: Reason;
}

export interface Report {
  /** Paths of new files. */
  readonly added: readonly string[];
  /** Paths of files that were there and have another text now. */
  readonly replaced: readonly string[];
  /** Files that were there with the same text. */
  readonly unchanged: readonly string[];
  readonly leftOut: readonly LeftOut[];
  /** There were more files than one upload takes. */
  readonly isFull: boolean;
  /** What the server said against it; empty when nothing. */
  readonly fault: string;
}

export type Choice = "replace" | "both" | "skip";

export interface Conflict {
  readonly path: string;
  /** How many more there are after this one. */
  readonly more: number;
}

/** `idle`: there is none. */
export type Phase = "idle" | "reading" | "asking" | "sending" | "done";

interface Clash {
  readonly path: string;
  readonly text: string;
  readonly fileId: number;
}

export class Upload {
  phase = $state<Phase>("idle");
  /** Files that are dealt with in this phase, and all of them; 0 while that is not known. */
  progress = $state.raw<{ readonly done: number; readonly total: number }>({ done: 0, total: 0 });
  conflict = $state.raw<Conflict | null>(null);
  report = $state.raw<Report | null>(null);
  private readonly session: Session;
  private sources: readonly Source[] = [];
  private folder = "";
  private abort = new AbortController();
  private answered: ((choice: Choice, forAll: boolean) => void) | null = null;

  constructor(session: Session) {
    this.session = session;
  }

  get isRunning(): boolean {
    return this.phase !== "idle" && this.phase !== "done";
  }

  /** Put `sources` into a folder. The report is null when it was cancelled. Does nothing while another one runs. */
  async begin(sources: readonly Source[], folder: string, isEverything = false): Promise<Report | null> {
    if (this.isRunning || sources.length === 0) return null;
    this.sources = sources;
    this.folder = folder;
    this.abort = new AbortController();
    this.report = null;
    this.progress = { done: 0, total: 0 };
    this.phase = "reading";
    const { signal } = this.abort;
    try {
      const run = new Run(this.session, this, signal);
      this.report = await run.whole(sources, folder, isEverything);
      this.phase = "done";
      return this.report;
    } catch (error) {
      this.phase = "idle";
      if (signal.aborted) return null;
      throw error;
    }
  }

  /** The same once more, with what was left out because nobody wants it. What was added already stays as it is. */
  again(): Promise<Report | null> {
    return this.begin(this.sources, this.folder, true);
  }

  /** What to do about the conflict that is shown, and about all after it. */
  answer(choice: Choice, forAll: boolean): void {
    this.answered?.(choice, forAll);
  }

  /** While it is on its way to the server, what is under way comes to its end first. */
  cancel(): void {
    this.abort.abort();
    this.answered?.("skip", true);
  }

  close(): void {
    if (this.isRunning) this.cancel();
    this.phase = "idle";
    this.report = null;
    this.sources = [];
  }

  ask(conflict: Conflict): Promise<{ choice: Choice; forAll: boolean }> {
    this.phase = "asking";
    this.conflict = conflict;
    return new Promise((resolve) => {
      this.answered = (choice, forAll) => {
        this.answered = null;
        this.conflict = null;
        resolve({ choice, forAll });
      };
    });
  }
}

/** The steps of one upload, in their order. */
class Run {
  private readonly session: Session;
  private readonly upload: Upload;
  private readonly signal: AbortSignal;
  private readonly leftOut: LeftOut[] = [];
  private readonly added: string[] = [];
  /** What is on its way. */
  private sent: readonly string[] = [];
  private readonly unchanged: string[] = [];
  private readonly replaced: string[] = [];

  constructor(session: Session, upload: Upload, signal: AbortSignal) {
    this.session = session;
    this.upload = upload;
    this.signal = signal;
  }

  async whole(sources: readonly Source[], folder: string, isEverything: boolean): Promise<Report> {
    const gathered = await gather(sources, isEverything, this.signal);
    this.leftOut.push(...gathered.leftOut);
    const texts = await this.read(gathered.found, folder);
    let fault = "";
    try {
      await this.send(texts);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      fault = error.message;
      // Above some size it went up in several requests: those before the refusal are there.
      const live = livePaths(this.session);
      for (const path of this.sent) {
        if (live.has(path)) this.added.push(path);
        else this.leave(path, "refused");
      }
    }
    const { added, leftOut, unchanged, replaced } = this;
    return { added, replaced, unchanged, leftOut, isFull: gathered.isFull, fault };
  }

  /** The texts of what is text, by path in the workspace. */
  private async read(found: readonly Found[], folder: string): Promise<Map<string, string>> {
    const texts = new Map<string, string>();
    const unitsMax = this.session.limits.value.document_units_max;
    let work = 0;
    let size = 0;
    for (const [at, file] of found.entries()) {
      this.signal.throwIfAborted();
      this.upload.progress = { done: at, total: found.length };
      const path = joined(folder, file.path);
      const fault = pathFault(path) !== null ? "path" : faultByName(path);
      if (fault !== null) this.leave(file.path, fault);
      else if (file.bytes > 4 * unitsMax) this.leave(file.path, "large");
      else if (work + file.bytes > WORK_BYTES_MAX) this.leave(file.path, "total");
      else {
        work += file.bytes;
        const text = await this.textOf(file, unitsMax);
        if (text === null) continue;
        size += file.bytes;
        if (size > TEXT_BYTES_MAX) this.leave(file.path, "total");
        // Two of one name are two files, unless they are the same.
        else if (texts.get(path) !== text)
          texts.set(
            freePath(path, (each) => texts.has(each)),
            text,
          );
      }
    }
    return texts;
  }

  private async textOf(file: Found, unitsMax: number): Promise<string | null> {
    try {
      const decoded = decode(await file.read(), unitsMax);
      if ("text" in decoded) return decoded.text;
      this.leave(file.path, decoded.fault);
    } catch (error) {
      if (error instanceof ZipError) this.leave(file.path, error.fault);
      else if (error instanceof DOMException) this.leave(file.path, "unreadable");
      else throw error;
    }
    return null;
  }

  private async send(texts: ReadonlyMap<string, string>): Promise<void> {
    let wanted = texts;
    let always: Choice | null = null;
    for (let tries = 1; wanted.size > 0; tries++) {
      const sorted = await this.sort(wanted);
      const again = new Map(sorted.fresh);
      const replacing: Clash[] = [];
      for (const [at, clash] of sorted.clashes.entries()) {
        let choice: Choice | null = always;
        if (choice === null) {
          const answer = await this.upload.ask({ path: clash.path, more: sorted.clashes.length - at - 1 });
          choice = answer.choice;
          if (answer.forAll) always = choice;
        }
        this.signal.throwIfAborted();
        if (choice === "skip") this.leave(clash.path, "skipped");
        else if (choice === "replace") replacing.push(clash);
        else again.set(this.freePath(clash.path, again), clash.text);
      }
      this.upload.phase = "sending";
      this.upload.progress = { done: 0, total: again.size + replacing.length };
      const isTaken = await this.import(again, tries);
      for (const clash of replacing) await this.replace(clash);
      wanted = isTaken ? again : new Map();
    }
  }

  /** Whether others took one of the paths meanwhile, so that nothing of it was added. */
  private async import(files: ReadonlyMap<string, string>, tries: number): Promise<boolean> {
    if (files.size === 0) return false;
    this.sent = [...files.keys()];
    try {
      await this.session.importFiles(files);
    } catch (error) {
      const live = livePaths(this.session);
      const isTaken = [...files.keys()].some((path) => live.has(path));
      if (error instanceof RefusedError && isTaken && tries < TRIES) return true;
      throw error;
    }
    this.added.push(...this.sent);
    this.sent = [];
    this.step(files.size);
    return false;
  }

  private async replace(clash: Clash): Promise<void> {
    try {
      if (await replaceText(this.session, clash.fileId, clash.text)) this.replaced.push(clash.path);
      else this.leave(clash.path, "busy");
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      this.leave(clash.path, "refused");
    }
    this.step(1);
  }

  /** What is new, and what would change a file that is there. What cannot stand beside the files there is left out. */
  private async sort(texts: ReadonlyMap<string, string>): Promise<{ fresh: Map<string, string>; clashes: Clash[] }> {
    this.upload.phase = "reading";
    const live = livePaths(this.session);
    const folders = new Set([...live.keys()].flatMap(foldersOf));
    const fresh = new Map<string, string>();
    const clashes: Clash[] = [];
    for (const [path, text] of texts) {
      this.signal.throwIfAborted();
      const there = live.get(path);
      if (there !== undefined) {
        const now = await this.session.textOf(there.file_id, this.signal);
        if (now === text.replace(/\r\n?/g, "\n")) this.unchanged.push(path);
        else clashes.push({ path, text, fileId: there.file_id });
      } else if (folders.has(path) || foldersOf(path).some((each) => live.has(each) || fresh.has(each))) {
        this.leave(path, "inTheWay");
      } else {
        fresh.set(path, text);
        for (const each of foldersOf(path)) folders.add(each);
      }
    }
    return { fresh, clashes };
  }

  private freePath(path: string, among: ReadonlyMap<string, string>): string {
    const live = livePaths(this.session);
    return freePath(path, (each) => live.has(each) || among.has(each));
  }

  private leave(path: string, reason: Reason): void {
    this.leftOut.push({ path, reason });
  }

  private step(by: number): void {
    const { done, total } = this.upload.progress;
    this.upload.progress = { done: done + by, total };
  }
}

function livePaths(session: Session): Map<string, FileRecord> {
  const live = [...session.files.value.values()].filter((file) => file.deleted_at_ms === null);
  return new Map(live.map((file) => [file.path, file]));
}
