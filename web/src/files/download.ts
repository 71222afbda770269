/**
 * Files that leave the workspace: one as it is, many as a zip.
 *
 * Owns: their bytes and their way out of the page. Does not know: menus, messages.
 *
 * The whole workspace comes as the server has it on disk; without a connection, and for one folder, the zip is made here
 * of what this browser has, and what it does not have is told.
 */
import { RefusedError } from "../errors";
import type { FileRecord } from "../messages";
import type { Session } from "../model";
import { nameOf } from "./paths";

/** What was typed last is on its way to the disk: so long is waited for it, in milliseconds. */
const SAVED_WAIT_MS = 10_000;
/** A browser needs the address until it has begun to save; nobody tells when that is. */
const ADDRESS_MS = 60_000;

export interface Packed {
  readonly blob: Blob;
  /** How many files are in it, of those that were wanted. */
  readonly count: number;
  readonly wanted: number;
}

/** A text with the line ends that its file has elsewhere. */
export function withLineEnds(text: string, eol: FileRecord["eol"]): string {
  return eol === "crlf" ? text.replaceAll("\n", "\r\n") : text;
}

/** Offer a blob to the browser as a file. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), ADDRESS_MS);
}

/** One file, as this page has it. Rejects with `RefusedError` when it has it not. */
export async function downloadFile(session: Session, file: FileRecord): Promise<void> {
  const text = withLineEnds(await session.textOf(file.file_id), file.eol);
  save(new Blob([text], { type: "text/plain;charset=utf-8" }), nameOf(file.path));
}

/** A zip of the files as this page has them; their paths without `folder`, which they lie in. */
export async function packed(session: Session, files: readonly FileRecord[], folder = ""): Promise<Packed> {
  const { strToU8, Zip, ZipDeflate } = await import("fflate");
  const texts = await Promise.all(files.map((file) => textFor(session, file)));
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let count = 0;
  // One file after the other, not an object by paths: `__proto__` is a path like any.
  const zip = new Zip((error, chunk) => {
    if (error !== null) throw error;
    chunks.push(new Uint8Array(chunk));
  });
  for (const [at, file] of files.entries()) {
    const text = texts[at] ?? null;
    if (text === null) continue;
    const entry = new ZipDeflate(folder === "" ? file.path : file.path.slice(folder.length + 1));
    zip.add(entry);
    entry.push(strToU8(text), true);
    count++;
  }
  zip.end();
  return { blob: new Blob(chunks, { type: "application/zip" }), count, wanted: files.length };
}

async function textFor(session: Session, file: FileRecord): Promise<string | null> {
  try {
    return withLineEnds(await session.textOf(file.file_id), file.eol);
  } catch (error) {
    if (error instanceof RefusedError) return null;
    throw error;
  }
}

/** The whole workspace. Rejects with `RefusedError`. */
export async function packedWorkspace(session: Session): Promise<Packed> {
  const live = [...session.files.value.values()].filter((file) => file.deleted_at_ms === null);
  if (session.status.value.kind !== "online") return packed(session, live);
  await untilSaved(session);
  return { blob: await session.exportZip(), count: live.length, wanted: live.length };
}

/** What the server makes of a title as a file's name, for zips that are made here. */
export function zipName(title: string): string {
  const name = title.replace(/[\\/:*?"<>|\p{Cc}]+/gu, "-").replace(/^[\s.-]+|[\s.-]+$/g, "");
  return `${name === "" ? "workspace" : name}.zip`;
}

async function untilSaved(session: Session): Promise<void> {
  if (session.light.value.kind === "saved") return;
  let stop = (): void => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, SAVED_WAIT_MS);
    stop = session.light.subscribe((light) => {
      if (light.kind === "saved") resolve();
    });
  });
  clearTimeout(timer);
  stop();
}
