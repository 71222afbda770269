/**
 * The parts of a workspace that are fetched when they are first shown, so that the editor is there sooner.
 *
 * Owns: which parts these are, and which of them are fetched ahead. Does not know: when they are shown.
 */
export const parts = {
  chat: () => import("./ChatPanel.svelte"),
  gotoline: () => import("./GoToLine.svelte"),
  indent: () => import("./IndentPicker.svelte"),
  language: () => import("./LanguagePicker.svelte"),
  light: () => import("./LightDetails.svelte"),
  palette: () => import("./Palette.svelte"),
  preview: () => import("./PreviewPanel.svelte"),
  quickopen: () => import("./QuickOpen.svelte"),
  rescue: () => import("./RescueDrawer.svelte"),
  run: () => import("./RunPanel.svelte"),
  search: () => import("./SearchPanel.svelte"),
  share: () => import("./ShareDialog.svelte"),
  workspace: () => import("./WorkspaceDialog.svelte"),
  you: () => import("./ProfileDialog.svelte"),
} as const;

/** Once the page has nothing else to do, in milliseconds at the latest; Safari does not say when that is. */
const AHEAD_MS = 3_000;

/** Do something when nobody waits for anything else; the answer takes it back. */
export function whenIdle(run: () => void): () => void {
  if ("requestIdleCallback" in window) {
    const handle = window.requestIdleCallback(run, { timeout: AHEAD_MS });
    return () => window.cancelIdleCallback(handle);
  }
  const timer = setTimeout(run, AHEAD_MS);
  return () => clearTimeout(timer);
}

/**
 * Fetch what opens by a key and is typed into at once: were it fetched only then, the first letters would go into the
 * text. A failure is told when the part is asked for.
 */
export function fetchAhead(): () => void {
  return whenIdle(() => {
    for (const part of [parts.quickopen, parts.palette, parts.gotoline, parts.language, parts.indent, parts.search]) {
      part().catch(() => undefined);
    }
  });
}
