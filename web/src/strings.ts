/**
 * Every text that a person reads or hears on this page, in one place.
 *
 * Owns: the words. Does not know: where they stand. What the server sends along (refusals) comes in its own words.
 */
import type { Role } from "./messages";

function counted(count: number, one: string, many: string): string {
  return count === 1 ? `1 ${one}` : `${count} ${many}`;
}

export const edits = (count: number): string => counted(count, "edit", "edits");

/** Where unsaved edits are: in this browser's storage, on their way there, or in this tab and nowhere else. */
export type Keeping = "kept" | "writing" | "tab";

/** Nothing is said while they are on their way into storage. */
function whereKept(before: string, keeping: Keeping): string {
  return keeping === "writing" ? "" : `${before}${keeping === "kept" ? "kept here" : "only in this tab"}`;
}

export const strings = {
  product: "Carets",
  tagline: "Write code together. What you type is saved before anyone else sees it.",

  home: {
    create: "New workspace",
    title: "Title",
    titlePlaceholder: "Optional",
    token: "Create token",
    tokenHint: "This server asks for its token before it creates a workspace. Whoever runs it can tell you.",
    submit: "Create workspace",
    creating: "Creating…",
    recent: "Recent workspaces",
    recentEmpty: "Workspaces that you open in this browser are listed here.",
    forget: (title: string): string => `Forget ${title}`,
    forgetHint: "Forgetting removes it from this list only. Keep its link if you want to come back.",
    untitled: "Untitled workspace",
    unreachable:
      "The server does not answer, so nothing can be created right now. Workspaces listed here may still open.",
    retry: "Try again",
    opened: (when: string): string => `opened ${when}`,
    version: (version: string): string => `Carets ${version}`,
  },

  roles: { viewer: "Viewer", editor: "Editor", owner: "Owner" } satisfies Record<Role, string>,

  bar: {
    home: "All workspaces",
    files: "Files",
    share: "Share",
    peopleOffline: "People: not known while offline",
    people: (count: number): string => (count === 1 ? "People: only you" : `People: ${count} here`),
    you: "You and this page",
  },

  files: {
    heading: "Files",
    create: "New file",
    createPlaceholder: "name.py or folder/name.py",
    createLabel: "Path of the new file",
    rename: (path: string): string => `Rename ${path}`,
    renameLabel: (path: string): string => `New path of ${path}`,
    delete: (path: string): string => `Delete ${path}`,
    deleted: (count: number): string => `Deleted files (${count})`,
    deletedToast: (path: string): string => `Deleted ${path}`,
    restore: "Restore",
    restoreNamed: (path: string): string => `Restore ${path}`,
    restoredToast: (path: string): string => `Restored ${path}`,
    empty: "This workspace has no files yet.",
    emptyAction: "Create one",
    emptyViewer: "Files appear here as soon as an editor creates one.",
    offline: "Creating, renaming and deleting need a connection.",
    failed: "That did not work. Try again.",
    close: "Close file list",
    pick: "Choose a file from the list to begin.",
    openList: "Show files",
    unsaved: "not saved yet",
  },

  tabs: {
    label: "Open files",
    close: (path: string): string => `Close ${path}`,
  },

  editor: {
    loading: "Loading…",
    waiting: "This file has not been loaded in this browser yet. It comes as soon as the server answers.",
    readOnly: "Read only",
    viewer: "You can read this workspace, not change it.",
    viewerHint: "Ask its owner for an editor’s link if you want to write.",
    deleted: "This file was deleted. It can be restored for 30 days.",
    restore: "Restore it",
    closeTab: "Close tab",
    copyText: "Copy my text",
    copied: "Copied",
    copyFailed: "Copying was blocked by the browser.",
    retry: "Try again",
    refused: (text: string, nextStep: string): string => `Edits of this file are not taken: ${text} ${nextStep}`.trim(),
    refusedKept: "What you typed stays in this browser.",
    broken:
      "This view of the file broke and has stopped taking input. What was saved is safe; copy your text before you reopen it.",
    reopen: "Reopen the file",
    gone: "This file is not part of the workspace any more.",
  },

  light: {
    label: "Durability",
    connecting: "Connecting…",
    connectingWith: (count: number, keeping: Keeping): string =>
      `Connecting… ${edits(count)}${whereKept(" ", keeping)}`,
    saved: "All saved",
    saving: "Saving…",
    unsaved: (count: number, keeping: Keeping): string =>
      `${edits(count)} not saved yet${keeping === "tab" ? ", only in this tab" : ""}`,
    offlineSaved: "Offline, all saved",
    offline: (count: number, keeping: Keeping): string => `Offline${whereKept(", ", keeping)} · ${edits(count)}`,
    broken: "A view broke",
    closedSaved: "Disconnected",
    closed: (count: number, keeping: Keeping): string => `Disconnected${whereKept(", ", keeping)} · ${edits(count)}`,
    retryIn: (seconds: number): string => `retrying in ${seconds} s`,
    retryNow: "Retry now",
    explain: {
      connecting: "The server has not answered yet.",
      saved: "Everything that you typed is on the server’s disk.",
      unsaved: "The server has not confirmed these edits yet. They are also kept in this browser.",
      unsavedTab:
        "The server has not confirmed these edits yet, and this browser cannot keep them: leave the tab open.",
      offline: "No connection. You can go on typing: edits are kept in this browser and go up when the server answers.",
      offlineTab: "No connection, and this browser cannot keep edits: leave the tab open until the server answers.",
      closed: "The server has ended this session.",
      broken: "What was typed last in a broken view may not be saved. Its banner says what to do.",
    },
  },

  foot: {
    place: (line: number, column: number): string => `Ln ${line}, Col ${column}`,
    placeLabel: (line: number, column: number): string => `Line ${line}, column ${column}`,
    selected: (count: number): string => `${count} selected`,
    plain: "Plain text",
    eol: { lf: "LF", crlf: "CRLF" },
    eolHint: { lf: "Lines end with LF on export", crlf: "Lines end with CRLF on export" },
    wrap: "Wrap lines",
    keys: "Esc, then Tab leaves the editor",
  },

  people: {
    heading: "People here",
    you: "you",
    inFile: (path: string): string => `in ${path}`,
    goTo: (name: string): string => `Go to the caret of ${name}`,
    alone: "Nobody else is here. Share a link to write together.",
    offline: "Offline: who else is here is not known.",
  },

  share: {
    heading: "Share this workspace",
    intro: "Whoever has a link can come in. Links work until they are revoked.",
    what: {
      viewer: "Can read along, not change anything.",
      editor: "Can read, write, and manage files.",
      owner: "Can also create and revoke links.",
    } satisfies Record<Role, string>,
    linkLabel: (role: string): string => `${role} link`,
    copy: "Copy",
    copyLink: (role: string): string => `Copy ${role.toLowerCase()} link`,
    copied: "Copied",
    pressCopy: "The link is selected: press Ctrl+C or ⌘C.",
    create: (role: string): string => `Create ${role.toLowerCase()} link`,
    notHeld: "This browser does not hold this link. A new one can be created; older ones keep working.",
    loopback: "This address works on this computer only. Others need its network name or address.",
    open: "This server is open: whoever can reach it can come in by this address.",
    openLabel: "Workspace address",
    failed: "The link could not be created.",
    close: "Close",
  },

  you: {
    heading: "You and this page",
    name: "Your name",
    nameHint: "Others see it at your caret.",
    color: "Your colour",
    theme: "Theme",
    themes: { system: "System", light: "Light", dark: "Dark" },
    save: "Save",
    cancel: "Cancel",
    colors: [
      "Orange",
      "Amber",
      "Moss",
      "Green",
      "Teal",
      "Cyan",
      "Blue",
      "Indigo",
      "Purple",
      "Fuchsia",
      "Pink",
      "Crimson",
    ],
  },

  closed: {
    unknown: {
      heading: "There is no such workspace",
      text: "Check that the link is complete. It may also have been deleted by whoever runs this server.",
    },
    wrong: {
      heading: "This link does not open this workspace",
      text: "Its key is wrong, perhaps because part of the link was lost. Ask whoever sent it for a new one.",
    },
    missing: {
      heading: "This link has no key",
      text: "A link to a workspace ends with “#key=…”. Ask whoever sent it for the whole link.",
    },
    revoked: { heading: "This link was revoked", text: "The owner of the workspace has ended it. Ask for a new link." },
    expired: { heading: "This link has expired", text: "It was made for a limited time. Ask for a new link." },
    other: { heading: "The server closed this workspace", text: "" },
    kept: (count: number): string =>
      `${edits(count)} of yours ${count === 1 ? "is" : "are"} still kept in this browser.`,
    home: "All workspaces",
    reload: "Reload",
    code: (code: number): string => `Code ${code}`,
  },

  opening: {
    heading: "Opening the workspace…",
    unreachable: "The server does not answer",
    unreachableText:
      "Carets goes on trying. If you have been here before, your files appear as soon as they are found in this browser.",
  },

  banner: {
    label: "Notices",
    newBuild: "A newer version of Carets is running.",
    reload: "Reload",
    reloadWait: "Reload (when all is saved)",
    closed: (reason: string): string => `The session has ended: ${reason}`,
    offlineTab: "No connection, and this browser cannot keep edits: leave this tab open.",
    dismiss: "Dismiss",
  },
  setAside: {
    kept: (count: number): string =>
      count === 1 ? "1 edit could not be put into its file." : `${count} edits could not be put into their files.`,
    detail: "The file is gone, has another history, or did not take them. They are kept in this browser.",
    copy: "Copy the text",
    discard: "Discard",
    discardSure: "Discard for good",
  },
} as const;
