/**
 * The actions of a workspace's screen that belong to no single part of it.
 *
 * Owns: their names, keys and conditions. Does not know: who shows what they open. Parts add their own actions.
 *
 * Keys avoid what browsers keep for themselves and what CodeMirror means by them in the text (commands.test.ts has both
 * tables). Firefox keeps Mod-Shift-p, and a Mac's F1 dims the screen, so the palette has three. Alt is ⌃⌥ on a Mac.
 */
import { type CommandId, editorCommands } from "../editor/commands";
import type { Session } from "../model";
import { languageOfRun } from "../run/runnable";
import { strings } from "../strings";
import { type Action, IS_MAC } from "./actions.svelte";
import type { Layout } from "./layout.svelte";
import type { OpenFiles } from "./openfiles.svelte";
import { settings } from "./settings.svelte";

export interface Screen {
  readonly session: Session;
  readonly opened: OpenFiles;
  readonly layout: Layout;
  /** The path of the seen file; null when there is none. */
  path(): string | null;
  createFile(): void;
}

const text = strings.actions;

export function isMarkdown(path: string | null): boolean {
  return path !== null && /\.(md|markdown|mdx|mkdn?)$|(^|\/)README$/i.test(path);
}

export function workspaceActions(screen: Screen): Action[] {
  return [
    ...viewActions(screen),
    ...editorActions(screen),
    ...fileActions(screen),
    ...tabActions(screen),
    ...workspaceOnes(screen),
    ...settingActions(),
  ];
}

function viewActions({ session, layout, opened, path }: Screen): Action[] {
  const group = text.groups.view;
  const mayChange = (): boolean => session.role.value === "editor" || session.role.value === "owner";
  const isFileSeen = (): boolean => opened.active !== null;
  return [
    {
      id: "palette",
      group,
      label: text.palette,
      keys: IS_MAC ? ["Mod-Shift-p", "Alt-x", "F1"] : ["F1", "Mod-Shift-p", "Alt-x"],
      run: () => (layout.dialog = "palette"),
    },
    { id: "files", group, label: text.files, keys: ["Mod-Shift-e"], run: () => layout.toggleLeft("files") },
    { id: "search", group, label: text.search, keys: ["Mod-Shift-f"], run: () => layout.search(false) },
    {
      id: "replace",
      group,
      label: text.replace,
      keys: ["Mod-Shift-h"],
      enabled: mayChange,
      run: () => layout.search(true),
    },
    { id: "sidebar", group, label: text.sidebar, keys: ["Mod-b"], run: () => layout.toggleLeft(layout.left) },
    { id: "chat", group, label: text.chat, keys: ["Alt-c"], run: () => layout.toggleAux("chat") },
    {
      id: "preview",
      group,
      label: text.preview,
      keys: ["Alt-v"],
      enabled: () => layout.aux === "preview" || isMarkdown(path()),
      run: () => layout.toggleAux("preview"),
    },
    {
      id: "run",
      group: text.groups.run,
      label: text.run,
      keys: ["Mod-Enter"],
      enabled: () => languageOfRun(path() ?? "") !== null,
      run: () => layout.run(),
    },
    { id: "output", group, label: text.output, keys: ["Alt-o"], run: () => (layout.isRunShown = !layout.isRunShown) },
    { id: "light", group, label: text.light, run: () => (layout.dialog = "light") },
    {
      id: "language",
      group: text.groups.editor,
      label: text.language,
      enabled: isFileSeen,
      run: () => (layout.dialog = "language"),
    },
    {
      id: "indent",
      group: text.groups.editor,
      label: text.indent,
      enabled: isFileSeen,
      run: () => (layout.dialog = "indent"),
    },
    {
      id: "gotoline",
      group: text.groups.editor,
      label: text.goToLine,
      keys: ["Alt-g"],
      enabled: isFileSeen,
      run: () => (layout.dialog = "gotoline"),
    },
  ];
}

/** Where a Mac has other keys for a command of the editor than editor/commands.ts says. */
const MAC_KEYS: Partial<Record<CommandId, string>> = {
  fold: "Mod-Alt-[",
  unfold: "Mod-Alt-]",
  blockComment: "Ctrl-Shift-a",
};

/** What the seen editor can do. Its own keymap answers to the keys; those of vim and emacs are not told. */
function editorActions({ opened }: Screen): Action[] {
  const group = text.groups.editor;
  const ids = (Object.keys(editorCommands) as CommandId[]).filter((id) => id !== "goToLine");
  return ids.map((id) => ({
    id: `editor-${id}`,
    group,
    label: strings.editor.commands[id],
    shown: () =>
      settings.keymap === "default" ? ((IS_MAC ? MAC_KEYS[id] : undefined) ?? editorCommands[id].keys ?? "") : "",
    enabled: () => {
      const { editor } = opened;
      return editor !== null && !(editorCommands[id].writes === true && editor.view.state.readOnly);
    },
    run: () => void opened.editor?.run(id),
  }));
}

