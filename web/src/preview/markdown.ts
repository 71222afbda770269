/**
 * Markdown as safe HTML, with the lines that each block came from.
 *
 * Owns: what of Markdown is understood, and what of HTML is let through. Does not know: where it is shown.
 *
 * Invariants:
 *   1. What comes out runs no script, loads nothing, and styles nothing outside of itself: whatever a text says.
 *   2. Each block carries `data-line`, the number of its first line, from 1.
 */
import DOMPurify, { type Config } from "dompurify";
import MarkdownIt from "markdown-it";

/** Text beyond this is not rendered: a page of it would take seconds at every key. */
export const PREVIEW_UNITS_MAX = 512 * 1024;

const markdown = new MarkdownIt({ html: true, linkify: true, typographer: false });

markdown.core.ruler.push("lines", (state) => {
  for (const token of state.tokens) {
    if (token.map !== null && token.nesting >= 0) token.attrSet("data-line", String(token.map[0] + 1));
  }
});

const ALLOWED: Config = {
  USE_PROFILES: { html: true },
  ADD_ATTR: ["data-line"],
  // No forms, media or frames; styles could cover the page, and ids could take the place of its own.
  FORBID_TAGS: [
    "style",
    "form",
    "input",
    "button",
    "textarea",
    "select",
    "audio",
    "video",
    "source",
    "picture",
    "dialog",
  ],
  FORBID_ATTR: ["style", "id", "name", "class", "target", "srcset", "background", "autofocus", "tabindex"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** Render `text`. A link to another place opens there and is told nothing; pictures of other hosts are not loaded. */
export function renderMarkdown(text: string): DocumentFragment {
  const html = markdown.render(text.slice(0, PREVIEW_UNITS_MAX));
  const fragment = DOMPurify.sanitize(html, { ...ALLOWED, RETURN_DOM_FRAGMENT: true });
  for (const link of fragment.querySelectorAll("a")) tameLink(link);
  for (const image of fragment.querySelectorAll("img")) tameImage(image);
  return fragment;
}

function tameLink(link: HTMLAnchorElement): void {
  const target = link.getAttribute("href") ?? "";
  if (/^(https?:|mailto:)/i.test(target)) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  } else {
    // A file of the workspace, or a place in this one: whoever shows it knows how to go there.
    link.dataset["goto"] = target;
    link.removeAttribute("href");
    link.setAttribute("role", "link");
    link.tabIndex = 0;
  }
}

/** A picture of another host would tell it who reads what, and the workspace holds text only. */
function tameImage(image: HTMLImageElement): void {
  const source = image.getAttribute("src") ?? "";
  if (source.startsWith("data:image/") && !source.startsWith("data:image/svg")) return;
  const word = document.createElement("span");
  word.className = "picture";
  word.textContent = image.alt === "" ? source : image.alt;
  word.title = source;
  image.replaceWith(word);
}
