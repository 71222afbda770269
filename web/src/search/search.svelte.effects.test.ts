import { flushSync } from "svelte";
import { expect, test, vi } from "vitest";
import * as Y from "yjs";
import type { FileRecord } from "../messages";
import type { FileDocument, Session, Status } from "../model";
import { Cell } from "../observable";
import { scan } from "./scan";
import type { Scanned, Scanner } from "./scanner";
import { Search } from "./search.svelte";

const record = (file_id: number, path: string): FileRecord => ({
  ...{ file_id, path, epoch: "e", eol: "lf", deleted_at_ms: null },
});

test("a file that cannot be read does not make an effect forget what has changed in others", async () => {
  vi.useFakeTimers();
  const texts = new Map([
    [1, "x"],
    [2, "x"],
  ]);
  const files = new Cell<ReadonlyMap<number, FileRecord>>(
    new Map([
      [1, record(1, "a")],
      [2, record(2, "b")],
    ]),
  );
  const textOf = async (fileId: number): Promise<string> => {
    const text = texts.get(fileId);
    if (text === undefined) throw new Error("not here");
    return text;
  };
  const session = { files, status: new Cell<Status>({ kind: "online" }), textOf } as unknown as Session;
  const scanner = {
    scan: async (text: string, pattern: never, max: number): Promise<Scanned> => ({
      kind: "matches",
      matches: scan(text, pattern, max),
    }),
  } as unknown as Scanner;
  const search = new Search(session, scanner);
  await search.start({ text: "x", isRegexp: false, matchCase: false, wholeWord: false, include: "", exclude: "" });
  const text = new Y.Doc().getText("text");
  const document = { fileId: 1, text, generation: new Cell(0), ready: new Cell(true) } as unknown as FileDocument;
  let runs = 0;
  const end = $effect.root(() => {
    $effect(() => {
      runs++;
      return search.watch();
    });
    $effect(() => {
      runs++;
      return search.follow(document);
    });
  });
  flushSync();
  texts.set(1, "x x");
  text.insert(0, "x x");
  texts.delete(2);
  await search.refresh(2);
  expect([...search.unread]).toEqual([2]);
  flushSync();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(search.found.map(({ path, matches }) => `${path} ${matches.length}`)).toContain("a 2");
  expect(runs).toBe(2);
  end();
  vi.useRealTimers();
});
