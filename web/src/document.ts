/**
 * One file as this page has it: its Yjs document, what of it is not saved yet, and how it is brought level with the server.
 *
 * Owns: the document, its unsaved edits, the order open, step 1, step 2, updates. Does not know: the workspace, the light.
 *
 * Invariants:
 *   1. A local edit is in `#edits` from the moment it is typed until a message that holds it is durable.
 *   2. No update leaves before this page's step 2 on this connection: whatever was typed earlier is in that step 2.
 *   3. A viewer's page sends and keeps no edits, whatever happens to its document.
 *   4. Two histories (epochs) are never merged.
 */

import * as Y from "yjs";
import type { Browser } from "./browser";
import type { Connection, FileMessage } from "./connection";
import { Code, isFinal } from "./errors";
import type { Memory } from "./memory";
import type { FileRecord, RefusedNotice, Request } from "./messages";
import type { FileDocument, Refusal } from "./model";
import { Cell } from "./observable";
import type { Entry, PendingEdits } from "./pending";
import { FilePresence } from "./presence";
import { enterAgain } from "./reentry";
import { type Bytes, encodeStep1, encodeStep2, encodeUpdate } from "./wire";

/** Origins of transactions: from the server, and from this browser's storage. Everything else was typed here. */
export const REMOTE = Symbol("remote");
export const KEPT = Symbol("kept");
const REENTRY = Symbol("reentry");

/** Milliseconds between what is confirmed and its being remembered. */
const REMEMBER_EVERY_MS = 1_000;
/** Remembered changes after which the whole state takes their place. */
const CHANGES_MAX = 100;
/** Times that a document is built anew, or opened again, on one connection: beyond it the server means it. */
const ATTEMPTS_MAX = 3;
/** Milliseconds until a file that the server could not read, or not just then, is asked for again. */
const UNAVAILABLE_RETRY_MS = 10_000;
/** Refusals of the bytes themselves, or of their history: sending them again can never help. */
const HOPELESS: ReadonlySet<number> = new Set([
  Code.MALFORMED_UPDATE,
  Code.ILLEGAL_UPDATE,
  Code.SPLIT_CHARACTER,
  Code.MESSAGE_TOO_LARGE,
  Code.EPOCH_CHANGED,
  Code.FILE_UNKNOWN,
]);
/** Loose edits after which they become one: a long time offline must not leave a record for each key. */
export const LOOSE_MAX = 100;

/** What a document needs around it. */
export interface Surroundings {
  readonly browser: Browser;
  readonly connection: Pick<Connection, "isOnline" | "notifyInTurn" | "send" | "sendPresence" | "afterSaved">;
  readonly pending: PendingEdits;
  readonly memory: Memory;
  memberId(): number | null;
  /** Null while the role is not known. */
  mayWrite(): boolean | null;
  isClosed(): boolean;
  record(fileId: number): FileRecord | undefined;
  /** What is unsaved, or whether it is kept, has changed. */
  onChange(document: SharedDocument): void;
}

interface Content {
  readonly doc: Y.Doc;
  readonly text: Y.Text;
}

export class SharedDocument implements FileDocument {
  readonly fileId: number;
  readonly generation = new Cell(0);
  readonly ready = new Cell(false);
  readonly synced = new Cell(false);
  readonly readOnly = new Cell(true);
  readonly refused = new Cell<Refusal | null>(null);
  readonly unsaved = new Cell(0);
  readonly presence: FilePresence;
  /** Kept when what this browser has of the file is in the document. */
  readonly loaded: Promise<void>;
  /** How many times the UI has it open; 0: only until it is saved. */
  users = 0;
  /** Whether this browser is to remember it: what was merely searched through must not push out what was opened. */
  #isForKeeping = false;
  #path: string;
  #hasFailed = false;
  readonly #around: Surroundings;
  readonly #edits = new Set<Entry>();
  #content: Content;
  /** The document under a new client id, while the server's state for it is awaited. */
  #successor: Content | null = null;
  #epoch: string;
  #count = 0;
  #isLoaded = false;
  #isOpen = false;
  #isUploading = false;
  /** The state vector of a step 1 that cannot be answered yet. */
  #question: Bytes | null = null;
  #attempts = 0;
  #hasBase = false;
  #changes = 0;
  #confirmed: Bytes[] = [];
  #savedEntries: Entry[] = [];
  #cancelRemember: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;