function fileActions({ session, layout, opened, createFile }: Screen): Action[] {
  const group = text.groups.files;
  const mayChange = (): boolean => session.role.value === "editor" || session.role.value === "owner";
  const isFileSeen = (): boolean => opened.active !== null;
  const close = (): void => {
    if (opened.active !== null) opened.close(opened.active);
  };
  return [
    {
      id: "quickopen",
      group,
      label: text.quickOpen,
      keys: ["Mod-p", "Alt-p"],
      run: () => (layout.dialog = "quickopen"),
    },
    { id: "create", group, label: strings.files.create, keys: ["Alt-n"], enabled: mayChange, run: createFile },
    { id: "close", group, label: text.closeTab, keys: ["Alt-w"], enabled: isFileSeen, run: close },
    {
      id: "reopen",
      group,
      label: text.reopenTab,
      keys: ["Alt-Shift-w"],
      enabled: () => opened.isReopenable,
      run: () => void opened.reopen(),
    },
  ];
}

/** Tabs that have a number for a key. */
const NUMBERED_TABS = 9;

function tabActions({ opened }: Screen): Action[] {
  const group = text.groups.files;
  const place = (): number => opened.list.findIndex((each) => each.fileId === opened.active);
  const hasOthers = (): boolean => opened.active !== null && opened.list.length > 1;
  const on = (run: (fileId: number) => void) => (): void => {
    if (opened.active !== null) run(opened.active);
  };
  return [
    { id: "closeothers", group, label: text.closeOthers, enabled: hasOthers, run: on((id) => opened.closeOthers(id)) },
    {
      id: "closeright",
      group,
      label: text.closeRight,
      enabled: () => opened.active !== null && place() < opened.list.length - 1,
      run: on((fileId) => opened.closeRight(fileId)),
    },
    {
      id: "nexttab",
      group,
      label: text.nextTab,
      keys: ["Alt-PageDown"],
      enabled: hasOthers,
      run: () => opened.step(1),
    },
    {
      id: "previoustab",
      group,
      label: text.previousTab,
      keys: ["Alt-PageUp"],
      enabled: hasOthers,
      run: () => opened.step(-1),
    },
    {
      id: "tableft",
      group,
      label: text.tabLeft,
      enabled: () => place() > 0,
      run: on((fileId) => opened.move(fileId, place() - 1)),
    },
    {
      id: "tabright",
      group,
      label: text.tabRight,
      enabled: () => place() >= 0 && place() < opened.list.length - 1,
      run: on((fileId) => opened.move(fileId, place() + 1)),
    },
    ...Array.from({ length: NUMBERED_TABS }, (_, at) => ({
      id: `tab-${at + 1}`,
      group,
      label: text.goToTab(at + 1),
      keys: [`Alt-${at + 1}`],
      enabled: () => opened.list[at] !== undefined,
      run: () => {
        const tab = opened.list[at];
        if (tab !== undefined) opened.open(tab.fileId);
      },
    })),
  ];
}

function workspaceOnes({ session, layout }: Screen): Action[] {
  const group = text.groups.workspace;
  return [
    { id: "share", group, label: text.share, keys: ["Alt-s"], run: () => (layout.dialog = "share") },
    {
      id: "workspace",
      group,
      label: text.workspace,
      enabled: () => session.role.value === "owner",
      run: () => (layout.dialog = "workspace"),
    },
    {
      id: "rescue",
      group,
      label: text.rescue,
      enabled: () => session.setAside.value.count > 0,
      run: () => (layout.dialog = "rescue"),
    },
    {
      id: "you",
      group: text.groups.settings,
      label: strings.bar.you,
      keys: ["Mod-,"],
      run: () => (layout.dialog = "you"),
    },
  ];
}

function settingActions(): Action[] {
  const group = text.groups.settings;
  return [
    { id: "wrap", group, label: strings.foot.wrap, keys: ["Alt-z"], run: () => settings.set({ wrap: !settings.wrap }) },
    {
      id: "whitespace",
      group,
      label: text.whitespace,
      run: () => settings.set({ whitespace: !settings.whitespace }),
    },
    { id: "larger", group, label: text.larger, keys: ["Alt-="], run: () => settings.zoom(1) },
    { id: "smaller", group, label: text.smaller, keys: ["Alt--"], run: () => settings.zoom(-1) },
    { id: "normalsize", group, label: text.normalSize, keys: ["Alt-0"], run: () => settings.zoom(0) },
    ...(["default", "vim", "emacs"] as const).map((keymap) => ({
      id: `keymap-${keymap}`,
      group,
      label: text.keymap(strings.you.keymaps[keymap]),
      run: () => settings.set({ keymap }),
    })),
    ...(["system", "light", "dark"] as const).map((theme) => ({
      id: `theme-${theme}`,
      group,
      label: text.theme(strings.you.themes[theme]),
      run: () => settings.set({ theme }),
    })),
  ];
}
