/**
 * What this page has asked of the list of files, and has not been answered yet.
 *
 * Owns: who waits for which number's answer. Does not know: the list itself, chat, HTTP.
 *
 * Invariant: whoever asks hears once: the records, the refusal, or that the connection was lost.
 */

import type { Connection } from "./connection";
import { RefusedError, refusalText } from "./errors";
import type { FileRecord, RefusedNotice, Request } from "./messages";

type FileRequest = Extract<
  Request,
  { type: "create_file" | "rename_file" | "delete_file" | "restore_file" | "rename_folder" | "delete_folder" }
>;

interface Asked {
  resolve(records: readonly FileRecord[]): void;
  reject(error: RefusedError): void;
}

export class FileRequests {
  readonly #connection: Pick<Connection, "isOnline" | "notify">;
  readonly #nextNumber: () => number;
  readonly #asked = new Map<number, Asked>();

  /** `nextNumber`: unique among all requests of the page. */
  constructor(connection: Pick<Connection, "isOnline" | "notify">, nextNumber: () => number) {
    this.#connection = connection;
    this.#nextNumber = nextNumber;
  }

  /** The records that it changed. Rejects with `RefusedError`, at once without a connection. */
  ask(request: FileRequest): Promise<readonly FileRecord[]> {
    if (!this.#connection.isOnline) {
      return Promise.reject(new RefusedError(0, "This needs a connection, and there is none at the moment."));
    }
    const number = this.#nextNumber();
    return new Promise((resolve, reject) => {
      this.#asked.set(number, { resolve, reject });
      this.#connection.notify({ ...request, request: number });
    });
  }

  answered(number: number, records: readonly FileRecord[]): void {
    this.#asked.get(number)?.resolve(records);
    this.#asked.delete(number);
  }

  refused(number: number, notice: RefusedNotice): void {
    this.#asked.get(number)?.reject(new RefusedError(notice.code, refusalText(notice)));
    this.#asked.delete(number);
  }

  /** The connection is gone, and the answers with it. */
  lost(): void {
    for (const asked of this.#asked.values()) {
      asked.reject(new RefusedError(0, "The connection was lost; whether it was done will show when it is back."));
    }
    this.#asked.clear();
  }
}
