/**
 * What the UI sees of a workspace: shapes only, so that it can be built and tested without a server.
 *
 * `WorkspaceSession` (`session.ts`) is a `Session`; `SharedDocument` (`document.ts`) is a `FileDocument`.
 * Every `Observable` keeps Svelte's store contract: `$session.light` works as it is.
 */

import type { Doc, Text } from "yjs";
import type { ClientLimits, FileRecord, LineEnd, MemberRecord, Role } from "./messages";
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
  | { readonly kind: "offline"; readonly count: number; readonly kept: boolean }
  | { readonly kind: "closed"; readonly count: number; readonly kept: boolean; readonly reason: string };

/**
 * Edits that can never be sent by themselves any more, and that no open file shows: their file is gone, or has another
 * history. The light's `count` includes them, so it is not `saved` before the person has discarded them.
 */
export interface SetAside {
  readonly count: number;
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

/** The one object that the UI uses of a workspace. */
export interface Session {
  readonly workspaceId: string;
  readonly status: Observable<Status>;
  readonly light: Observable<Light>;
  readonly setAside: Observable<SetAside>;
  /** Null until the first welcome, unless this browser remembers it. */
  readonly role: Observable<Role | null>;
  readonly title: Observable<string>;
  readonly me: Observable<Me | null>;
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
  /** What was typed in the edits that are set aside, by file, for copying. */
  setAsideText(): Promise<string>;
  /** Forget them: only when the person says so. */
  discardSetAside(): void;
  setProfile(name: string, color: string): void;
  /** Try to connect now instead of at the end of the wait. */
  reconnect(): void;
  close(): void;
}
