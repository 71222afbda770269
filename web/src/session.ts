/**
 * A workspace as this page has it: the one object that the UI uses.
 *
 * Owns: the open documents, the lists of files and members, the requests under way, the light. Does not know: sockets, bytes.
 *
 * Invariants:
 *   1. The light is `saved` only while connected, when every local edit of this page, and of dead pages that it follows,
 *      was counted in a `saved` of this or an earlier connection, and when nothing is set aside.
 *   2. A file with unsaved edits stays open until they are saved, whether anybody looks at it or not.
 */

import { type Browser, thisBrowser } from "./browser";
import { Connection, type News } from "./connection";
import { DatabaseDoor, linkMark } from "./database";
import { type Surroundings as DocumentSurroundings, SharedDocument } from "./document";
import { Code, RefusedError, WireError } from "./errors";
import { keepPerson, personToken, rememberVisit } from "./links";
import { Memory } from "./memory";
import type {
  ClientLimits,
  FileRecord,
  LineEnd,
  MemberRecord,
  RefusedNotice,
  Request,
  Role,
  Welcome,
} from "./messages";
import type { FileDocument, Light, Me, Session, SetAside } from "./model";
import { Cell } from "./observable";
import { type Entry, PendingEdits } from "./pending";
import { type Profile, saveProfile } from "./profile";
import { wellFormed } from "./reentry";
import { asideText } from "./setaside";

export interface SessionOptions {
  readonly workspaceId: string;
  /** The link's key; empty on an open server. */
  readonly key: string;
  /** The page's base, ending in `/`. */
  readonly base: string;
  readonly profile: Profile;
  /** This page's build, `__CARETS_BUILD__`. */
  readonly build: string;
  readonly browser?: Browser;
}

/** Milliseconds between looks for what dead pages have left; spread by chance, so that pages do not look together. */
const CLAIM_EVERY_MS = 60_000;
/** The build of a page that was not made by the packaging: it differs from every server's. */
const BUILD_BY_HAND = "unpackaged00";

/** What holds until the server has told its own. Source: `src/carets/limits.py`. */
const LIMITS: ClientLimits = {
  part_bytes_max: 65_536,
  update_bytes_max: 67_108_864,
  document_units_max: 33_554_432,
  presence_bytes_max: 4_096,
  files_max: 5_000,
  name_units_max: 40,
};

/** A request without its `type`'s answer number. */
type FileRequest = Extract<Request, { request?: number }>;

interface Asked {
  resolve(record: FileRecord): void;
  reject(error: RefusedError): void;
}

