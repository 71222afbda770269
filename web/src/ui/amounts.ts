/**
 * Amounts as a person reads them: bytes, times of day.
 *
 * Owns: their units and places. Does not know: what is measured.
 */

const UNITS = ["B", "KB", "MB", "GB", "TB"] as const;

/** `12 KB`, `3.4 MB`: in thousands, as disks are sold. */
export function bytes(count: number): string {
  let rest = count;
  let unit = 0;
  while (rest >= 1_000 && unit < UNITS.length - 1) {
    rest /= 1_000;
    unit++;
  }
  return `${rest >= 10 || unit === 0 ? Math.round(rest) : rest.toFixed(1)} ${UNITS[unit]}`;
}

/** The time of day in this browser's language. */
export function timeOf(atMs: number): string {
  return new Date(atMs).toLocaleTimeString([], { timeStyle: "medium" });
}
