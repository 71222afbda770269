/**
 * One's own name and colour, kept in this browser.
 *
 * Owns: the names to begin with, and the palette. Does not know: what the server makes of them (`welcome` says it).
 */

import type { Browser } from "./browser";

export interface Profile {
  readonly name: string;
  readonly color: string;
}

/** UTF-16 units of a name. Source: `limits.NAME_UNITS_MAX`. */
export const NAME_UNITS_MAX = 40;

/** White letters on each keep a contrast of at least 4.5 to 1. Source: `access.PALETTE`. */
export const PALETTE = [
  "#c2410c",
  "#b45309",
  "#4d7c0f",
  "#15803d",
  "#0f766e",
  "#0e7490",
  "#1d4ed8",
  "#4338ca",
  "#7e22ce",
  "#a21caf",
  "#be185d",
  "#be123c",
] as const;

const KEY = "carets.profile";
const MANNERS = [
  "Quiet",
  "Swift",
  "Patient",
  "Bright",
  "Gentle",
  "Curious",
  "Steady",
  "Merry",
  "Keen",
  "Calm",
] as const;
const ANIMALS = ["Heron", "Finch", "Wren", "Otter", "Lynx", "Marten", "Plover", "Badger", "Swallow", "Hare"] as const;

/** The profile of this browser; at the first time a friendly one by chance, which is kept. */
export function loadProfile(browser: Browser): Profile {
  const kept = readKept(browser);
  if (kept !== null) return kept;
  const profile = {
    name: `${pick(MANNERS, browser)} ${pick(ANIMALS, browser)}`,
    color: pick(PALETTE, browser),
  };
  saveProfile(browser, profile);
  return profile;
}

/** Keep it for the next visit; where storage is refused it lasts as long as the page. */
export function saveProfile(browser: Browser, profile: Profile): void {
  try {
    browser.localStorage?.setItem(KEY, JSON.stringify(profile));
  } catch {
    // A full or forbidden storage costs a name, nothing else.
  }
}

function readKept(browser: Browser): Profile | null {
  try {
    const kept: unknown = JSON.parse(browser.localStorage?.getItem(KEY) ?? "null");
    if (typeof kept !== "object" || kept === null) return null;
    const { name, color } = kept as Record<string, unknown>;
    if (typeof name !== "string" || name === "" || typeof color !== "string") return null;
    return {
      name: name.slice(0, NAME_UNITS_MAX),
      color: /^#[0-9a-f]{6}$/.test(color) ? color : pick(PALETTE, browser),
    };
  } catch {
    return null;
  }
}

function pick<T>(from: readonly [T, ...T[]], browser: Browser): T {
  return from[Math.floor(browser.random() * from.length)] ?? from[0];
}
