/**
 * Zip archives that people drop: read by their directory, one file at a time.
 *
 * Owns: the format, as far as it is needed. Does not know: what is wanted of an archive, where it goes.
 *
 * Invariants:
 *   1. Only the directory is read at once, and it is bounded; a file is inflated when asked for, and never beyond the
 *      size that the directory states.
 *   2. What comes out has the checksum that the directory states, or nothing comes out.
 *
 * Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
 */
import { ZipError, type ZipFault } from "./zipfault";

/** Files in one archive: four times what a workspace takes, so that what nobody wants may be among them. */
export const ENTRIES_MAX = 20_000;
/** Bytes of the directory: 20,000 entries with paths as long as a workspace takes. */
const DIRECTORY_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes inflated at once: a thousand times as many come out of the worst, and are looked at before the next. */
const CHUNK_BYTES = 16_384;
/** Where few are expected, so few are inflated at once: a file that lies about its size costs little until it is caught. */
const CHUNK_BYTES_MIN = 256;

const END = 0x06054b50;
const END_BYTES = 22;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const LOCATOR_64_BYTES = 20;
const ENTRY = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL = 0x04034b50;
const LOCAL_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;
const FILLED_16 = 0xffff;
const FILLED_32 = 0xffffffff;

export interface ZipEntry {
  /** As it is written there: nothing about it is checked. */
  readonly path: string;
  /** Bytes, inflated, as the archive states. */
  readonly bytes: number;
  /** Why it cannot be read; null when it can. */
  readonly fault: ZipFault | null;
  /** Rejects with `ZipError`. */
  read(): Promise<Uint8Array>;
}

interface Listed {
  readonly flags: number;
  readonly method: number;
  readonly checksum: number;
  readonly packed: number;
  readonly bytes: number;
  readonly at: number;
}

/** The files of an archive, folders left out. Rejects with `ZipError`. */
export async function readZip(blob: Blob): Promise<ZipEntry[]> {
  const { at, bytes, count } = await directoryOf(blob);
  if (count > ENTRIES_MAX || bytes > DIRECTORY_BYTES_MAX) throw new ZipError("entries");
  if (at + bytes > blob.size) throw new ZipError("damaged");
  const view = await viewOf(blob, at, at + bytes);
  const entries: ZipEntry[] = [];
  for (let place = 0; place < view.byteLength; ) {
    if (place + ENTRY_BYTES > view.byteLength || view.getUint32(place, true) !== ENTRY) break;
    const nameBytes = view.getUint16(place + 28, true);
    const extraBytes = view.getUint16(place + 30, true);
    const next = place + ENTRY_BYTES + nameBytes + extraBytes + view.getUint16(place + 32, true);
    if (next > view.byteLength || entries.length >= ENTRIES_MAX) throw new ZipError("damaged");
    const path = nameIn(bytesAt(view, place + ENTRY_BYTES, nameBytes), view.getUint16(place + 8, true));
    if (!path.endsWith("/")) entries.push(entryOf(blob, path, listedAt(view, place), isLink(view, place)));
    place = next;
  }
  return entries;
}

function entryOf(blob: Blob, path: string, listed: Listed, isLinked: boolean): ZipEntry {
  const isEncrypted = (listed.flags & 0x41) !== 0;
  const isKnown = listed.method === STORED || listed.method === DEFLATED;
  const fault = isLinked ? "link" : isEncrypted ? "encrypted" : isKnown ? null : "unknown";
  return {
    path,
    bytes: listed.bytes,
    fault,
    read: () => (fault === null ? inflated(blob, listed) : Promise.reject(new ZipError(fault))),
  };
}

/** Where the directory is: told at the end of the archive, before a comment of at most 65,535 bytes. */
async function directoryOf(blob: Blob): Promise<{ at: number; bytes: number; count: number }> {
  const from = Math.max(0, blob.size - END_BYTES - FILLED_16);
  const view = await viewOf(blob, from, blob.size);
  for (let place = view.byteLength - END_BYTES; place >= 0; place--) {
    if (view.getUint32(place, true) !== END) continue;
    const count = view.getUint16(place + 10, true);
    const bytes = view.getUint32(place + 12, true);
    const at = view.getUint32(place + 16, true);
    if (count !== FILLED_16 && bytes !== FILLED_32 && at !== FILLED_32) return { at, bytes, count };
    return directory64(blob, from + place);
  }
  throw new ZipError("damaged");
}

/** The same for archives above 4 GiB, or made as if they were: a locator stands right before the end. */
async function directory64(blob: Blob, end: number): Promise<{ at: number; bytes: number; count: number }> {
  if (end < LOCATOR_64_BYTES) throw new ZipError("damaged");
  const locator = await viewOf(blob, end - LOCATOR_64_BYTES, end);
  if (locator.getUint32(0, true) !== LOCATOR_64) throw new ZipError("damaged");
  const place = long(locator, 8);
  if (place + 56 > blob.size) throw new ZipError("damaged");
  const view = await viewOf(blob, place, place + 56);
  if (view.getUint32(0, true) !== END_64) throw new ZipError("damaged");
  return { count: long(view, 32), bytes: long(view, 40), at: long(view, 48) };
}

