/**
 * Where a link of a Markdown file leads in the workspace.
 *
 * Owns: reading the link. Does not know: which files there are.
 */

/** The path that `target`, a link in the file at `from`, names; null when it names none. */
export function linkedPath(from: string, target: string): string | null {
  const written = decoded(target.replace(/[?#].*$/s, ""));
  if (written === "" || written.startsWith("//") || /^[a-z][a-z0-9+.-]*:/i.test(target)) return null;
  const parts = written.startsWith("/") ? [] : from.split("/").slice(0, -1);
  for (const part of written.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/").normalize("NFC");
}

/** A percent sign that stands for nothing is one that somebody meant. */
function decoded(written: string): string {
  try {
    return decodeURIComponent(written);
  } catch {
    return written;
  }
}
