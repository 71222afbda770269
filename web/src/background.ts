/**
 * Reading and changing files that nobody looks at: for a search over all of them, a program that imports them, a replacement.
 *
 * Owns: how many are loaded at a time, and when a document is fit to be read. Does not know: what the texts are for.
 *
 * Invariants:
 *   1. At most `LOADS_MAX` documents are loaded at a time; one that is level already waits for nobody.
 *   2. A document is let go however the reading ends.
 */

import type { SharedDocument } from "./document";
import { Code, RefusedError } from "./errors";
import type { FileRecord } from "./messages";
import type { Refusal, Status, TextEdit } from "./model";
import type { Observable } from "./observable";
import type { OpenDocuments } from "./opendocuments";
import { wholeEdits } from "./textedits";

/** Documents loaded at a time: they fill a line, and leave room for what is typed meanwhile. */
export const LOADS_MAX = 8;

export interface BackgroundOptions {
  readonly documents: Pick<OpenDocuments, "find" | "enter" | "leave">;
  readonly files: Observable<ReadonlyMap<number, FileRecord>>;
  readonly status: Observable<Status>;
}

export class Background {
  readonly #options: BackgroundOptions;
  #loading = 0;
  /** Whoever waits for a place, in order: each is called when it has one. */
  readonly #queue = new Set<() => void>();

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  /** See `Session.textOf`. */
  textOf(fileId: number, signal?: AbortSignal): Promise<string> {
    return this.#with(fileId, signal, (document) => document.text.toString());
  }

  /** See `Session.editFile`. */
  editFile(fileId: number, expected: string, edits: readonly TextEdit[], signal?: AbortSignal): Promise<boolean> {
    return this.#with(fileId, signal, async (document) => {
      await document.keep();
      if (document.readOnly.value) throw this.#whyReadOnly(document);
      if (document.text.toString() !== expected) return false;
      const whole = wholeEdits(expected, edits);
      document.doc.transact(() => {
        for (const { from, to, insert } of whole.reverse()) {
          if (to > from) document.text.delete(from, to - from);
          if (insert !== "") document.text.insert(from, insert);
        }
      });
      return true;
    });
  }

  async #with<T>(
    fileId: number,
    signal: AbortSignal | undefined,
    run: (document: SharedDocument) => T | Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const isLevel = this.#options.documents.find(fileId)?.synced.value === true;
    // A document that waits for its turn is not open yet: a thousand of them would be.
    if (!isLevel) await this.#turn(signal);
    try {
      const document = this.#options.documents.enter(fileId);
      try {
        if (!document.synced.value) await this.#untilReadable(document, signal);
        return await run(document);
      } finally {
        this.#options.documents.leave(fileId);
      }
    } finally {
      if (!isLevel) this.#passOn();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#loading < LOADS_MAX) {
      this.#loading++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const start = (): void => {
        signal?.removeEventListener("abort", stop);
        resolve();
      };
      const stop = (): void => {
        this.#queue.delete(start);
        reject(signal?.reason);
      };
      this.#queue.add(start);
      signal?.addEventListener("abort", stop, { once: true });
    });
  }

  /** The place goes to the next at once, so that nobody comes in between. */
  #passOn(): void {
    const [next] = this.#queue;
    if (next === undefined) {
      this.#loading--;
      return;
    }
    this.#queue.delete(next);
    next();
  }

  /** Level with the server; where that cannot be, as it is remembered. Rejects when there is neither. */
  #untilReadable(document: SharedDocument, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const watched: (() => void)[] = [];
      let isLoaded = false;
      const end = (error: unknown): void => {
        for (const unsubscribe of watched) unsubscribe();
        signal?.removeEventListener("abort", stop);
        if (error === null) resolve();
        else reject(error);
      };
      const stop = (): void => end(signal?.reason);
      const look = (): void => {
        if (!isLoaded) return;
        const why = this.#whyNotLevel(document);
        if (document.synced.value) end(null);
        else if (why !== null) end(document.ready.value && why.code !== Code.FILE_DELETED ? null : why);
      };
      signal?.addEventListener("abort", stop, { once: true });
      const { files, status } = this.#options;
      for (const each of [files, status, document.synced, document.refused]) watched.push(each.subscribe(look));
      void document.loaded.then(() => {
        isLoaded = true;
        look();
      });
    });
  }

  /** Why it will not come level soon; null when there is nothing to do but wait. */
  #whyNotLevel({ fileId, refused }: SharedDocument): RefusedError | null {
    const record = this.#options.files.value.get(fileId);
    const status = this.#options.status.value;
    if (record?.deleted_at_ms != null) return new RefusedError(Code.FILE_DELETED, "The file is deleted.");
    if (refused.value !== null) return ofRefusal(refused.value);
    if (status.kind === "closed") return new RefusedError(status.code, status.reason);
    if (status.kind !== "offline") return null;
    return new RefusedError(0, "There is no connection, and this browser does not have the file.");
  }

  #whyReadOnly({ refused }: SharedDocument): RefusedError {
    const status = this.#options.status.value;
    if (status.kind === "closed") return new RefusedError(status.code, status.reason);
    if (refused.value !== null) return ofRefusal(refused.value);
    return new RefusedError(Code.ROLE_TOO_LOW, "With this link the file can only be read.");
  }
}

function ofRefusal({ code, text, nextStep }: Refusal): RefusedError {
  return new RefusedError(code, `${text} ${nextStep}`);
}
