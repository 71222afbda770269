/**
 * The documents that this page holds: those that somebody looks at, and those that still have something to save.
 *
 * Owns: which are open, and kept edits until their document takes them. Does not know: the connection's life, requests.
 *
 * Invariants:
 *   1. A file has one document, however often it is opened.
 *   2. A document with unsaved edits stays until they are saved, whether anybody looks at it or not.
 *   3. A kept edit is in a document, waiting here, or set aside: never nowhere.
 */

import { SharedDocument, type Surroundings } from "./document";
import { Code, RefusedError, WireError } from "./errors";
import type { FileRecord } from "./messages";
import type { Entry } from "./pending";

const ENDS_OF_LINKS: ReadonlySet<number> = new Set([Code.LINK_REVOKED, Code.LINK_EXPIRED]);

export interface OpenDocumentsOptions {
  readonly around: Omit<Surroundings, "onChange">;
  /** The list of files is the server's, and not only this browser's memory of it. */
  readonly isListed: () => boolean;
  /** What is unsaved, or whether it is kept, has changed. */
  readonly onChange: () => void;
}

export class OpenDocuments {
  readonly #options: OpenDocumentsOptions;
  readonly #around: Surroundings;
  readonly #documents = new Map<number, SharedDocument>();
  /** Kept edits that no file of the list fits, yet. */
  #waiting: Entry[] = [];
  /** The code by which the link ended; null while it has not. */
  #endedBy: number | null = null;

  constructor(options: OpenDocumentsOptions) {
    this.#options = options;
    this.#around = {
      ...options.around,
      onChange: (document) => {
        options.onChange();
        this.#closeIfDone(document);
      },
    };
  }

  get all(): Iterable<SharedDocument> {
    return this.#documents.values();
  }

  /** Kept edits that no file of the list fits, yet. */
  get waiting(): readonly Entry[] {
    return this.#waiting;
  }

  /** Take these from what waits. */
  forgetWaiting(ids: ReadonlySet<string>): void {
    this.#waiting = this.#waiting.filter((entry) => !ids.has(entry.id));
  }

  /** Edits that are not known to be saved, except for what is set aside. */
  get unsavedCount(): number {
    const waiting = this.#waiting.reduce((sum, entry) => sum + entry.edits, 0);
    return [...this.#documents.values()].reduce((sum, document) => sum + document.unsaved.value, waiting);
  }

  /** Of these, what can never be sent: an open file still shows it. */
  get hopelessCount(): number {
    const hopeless = [...this.#documents.values()].filter((document) => document.isHopeless);
    return hopeless.reduce((sum, document) => sum + document.unsaved.value, 0);
  }

  find(fileId: number): SharedDocument | undefined {
    return this.#documents.get(fileId);
  }

  /** One user more of a file's document; each call wants one `leave`. Throws `RefusedError` when there is no such file. */
  enter(fileId: number): SharedDocument {
    const record = this.#around.record(fileId);
    if (record === undefined) throw new RefusedError(Code.FILE_UNKNOWN, "There is no such file.");
    const document = this.#documentOf(record);
    document.users++;
    return document;
  }

  leave(fileId: number): void {
    const document = this.#documents.get(fileId);
    if (document === undefined || document.users === 0) return;
    document.users--;
    if (document.users === 0) document.presence.hide();
    this.#closeIfDone(document);
  }

  /** Do something with the document of a file, if it is open. What goes wrong there is that file's alone. */
  guard(fileId: number, run: (document: SharedDocument) => void): void {
    const document = this.#documents.get(fileId);
    if (document === undefined) return;
    try {
      run(document);
    } catch (error) {
      if (error instanceof WireError) throw error;
      document.fail(error);
    }
  }

  welcomed(): void {
    for (const document of this.#documents.values()) {
      document.judge();
      document.open();
    }
  }

  lost(): void {
    for (const document of this.#documents.values()) document.disconnected();
  }

  /**
   * The session has ended: nothing can be written any more. Where the link itself is no more, what is unsaved is set
   * aside: no later page would send it, and one with another link can offer it.
   */
  ended(code: number): void {
    for (const document of this.#documents.values()) document.judge();
    if (!ENDS_OF_LINKS.has(code)) return;
    this.#endedBy = code;
    for (const document of this.#documents.values()) this.#around.pending.setAside(document.entries, code);
    this.#around.pending.putAside(this.#waiting.splice(0), code);
  }

  /** The list of files has changed; `changed` are the records that say something new. */
  listChanged(changed: readonly FileRecord[]): void {
    for (const record of changed) this.guard(record.file_id, (document) => document.recordChanged(record));
    for (const document of [...this.#documents.values()]) {
      if (this.#around.record(document.fileId) === undefined) document.gone();
    }
    this.adopt(this.#waiting.splice(0));
  }

  /** Give kept edits to their documents, in the background where nobody has them open. */
  adopt(entries: readonly Entry[]): void {
    const { pending } = this.#around;
    if (this.#endedBy !== null) {
      pending.putAside(entries, this.#endedBy);
      return;
    }
    const isListed = this.#options.isListed();
    for (const fileId of new Set(entries.map((entry) => entry.fileId))) {
      const kept = entries.filter((entry) => entry.fileId === fileId);
      const record = this.#around.record(fileId);
      const epoch = this.#documents.get(fileId)?.epoch ?? record?.epoch;
      const fitting = kept.filter((entry) => entry.epoch === epoch);
      const strange = kept.filter((entry) => entry.epoch !== epoch);
      if (record === undefined || record.deleted_at_ms !== null) {
        if (record === undefined && isListed) pending.putAside(kept, Code.FILE_UNKNOWN);
        else this.#waiting.push(...kept);
        continue;
      }
      if (isListed) pending.putAside(strange, Code.EPOCH_CHANGED);
      else this.#waiting.push(...strange);
      if (fitting.length > 0) this.#documentOf(record).adopt(fitting);
    }
    this.#options.onChange();
  }

  /** Let all go. The promises are kept when what is confirmed is remembered. */
  close(): Promise<void>[] {
    const closing = [...this.#documents.values()].map((document) => document.close());
    this.#documents.clear();
    return closing;
  }

  #documentOf(record: FileRecord): SharedDocument {
    const open = this.#documents.get(record.file_id);
    if (open !== undefined) return open;
    const document = new SharedDocument(this.#around, record);
    this.#documents.set(record.file_id, document);
    return document;
  }

  #closeIfDone(document: SharedDocument): void {
    if (document.users > 0 || (document.unsaved.value > 0 && !document.isHopeless)) return;
    if (this.#documents.get(document.fileId) !== document) return;
    this.#documents.delete(document.fileId);
    // Nobody sees it any more, and it would wait for ever: its edits are looked at and discarded by themselves.
    this.#around.pending.putAside(document.release(), document.refused.value?.code ?? 0);
    void document.close();
  }
}
