/**
 * Letters that can be read on a member's colour.
 *
 * Owns: the choice between black and white. Does not know: whose colour it is; a stock client may bring any.
 */

/** Return black or white, whichever is easier to read on `color` (`#rrggbb`). */
export function inkOn(color: string): "#000000" | "#ffffff" {
  const value = Number.parseInt(color.slice(1), 16);
  if (Number.isNaN(value)) return "#ffffff";
  const light = (shift: number): number => {
    const part = ((value >> shift) & 255) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  // Relative luminance; 0.179 is where black and white contrast alike. Source: WCAG 2.2, relative luminance.
  return 0.2126 * light(16) + 0.7152 * light(8) + 0.0722 * light(0) > 0.179 ? "#000000" : "#ffffff";
}
