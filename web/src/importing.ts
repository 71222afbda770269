/**
 * Files on their way into a workspace by HTTP, in requests that the server takes.
 *
 * Owns: what goes into which request. Does not know: where the files come from, how a request is sent.
 */

import { wellFormed } from "./reentry";

/** Bytes of one request's JSON: below the server's `BODY_BYTES_MAX` of 32 MiB, with room for what is around the files. */
export const PARCEL_BYTES_MAX = 24 * 1024 * 1024;

/**
 * The files in their order, in as few parcels as fit. `\r` stays for the server to see; half characters become U+FFFD.
 * A file that is too large alone goes alone: the server says so.
 */
export function inParcels(files: ReadonlyMap<string, string>, bytesMax = PARCEL_BYTES_MAX): Map<string, string>[] {
  const parcels: Map<string, string>[] = [];
  const encoder = new TextEncoder();
  let parcel = new Map<string, string>();
  let bytes = 0;
  for (const [path, given] of files) {
    const text = wellFormed(given);
    const size = encoder.encode(JSON.stringify(path)).length + encoder.encode(JSON.stringify(text)).length + 2;
    if (parcel.size > 0 && bytes + size > bytesMax) {
      parcels.push(parcel);
      parcel = new Map();
      bytes = 0;
    }
    parcel.set(path, text);
    bytes += size;
  }
  if (parcel.size > 0) parcels.push(parcel);
  return parcels;
}