  constructor(around: Surroundings, record: FileRecord) {
    this.fileId = record.file_id;
    this.#around = around;
    this.#epoch = record.epoch;
    this.#path = record.path;
    this.#content = this.#watched();
    this.presence = new FilePresence({
      browser: around.browser,
      memberId: () => (this.#isOpen ? around.memberId() : null),
      sendPresence: (message) => around.connection.sendPresence(this.fileId, message),
    });
    this.loaded = this.#load();
    this.judge();
  }

  get doc(): Y.Doc {
    return this.#content.doc;
  }

  get text(): Y.Text {
    return this.#content.text;
  }

  get epoch(): string {
    return this.#epoch;
  }

  get path(): string {
    return this.#path;
  }

  /** Its edits can never be sent: they are set aside, and only this object still shows them. */
  get isHopeless(): boolean {
    return HOPELESS.has(this.refused.value?.code ?? 0);
  }

  // -- the session's side

  /** Open the file on the connection, if that is possible and not done yet. */
  open(): void {
    const { connection } = this.#around;
    const record = this.#around.record(this.fileId);
    if (!this.#isLoaded || this.#isOpen || this.#hasFailed || !connection.isOnline || record === undefined) return;
    const code = this.refused.value?.code;
    if (record.deleted_at_ms !== null || code === Code.EPOCH_CHANGED || code === Code.FILE_UNKNOWN) return;
    if (record.epoch !== this.#epoch && !this.#followEpoch(record)) return;
    this.#isOpen = true;
    this.#open(this.#content);
    this.presence.opened();
  }

  /** The connection is gone. */
  disconnected(): void {
    this.#isOpen = this.#isUploading = false;
    this.#attempts = 0;
    this.#successor?.doc.destroy();
    this.#successor = null;
    this.#question = null;
    // Another connection may see it otherwise, except where the document itself is at fault.
    if (!this.isHopeless && !this.#hasFailed) this.refused.set(null);
    this.synced.set(false);
    this.presence.forget();
  }

  /** The list of files says something new of this one. */
  recordChanged(record: FileRecord): void {
    this.#path = record.path;
    if (record.deleted_at_ms !== null) {
      if (this.#isOpen) this.#say({ type: "close_file", file_id: this.fileId });
      this.#isOpen = this.#isUploading = false;
      this.presence.forget();
      if (this.#edits.size > 0)
        this.#refuseAll(Code.FILE_DELETED, "The file is deleted.", "Restore it to save your text.");
    } else {
      if (this.refused.value?.code === Code.FILE_DELETED) this.#reopen();
      this.open();
    }
    this.judge();
  }

  /** The server has told all files, and this is none of them any more. */
  gone(): void {
    if (this.refused.value?.code === Code.FILE_UNKNOWN) return;
    this.#closeSeat();
    const next = this.#edits.size > 0 ? "Copy your text." : "Close it.";
    this.#refuseAll(Code.FILE_UNKNOWN, "The file is gone for good.", next);
  }

  /** Remember it from here on. The promise is kept when edits have what they build on in this browser, as far as it is there. */
  async keep(): Promise<void> {
    this.#isForKeeping = true;
    await this.loaded;
    if (this.synced.value && !this.#hasBase && this.#isAllSaved()) {
      await this.#rememberWhole(Y.encodeStateAsUpdate(this.doc));
    }
  }

  /** What was typed here and is not known to be saved. */
  get entries(): Iterable<Entry> {
    return this.#edits;
  }

  /** Give up its edits, which are returned, and take the server's text anew, of whatever history it is. */
  startAnew(): Entry[] {
    const entries = this.release();
    this.#closeSeat();
    this.refused.set(null);
    this.#attempts = 0;
    this.#epoch = this.#around.record(this.fileId)?.epoch ?? this.#epoch;
    this.#hasBase = false;
    this.#confirmed = [];
    this.ready.set(false);
    this.#use(this.#watched());
    this.judge();
    this.open();
    return entries;
  }

  /** Give up its edits, to be kept without it. */
  release(): Entry[] {
    const entries = [...this.#edits];
    for (const entry of entries) this.#drop(entry);
    this.unsaved.set(this.#count);
    return entries;
  }

  /** Edits of an earlier life of this browser become this document's. */
  adopt(entries: readonly Entry[]): void {
    this.#isForKeeping = true;
    for (const entry of entries) this.#add(entry);
    if (this.#isLoaded) this.#enter(entries);
    this.#changed();
  }

  /** Who may write has become known or has changed, or the session has ended. */
  judge(): void {
    const { mayWrite, isClosed, record } = this.#around;
    const isDeleted = record(this.fileId)?.deleted_at_ms != null;
    const code = this.refused.value?.code;
    // A file that is too large can be mended by typing, others cannot.
    const isStopped = code !== undefined && code !== Code.DOCUMENT_TOO_LARGE;
    this.readOnly.set(mayWrite() !== true || isClosed() || isDeleted || isStopped);
  }

  take(message: FileMessage): void {
    if (!this.#isOpen) return;
    switch (message.kind) {
      case "step_2":
        this.#takeAnswer(message.update);
        return;
      case "update":
        this.#apply(message.update);
        return;
      case "step_1":
        this.#answer(message.stateVector);
        return;
      case "awareness":
        this.presence.take(message.payload);
    }
  }

  refuse(notice: RefusedNotice): void {
    this.#isUploading = false;
    this.#attempts++;
    const isClientId = notice.code === Code.CLIENT_ID_TAKEN || notice.code === Code.CLIENT_IDS_TOO_MANY;
    if (isClientId && this.#attempts <= ATTEMPTS_MAX) this.#rebuild();
    else if (notice.code === Code.FILE_NOT_OPEN && this.#attempts <= ATTEMPTS_MAX) this.#reopen();
    else this.#refuseAll(notice.code, notice.text, notice.next_step);
    if (!isFinal(notice.code)) this.#retryLater();
  }

  retry(): void {
    if (this.refused.value === null || this.isHopeless || this.#hasFailed) return;
    this.#attempts = 0;
    this.#reopen();
  }

  /** The page itself failed on what the server sent: nothing more is merged, and the text stays. */
  fail(error: unknown): void {
    this.#hasFailed = true;
    this.#closeSeat();
    this.#refuseAll(0, `This page cannot go on with the file: ${String(error)}`, "Copy your text and reload the page.");
  }

  /** Remember what is confirmed, and let go. The promise is kept when it is remembered. */
  close(): Promise<void> {
    this.presence.hide();
    this.#cancelRetry?.();
    this.#closeSeat();
    const remembering = this.#remember();
    this.#content.doc.destroy();
    return remembering;
  }

  /** No more messages of this file on this connection. */
  #closeSeat(): void {
    if (this.#isOpen) this.#say({ type: "close_file", file_id: this.fileId });
    this.#isOpen = this.#isUploading = false;
    this.#question = null;
    this.#successor?.doc.destroy();
    this.#successor = null;
    this.synced.set(false);
    this.presence.forget();
  }

  // -- getting level

  #open({ doc }: Content): void {
    this.#isUploading = false;
    this.#say({ type: "open_file", file_id: this.fileId, client_id: doc.clientID, epoch: this.#epoch });
    this.#around.connection.send(this.fileId, encodeStep1(Y.encodeStateVector(doc)));
  }

  #say(request: Request): void {
    this.#around.connection.notifyInTurn(this.fileId, request);
  }

  #takeAnswer(update: Bytes): void {
    if (this.#successor !== null) this.#succeed(this.#successor, update);
    else this.#apply(update);
    if (!this.#hasBase && this.#isForKeeping) {
      this.#confirmed = [];
      void this.#rememberWhole(this.#isAllSaved() ? Y.encodeStateAsUpdate(this.doc) : update);
    }
    this.synced.set(true);
    this.ready.set(true);
    this.judge();
    const question = this.#question;
    this.#question = null;
    if (question !== null) this.#answer(question);
  }

  #apply(update: Bytes): void {
    Y.applyUpdate(this.#successor?.doc ?? this.doc, update, REMOTE);
    this.#confirm(update);
  }

  /** The server asks for what it has not: everything unsaved of this file goes into this one message. */
  #answer(stateVector: Bytes): void {
    if (this.#around.mayWrite() !== true || this.refused.value !== null) return;
    if (!this.synced.value || this.#successor !== null) {
      // Its own answer is still on the way: kept edits may rest on what is in there.
      this.#question = stateVector;
      return;
    }
    const covered = [...this.#edits].filter((entry) => this.#isPlaced(entry));
    const update = withoutGaps(this.doc, () => Y.encodeStateAsUpdate(this.doc, stateVector));
    this.#isUploading = true;
    this.#around.connection.send(this.fileId, encodeStep2(update), () => this.#saved(covered));
  }

  /** Whether an edit is part of the document, and not put by in Yjs until something missing comes. */
  #isPlaced(entry: Entry): boolean {
    const { pendingStructs, pendingDs } = this.doc.store;
    return (pendingStructs === null && pendingDs === null) || entry.clientId === this.doc.clientID;
  }

  /** Every transaction of the document. */
  #onUpdate(content: Content, update: Bytes, origin: unknown): void {
    if (origin === REMOTE || origin === KEPT || origin === REENTRY) return;
    const { pending, connection } = this.#around;
    if (this.#around.mayWrite() !== true) return;
    // What an edit builds on must not be younger in storage than the edit.
    if (this.#confirmed.length > 0) void this.#remember();
    const entry = pending.append(this.fileId, this.#epoch, content.doc.clientID, update, 1);
    this.#add(entry);
    if (this.isHopeless) pending.setAside([entry], this.refused.value?.code ?? 0);
    else if (!this.#isUploading) this.#gather();
    if (this.#isUploading && this.refused.value === null) {
      connection.send(this.fileId, encodeUpdate(update), () => this.#saved([entry]));
    }
    this.#changed();
  }

  /** While nothing is on its way: many loose edits under one client id become one. */
  #gather(): void {
    const { clientID } = this.doc;
    const loose = [...this.#edits].filter((entry) => entry.clientId === clientID && entry.edits < LOOSE_MAX);
    if (loose.length < LOOSE_MAX) return;
    const update = Y.mergeUpdates(loose.map((entry) => entry.update)) as Bytes;
    const edits = loose.reduce((sum, entry) => sum + entry.edits, 0);
    for (const entry of loose) this.#drop(entry);
    this.#add(this.#around.pending.replace(loose, this.fileId, this.#epoch, clientID, update, edits));
  }

  #saved(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (!this.#drop(entry)) continue;
      this.#savedEntries.push(entry);
      this.#confirm(entry.update);
    }
    this.#changed();
  }

  #add(entry: Entry): void {
    if (this.#edits.has(entry)) return;
    this.#edits.add(entry);
    this.#count += entry.edits;
  }

  #drop(entry: Entry): boolean {
    const wasThere = this.#edits.delete(entry);
    if (wasThere) this.#count -= entry.edits;
    return wasThere;
  }

  #changed(): void {
    this.unsaved.set(this.#count);
    this.#around.onChange(this);
  }

  // -- refusals

  #refuseAll(code: number, text: string, nextStep: string): void {
    if (HOPELESS.has(code)) this.#around.pending.setAside(this.#edits, code);
    this.#isUploading = false;
    this.refused.set({ code, text, nextStep });
    this.judge();
    this.#changed();
  }

  #retryLater(): void {
    this.#cancelRetry ??= this.#around.browser.after(UNAVAILABLE_RETRY_MS, () => {
      this.#cancelRetry = null;
      this.retry();
    });
  }

  #reopen(): void {
    this.refused.set(null);
    if (this.#isOpen) this.#say({ type: "close_file", file_id: this.fileId });
    this.#isOpen = this.#isUploading = false;
    this.judge();
    this.open();
  }

  /** Take the server's state under a new client id; `#succeed` then enters the unsaved text again. */
  #rebuild(): void {
    this.#successor?.doc.destroy();
    const successor = this.#watched();
    this.#successor = successor;
    // What was taken before the refusal must be in the answer, or it would be entered twice.
    this.#around.connection.afterSaved(this.fileId, () => {
      if (this.#successor !== successor) return;
      this.#say({ type: "close_file", file_id: this.fileId });
      this.#open(successor);
      this.presence.opened();
    });
  }

  #succeed(successor: Content, update: Bytes): void {
    const { pending } = this.#around;
    const entries = [...this.#edits];
    this.#successor = null;
    Y.applyUpdate(successor.doc, update, REMOTE);
    this.#hasBase = false;
    if (entries.length > 0) {
      const typed: Bytes[] = [];
      const listen = (change: Uint8Array, origin: unknown): void => {
        if (origin === REENTRY) typed.push(change as Bytes);
      };
      successor.doc.on("update", listen);
      enterAgain(this.text, successor.text, successor.doc, REENTRY);
      successor.doc.off("update", listen);
      const count = this.#count;
      for (const entry of entries) this.#drop(entry);
      const [change] = typed;
      if (change === undefined) pending.remove(entries);
      else this.#add(pending.replace(entries, this.fileId, this.#epoch, successor.doc.clientID, change, count));
    }
    this.#use(successor);
    this.#changed();
  }

  /** The server's history is another one. Returns whether the file can be opened with it. */
  #followEpoch(record: FileRecord): boolean {
    if (this.#edits.size > 0) {
      this.#refuseAll(
        Code.EPOCH_CHANGED,
        "The file's history is another one than that of your unsaved text.",
        "Copy your text, and open the file anew.",
      );
      return false;
    }
    this.#epoch = record.epoch;
    this.#hasBase = false;
    this.#confirmed = [];
    this.ready.set(false);
    this.#use(this.#watched());
    return true;
  }

  #use(content: Content): void {
    this.#content = content;
    this.generation.set(this.generation.value + 1);
  }

  #watched(): Content {
    const doc = new Y.Doc();
    const content = { doc, text: doc.getText("text") };
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      // What an editor still types into a document that was replaced has nowhere to go.
      if (this.#content === content) this.#onUpdate(content, update as Bytes, origin);
    });
    return content;
  }

  // -- this browser's storage

  async #load(): Promise<void> {
    const remembered = await this.#around.memory.loadDocument(this.fileId);
    if (remembered !== null && remembered.epoch === this.#epoch) {
      this.#hasBase = true;
      this.#changes = remembered.updates.length - 1;
      try {
        this.doc.transact(() => {
          for (const update of remembered.updates) Y.applyUpdate(this.doc, update, REMOTE);
        }, REMOTE);
      } catch {
        // Broken on this browser's disk: the server has it whole.
        this.#hasBase = false;
        this.#use(this.#watched());
      }
    }
    this.#enter([...this.#edits]);
    this.#isLoaded = true;
    if (this.#hasBase) this.ready.set(true);
    this.judge();
    this.open();
  }

  #enter(entries: readonly Entry[]): void {
    this.doc.transact(() => {
      for (const entry of entries) Y.applyUpdate(this.doc, entry.update, KEPT);
    }, KEPT);
    for (const entry of this.#isUploading ? entries : []) {
      this.#around.connection.send(this.fileId, encodeUpdate(entry.update), () => this.#saved([entry]));
    }
  }

