/** What may come into a workspace: paths, texts, archives. */

import { strToU8, type ZipOptions, zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import vectors from "../../tests/vectors/paths.json";
import { decode, faultByName } from "../src/files/decoding";
import { gather, type Source } from "../src/files/gather";
import { archivePathFault, freePath, pathFault, unwantedPart } from "../src/files/paths";
import { readZip } from "../src/files/zip";
import { ZipError } from "../src/files/zipfault";

const never = new AbortController().signal;

function zipped(files: Record<string, string | Uint8Array>, options: ZipOptions = {}): Uint8Array<ArrayBuffer> {
  const contents = Object.entries(files).map(([path, text]) => [path, typeof text === "string" ? strToU8(text) : text]);
  return zipSync(Object.fromEntries(contents) as Record<string, Uint8Array>, options);
}

function source(path: string, content: string | Uint8Array<ArrayBuffer>): Source {
  return { kind: "file", path, file: new File([content], path.split("/").at(-1) ?? path) };
}

/** The place of the directory's first entry, or of the end. */
function placeOf(bytes: Uint8Array, signature: number): number {
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length - 4; at++) if (view.getUint32(at, true) === signature) return at;
  throw new Error("not there");
}

describe("a path", () => {
  it("is taken as the server takes it", () => {
    for (const path of vectors.kept) expect(pathFault(path.normalize("NFC")), path).toBeNull();
    for (const [path, why] of Object.entries(vectors.refused)) {
      expect(pathFault(path.normalize("NFC")), `${why}: ${JSON.stringify(path)}`).not.toBeNull();
    }
    expect(pathFault("a:b")).toBe("reserved");
    expect(pathFault("a/../b")).toBe("parts");
    expect(pathFault("a".repeat(256))).toBe("long");
    expect(pathFault(`${"a/".repeat(256)}b`)).toBe("long");
  });

  it("out of an archive leads nowhere else", () => {
    for (const path of ["../evil", "/etc/passwd", "C:evil", "c:/evil", "a/../../evil", "..\\evil"]) {
      expect(archivePathFault(path), path).not.toBeNull();
    }
  });

  it("of what tools make is told by its folder", () => {
    expect(unwantedPart("app/node_modules/x/index.js")).toBe("app/node_modules/");
    expect(unwantedPart("app/.git", true)).toBe("app/.git/");
    expect(unwantedPart("a/.DS_Store")).toBe("a/.DS_Store");
    expect(unwantedPart("venv.py")).toBeNull();
    expect(unwantedPart(".gitignore")).toBeNull();
  });

  it("that is taken gets a number before its ending", () => {
    const taken = new Set(["a/b.py", "a/b (2).py", ".env"]);
    expect(freePath("a/b.py", (path) => taken.has(path))).toBe("a/b (3).py");
    expect(freePath(".env", (path) => taken.has(path))).toBe(".env (2)");
  });
});

describe("bytes", () => {
  it("are text when they are UTF-8, or UTF-16 that says so; the mark is left out", () => {
    expect(decode(strToU8("naïve\r\n"), 99)).toEqual({ text: "naïve\r\n" });
    expect(decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), 99)).toEqual({ text: "a" });
    expect(decode(Uint8Array.of(0xff, 0xfe, 0xe9, 0), 99)).toEqual({ text: "é" });
    expect(decode(Uint8Array.of(0xfe, 0xff, 0, 0xe9), 99)).toEqual({ text: "é" });
    expect(decode(new Uint8Array(), 99)).toEqual({ text: "" });
  });

  it("are refused with the reason otherwise", () => {
    expect(decode(Uint8Array.of(0x63, 0x61, 0x66, 0xe9), 99)).toEqual({ fault: "encoding" });
    expect(decode(Uint8Array.of(0x61, 0, 0x62), 99)).toEqual({ fault: "binary" });
    expect(decode(Uint8Array.of(0x89, 1, 2, 3, 0xe9), 99)).toEqual({ fault: "binary" });
    expect(decode(strToU8("abc"), 2)).toEqual({ fault: "large" });
    expect(decode(strToU8("\u{1f600}"), 2)).toEqual({ text: "\u{1f600}" });
  });

  it("need not be read where the name says it", () => {
    expect(faultByName("a/B.PNG")).toBe("image");
    expect(faultByName("a.zip")).toBe("archive");
    for (const path of ["png", "a.svg", "a.ts", "a.constructor", "a.__proto__"])
      expect(faultByName(path), path).toBeNull();
  });
});

