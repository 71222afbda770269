import { EditorSelection, EditorState } from "@codemirror/state";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as Y from "yjs";
import { sameText, TextBinding } from "../src/editor/binding";
import { CaretBoard, cursorOf } from "../src/editor/carets";
import { wholeCharacters } from "../src/editor/codepoints";
import { endStep, holdStep, redo, UndoSteps, undo } from "../src/editor/undo";
import { chance, HeadlessView, hasHalves, sabotage } from "./editor-headless";

interface Desk {
  doc: Y.Doc;
  text: Y.Text;
  view: HeadlessView;
  carets: CaretBoard;
  steps: UndoSteps;
  faults: unknown[];
}

function deskOf(content = ""): Desk {
  const doc = new Y.Doc();
  const text = doc.getText("text");
  if (content !== "") text.insert(0, content);
  return deskOn(doc);
}

function deskOn(doc: Y.Doc): Desk {
  const text = doc.getText("text");
  const faults: unknown[] = [];
  const binding = new TextBinding(text, (reason) => faults.push(reason));
  const steps = new UndoSteps(text, binding.origin);
  const carets = new CaretBoard(text);
  const extensions = [
    EditorState.allowMultipleSelections.of(true),
    wholeCharacters(),
    steps.extension,
    binding.extension,
    carets.extension,
  ];
  const view = new HeadlessView(text.toString(), extensions);
  binding.attach(view.asView());
  steps.attach(view.asView());
  carets.attach(view.asView());
  return { doc, text, view, carets, steps, faults };
}

/** Each is told what the other does, at once. */
function joined(a: Desk, b: Desk): void {
  Y.applyUpdate(b.doc, Y.encodeStateAsUpdate(a.doc), "line");
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== "line") Y.applyUpdate(to.doc, update, "line");
    });
  }
}

function pair(content = ""): [Desk, Desk] {
  const a = deskOf(content);
  const b = deskOf();
  joined(a, b);
  return [a, b];
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("view and text stay the same", () => {
  test("what one types the other sees", () => {
    const [a, b] = pair("hello\n");
    a.view.type("one 😀\n");
    b.view.dispatch({ selection: { anchor: b.view.state.doc.length } });
    b.view.type("two\n");
    expect(a.view.text).toBe("one 😀\nhello\ntwo\n");
    expect(b.view.text).toBe(a.view.text);
    expect(a.text.toString()).toBe(a.view.text);
  });

  test("changes of several places at once arrive whole", () => {
    const [a, b] = pair("one two three");
    a.view.dispatch({
      changes: [
        { from: 0, to: 3, insert: "1" },
        { from: 4, insert: "🙂" },
        { from: 8, to: 13 },
      ],
    });
    expect(b.view.text).toBe("1 🙂two ");
    expect(a.text.toString()).toBe(b.view.text);
  });

  test("any edits of two, while apart or together, leave all four texts alike", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const next = chance(seed);
      const [a, b] = pair("a😀b👨‍👩‍👧c\n");
      for (let step = 0; step < 40; step++) {
        const { view } = next(2) === 0 ? a : b;
        const ends = [next(view.text.length + 1), next(view.text.length + 1)].sort((x, y) => x - y);
        const to = Math.min(ends[1] ?? 0, (ends[0] ?? 0) + 4);
        const insert = ["x", "😀", "👨‍👩‍👧", "\r\n", "", "\uDE00"][next(6)] ?? "";
        view.dispatch({ changes: { from: ends[0] ?? 0, to, insert } });
        const texts = new Set([a.view.text, b.view.text, a.text.toString(), b.text.toString()]);
        expect(texts.size, `seed ${seed}, step ${step}`).toBe(1);
      }
      expect(hasHalves(a.view.text), `seed ${seed}`).toBe(false);
      vi.advanceTimersByTime(10_000);
      expect([...a.faults, ...b.faults], `seed ${seed}`).toEqual([]);
    }
  });

  test("a \\r from another client does not shift what is typed after it", () => {
    const desk = deskOf("a\r\nb\r\nc");
    desk.view.dispatch({ changes: { from: desk.view.state.doc.length, insert: "!" } });
    desk.text.insert(1, "\r");
    expect(desk.view.text).toBe("a\r\r\nb\r\nc!");
    expect(desk.text.toString()).toBe(desk.view.text);
  });

  test("sameText compares whole texts", () => {
    const { view } = deskOf("a\nb\n😀");
    expect(sameText(view.state.doc, "a\nb\n😀")).toBe(true);
    expect(sameText(view.state.doc, "a\nb\n😁")).toBe(false);
  });
});

