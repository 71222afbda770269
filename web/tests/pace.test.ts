import { expect, test } from "vitest";
import { Pace } from "../src/pace";

const PART = 65_536;

/** Send parts while the window is open; how many went. */
function fill(pace: Pace): number {
  let parts = 0;
  for (; pace.isOpen; parts++) pace.asked(PART);
  return parts;
}

test("a line that nothing is known of gets two parts, and no third before a pong", () => {
  const pace = new Pace(() => 0);
  expect(fill(pace)).toBe(2);
  pace.answered();
  expect(pace.isOpen).toBe(true);
});

test("a fast line takes more and more, up to a bound", () => {
  const pace = new Pace(() => 0);
  let ahead = fill(pace);
  for (let round = 0; round < 200; round++) {
    pace.answered();
    ahead += fill(pace) - 1;
  }
  expect(ahead).toBe(64);
});

test("on a slow line parts go one by one, so that a keystroke waits for one", () => {
  let nowMs = 0;
  const pace = new Pace(() => nowMs);
  let ahead = fill(pace);
  for (let round = 0; round < 10; round++) {
    nowMs += 1_000;
    pace.answered();
    ahead += fill(pace) - 1;
  }
  expect(ahead).toBe(1);
});

test("a ping that only asks whether the line lives changes nothing", () => {
  let nowMs = 0;
  const pace = new Pace(() => nowMs);
  pace.asked(0);
  pace.asked(PART);
  nowMs = 60_000;
  pace.answered();
  expect(fill(pace)).toBe(1);
  pace.answered();
  expect(fill(pace)).toBe(0);
});
