/**
 * A message of the chat as pieces: words, addresses, and places in files.
 *
 * Owns: what counts as a place (`path:line`) and as an address. Does not know: what following one means.
 */

export type Piece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "address"; readonly text: string }
  | { readonly kind: "place"; readonly text: string; readonly fileId: number; readonly line: number | null };

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}]/g;
/** A path, perhaps with a line: what ends a sentence is not of it. */
const PLACE = /[^\s:<>"'`()[\]{},;]+(?::(\d{1,7}))?/g;

/** Cut a message up; `fileAt` knows the files by their paths. What pieces say, put together, is the message. */
export function piecesOf(text: string, fileAt: (path: string) => number | null): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const found of text.matchAll(ADDRESS)) {
    pieces.push(...placesIn(text.slice(at, found.index), fileAt), { kind: "address", text: found[0] });
    at = found.index + found[0].length;
  }
  return [...pieces, ...placesIn(text.slice(at), fileAt)];
}

function placesIn(text: string, fileAt: (path: string) => number | null): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const found of text.matchAll(PLACE)) {
    const [whole, digits] = found;
    const place = digits === undefined ? whole.replace(/[.!?]+$/, "") : whole;
    const path = digits === undefined ? place : place.slice(0, -digits.length - 1);
    const fileId = fileAt(path);
    if (fileId === null) continue;
    if (found.index > at) pieces.push({ kind: "text", text: text.slice(at, found.index) });
    pieces.push({ kind: "place", text: place, fileId, line: digits === undefined ? null : Number(digits) });
    at = found.index + place.length;
  }
  if (at < text.length) pieces.push({ kind: "text", text: text.slice(at) });
  return pieces;
}
