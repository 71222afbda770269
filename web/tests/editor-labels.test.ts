import { describe, expect, test } from "vitest";
import { type Asking, initials, LABEL_HEIGHT, layLabels, widthOf } from "../src/editor/labels";

const edges = { left: 0, right: 800, top: 8 };
const LINE = 20;

function asking(left: number, line: number, name: string, also: Partial<Asking> = {}): Asking {
  return { left, top: 8 + line * LINE, height: LINE, name, isRightToLeft: false, isLive: true, ...also };
}

const own = (line: number) => ({ left: 300, top: 8 + line * LINE, height: LINE });

/** The stretch of its row that each name covers. */
function spans(all: readonly Asking[], labels: ReturnType<typeof layLabels>): { from: number; to: number }[] {
  return all.flatMap((each, at) => {
    const label = labels[at];
    if (label == null) return [];
    const width = widthOf(label.text);
    const from = (label.reach === "right" ? each.left - 2 : each.left + 2 - width) + label.shift;
    return [{ from, to: from + width }];
  });
}

describe("a name at a caret", () => {
  test("stands above its line; on the first line below it", () => {
    expect(layLabels([asking(100, 5, "Ada")], edges, [])).toEqual([
      { text: "Ada", side: "above", reach: "right", shift: 0 },
    ]);
    expect(layLabels([asking(100, 0, "Ada")], edges, [])[0]?.side).toBe("below");
  });

  test("never covers the line in which one types", () => {
    expect(layLabels([asking(100, 5, "Ada")], edges, [own(4)])[0]?.side).toBe("below");
    expect(layLabels([asking(100, 5, "Ada")], edges, [own(6)])[0]?.side).toBe("above");
    expect(layLabels([asking(100, 5, "Ada")], edges, [own(5)])[0]?.side).toBe("above");
    expect(layLabels([asking(100, 5, "Ada")], edges, [own(4), own(6)])).toEqual([null]);
    expect(layLabels([asking(100, 0, "Ada")], edges, [own(1)])).toEqual([null]);
    expect(LABEL_HEIGHT).toBeLessThan(LINE);
  });

  test("turns to the left at the right edge, and in text from right to left", () => {
    expect(layLabels([asking(780, 5, "Ada Lovelace")], edges, [])[0]?.reach).toBe("left");
    expect(layLabels([asking(400, 5, "עדה", { isRightToLeft: true })], edges, [])[0]?.reach).toBe("left");
    expect(layLabels([asking(5, 5, "Ada Lovelace", { isRightToLeft: true })], edges, [])[0]?.reach).toBe("right");
  });

  test("is cut when it is long", () => {
    expect(layLabels([asking(9, 5, "x".repeat(60))], edges, [])[0]?.text).toBe(`${"x".repeat(24)}…`);
  });

  test("is whole while nobody else is near", () => {
    const all = [asking(100, 5, "Ada Lovelace"), asking(300, 5, "Grace Hopper"), asking(100, 9, "Alan Turing")];
    expect(layLabels(all, edges, []).map((each) => each?.text)).toEqual(all.map(({ name }) => name));
  });

  test("is shortened beside another, and they stand side by side", () => {
    const all = [asking(100, 5, "Ada Lovelace"), asking(104, 5, "Grace Hopper"), asking(104, 5, "Mia")];
    const labels = layLabels(all, edges, []);
    expect(labels.map((each) => each?.text)).toEqual(["AL", "GH", "M"]);
    const [a, b, c] = spans(all, labels);
    expect(a?.to ?? 0).toBeLessThan(b?.from ?? 0);
    expect(b?.to ?? 0).toBeLessThan(c?.from ?? 0);
  });

  test("does not count while it is not seen", () => {
    const all = [asking(100, 5, "Ada Lovelace", { isLive: false }), asking(104, 5, "Grace Hopper")];
    expect(layLabels(all, edges, [])[1]).toMatchObject({ text: "Grace Hopper", shift: 0 });
  });

  test("of thirty in one place, as many are shown as fit near it, and none lies on another", () => {
    const all = Array.from({ length: 30 }, (_, at) => asking(200 + at, 5, `Person ${at}`));
    const labels = layLabels(all, edges, []);
    const shown = spans(all, labels).sort((a, b) => a.from - b.from);
    expect(shown.length).toBeGreaterThan(2);
    expect(shown.length).toBeLessThan(30);
    for (const [at, { to }] of shown.entries()) expect(shown[at + 1]?.from ?? Infinity).toBeGreaterThan(to);
  });
});

test("initials are of two words, by whole characters", () => {
  expect(initials("Ada Lovelace")).toBe("AL");
  expect(initials("  Grace   Brewster Hopper ")).toBe("GB");
  expect(initials("😀 x")).toBe("😀x");
  expect(initials("")).toBe("");
});