  #confirm(update: Bytes): void {
    if (this.#hasBase) this.#confirmed.push(update);
    this.#cancelRemember ??= this.#around.browser.after(REMEMBER_EVERY_MS, () => void this.#remember());
  }

  async #remember(): Promise<void> {
    this.#cancelRemember?.();
    this.#cancelRemember = null;
    const updates = this.#confirmed;
    const entries = this.#savedEntries;
    this.#confirmed = [];
    this.#savedEntries = [];
    this.#changes += updates.length > 0 ? 1 : 0;
    if (this.#hasBase && this.#changes > CHANGES_MAX && this.#isAllSaved()) {
      await this.#rememberWhole(Y.encodeStateAsUpdate(this.doc));
    } else if (updates.length > 0) {
      await this.#around.memory.addChanges(this.fileId, this.#epoch, updates);
    }
    if (entries.length > 0) this.#around.pending.remove(entries);
  }

  #rememberWhole(state: Bytes | Uint8Array): Promise<void> {
    this.#hasBase = true;
    this.#changes = 0;
    return this.#around.memory.putDocument(this.fileId, this.#epoch, state as Bytes);
  }

  /** Whether the document is exactly what the server has confirmed. */
  #isAllSaved(): boolean {
    const { pendingStructs, pendingDs } = this.doc.store;
    return this.#edits.size === 0 && this.refused.value === null && pendingStructs === null && pendingDs === null;
  }
}

/** Yjs adds what it could not place yet; the server would only ask for it again and again. */
function withoutGaps(doc: Y.Doc, encode: () => Uint8Array): Bytes {
  const { store } = doc;
  const { pendingStructs, pendingDs } = store;
  store.pendingStructs = store.pendingDs = null;
  try {
    return encode() as Bytes;
  } finally {
    store.pendingStructs = pendingStructs;
    store.pendingDs = pendingDs;
  }
}
