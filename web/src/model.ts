/**
 * What the UI sees of a workspace: shapes only, so that it can be built and tested without a server.
 *
 * `WorkspaceSession` (`session.ts`) is a `Session`; `SharedDocument` (`document.ts`) is a `FileDocument`.
 * Every `Observable` keeps Svelte's store contract: `$session.light` works as it is.
 */

import type { Doc, Text } from "yjs";
import type { ChatRecord, ClientLimits, Fault, FileRecord, LineEnd, MemberRecord, Role } from "./messages";
import type { Observable } from "./observable";

/** Where the connection stands. `closed` is for good: the page does not try again by itself. */
export type Status =
  | { readonly kind: "connecting" }
  | { readonly kind: "online" }
  /** `retryAtMs`: when the next attempt begins, by the wall clock; null while one is under way. */
  | { readonly kind: "offline"; readonly retryAtMs: number | null }
  /** `code` is a row of the table of errors, or 0 when the page itself closed the session. */
  | { readonly kind: "closed"; readonly code: number; readonly reason: string };

/**
 * Whether all that was typed here is on the server's disk.
 *
 * `count`: local edits that are not known to be there. `kept`: all of them are in this browser's storage, so that they
 * outlive the tab. It is false for the milliseconds of each write, too: ask before unloading at once, complain later.
 */
export type Light =
  /** Not known yet: the first connection, or the kept edits, are still being waited for. */
  | { readonly kind: "connecting"; readonly count: number; readonly kept: boolean }
  | { readonly kind: "saved" }
  | { readonly kind: "unsaved"; readonly count: number; readonly kept: boolean }
  /** Connected, and the server cannot save: edits go up by themselves when it can. */
  | { readonly kind: "failing"; readonly count: number; readonly kept: boolean; readonly fault: Fault }
  | { readonly kind: "offline"; readonly count: number; readonly kept: boolean }
  | { readonly kind: "closed"; readonly count: number; readonly kept: boolean; readonly reason: string };

/**
 * Edits that can never be sent by themselves any more: their file is gone, has another history, or did not take them; an
 * open file may still show them. The light's `count` includes them, so it is not `saved` before the person has dealt with
 * them (`rescues`).
 */
export interface SetAside {
  readonly count: number;
}

/** A file with local edits that are not known to be on the server's disk. */
export interface UnsavedFile {
  readonly fileId: number;
  /** Its last known path. */
  readonly path: string;
  readonly count: number;
}

/** Edits of one file that do not go up by themselves, and what they make of it. */
export interface Rescue {
  readonly id: string;
  readonly fileId: number;
  /** The last known one. */
  readonly path: string;
  /**
   * `aside`: they can never be sent. `waits`: they go up by themselves once something changes (the file is restored, text
   * is taken out). `stray`: typed under another link of this browser, by a page that is no more.
   */
  readonly kind: "aside" | "waits" | "stray";
  /** Why: a row of the table of errors; 0 when there is none. */
  readonly code: number;
  readonly count: number;
  /** When the last of them was typed. */
  readonly atMs: number;
  /** The file as it is; null when it is gone, or cannot be had now. */
  readonly now: string | null;
  /** It is deleted, or no file of the workspace any more. */
  readonly isGone: boolean;
  /** The text as the person saw it; where that is not to be had (`isWhole` is false), only the pieces that were typed. */
  readonly mine: string;
  readonly isWhole: boolean;
  /** What the file would be with the edits: to be looked at and changed before it is applied. */
  readonly proposal: string;
  readonly mayApply: boolean;
  readonly mayRestore: boolean;
}

/** Why a file's edits are not taken any more. They stay in this browser. */
export interface Refusal {
  readonly code: number;
  /** For the person. */
  readonly text: string;
  readonly nextStep: string;
}

/** Oneself, by the server's word. */
export interface Me {
  readonly memberId: number;
  readonly name: string;
  readonly color: string;
}

