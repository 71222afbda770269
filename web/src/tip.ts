/**
 * Words beside the pointer.
 *
 * Owns: when they are there. Does not know: what they say.
 *
 * A `title` that says what the name says would be read twice by a screen reader, as a name and as a description; so it
 * is there only while a pointer is over what it belongs to. What a title alone says stays a `title`.
 */
import type { Attachment } from "svelte/attachments";

/** Shown over an element while the pointer rests on it; an empty text is none. */
export function tip(words: string): Attachment<HTMLElement> {
  return (node) => {
    if (words === "") return;
    const show = (): void => {
      node.title = words;
    };
    const hide = (): void => node.removeAttribute("title");
    node.addEventListener("pointerenter", show);
    node.addEventListener("pointerleave", hide);
    // The words may become others beneath the pointer.
    if (node.matches(":hover")) show();
    return () => {
      node.removeEventListener("pointerenter", show);
      node.removeEventListener("pointerleave", hide);
      hide();
    };
  };
}