function listedAt(view: DataView, place: number): Listed {
  const listed = {
    flags: view.getUint16(place + 8, true),
    method: view.getUint16(place + 10, true),
    checksum: view.getUint32(place + 16, true),
    packed: view.getUint32(place + 20, true),
    bytes: view.getUint32(place + 24, true),
    at: view.getUint32(place + 42, true),
  };
  // Numbers that need 64 bits stand in an extra field, in this order, those that do not need it left out.
  const from = place + ENTRY_BYTES + view.getUint16(place + 28, true);
  const to = from + view.getUint16(place + 30, true);
  for (let field = from; field + 4 <= to; field += 4 + view.getUint16(field + 2, true)) {
    if (view.getUint16(field, true) !== 1) continue;
    let at = field + 4;
    const end = Math.min(to, at + view.getUint16(field + 2, true));
    for (const name of ["bytes", "packed", "at"] as const) {
      if (listed[name] !== FILLED_32 || at + 8 > end) continue;
      listed[name] = long(view, at);
      at += 8;
    }
  }
  return listed;
}

/** Made on a Unix, and its mode says symbolic link. */
function isLink(view: DataView, place: number): boolean {
  return view.getUint8(place + 5) === 3 && view.getUint16(place + 40, true) >> 12 === 0xa;
}

async function inflated(blob: Blob, listed: Listed): Promise<Uint8Array> {
  const local = await viewOf(blob, listed.at, listed.at + LOCAL_BYTES);
  if (local.byteLength < LOCAL_BYTES || local.getUint32(0, true) !== LOCAL) throw new ZipError("damaged");
  const from = listed.at + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true);
  const to = from + listed.packed;
  if (to > blob.size) throw new ZipError("damaged");
  const sink = new Sink(listed.bytes);
  if (listed.method === STORED) sink.take(await bytesOf(blob, from, to));
  else await inflate(blob, from, to, sink);
  return sink.whole(listed.checksum);
}

async function inflate(blob: Blob, from: number, to: number, sink: Sink): Promise<void> {
  const { Inflate } = await import("fflate");
  const stream = new Inflate((chunk) => sink.take(chunk));
  for (let at = from, end = from; at < to || at === from; at = end) {
    end = Math.min(to, at + Math.min(CHUNK_BYTES, Math.max(CHUNK_BYTES_MIN, sink.bytesLeft >> 3)));
    const chunk = await bytesOf(blob, at, end);
    try {
      stream.push(chunk, end === to);
    } catch (error) {
      throw error instanceof ZipError ? error : new ZipError("damaged");
    }
  }
}

/** What is inflated so far: never more than was stated. */
class Sink {
  private readonly bytesMax: number;
  private readonly chunks: Uint8Array[] = [];
  private bytes = 0;
  /** Of what came so far: at the end, that of a large file would hold the page up. */
  private checksum = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytesLeft(): number {
    return this.bytesMax - this.bytes;
  }

  take(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    if (this.bytes > this.bytesMax) throw new ZipError("damaged");
    this.checksum = crc32(chunk, this.checksum);
    this.chunks.push(chunk);
  }

  whole(checksum: number): Uint8Array {
    if (this.bytes !== this.bytesMax || this.checksum !== checksum) throw new ZipError("damaged");
    const whole = new Uint8Array(this.bytes);
    let at = 0;
    for (const chunk of this.chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The checksum of `bytes` behind others with the checksum `before`. */
function crc32(bytes: Uint8Array, before: number): number {
  let value = ~before;
  for (const byte of bytes) value = (CRC_TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
  return ~value >>> 0;
}

/** The second half of code page 437, in which names are that do not say that they are UTF-8. */
const CP437 =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

/** Many tools write UTF-8 without saying so: what can be read as that is that. */
function nameIn(bytes: Uint8Array, flags: number): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    if ((flags & 0x800) !== 0) throw new ZipError("damaged");
    return Array.from(bytes, (byte) => (byte < 128 ? String.fromCharCode(byte) : CP437[byte - 128])).join("");
  }
}

function long(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

function bytesAt(view: DataView, at: number, count: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, count);
}

async function bytesOf(blob: Blob, from: number, to: number): Promise<Uint8Array> {
  return new Uint8Array(await blob.slice(from, to).arrayBuffer());
}

async function viewOf(blob: Blob, from: number, to: number): Promise<DataView> {
  return new DataView(await blob.slice(from, to).arrayBuffer());
}