/** A caret or selection: Yjs relative positions as JSON (`Y.relativePositionToJSON`). */
export interface Cursor {
  readonly anchor: unknown;
  readonly head: unknown;
}

/** Another member in a file; `user` is the server's word and cannot be forged. */
export interface PresenceState {
  readonly user: { readonly id: number; readonly name: string; readonly color: string; readonly role: Role };
  readonly cursor: Cursor | null;
}

/** Who else is in one file. */
export interface Presence {
  /** One's own caret; null when it is nowhere. Cheap to call on every selection change: it is sent 20 times a second at most. */
  set(cursor: Cursor | null): void;
  /** The others by member id, oneself not among them; empty while offline. A new map at every change. */
  readonly states: Observable<ReadonlyMap<number, PresenceState>>;
}

/**
 * One open file.
 *
 * Bind an editor to `text` once `ready`; when `generation` rises, `doc` and `text` are other objects: destroy the editor's
 * view and its undo manager and bind anew. An editor must never cut a character in half (snap to code points).
 */
export interface FileDocument {
  readonly fileId: number;
  /** Its last known path: it stays when the file is gone from `files`. */
  readonly path: string;
  readonly doc: Doc;
  readonly text: Text;
  readonly generation: Observable<number>;
  /** Something to show is here: from the server, or the last known state and the unsaved edits of this browser. */
  readonly ready: Observable<boolean>;
  /** The server's whole answer has come on this connection. */
  readonly synced: Observable<boolean>;
  /** True for viewers, deleted files, after refusals, and in a closed session. */
  readonly readOnly: Observable<boolean>;
  /** Why edits of this file are not taken; they stay here. Offer the text for copying. */
  readonly refused: Observable<Refusal | null>;
  /** Local edits of this file that are not known to be on the server's disk. */
  readonly unsaved: Observable<number>;
  readonly presence: Presence;
  /** After a refusal that the person has dealt with (text taken out of a file too large): offer the edits again. */
  retry(): void;
}

/** The room's chat, as far as this page has it: without gaps. */
export interface ChatLog {
  /** Oldest first. */
  readonly entries: readonly ChatRecord[];
  /** The server has older ones: `loadEarlierChat`. */
  readonly hasEarlier: boolean;
}

/** A change of a text in UTF-16 units: what lies between `from` and `to` becomes `insert`. */
export interface TextEdit {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
}