/** See `Session` in `model.ts`. It connects at once. */
export class WorkspaceSession implements Session {
  readonly workspaceId: string;
  readonly status: Connection["status"];
  readonly light: Cell<Light>;
  readonly setAside = new Cell<SetAside>({ count: 0 }, (a, b) => a.count === b.count);
  readonly role = new Cell<Role | null>(null);
  readonly title = new Cell("");
  readonly me = new Cell<Me | null>(null);
  readonly members = new Cell<ReadonlyMap<number, MemberRecord>>(new Map());
  readonly files = new Cell<ReadonlyMap<number, FileRecord>>(new Map());
  readonly newBuild = new Cell(false);
  readonly limits = new Cell<ClientLimits>(LIMITS);
  readonly #options: SessionOptions;
  readonly #browser: Browser;
  readonly #connection: Connection;
  readonly #door: DatabaseDoor;
  readonly #memory: Memory;
  readonly #pending: PendingEdits;
  readonly #linkMark: string;
  readonly #documents = new Map<number, SharedDocument>();
  /** Every path that was known in this page's life: the list forgets the files that are gone. */
  readonly #paths = new Map<number, string>();
  readonly #asked = new Map<number, Asked>();
  readonly #around: DocumentSurroundings;
  #profile: Profile;
  #personSent = "";
  #requests = 0;
  /** Kept edits that no file of the list fits, yet. */
  #waiting: Entry[] = [];
  #wasWelcomed = false;
  #hasBegun = false;
  #isPendingKnown = false;
  #cancelClaim: (() => void) | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.workspaceId = options.workspaceId;
    this.#browser = options.browser ?? thisBrowser();
    this.#profile = options.profile;
    this.#linkMark = linkMark(options.key);
    this.light = new Cell<Light>({ kind: "connecting", count: 0, kept: true }, isSameLight);
    this.#door = new DatabaseDoor(this.#browser);
    this.#memory = new Memory(this.#door, options.workspaceId, () => this.#browser.nowMs());
    this.#pending = new PendingEdits({
      browser: this.#browser,
      door: this.#door,
      workspaceId: options.workspaceId,
      linkMark: this.#linkMark,
      pathOf: (fileId) => this.#paths.get(fileId) ?? "",
      onChange: () => this.#relight(),
      onLeft: () => void this.#takeOver(),
    });
    this.#connection = new Connection({
      url: new URL(`ws/${options.workspaceId}`, options.base).href.replace(/^http/, "ws"),
      browser: this.#browser,
      hello: () => this.#hello(),
      listener: {
        onWelcome: (welcome) => this.#takeWelcome(welcome),
        onNews: (news) => this.#takeNews(news),
        onMessage: (fileId, message) => this.#guard(fileId, (document) => document.take(message)),
        onLost: () => this.#lost(),
      },
    });
    this.status = this.#connection.status;
    this.#around = this.#surroundings();
    this.status.subscribe(() => this.#statusChanged());
    void this.#recall();
  }

  // -- files

  openFile(fileId: number): FileDocument {
    const record = this.files.value.get(fileId);
    if (record === undefined) throw new RefusedError(Code.FILE_UNKNOWN, "There is no such file.");
    const document = this.#documentOf(record);
    document.users++;
    return document;
  }

  closeFile(fileId: number): void {
    const document = this.#documents.get(fileId);
    if (document === undefined || document.users === 0) return;
    document.users--;
    if (document.users === 0) document.presence.hide();
    this.#closeIfDone(document);
  }

  async createFile(path: string, options: { eol?: LineEnd; text?: string } = {}): Promise<number> {
    const given = options.text ?? "";
    const text = wellFormed(given.replace(/\r\n?/g, "\n"));
    if (text.length > this.limits.value.document_units_max) {
      throw new RefusedError(Code.DOCUMENT_TOO_LARGE, "The text is larger than a file may be.");
    }
    const eol = options.eol ?? (given.includes("\r\n") ? "crlf" : "lf");
    const { file_id } = await this.#ask({ type: "create_file", path, eol });
    if (text !== "") {
      const document = this.#documentOf(this.#record(file_id));
      document.users++;
      await document.loaded;
      document.text.insert(0, text);
      this.closeFile(file_id);
    }
    return file_id;
  }

  async renameFile(fileId: number, path: string): Promise<void> {
    await this.#ask({ type: "rename_file", file_id: fileId, path });
  }

  async deleteFile(fileId: number): Promise<void> {
    await this.#ask({ type: "delete_file", file_id: fileId });
  }

  async restoreFile(fileId: number, path?: string): Promise<void> {
    await this.#ask({ type: "restore_file", file_id: fileId, ...(path === undefined ? {} : { path }) });
  }

  // -- the rest of the UI's side

  async setAsideText(): Promise<string> {
    await this.#pending.refreshAside();
    return asideText(this.#pending.aside);
  }

  discardSetAside(): void {
    this.#pending.discardAside();
  }

  setProfile(name: string, color: string): void {
    this.#profile = { name, color };
    saveProfile(this.#browser, this.#profile);
    this.#connection.notify({ type: "profile", name, color });
  }

  reconnect(): void {
    this.#connection.reconnect();
  }

  close(): void {
    this.#connection.close();
    this.#cancelClaim?.();
    const closing = [...this.#documents.values()].map((document) => document.close());
    this.#documents.clear();
    this.#pending.leave();
    void this.#release(closing);
  }

  /** The database goes last: what the documents remember, and what that lets go, must have reached it. */
  async #release(closing: readonly Promise<void>[]): Promise<void> {
    await Promise.allSettled(closing);
    await this.#pending.settle();
    this.#pending.close();
    this.#door.close();
  }

  // -- the connection's side

  #hello(): Request {
    this.#personSent = personToken(this.#browser, this.workspaceId);
    const { name, color } = this.#profile;
    return { type: "hello", key: this.#options.key, person: this.#personSent, name, color };
  }

  #takeWelcome(welcome: Welcome): void {
    keepPerson(this.#browser, this.workspaceId, this.#personSent, welcome.person);
    this.#wasWelcomed = true;
    this.me.set({ memberId: welcome.member_id, name: welcome.name, color: welcome.color });
    this.limits.set(welcome.limits);
    this.title.set(welcome.title);
    this.role.set(welcome.role);
    this.members.set(new Map(welcome.members.map((member) => [member.member_id, member])));
    this.newBuild.set(this.#options.build !== BUILD_BY_HAND && welcome.build !== this.#options.build);
    this.#takeFiles(welcome.files, true);
    const { key } = this.#options;
    rememberVisit(this.#browser, { workspaceId: this.workspaceId, key, role: welcome.role, title: welcome.title });
    for (const document of this.#documents.values()) {
      document.judge();
      document.open();
    }
    if (this.#hasBegun) void this.#takeOver();
    this.#begin();
  }

  #takeNews(news: News): void {
    switch (news.type) {
      case "files":
        this.#takeFiles(news.files, news.full);
        if (news.request !== null) this.#answered(news.request, news.files[0]);
        return;
      case "members":
        this.#takeMembers(news.members, news.left, news.full);
        return;
      case "refused":
        this.#takeRefusal(news);
    }
  }

  #takeFiles(changed: readonly FileRecord[], isFull: boolean): void {
    const files = new Map(isFull ? [] : this.files.value);
    for (const record of changed) files.set(record.file_id, record);
    this.#setFiles(files);
    const role = this.role.value;
    if (role !== null) {
      const { workspaceId } = this;
      const known = {
        workspaceId,
        linkMark: this.#linkMark,
        title: this.title.value,
        role,
        files: [...files.values()],
      };
      void this.#memory.putWorkspace(known);
    }
    for (const record of changed) this.#guard(record.file_id, (document) => document.recordChanged(record));
    for (const document of [...this.#documents.values()]) if (!files.has(document.fileId)) document.gone();
    this.#adopt(this.#waiting.splice(0));
  }

  #setFiles(files: ReadonlyMap<number, FileRecord>): void {
    for (const record of files.values()) this.#paths.set(record.file_id, record.path);
    this.files.set(files);
  }

  #takeMembers(changed: readonly MemberRecord[], left: readonly number[], isFull: boolean): void {
    const members = new Map(isFull ? [] : this.members.value);
    for (const member of changed) members.set(member.member_id, member);
    for (const memberId of left) members.delete(memberId);
    this.members.set(members);
    const own = members.get(this.me.value?.memberId ?? -1);
    if (own !== undefined) this.me.set({ memberId: own.member_id, name: own.name, color: own.color });
  }

  #takeRefusal(notice: RefusedNotice): void {
    if (notice.request !== null) {
      this.#asked.get(notice.request)?.reject(new RefusedError(notice.code, `${notice.text} ${notice.next_step}`));
      this.#asked.delete(notice.request);
    } else if (notice.file_id !== null) {
      this.#guard(notice.file_id, (document) => document.refuse(notice));
    }
  }

  #lost(): void {
    for (const document of this.#documents.values()) document.disconnected();
    this.members.set(new Map());
    for (const asked of this.#asked.values()) {
      asked.reject(new RefusedError(0, "The connection was lost; whether it was done will show when it is back."));
    }
    this.#asked.clear();
  }

  #statusChanged(): void {
    if (this.status.value.kind === "closed") {
      for (const document of this.#documents.values()) document.judge();
    }
    this.#relight();
  }

  /** What goes wrong in one file's document is that file's alone. */
  #guard(fileId: number, run: (document: SharedDocument) => void): void {
    const document = this.#documents.get(fileId);
    if (document === undefined) return;
    try {
      run(document);
    } catch (error) {
      if (error instanceof WireError) throw error;
      document.fail(error);
    }
  }

  #ask(request: FileRequest): Promise<FileRecord> {
    if (!this.#connection.isOnline) {
      return Promise.reject(new RefusedError(0, "This needs a connection, and there is none at the moment."));
    }
    this.#requests++;
    const number = this.#requests;
    return new Promise((resolve, reject) => {
      this.#asked.set(number, { resolve, reject });
      this.#connection.notify({ ...request, request: number });
    });
  }

  #answered(request: number, record: FileRecord | undefined): void {
    if (record !== undefined) this.#asked.get(request)?.resolve(record);
    this.#asked.delete(request);
  }

  // -- this browser's storage

  /** Show what is remembered until the server is heard. */
  async #recall(): Promise<void> {
    const known = await this.#memory.loadWorkspace(this.#linkMark);
    if (known === null || this.#wasWelcomed) return;
    this.title.set(known.title);
    this.role.set(known.role);
    this.#setFiles(new Map(known.files.map((record) => [record.file_id, record])));
    this.#begin();
  }

  /** Once it is known that this page may write: look for what an earlier life of it, or a dead page, has left. */
  #begin(): void {
    if (this.#hasBegun || this.role.value === null) return;
    this.#hasBegun = true;
    void this.#claim();
  }

  /** Another page has gone: what it left is claimed without waiting, as far as it can be sent now. */
  async #takeOver(): Promise<void> {
    // Offline, a page that is being reloaded should find its own text again.
    if (!this.#connection.isOnline || !this.#hasBegun || this.role.value === "viewer") return;
    this.#adopt(await this.#pending.claim(false));
  }

  async #claim(): Promise<void> {
    if (this.role.value !== "viewer") {
      this.#adopt(await this.#pending.claim(false));
      this.#adopt(await this.#pending.claim(true));
    }
    await this.#pending.refreshAside();
    this.#isPendingKnown = true;
    this.#relight();
    if (this.status.value.kind === "closed") return;
    const waitMs = CLAIM_EVERY_MS * (0.5 + this.#browser.random());
    this.#cancelClaim = this.#browser.after(waitMs, () => void this.#claim());
  }

  /** Give kept edits to their documents, in the background where nobody has them open. */
  #adopt(entries: readonly Entry[]): void {
    for (const fileId of new Set(entries.map((entry) => entry.fileId))) {
      const kept = entries.filter((entry) => entry.fileId === fileId);
      const record = this.files.value.get(fileId);
      const epoch = this.#documents.get(fileId)?.epoch ?? record?.epoch;
      const fitting = kept.filter((entry) => entry.epoch === epoch);
      const strange = kept.filter((entry) => entry.epoch !== epoch);
      if (record === undefined || record.deleted_at_ms !== null) {
        if (record === undefined && this.#wasWelcomed) this.#pending.putAside(kept, Code.FILE_UNKNOWN);
        else this.#waiting.push(...kept);
        continue;
      }
      if (this.#wasWelcomed) this.#pending.putAside(strange, Code.EPOCH_CHANGED);
      else this.#waiting.push(...strange);
      if (fitting.length > 0) this.#documentOf(record).adopt(fitting);
    }
    this.#relight();
  }

  // -- documents

  #record(fileId: number): FileRecord {
    const record = this.files.value.get(fileId);
    if (record === undefined) throw new RefusedError(Code.FILE_UNKNOWN, "There is no such file.");
    return record;
  }

  #documentOf(record: FileRecord): SharedDocument {
    const open = this.#documents.get(record.file_id);
    if (open !== undefined) return open;
    const document = new SharedDocument(this.#around, record);
    this.#documents.set(record.file_id, document);
    return document;
  }

  #closeIfDone(document: SharedDocument): void {
    if (document.users > 0 || (document.unsaved.value > 0 && !document.isHopeless)) return;
    if (this.#documents.get(document.fileId) !== document) return;
    this.#documents.delete(document.fileId);
    // Nobody sees it any more, and it would wait for ever: its edits are looked at and discarded by themselves.
    this.#pending.putAside(document.release(), document.refused.value?.code ?? 0);
    void document.close();
  }

  #surroundings(): DocumentSurroundings {
    return {
      browser: this.#browser,
      connection: this.#connection,
      pending: this.#pending,
      memory: this.#memory,
      memberId: () => this.me.value?.memberId ?? null,
      mayWrite: () => (this.role.value === null ? null : this.role.value !== "viewer"),
      isClosed: () => this.status.value.kind === "closed",
      record: (fileId) => this.files.value.get(fileId),
      onChange: (document) => {
        this.#relight();
        this.#closeIfDone(document);
      },
    };
  }

  // -- the light

  #relight(): void {
    const aside = [...this.#pending.aside].reduce((sum, record) => sum + record.edits, 0);
    this.setAside.set({ count: aside });
    const total = this.#waiting.reduce((sum, entry) => sum + entry.edits, aside);
    const count = [...this.#documents.values()].reduce((sum, document) => sum + document.unsaved.value, total);
    this.light.set(this.#lightOf(count));
  }

  #lightOf(count: number): Light {
    const kept = this.#pending.unkeptEdits === 0;
    const status = this.status.value;
    if (status.kind === "closed") return { kind: "closed", count, kept, reason: status.reason };
    if (status.kind === "offline") return { kind: "offline", count, kept };
    if (status.kind === "connecting" || !this.#isPendingKnown) return { kind: "connecting", count, kept };
    return count === 0 ? { kind: "saved" } : { kind: "unsaved", count, kept };
  }
}

function isSameLight(a: Light, b: Light): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
