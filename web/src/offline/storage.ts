/**
 * What the browser says of its storage for this page: how full it is, and whether it may throw it away.
 *
 * Owns: asking, once, that it does not. Does not know: what is stored.
 */

import type { Light } from "../model";
import type { Observable } from "../observable";

export interface StorageFacts {
  /** Bytes used and granted; null where the browser does not say. */
  readonly usedBytes: number | null;
  readonly grantedBytes: number | null;
  /** Whether it is kept until the person clears it; null where the browser does not say. */
  readonly isPersisted: boolean | null;
}

/** Milliseconds that edits are unsaved before the browser is asked: some ask the person, and a keystroke is no reason. */
const UNSAVED_MS = 10_000;

/** Never rejects. The browser offers none of it outside of secure contexts. */
export async function storageFacts(): Promise<StorageFacts> {
  try {
    const { storage } = navigator;
    const [estimate, isPersisted] = await Promise.all([storage.estimate(), storage.persisted()]);
    return { usedBytes: estimate.usage ?? null, grantedBytes: estimate.quota ?? null, isPersisted };
  } catch {
    return { usedBytes: null, grantedBytes: null, isPersisted: null };
  }
}

/** Once edits have been unsaved for a while, ask the browser not to throw them away. Returns what ends the watch. */
export function askToPersist(light: Observable<Light>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let end = (): void => undefined;
  end = light.subscribe((next) => {
    const isUnsaved = next.kind !== "saved" && next.count > 0;
    if (!isUnsaved) {
      clearTimeout(timer);
      timer = undefined;
      return;
    }
    timer ??= setTimeout(() => {
      end();
      // A refusal changes nothing: what is stored is stored as before.
      navigator.storage?.persist?.().catch(() => undefined);
    }, UNSAVED_MS);
  });
  return () => {
    clearTimeout(timer);
    end();
  };
}
