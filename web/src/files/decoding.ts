/**
 * Whether bytes are a text that can be edited here, and which.
 *
 * Owns: what counts as text. Does not know: paths but for their endings, uploads.
 *
 * Invariant: nothing is guessed: a text is UTF-8, or UTF-16 that says so, or it is refused.
 */

/** Why a file is not taken. `encoding`: text, it seems, but not in an encoding that is known for sure. */
export type TextFault = "image" | "media" | "archive" | "binary" | "encoding" | "large";

export type Decoded = { readonly text: string } | { readonly fault: TextFault };

/** Endings that are refused by name, so that large ones need not be read; whatever else is judged by its bytes. */
const ENDINGS: Readonly<Record<string, TextFault>> = Object.fromEntries([
  ...endings("image", "png jpg jpeg gif webp avif bmp ico tif tiff heic psd"),
  ...endings("media", "mp3 mp4 m4a mov avi mkv webm wav flac ogg"),
  ...endings("archive", "zip gz tgz bz2 xz 7z rar tar zst jar whl"),
  ...endings("binary", "pdf exe dll so dylib bin class o a pyc wasm woff woff2 ttf otf sqlite db docx xlsx pptx odt"),
]);

function endings(fault: TextFault, names: string): [string, TextFault][] {
  return names.split(" ").map((name) => [name, fault]);
}

/** What a file's name says against it; null when its bytes are to be looked at. */
export function faultByName(path: string): TextFault | null {
  const ending = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase();
  return ending === undefined || !Object.hasOwn(ENDINGS, ending) ? null : (ENDINGS[ending] ?? null);
}

/** Share of control characters above which bytes that are no UTF-8 are taken for no text at all. */
const CONTROLS_MAX = 0.02;

/** `unitsMax`: UTF-16 units that a document may have. A byte order mark is read and left out. */
export function decode(bytes: Uint8Array, unitsMax: number): Decoded {
  const encoding = encodingOf(bytes);
  // No encoding has more units than bytes, and UTF-8 at least a third as many.
  if (bytes.length > 4 * unitsMax) return { fault: "large" };
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return { fault: encoding === "utf-8" && !looksBinary(bytes) ? "encoding" : "binary" };
  }
  if (text.includes("\0")) return { fault: "binary" };
  return text.length > unitsMax ? { fault: "large" } : { text };
}

function encodingOf(bytes: Uint8Array): "utf-8" | "utf-16le" | "utf-16be" {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  return "utf-8";
}

function looksBinary(bytes: Uint8Array): boolean {
  const sample = bytes.subarray(0, 65_536);
  let controls = 0;
  for (const byte of sample) {
    if (byte === 0) return true;
    if (byte < 9 || (byte > 13 && byte < 27) || (byte > 27 && byte < 32)) controls++;
  }
  return controls > sample.length * CONTROLS_MAX;
}
