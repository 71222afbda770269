/**
 * Copying text, also on plain HTTP, where browsers have no clipboard API.
 *
 * Owns: the two ways of copying. Does not know: what is copied.
 */

/** Copy `text`. Returns false when the browser lets nobody copy; then the caller shows the text selected. */
export async function copyText(text: string, near: HTMLElement = document.body): Promise<boolean> {
  if (window.isSecureContext && "clipboard" in navigator) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused by a permission: the old way may still work.
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.className = "visually-hidden";
  const focused = document.activeElement;
  // Outside of an open modal dialog everything is inert, so the text has to be inside.
  (near.closest("dialog") ?? document.body).append(area);
  area.select();
  let copied = false;
  try {
    copied = document.execCommand("copy");
  } finally {
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
  }
  return copied;
}