/** The one object that the UI uses of a workspace. */
export interface Session {
  readonly workspaceId: string;
  readonly status: Observable<Status>;
  readonly light: Observable<Light>;
  readonly setAside: Observable<SetAside>;
  /** Edits that this browser keeps of pages of other links that are no more; not in the light's count. */
  readonly strays: Observable<number>;
  /** Null until the first welcome, unless this browser remembers it. */
  readonly role: Observable<Role | null>;
  readonly title: Observable<string>;
  readonly me: Observable<Me | null>;
  /** Oneself as `ChatRecord.author` names people; empty until the first welcome. */
  readonly author: Observable<string>;
  readonly members: Observable<ReadonlyMap<number, MemberRecord>>;
  /** Live and deleted files by id; from this browser's memory while the server has not been heard. */
  readonly files: Observable<ReadonlyMap<number, FileRecord>>;
  /** The server restarted as another build: offer a reload. */
  readonly newBuild: Observable<boolean>;
  readonly limits: Observable<ClientLimits>;
  /**
   * Open a file, or the same object again; each call wants one `closeFile`. Throws `RefusedError` when `files` has no such id.
   */
  openFile(fileId: number): FileDocument;
  /** The file goes on in the background until its edits are saved. */
  closeFile(fileId: number): void;
  /** The promise is of the new file's id, and rejects with `RefusedError`; so do the next three. They need a connection. */
  createFile(path: string, options?: { eol?: LineEnd; text?: string }): Promise<number>;
  renameFile(fileId: number, path: string): Promise<void>;
  deleteFile(fileId: number): Promise<void>;
  restoreFile(fileId: number, path?: string): Promise<void>;
  /** All files below `path/` at once, or none; both need a connection, and reject with `RefusedError`. */
  renameFolder(path: string, to: string): Promise<void>;
  deleteFolder(path: string): Promise<void>;
  /**
   * Make files, text by path, all at once or none; `\r\n` in a text makes its line ends CRLF. Rejects with `RefusedError`.
   * Above 24 MiB they go up in several requests, one after the other: of those, each is whole, and what came before a
   * refusal stays.
   */
  importFiles(files: ReadonlyMap<string, string>): Promise<readonly FileRecord[]>;
  /** Every live file as the server has it on disk: wait for the light before, where unsaved text must be in. */
  exportZip(): Promise<Blob>;
  /**
   * A file's text as this page has it, loaded if need be without showing it: level with the server while online, else as
   * this browser remembers it. Rejects with `RefusedError` when it cannot be had, with the signal's reason when aborted.
   * Eight are loaded at a time, others wait their turn: ask for a thousand at once.
   */
  textOf(fileId: number, signal?: AbortSignal): Promise<string>;
  /**
   * Change a file that may not be open. `edits`: in the units of the text `expected`, sorted by `from`, not overlapping;
   * they become one change, in whole characters and with `\n` as the only line end, which counts in the light like what is
   * typed. Nothing is done, and the promise is of false, when the text is another by now. Rejects like `textOf`, and
   * where this page may not write.
   */
  editFile(fileId: number, expected: string, edits: readonly TextEdit[], signal?: AbortSignal): Promise<boolean>;
  readonly chat: Observable<ChatLog>;
  /** Messages of this page that the server has not said it keeps. They are in no storage: ask before the tab is closed. */
  readonly chatWaiting: Observable<number>;
  /** The promise is kept when the server has the message on disk, even after reconnects; never twice. Rejects with `RefusedError`. */
  sendChat(text: string): Promise<void>;
  /** Put the page of the log before `chat`'s first entry there. Rejects with `RefusedError`. */
  loadEarlierChat(): Promise<void>;
  /**
   * Say something to all others, or to one, that nobody keeps: dropped while offline, and for whoever is slow.
   * `kind`: 1 to 32 of a-z, 0-9, `_`, `.`, `-`. Throws `RefusedError` when `data` takes more than 16 KiB of JSON.
   */
  sendSignal(kind: string, data: unknown, to?: number): void;
  /** Hear signals of others; who sent one is the server's word, what is in it is not. Returns what ends it. */
  onSignal(kind: string, take: (memberId: number, data: unknown) => void): () => void;
  /** Which file this page looks at; told again after a reconnect. */
  tellPlace(fileId: number | null): void;
  /** Which files have unsaved edits; it changes with `light`. Those that are set aside are in `rescues`. */
  unsavedFiles(): readonly UnsavedFile[];
  /** When anything came from the server last, by the wall clock; null when nothing ever came. */
  heardAtMs(): number | null;
  /**
   * All edits that need a person, the latest first. Open files whose edits can never be sent take the server's text from
   * here on: their own is in the list.
   */
  rescues(): Promise<readonly Rescue[]>;
  /**
   * Make `text` the file's as a new edit (a new file's, where it is gone), and forget what was rescued. False, with nothing
   * done, when the file has changed since: list again. Rejects with `RefusedError`.
   */
  applyRescue(id: string, text: string): Promise<boolean>;
  /** Forget them: only when the person says so. */
  discardRescue(id: string): Promise<void>;
  /** What was typed in the edits that are set aside, by file, for copying. */
  setAsideText(): Promise<string>;
  /** Forget them: only when the person says so. */
  discardSetAside(): void;
  setProfile(name: string, color: string): void;
  /** Try to connect now instead of at the end of the wait. */
  reconnect(): void;
  close(): void;
}