describe("a view that breaks says so (yjs#650)", () => {
  test("an exception on the way to the text is told, once", () => {
    const desk = deskOf("abc");
    sabotage(desk.text);
    desk.view.type("x");
    desk.view.type("y");
    expect(desk.faults).toHaveLength(1);
  });

  test("an exception on the way to the view is told", () => {
    const [a, b] = pair("abc");
    Object.assign(b.view, {
      dispatch: () => {
        throw new Error("a plugin threw");
      },
    });
    a.view.type("x");
    expect(b.faults).toHaveLength(1);
  });

  test("a view that fell behind in silence is found by its length, soon after the next change", () => {
    const desk = deskOf("abc");
    const { dispatch } = desk.view;
    Object.assign(desk.view, { dispatch: () => undefined });
    desk.text.insert(0, "lost");
    Object.assign(desk.view, { dispatch });
    desk.view.type("x");
    vi.advanceTimersByTime(250);
    expect(desk.faults).toHaveLength(1);
  });

  test("and one of equal length by its content, after some calm", () => {
    const desk = deskOf("abc");
    const { dispatch } = desk.view;
    Object.assign(desk.view, { dispatch: () => undefined });
    desk.doc.transact(() => {
      desk.text.delete(2, 1);
      desk.text.insert(2, "z");
    });
    Object.assign(desk.view, { dispatch });
    desk.view.type("x");
    vi.advanceTimersByTime(250);
    expect(desk.faults).toEqual([]);
    vi.advanceTimersByTime(5_000);
    expect(desk.faults).toHaveLength(1);
  });
});

describe("undo is per person", () => {
  test("it takes back one's own edits and leaves those of others", () => {
    const [a, b] = pair("");
    a.view.type("mine ");
    b.view.dispatch({ selection: { anchor: b.view.state.doc.length } });
    b.view.type("yours ");
    undo(a.view.asView());
    expect(a.view.text).toBe("yours ");
    expect(b.view.text).toBe("yours ");
    redo(a.view.asView());
    expect(a.view.text).toBe("mine yours ");
    undo(a.view.asView());
    undo(a.view.asView());
    expect(a.view.text).toBe("yours ");
  });

  test("what was pasted is a step of its own; typing and line breaks run on", () => {
    const { view } = deskOf("");
    view.type("a");
    view.type("\n", "input");
    view.type("b");
    view.type("PASTED", "input.paste");
    undo(view.asView());
    expect(view.text).toBe("a\nb");
    undo(view.asView());
    expect(view.text).toBe("");
  });

  test("it returns to where the edit was", () => {
    const { view } = deskOf("0123456789");
    view.dispatch({ selection: { anchor: 3 } });
    view.type("x");
    view.dispatch({ selection: { anchor: 10 } });
    undo(view.asView());
    expect(view.text).toBe("0123456789");
    expect(view.state.selection.main.head).toBe(3);
  });
});

test("a key costs no walk through the text, however many pieces that is in", () => {
  const desk = deskOf("begin");
  const below = chance(1);
  for (let turn = 0; turn < 500; turn++) desk.text.insert(below(desk.text.length + 1), "ab");
  desk.view.dispatch({ selection: { anchor: desk.text.length } });
  desk.view.type("a");
  let walked = 0;
  const items: Y.Item[] = [];
  for (let item = desk.text._start; item !== null; item = item.right) items.push(item);
  for (const item of items) {
    let next = item.right;
    const get = (): Y.Item | null => {
      walked++;
      return next;
    };
    Object.defineProperty(item, "right", { get, set: (value: Y.Item | null) => (next = value) });
  }
  for (const key of "forty keys, typed one after the other. .") desk.view.type(key);
  expect(desk.faults).toEqual([]);
  expect(walked).toBeLessThan(items.length);
  undo(desk.view.asView());
  expect(desk.view.text.endsWith("forty")).toBe(false);
});

