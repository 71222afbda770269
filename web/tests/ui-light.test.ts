import { expect, test } from "vitest";
import type { Light } from "../src/model";
import { asksBeforeLeaving, gistOf, lookOf } from "../src/ui/light";

const offline = (count: number, kept = true): Light => ({ kind: "offline", count, kept });

test("edits are counted at once, wherever they are, and never called saved", () => {
  for (const keeping of ["kept", "writing", "tab"] as const) {
    for (const kind of ["connecting", "unsaved", "offline"] as const) {
      const { words } = lookOf({ kind, count: 3, kept: keeping === "kept" }, keeping, true);
      expect(words).toContain("3 edits");
      expect(words).not.toMatch(/all saved/i);
    }
  }
});

test("a server that cannot save is named with its reason, and is never calm", () => {
  for (const fault of ["full", "read_only", "failing", "damaged", "stalled"] as const) {
    for (const count of [0, 3]) {
      const light: Light = { kind: "failing", count, kept: true, fault };
      for (const isOld of [true, false]) {
        const look = lookOf(light, "kept", isOld);
        expect(look.tone).toBe("wait");
        expect(look.words).toMatch(/^Cannot save \(/);
        expect(look.words).not.toMatch(/all saved/i);
        expect(look.words.includes("3 edits kept here")).toBe(count === 3);
        expect(look.why).toContain(fault === "damaged" ? "damaged" : "cannot save");
      }
    }
  }
  const full = { kind: "failing", count: 2, kept: false, fault: "full" } as const;
  expect(lookOf(full, "tab", true)).toMatchObject({
    tone: "bad",
    words: "Cannot save (disk full): 2 edits only in this tab",
  });
  expect(lookOf(full, "writing", true).words).toBe("Cannot save (disk full): 2 edits");
  expect(asksBeforeLeaving(full)).toBe(true);
});

test("storage that is merely writing is neither red nor called kept", () => {
  const look = lookOf(offline(1, false), "writing", true);
  expect(look).toMatchObject({ tone: "wait", words: "Offline · 1 edit" });
  expect(lookOf(offline(1, false), "tab", true)).toMatchObject({
    tone: "bad",
    words: "Offline, only in this tab · 1 edit",
  });
  expect(lookOf(offline(1), "kept", true)).toMatchObject({ tone: "wait", words: "Offline, kept here · 1 edit" });
});

test("another count is not said aloud, another kind, tone or place is", () => {
  const gist = (light: Light, keeping: "kept" | "writing" | "tab"): string =>
    gistOf(light, keeping, lookOf(light, keeping, true));
  expect(gist(offline(2), "kept")).toBe(gist(offline(1), "kept"));
  expect(gist(offline(2, false), "writing")).toBe(gist(offline(1), "kept"));
  expect(gist(offline(1, false), "tab")).not.toBe(gist(offline(1), "kept"));
  expect(gist({ kind: "unsaved", count: 1, kept: true }, "kept")).not.toBe(gist(offline(1), "kept"));
});

test("leaving asks while edits are in this tab only, online or not", () => {
  expect(asksBeforeLeaving(offline(1, false))).toBe(true);
  expect(asksBeforeLeaving({ kind: "unsaved", count: 1, kept: false })).toBe(true);
  expect(asksBeforeLeaving({ kind: "connecting", count: 1, kept: false })).toBe(true);
  expect(asksBeforeLeaving(offline(1))).toBe(false);
  expect(asksBeforeLeaving(offline(0, false))).toBe(false);
  expect(asksBeforeLeaving({ kind: "saved" })).toBe(false);
  expect(asksBeforeLeaving({ kind: "saved" }, 1)).toBe(true);
  expect(asksBeforeLeaving({ kind: "saved" }, 0, true)).toBe(true);
});
