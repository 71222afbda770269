/** Relative positions of many, found together. */

import { expect, test } from "vitest";
import * as Y from "yjs";
import { indexesOf } from "../src/editor/positions";
import { chance } from "./editor-headless";

function alone(text: Y.Text, json: unknown): number | null {
  try {
    const position = Y.createRelativePositionFromJSON(json);
    const found = Y.createAbsolutePositionFromRelativePosition(position, text.doc as Y.Doc);
    return found?.type === text ? found.index : null;
  } catch {
    return null;
  }
}

test("each is where Yjs alone would find it, after edits, deletions and undo", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const below = chance(seed);
    const docs = [new Y.Doc(), new Y.Doc()] as const;
    const texts = [docs[0].getText("text"), docs[1].getText("text")] as const;
    const manager = new Y.UndoManager(texts[0], { captureTimeout: 0 });
    const positions: unknown[] = [];
    for (let turn = 0; turn < 120; turn++) {
      const side = below(2) as 0 | 1;
      const text = texts[side];
      const at = below(text.length + 1);
      const act = below(10);
      if (act < 5) text.insert(at, "xyz".slice(0, 1 + below(3)));
      else if (act < 7) text.delete(at, Math.min(below(4), text.length - at));
      else if (act === 7) manager.undo();
      else if (act === 8) manager.redo();
      else Y.applyUpdate(docs[side], Y.encodeStateAsUpdate(docs[1 - side] as Y.Doc));
      const place = below(text.length + 1);
      positions.push(Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(text, place, below(2) - 1)));
    }
    for (const text of texts) {
      expect(indexesOf(text, positions), `seed ${seed}`).toEqual(positions.map((json) => alone(text, json)));
    }
  }
});

test("what is no position is nowhere, and keeps none of the others from being found", () => {
  const text = new Y.Doc().getText("text");
  text.insert(0, "abc");
  const good = Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(text, 1));
  const other = Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(new Y.Doc().getText("other"), 0));
  const bad = [null, 7, "x", {}, [], { item: 7 }, { item: { client: "a", clock: -1 } }, { tname: 5 }, other];
  expect(indexesOf(text, [...bad, good])).toEqual([...bad.map(() => null), 1]);
});

test("thirty take about one walk through a text in a thousand pieces, and not thirty", () => {
  const text = new Y.Doc().getText("text");
  const below = chance(1);
  for (let turn = 0; turn < 1_000; turn++) text.insert(below(text.length + 1), "ab");
  let walked = 0;
  const items: Y.Item[] = [];
  for (let item = text._start; item !== null; item = item.right) items.push(item);
  for (const item of items) {
    for (const side of ["left", "right"] as const) {
      const next = item[side];
      const get = (): Y.Item | null => {
        walked++;
        return next;
      };
      Object.defineProperty(item, side, { get });
    }
  }
  const end = Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(text, text.length - 1));
  walked = 0;
  expect(indexesOf(text, Array(60).fill(end))).toEqual(Array(60).fill(text.length - 1));
  expect(walked).toBeLessThan(2_100);
});

test("a position in a root that nobody has makes none", () => {
  // Whoever sent carets in ever new roots made as many of them in the documents of all who were told.
  const doc = new Y.Doc();
  const text = doc.getText("text");
  text.insert(0, "abc");
  const odd = Array.from({ length: 50 }, (_, at) => ({ type: null, tname: `root${at}`, item: null, assoc: 0 }));
  expect(indexesOf(text, [...odd, { type: null, tname: "text", item: null, assoc: 0 }])).toEqual([
    ...odd.map(() => null),
    3,
  ]);
  expect([...doc.share.keys()]).toEqual(["text"]);
});
