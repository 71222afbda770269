/**
 * A whole new text for a file, as the few changes that make it of the old one, so that carets and what others type beside
 * the changes stay.
 *
 * Owns: finding those changes. Does not know: who wants them.
 */
import type { Session, TextEdit } from "../model";

/** Characters that may differ before finding the smallest difference is given up for a rougher one. */
const SCAN_MAX = 2_000;
const SCAN_MS = 300;
/** Others type meanwhile: so often is a new difference found. */
const TRIES = 8;

/** The changes from one text to another, sorted. */
export async function differences(before: string, after: string): Promise<TextEdit[]> {
  const { diff } = await import("@codemirror/merge");
  return diff(before, after, { scanLimit: SCAN_MAX, timeout: SCAN_MS }).map((change) => ({
    from: change.fromA,
    to: change.toA,
    insert: after.slice(change.fromB, change.toB),
  }));
}

/** Make a file read `text`. Returns false when others changed it all the time; rejects with `RefusedError`. */
export async function replaceText(session: Session, fileId: number, text: string): Promise<boolean> {
  const wanted = text.replace(/\r\n?/g, "\n");
  for (let tries = 0; tries < TRIES; tries++) {
    const now = await session.textOf(fileId);
    if (now === wanted) return true;
    if (await session.editFile(fileId, now, await differences(now, wanted))) return true;
  }
  return false;
}