describe("an archive", () => {
  it("gives back what went into it, stored or deflated", async () => {
    const long = "line\n".repeat(50_000);
    for (const level of [0, 6] as const) {
      const entries = await readZip(new Blob([zipped({ "a/b.txt": long, "ü.txt": "ü", "e.txt": "" }, { level })]));
      expect(entries.map((entry) => entry.path)).toEqual(["a/b.txt", "ü.txt", "e.txt"]);
      const texts = await Promise.all(entries.map(async (entry) => new TextDecoder().decode(await entry.read())));
      expect(texts).toEqual([long, "ü", ""]);
    }
  });

  it("is read behind a comment and something in front of it is damage", async () => {
    const zip = zipped({ "a.txt": "a" });
    const commented = new Blob([zip, "a comment that the end does not tell of"]);
    expect(await readZip(commented)).toHaveLength(1);
    await expect(readZip(new Blob([zip.slice(0, 40)]))).rejects.toThrow(ZipError);
    await expect(readZip(new Blob(["no zip at all"]))).rejects.toThrow(ZipError);
    await expect(readZip(new Blob([]))).rejects.toThrow(ZipError);
  });

  it("never yields more than it states, nor what its checksum denies", async () => {
    const large = zipped({ "bomb.txt": "0".repeat(1_000_000) });
    const entry = placeOf(large, 0x02014b50);
    new DataView(large.buffer).setUint32(entry + 24, 10, true);
    const [bomb] = await readZip(new Blob([large]));
    expect(bomb?.bytes).toBe(10);
    await expect(bomb?.read()).rejects.toThrow("damaged");

    const changed = zipped({ "a.txt": "the text" }, { level: 0 });
    changed[placeOf(changed, 0x02014b50) - 1] = 33;
    const [wrong] = await readZip(new Blob([changed]));
    await expect(wrong?.read()).rejects.toThrow("damaged");
  });

  it("is read no further once a file has more than it states", async () => {
    const noise = crypto.getRandomValues(new Uint8Array(65_536));
    const zip = zipped({
      "bomb.bin": new Uint8Array(1_048_576).map((_, at) => noise[(at % 65_536) ^ (at >> 16)] ?? 0),
    });
    new DataView(zip.buffer).setUint32(placeOf(zip, 0x02014b50) + 24, 10, true);
    const blob = new Blob([zip]);
    const [bomb] = await readZip(blob);
    const slice = blob.slice.bind(blob);
    let bytes = 0;
    blob.slice = (...range) => {
      const piece = slice(...range);
      bytes += piece.size;
      return piece;
    };
    await expect(bomb?.read()).rejects.toThrow("damaged");
    expect(zip.length).toBeGreaterThan(500_000);
    expect(bytes).toBeLessThan(40_000);
  });

  it("says which of its files are encrypted, links, or packed in another way", async () => {
    const zip = zipped({ "a.txt": "a" });
    const entry = placeOf(zip, 0x02014b50);
    const view = new DataView(zip.buffer);
    view.setUint16(entry + 8, 1, true);
    expect((await readZip(new Blob([zip])))[0]?.fault).toBe("encrypted");
    view.setUint16(entry + 8, 0, true);
    view.setUint16(entry + 10, 14, true);
    expect((await readZip(new Blob([zip])))[0]?.fault).toBe("unknown");
    view.setUint8(entry + 5, 3);
    view.setUint16(entry + 40, 0xa1ff, true);
    expect((await readZip(new Blob([zip])))[0]?.fault).toBe("link");
  });

  it("with any byte changed or cut is read or refused, and nothing else", async () => {
    const whole = zipped({ "a/b.txt": "some text ".repeat(20), "c.txt": "" });
    for (let at = 0; at < whole.length; at++) {
      for (const zip of [whole.slice(0, at), whole.with(at, (whole[at] ?? 0) ^ 0xff)]) {
        try {
          for (const entry of await readZip(new Blob([zip]))) await entry.read();
        } catch (error) {
          expect(error, `byte ${at}`).toBeInstanceOf(ZipError);
        }
      }
    }
  });
});

describe("what was dropped", () => {
  it("is listed with the paths of its folders; what tools made is left out, and not when it is wanted", async () => {
    const sources = [source("app/a.py", "a"), source("app/.git/config", "x"), source("app/.git/HEAD", "x")];
    const some = await gather(sources, false, never);
    expect(some.found.map((file) => file.path)).toEqual(["app/a.py"]);
    expect(some.leftOut).toEqual([{ path: "app/.git/", reason: "unwanted" }]);
    const all = await gather(sources, true, never);
    expect(all.found).toHaveLength(3);
    expect(all.leftOut).toEqual([]);
  });

  it("is an archive's content when it is one, but not when it lies in a folder or another archive", async () => {
    const inner = zipped({ "x.txt": "x" });
    const zip = zipped({ "a.txt": "a", "inner.zip": inner, "../evil": "e", "C:/evil": "e" });
    const { found, leftOut } = await gather([source("p.zip", zip), source("dir/q.zip", inner)], false, never);
    expect(found.map((file) => file.path)).toEqual(["a.txt", "inner.zip", "dir/q.zip"]);
    expect(leftOut.map((each) => each.path).sort()).toEqual(["../evil", "C:/evil"]);
    expect(new Set(leftOut.map((each) => each.reason))).toEqual(new Set(["path"]));
  });

  it("is gathered no further once that is not wanted", async () => {
    const abort = new AbortController();
    abort.abort();
    await expect(gather([source("a.txt", "a")], false, abort.signal)).rejects.toThrow();
  });
});
