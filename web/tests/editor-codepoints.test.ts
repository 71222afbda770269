import { deleteCharBackward, deleteCharForward, deleteGroupBackward } from "@codemirror/commands";
import { EditorSelection } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { describe, expect, test } from "vitest";
import { documentOf } from "../src/editor/binding";
import { splitsCharacter, wholeChange, wholeCharacters, withLineFeeds } from "../src/editor/codepoints";
import { wellFormed } from "../src/reentry";
import { chance, HeadlessView, hasHalves } from "./editor-headless";

const FACE = "😀"; // D83D DE00
const GRIN = "😁"; // D83D DE01: the same first half
const FAMILY = "👨‍👩‍👧"; // three faces and two joiners: 8 units

const viewOf = (doc: string): HeadlessView => new HeadlessView(doc, wholeCharacters());

describe("a change is always of whole characters", () => {
  test("half an emoji deleted is all of it deleted", () => {
    const view = viewOf(`a${FACE}b`);
    view.dispatch({ changes: { from: 2, to: 3 } });
    expect(view.text).toBe("ab");
    const other = viewOf(`a${FACE}b`);
    other.dispatch({ changes: { from: 1, to: 2 } });
    expect(other.text).toBe("ab");
  });

  test("an emoji swapped by its second half, as browsers report it, is the new emoji", () => {
    const view = viewOf(`a${FACE}b`);
    view.dispatch({ changes: { from: 2, to: 3, insert: GRIN.slice(1) } });
    expect(view.text).toBe(`a${GRIN}b`);
  });

  test("an emoji swapped by its first half is the new emoji", () => {
    const other = String.fromCodePoint(0x1fa00); // D83E DE00: the same second half
    const view = viewOf(`a${FACE}b`);
    view.dispatch({ changes: { from: 1, to: 2, insert: other.slice(0, 1) } });
    expect(view.text).toBe(`a${other}b`);
  });

  test("what is put into the middle of a character goes behind it", () => {
    const view = viewOf(`a${FACE}b`);
    view.dispatch({ changes: { from: 2, insert: "x" } });
    expect(view.text).toBe(`a${FACE}xb`);
    expect(view.state.selection.main.head).toBeLessThanOrEqual(view.text.length);
  });

  test("lone halves are replaced, pairs are kept", () => {
    expect(wellFormed(`\uD83Dx\uDE00${FACE}\uD83D`)).toBe(`\uFFFDx\uFFFD${FACE}\uFFFD`);
    const view = viewOf("");
    view.type("\uD83D");
    expect(view.text).toBe("\uFFFD");
  });

  test("a change of several places is mended in each", () => {
    const view = viewOf(`${FACE}-${FACE}`);
    view.dispatch({
      changes: [
        { from: 1, to: 2 },
        { from: 3, to: 4, insert: "x" },
      ],
    });
    expect(view.text).toBe("-x");
  });

  test("a whole change passes untouched, with its user event", () => {
    const view = viewOf("ab");
    const transaction = view.state.update({ changes: { from: 1, insert: FACE }, userEvent: "input.type" });
    expect(transaction.newDoc.toString()).toBe(`a${FACE}b`);
    expect(transaction.isUserEvent("input.type")).toBe(true);
  });

  test("backspace, delete and deletion by word leave no halves in emoji and joined families", () => {
    for (const command of [deleteCharBackward, deleteCharForward, deleteGroupBackward]) {
      const text = `x${FAMILY}${FACE}é 🇩🇪 ${FAMILY}`;
      for (let at = 0; at <= text.length; at++) {
        const view = viewOf(text);
        view.dispatch({ selection: EditorSelection.cursor(at) });
        command(view.asView());
        expect(hasHalves(view.text), `${command.name} at ${at}`).toBe(false);
      }
    }
  });

  test("any change at all keeps a whole document whole", () => {
    const pieces = ["a", "\n", FACE, GRIN, FAMILY, "\uD83D", "\uDE00", "\r\n", "\r", ""];
    for (let seed = 1; seed <= 200; seed++) {
      const next = chance(seed);
      const view = viewOf(`${FACE}a${FAMILY}\n${GRIN}${FACE}`);
      for (let step = 0; step < 30; step++) {
        const ends = [next(view.text.length + 1), next(view.text.length + 1)].sort((a, b) => a - b);
        const insert = `${pieces[next(pieces.length)]}${pieces[next(pieces.length)]}`;
        view.dispatch({ changes: { from: ends[0] ?? 0, to: ends[1] ?? 0, insert } });
        expect(hasHalves(view.text), `seed ${seed}, step ${step}`).toBe(false);
        expect(view.text, `seed ${seed}, step ${step}`).not.toContain("\r");
        expect(splitsCharacter(view.state.doc, view.state.selection.main.head), `seed ${seed}`).toBe(false);
      }
    }
  });
});

describe("line ends are \\n", () => {
  test("pasted and typed \\r\\n and \\r become \\n", () => {
    expect(withLineFeeds("a\r\nb\rc\nd")).toBe("a\nb\nc\nd");
    const view = viewOf("");
    view.type("a\r\nb\rc");
    expect(view.text).toBe("a\nb\nc");
    expect(view.state.doc.lines).toBe(3);
  });

  test("the clipboard is normalised before the document sees it", () => {
    const view = viewOf("");
    const filters = view.state.facet(EditorView.clipboardInputFilter);
    expect(filters.reduce((text, filter) => filter(text, view.state), "a\r\nb")).toBe("a\nb");
  });

  test("a \\r that another client wrote counts as one unit, as in Y.Text", () => {
    expect(documentOf("a\r\nb").length).toBe(4);
    expect(wholeChange(documentOf("a\r\nb"), 0, 0, "x")).toEqual({ from: 0, to: 0, insert: "x" });
  });
});