describe("an undone step is shown", () => {
  const head = (desk: Desk): number => desk.view.state.selection.main.head;

  test("where it happened, when the caret was elsewhere before the edit", () => {
    const desk = deskOf("one two one");
    desk.view.dispatch({ selection: { anchor: 0 } });
    // As "replace all" does it: far from the caret.
    desk.view.dispatch({ changes: { from: 8, to: 11, insert: "1" }, userEvent: "input.replace.all" });
    desk.view.dispatch({ selection: { anchor: 2 } });
    undo(desk.view.asView());
    expect(desk.view.text).toBe("one two one");
    expect(head(desk)).toBe(11);
  });

  test("redone, at the end of what came back", () => {
    const desk = deskOf("abc");
    desk.view.dispatch({ selection: { anchor: 1 } });
    desk.view.type("XY");
    undo(desk.view.asView());
    desk.view.dispatch({ selection: { anchor: 3 } });
    redo(desk.view.asView());
    expect(desk.view.text).toBe("aXYbc");
    expect(head(desk)).toBe(3);
  });

  test("redone and undone again, as what was selected before it", () => {
    const { view } = deskOf("0123456789");
    view.dispatch({ selection: { anchor: 2, head: 5 } });
    view.type("x");
    view.type("y");
    for (let turn = 0; turn < 3; turn++) {
      undo(view.asView());
      expect(view.state.selection.main).toMatchObject({ anchor: 2, head: 5 });
      redo(view.asView());
      expect(view.text).toBe("01xy56789");
    }
  });

  test("with all carets that there were", () => {
    const desk = deskOf("a\na\n");
    desk.view.dispatch({
      selection: EditorSelection.create([EditorSelection.cursor(0), EditorSelection.cursor(2)], 1),
    });
    desk.view.type("x");
    desk.view.dispatch({ selection: { anchor: 0 } });
    undo(desk.view.asView());
    expect(desk.view.text).toBe("a\na\n");
    expect(desk.view.state.selection.ranges.map(({ head: at }) => at)).toEqual([0, 2]);
    expect(desk.view.state.selection.mainIndex).toBe(1);
  });

  test("where it is by now, when others typed before it meanwhile", () => {
    const [a, b] = pair("0123456789");
    a.view.dispatch({ selection: { anchor: 5 } });
    a.view.type("x");
    a.view.dispatch({ selection: { anchor: 0 } });
    b.view.type("before ");
    undo(a.view.asView());
    expect(a.view.text).toBe("before 0123456789");
    expect(head(a)).toBe("before 01234".length);
  });
});

describe("steps that are held together", () => {
  test("are one step, however long they take, and end where they are let go", () => {
    const { view, steps } = deskOf("");
    holdStep(view.asView(), true);
    // Yjs reads a clock of its own, which no test stops.
    expect(steps).toHaveProperty("manager.captureTimeout", Number.POSITIVE_INFINITY);
    view.type("a");
    view.type("PASTED", "input.paste");
    holdStep(view.asView(), false);
    view.type("b");
    undo(view.asView());
    expect(view.text).toBe("aPASTED");
    undo(view.asView());
    expect(view.text).toBe("");
  });

  test("and what ends a step begins another at once", () => {
    const { view } = deskOf("");
    view.type("a");
    endStep(view.asView());
    view.type("b");
    undo(view.asView());
    expect(view.text).toBe("a");
  });
});

test("what throws in undo keeps no edit from the text", () => {
  vi.stubGlobal("reportError", vi.fn());
  const desk = deskOf("abc");
  Object.assign(desk.steps, {
    follow: () => {
      throw new Error("from within undo");
    },
  });
  desk.view.type("x");
  expect(desk.text.toString()).toBe("xabc");
  expect(desk.faults).toEqual([]);
  expect(reportError).toHaveBeenCalledTimes(1);
  vi.unstubAllGlobals();
});

describe("carets of others", () => {
  const entry = (memberId: number, cursor: { anchor: unknown; head: unknown } | null) => ({
    memberId,
    name: `Member ${memberId}`,
    color: "#1d4ed8",
    cursor,
  });

  test("a caret keeps its place in the text while others edit", () => {
    const [a, b] = pair("one two");
    a.carets.receive([entry(7, cursorOf(b.text, 4, 7))]);
    a.view.type("😀");
    expect(a.carets.carets).toMatchObject([{ memberId: 7, anchor: 6, head: 9 }]);
  });

  test("one that is ahead of its text waits for it", async () => {
    const a = deskOf("one");
    const b = deskOf();
    Y.applyUpdate(b.doc, Y.encodeStateAsUpdate(a.doc));
    b.text.insert(3, " two");
    a.carets.receive([entry(7, cursorOf(b.text, 5, 5))]);
    expect(a.carets.carets).toEqual([]);
    Y.applyUpdate(a.doc, Y.encodeStateAsUpdate(b.doc));
    await Promise.resolve();
    expect(a.carets.carets).toMatchObject([{ memberId: 7, head: 5 }]);
  });

  test("who left, or has no caret any more, is not drawn", () => {
    const { carets, text } = deskOf("abc");
    carets.receive([entry(7, cursorOf(text, 1, 1)), entry(8, cursorOf(text, 2, 2))]);
    expect(carets.carets).toHaveLength(2);
    carets.receive([entry(7, null)]);
    expect(carets.carets).toEqual([]);
    carets.receive([entry(7, cursorOf(text, 1, 1))]);
    expect(carets.carets).toHaveLength(1);
  });

  test("nothing that a stranger sends as a position throws", () => {
    const { carets } = deskOf("abc");
    const strange = [
      null,
      0,
      "x",
      [],
      {},
      { item: 5 },
      { item: { client: -1, clock: "?" } },
      { tname: "other" },
      { type: {} },
    ];
    for (const anchor of strange) carets.receive([entry(7, { anchor, head: anchor })]);
    carets.receive([]);
    expect(carets.carets).toEqual([]);
  });
});
