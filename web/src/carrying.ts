/**
 * After an older backup was restored on the server: what this browser remembers of files that nobody looks at goes up, too.
 *
 * Owns: when that is done, and that it is done once. Does not know: how a document is brought level, which sends all
 * that the server lacks, saved or not.
 */

import type { Background } from "./background";
import type { Memory } from "./memory";
import type { Welcome } from "./messages";
import type { Status } from "./model";
import type { Observable } from "./observable";

export interface CarryingOptions {
  readonly memory: Pick<Memory, "fileIds">;
  readonly background: Pick<Background, "textOf">;
  readonly status: Observable<Status>;
}

export class Carrying {
  readonly #options: CarryingOptions;
  readonly #done = new Set<number>();
  #isRunning = false;

  constructor(options: CarryingOptions) {
    this.#options = options;
  }

  welcomed({ carries, role }: Pick<Welcome, "carries" | "role">): void {
    if (carries && role !== "viewer" && !this.#isRunning) void this.#run();
  }

  /** One file after the other, as long as there is a connection; the next welcome goes on. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    const { memory, background, status } = this.#options;
    for (const fileId of await memory.fileIds()) {
      if (status.value.kind !== "online") break;
      if (this.#done.has(fileId)) continue;
      try {
        await background.textOf(fileId);
        this.#done.add(fileId);
      } catch {
        // It is gone or refused, or the connection went: another browser may have it, too.
      }
    }
    this.#isRunning = false;
  }
}
