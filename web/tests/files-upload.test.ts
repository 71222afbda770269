/** An upload as a whole, against a workspace in memory. */

import { describe, expect, it } from "vitest";
import { RefusedError } from "../src/errors";
import { packed, withLineEnds, zipName } from "../src/files/download";
import type { Source } from "../src/files/gather";
import { differences } from "../src/files/replacing";
import { Upload } from "../src/files/upload.svelte";
import { readZip } from "../src/files/zip";
import type { FileRecord } from "../src/messages";
import type { Session, TextEdit } from "../src/model";
import { Cell } from "../src/observable";
import { settle } from "./tab";

/** The part of a session that uploads use, over a map of texts. */
class TextsOnly {
  readonly files = new Cell<ReadonlyMap<number, FileRecord>>(new Map());
  readonly limits = new Cell({ document_units_max: 1_000 });
  readonly texts = new Map<number, string>();
  readonly imports: string[][] = [];
  readonly edits: TextEdit[][] = [];
  refusal: RefusedError | null = null;
  /** Done before the next import or edit: others at work. */
  meanwhile: (() => void) | null = null;
  private next = 1;

  add(path: string, text: string): number {
    const fileId = this.next++;
    const record: FileRecord = { file_id: fileId, path, epoch: "e", eol: "lf", deleted_at_ms: null };
    this.files.set(new Map(this.files.value).set(fileId, record));
    this.texts.set(fileId, text.replace(/\r\n?/g, "\n"));
    return fileId;
  }

  textAt(path: string): string | undefined {
    const record = [...this.files.value.values()].find((file) => file.path === path);
    return record === undefined ? undefined : this.texts.get(record.file_id);
  }

  textOf(fileId: number): Promise<string> {
    const text = this.texts.get(fileId);
    return text === undefined ? Promise.reject(new RefusedError(0, "not here")) : Promise.resolve(text);
  }

  async importFiles(files: ReadonlyMap<string, string>): Promise<FileRecord[]> {
    this.others();
    if (this.refusal !== null) throw this.refusal;
    for (const path of files.keys()) if (this.textAt(path) !== undefined) throw new RefusedError(4428, "taken");
    this.imports.push([...files.keys()]);
    for (const [path, text] of files) this.add(path, text);
    return [];
  }

  async editFile(fileId: number, expected: string, edits: readonly TextEdit[]): Promise<boolean> {
    this.others();
    if (this.texts.get(fileId) !== expected) return false;
    let text = expected;
    for (const edit of edits.toReversed()) text = text.slice(0, edit.from) + edit.insert + text.slice(edit.to);
    this.texts.set(fileId, text);
    this.edits.push([...edits]);
    return true;
  }

  private others(): void {
    const { meanwhile } = this;
    this.meanwhile = null;
    meanwhile?.();
  }
}

function begin(): { texts: TextsOnly; upload: Upload } {
  const texts = new TextsOnly();
  return { texts, upload: new Upload(texts as unknown as Session) };
}

function dropped(files: Record<string, string | Uint8Array<ArrayBuffer>>): Source[] {
  return Object.entries(files).map(([path, content]) => ({ kind: "file", path, file: new File([content], path) }));
}

async function untilAsked(upload: Upload): Promise<void> {
  for (let turn = 0; upload.phase !== "asking"; turn++) {
    if (turn > 50) throw new Error(`never asked: ${upload.phase}`);
    await settle();
  }
}

describe("an upload", () => {
  it("adds all that is text at once, and names the rest with the reason", async () => {
    const { texts, upload } = begin();
    const report = await upload.begin(
      dropped({
        "p/a.py": "a\r\n",
        "p/b.py": "",
        "p/c.png": "x",
        "p/d.bin": Uint8Array.of(1, 0),
        "p/e.txt": "x".repeat(1_001),
        "p/f.txt": Uint8Array.of(0x63, 0xe9),
      }),
      "docs",
    );
    expect(texts.imports).toEqual([["docs/p/a.py", "docs/p/b.py"]]);
    expect(report?.added).toEqual(["docs/p/a.py", "docs/p/b.py"]);
    expect(Object.fromEntries(report?.leftOut.map((each) => [each.path, each.reason]) ?? [])).toEqual({
      "p/c.png": "image",
      "p/d.bin": "binary",
      "p/e.txt": "large",
      "p/f.txt": "encoding",
    });
  });

  it("keeps two files of one name, and takes files that would be folders of others for what is in the way", async () => {
    const { texts, upload } = begin();
    const report = await upload.begin(
      [
        ...dropped({ "a.txt": "one", "d/e.txt": "e" }),
        ...dropped({ "a.txt": "two", d: "no folder" }),
        ...dropped({ "a.txt": "one" }),
      ],
      "",
    );
    expect(["a.txt", "a (2).txt", "d/e.txt"].map((path) => texts.textAt(path))).toEqual(["one", "two", "e"]);
    expect(texts.imports).toEqual([["a.txt", "d/e.txt", "a (2).txt"]]);
    expect(report?.leftOut).toEqual([{ path: "d", reason: "inTheWay" }]);
  });

  it("asks about each file that is there with another text, or once for all", async () => {
    const { texts, upload } = begin();
    for (const path of ["a.txt", "b.txt", "c.txt", "same.txt"]) texts.add(path, `old ${path} end`);
    const files = { "a.txt": "new a", "b.txt": "old b.txt, new end", "c.txt": "new c", "same.txt": "old same.txt end" };
    const running = upload.begin(dropped({ ...files, "n.txt": "n" }), "");
    await untilAsked(upload);
    expect(upload.conflict).toEqual({ path: "a.txt", more: 2 });
    expect(texts.imports).toEqual([]);
    upload.answer("both", false);
    await untilAsked(upload);
    expect(upload.conflict).toEqual({ path: "b.txt", more: 1 });
    upload.answer("replace", true);
    const report = await running;
    expect(report).toMatchObject({
      added: ["n.txt", "a (2).txt"],
      replaced: ["b.txt", "c.txt"],
      unchanged: ["same.txt"],
      leftOut: [],
    });
    expect(texts.textAt("a.txt")).toBe("old a.txt end");
    expect(texts.textAt("a (2).txt")).toBe("new a");
    expect(texts.textAt("b.txt")).toBe("old b.txt, new end");
    expect(texts.edits[0]).toEqual([{ from: 9, to: 9, insert: ", new" }]);
  });

  it("looks for the difference anew when others type into a file while it is replaced", async () => {
    const { texts, upload } = begin();
    const fileId = texts.add("a.txt", "one two");
    const running = upload.begin(dropped({ "a.txt": "one three" }), "");
    await untilAsked(upload);
    texts.meanwhile = () => texts.texts.set(fileId, "zero one two");
    upload.answer("replace", false);
    expect((await running)?.replaced).toEqual(["a.txt"]);
    expect(texts.textAt("a.txt")).toBe("one three");
    expect(texts.edits).toHaveLength(1);
  });

  it("asks when others take a path while it is on its way", async () => {
    const { texts, upload } = begin();
    texts.meanwhile = () => void texts.add("a.txt", "theirs");
    const running = upload.begin(dropped({ "a.txt": "mine", "b.txt": "b" }), "");
    await untilAsked(upload);
    upload.answer("skip", false);
    const report = await running;
    expect(report?.added).toEqual(["b.txt"]);
    expect(report?.leftOut).toEqual([{ path: "a.txt", reason: "skipped" }]);
    expect(texts.textAt("a.txt")).toBe("theirs");
  });

  it("puts no file where a folder is, nor the other way round", async () => {
    const { texts, upload } = begin();
    texts.add("a", "a file");
    texts.add("b/c", "in a folder");
    const report = await upload.begin(dropped({ "a/x.txt": "x", b: "b", "d.txt": "d" }), "");
    expect(report?.added).toEqual(["d.txt"]);
    expect(report?.leftOut.map((each) => each.reason)).toEqual(["inTheWay", "inTheWay"]);
  });

  it("tells what the server refused", async () => {
    const { texts, upload } = begin();
    texts.refusal = new RefusedError(4429, "Too many files.");
    const report = await upload.begin(dropped({ "a.txt": "a" }), "");
    expect(report).toMatchObject({
      added: [],
      fault: "Too many files.",
      leftOut: [{ path: "a.txt", reason: "refused" }],
    });
  });

  it("that is cancelled at the question has changed nothing, and another one can begin", async () => {
    const { texts, upload } = begin();
    texts.add("a.txt", "old");
    const running = upload.begin(dropped({ "a.txt": "new", "b.txt": "b" }), "");
    await untilAsked(upload);
    upload.close();
    expect(await running).toBeNull();
    expect(texts.textAt("a.txt")).toBe("old");
    expect(texts.textAt("b.txt")).toBeUndefined();
    expect((await upload.begin(dropped({ "b.txt": "b" }), ""))?.added).toEqual(["b.txt"]);
  });

  it("once more takes what tools made, too, and what is there already stays", async () => {
    const { texts, upload } = begin();
    const first = await upload.begin(dropped({ "p/a.js": "a", "p/node_modules/m.js": "m" }), "");
    expect(first?.leftOut).toEqual([{ path: "p/node_modules/", reason: "unwanted" }]);
    const second = await upload.again();
    expect(second).toMatchObject({ added: ["p/node_modules/m.js"], unchanged: ["p/a.js"], leftOut: [] });
    expect(texts.files.value.size).toBe(2);
  });
});

describe("a download", () => {
  it("made here holds each file with its line ends, and tells what is missing", async () => {
    const { texts } = begin();
    const crlf = texts.add("d/a.txt", "a\nb\n");
    texts.add("d/__proto__", "p");
    const lost = texts.add("d/lost.txt", "");
    texts.texts.delete(lost);
    const files = [...texts.files.value.values()].map(
      (file): FileRecord => (file.file_id === crlf ? { ...file, eol: "crlf" } : file),
    );
    const zip = await packed(texts as unknown as Session, files, "d");
    expect([zip.count, zip.wanted]).toEqual([2, 3]);
    const entries = await readZip(zip.blob);
    const read = await Promise.all(
      entries.map(async (each) => [each.path, new TextDecoder().decode(await each.read())]),
    );
    expect(read.sort()).toEqual([
      ["__proto__", "p"],
      ["a.txt", "a\r\nb\r\n"],
    ]);
    expect(withLineEnds("a\n", "lf")).toBe("a\n");
  });

  it("has a name that every system takes", () => {
    expect(zipName("Our: project/2")).toBe("Our- project-2.zip");
    expect(zipName(" .. ")).toBe("workspace.zip");
  });
});

it("the difference of two texts is small, and makes one of the other", async () => {
  const before = Array.from({ length: 2_000 }, (_, line) => `line ${line}`).join("\n");
  const after = before.replace("line 7\n", "line seven\n").replace("line 1990", "line 1990, changed");
  const edits = await differences(before, after);
  expect(edits.reduce((sum, edit) => sum + edit.to - edit.from + edit.insert.length, 0)).toBeLessThan(40);
  const made = edits.reduceRight((text, edit) => text.slice(0, edit.from) + edit.insert + text.slice(edit.to), before);
  expect(made).toBe(after);
});
