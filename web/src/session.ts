/**
 * A workspace as this page has it: the one object that the UI uses.
 *
 * Owns: the lists of files and members, who oneself is, the light; and it puts the parts together that do the rest.
 * Does not know: sockets, bytes, how a document is brought level.
 *
 * Invariants:
 *   1. The light is `saved` only while connected to a server that can save, when every local edit of this page, and of dead pages that it follows,
 *      was counted in a `saved` of this or an earlier connection, and when nothing is set aside.
 *   2. The list of files never goes back: an answer by HTTP adds what the connection has not told yet, and changes nothing.
 */

import { Background } from "./background";
import { type Browser, thisBrowser } from "./browser";
import { Carrying } from "./carrying";
import { Chat } from "./chat";
import { Claims } from "./claims";
import { Connection, type News } from "./connection";
import { DatabaseDoor, linkMark } from "./database";
import { Code, RefusedError } from "./errors";
import { FileRequests } from "./filerequests";
import { makeRoom } from "./forgetting";
import { inParcels } from "./importing";
import { keepPerson, personToken, rememberVisit } from "./links";
import { Memory } from "./memory";
import type {
  ClientLimits,
  Fault,
  FileRecord,
  LineEnd,
  MemberRecord,
  RefusedNotice,
  Request,
  Role,
  Welcome,
} from "./messages";
import type { ChatLog, FileDocument, Light, Me, Rescue, Session, SetAside, TextEdit, UnsavedFile } from "./model";
import { Cell, type Observable } from "./observable";
import { OpenDocuments } from "./opendocuments";
import { PendingEdits } from "./pending";
import { type Profile, saveProfile } from "./profile";
import { wellFormed } from "./reentry";
import type { Rescuer } from "./rescue";
import * as rest from "./rest";
import { asideText, findBase } from "./setaside";
import { Signals, type TakeSignal } from "./signals";

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

/** The build of a page that was not made by the packaging: it differs from every server's. */
const BUILD_BY_HAND = "unpackaged00";

/** What holds until the server has told its own. Source: `src/carets/limits.py`. */
const LIMITS: ClientLimits = {
  part_bytes_max: 65_536,
  update_bytes_max: 67_108_864,
  document_units_max: 20_971_520,
  presence_bytes_max: 4_096,
  files_max: 5_000,
  name_units_max: 40,
};

/** See `Session` in `model.ts`. It connects at once. */
export class WorkspaceSession implements Session {
  readonly workspaceId: string;
  readonly status: Connection["status"];
  readonly light: Cell<Light>;
  readonly setAside = new Cell<SetAside>({ count: 0 }, (a, b) => a.count === b.count);
  readonly strays = new Cell(0);
  readonly role = new Cell<Role | null>(null);
  readonly title = new Cell("");
  readonly me = new Cell<Me | null>(null);
  readonly author = new Cell("");
  readonly members = new Cell<ReadonlyMap<number, MemberRecord>>(new Map());
  readonly files = new Cell<ReadonlyMap<number, FileRecord>>(new Map());
  readonly newBuild = new Cell(false);
  readonly limits = new Cell<ClientLimits>(LIMITS);
  readonly chat: Observable<ChatLog>;
  readonly chatWaiting: Observable<number>;
  readonly #options: SessionOptions;
  readonly #browser: Browser;
  readonly #connection: Connection;
  readonly #door: DatabaseDoor;
  readonly #memory: Memory;
  readonly #pending: PendingEdits;
  readonly #documents: OpenDocuments;
  readonly #claims: Claims;
  readonly #background: Background;
  readonly #carrying: Carrying;
  readonly #fileRequests: FileRequests;
  readonly #chat: Chat;
  readonly #signals: Signals;
  readonly #linkMark: string;
  /** Every path that was known in this page's life: the list forgets the files that are gone. */
  readonly #paths = new Map<number, string>();
  #profile: Profile;
  /** Who the last welcome said one is: where the browser keeps nothing, a page is one person at least. */
  #person = "";
  #personSent = "";
  #requests = 0;
  #place: number | null = null;
  #rescuing: Promise<Rescuer> | null = null;
  #wasWelcomed = false;
  /** Why the server cannot save. */
  #fault: Fault | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.workspaceId = options.workspaceId;
    this.#browser = options.browser ?? thisBrowser();
    this.#profile = options.profile;
    this.#linkMark = linkMark(options.key);
    this.light = new Cell<Light>({ kind: "connecting", count: 0, kept: true }, isSameLight);
    this.#door = new DatabaseDoor(this.#browser, makeRoom);
    this.#memory = new Memory(this.#door, options.workspaceId, () => this.#browser.nowMs());
    this.#pending = new PendingEdits({
      browser: this.#browser,
      door: this.#door,
      workspaceId: options.workspaceId,
      linkMark: this.#linkMark,
      pathOf: (fileId) => this.#paths.get(fileId) ?? "",
      baseOf: (fileId, epoch) => findBase(this.#memory, this.#documents.find(fileId), fileId, epoch),
      onChange: () => this.#relight(),
      onLeft: () => void this.#claims.takeOver(),
    });
    this.#connection = new Connection({
      url: new URL(`ws/${options.workspaceId}`, options.base).href.replace(/^http/, "ws"),
      browser: this.#browser,
      hello: () => this.#hello(),
      listener: {
        onWelcome: (welcome) => this.#takeWelcome(welcome),
        onNews: (news) => this.#takeNews(news),
        onMessage: (fileId, message) => this.#documents.guard(fileId, (document) => document.take(message)),
        onLost: () => this.#lost(),
      },
    });
    this.status = this.#connection.status;
    const connection = this.#connection;
    const nextNumber = (): number => ++this.#requests;
    this.#documents = this.#openDocuments();
    this.#claims = new Claims({
      ...{ browser: this.#browser, pending: this.#pending, role: () => this.role.value },
      isOnline: () => connection.isOnline,
      isClosed: () => this.status.value.kind === "closed",
      onFound: (entries) => this.#documents.adopt(entries),
      onLooked: () => this.#relight(),
    });
    this.#background = new Background({ documents: this.#documents, files: this.files, status: this.status });
    this.#carrying = new Carrying({ memory: this.#memory, background: this.#background, status: this.status });
    this.#fileRequests = new FileRequests(connection, nextNumber);
    this.#signals = new Signals(this.#browser, connection);
    this.#chat = new Chat({
      ...{ browser: this.#browser, connection, nextNumber },
      loadEarlier: (before, count) => rest.earlierChat(...this.#address, before, count, this.#send),
    });
    this.chat = this.#chat.log;
    this.chatWaiting = this.#chat.waiting;
    this.status.subscribe(() => this.#statusChanged());
    void this.#recall();
  }

  // -- files

  openFile(fileId: number): FileDocument {
    const document = this.#documents.enter(fileId);
    void document.keep();
    return document;
  }

  closeFile(fileId: number): void {
    this.#documents.leave(fileId);
  }

  async createFile(path: string, options: { eol?: LineEnd; text?: string } = {}): Promise<number> {
    const given = options.text ?? "";
    const text = wellFormed(given.replace(/\r\n?/g, "\n"));
    if (text.length > this.limits.value.document_units_max) {
      throw new RefusedError(Code.DOCUMENT_TOO_LARGE, "The text is larger than a file may be.");
    }
    const eol = options.eol ?? (given.includes("\r\n") ? "crlf" : "lf");
    const [record] = await this.#fileRequests.ask({ type: "create_file", path, eol });
    if (record === undefined) throw new RefusedError(0, "The server did not say which file it made.");
    const { file_id } = record;
    if (text !== "") {
      const document = this.#documents.enter(file_id);
      await document.keep();
      document.text.insert(0, text);
      this.closeFile(file_id);
    }
    return file_id;
  }

  async renameFile(fileId: number, path: string): Promise<void> {
    await this.#fileRequests.ask({ type: "rename_file", file_id: fileId, path });
  }

  async deleteFile(fileId: number): Promise<void> {
    await this.#fileRequests.ask({ type: "delete_file", file_id: fileId });
  }

  async restoreFile(fileId: number, path?: string): Promise<void> {
    await this.#fileRequests.ask({ type: "restore_file", file_id: fileId, ...(path === undefined ? {} : { path }) });
  }

  async renameFolder(path: string, to: string): Promise<void> {
    await this.#fileRequests.ask({ type: "rename_folder", path, to });
  }

  async deleteFolder(path: string): Promise<void> {
    await this.#fileRequests.ask({ type: "delete_folder", path });
  }

  async importFiles(files: ReadonlyMap<string, string>): Promise<readonly FileRecord[]> {
    const made: FileRecord[] = [];
    for (const parcel of inParcels(files)) {
      const records = await rest.importFiles(...this.#address, parcel, this.#personToken, this.#send);
      // Where the notice came first, it may be younger than this answer.
      const news = records.filter((record) => !this.files.value.has(record.file_id));
      if (news.length > 0) this.#takeFiles(news, false);
      made.push(...records);
    }
    return made;
  }

  exportZip(): Promise<Blob> {
    return rest.exportZip(...this.#address, this.#send);
  }

  textOf(fileId: number, signal?: AbortSignal): Promise<string> {
    return this.#background.textOf(fileId, signal);
  }

  editFile(fileId: number, expected: string, edits: readonly TextEdit[], signal?: AbortSignal): Promise<boolean> {
    return this.#background.editFile(fileId, expected, edits, signal);
  }

  // -- together

  sendChat(text: string): Promise<void> {
    if (this.role.value !== "viewer") return this.#chat.send(text);
    return Promise.reject(new RefusedError(Code.ROLE_TOO_LOW, "With this link the chat can only be read."));
  }

  loadEarlierChat(): Promise<void> {
    return this.#chat.loadEarlier();
  }

  sendSignal(kind: string, data: unknown, to?: number): void {
    this.#signals.send(kind, data, to);
  }

  onSignal(kind: string, take: TakeSignal): () => void {
    return this.#signals.on(kind, take);
  }

  tellPlace(fileId: number | null): void {
    if (fileId === this.#place) return;
    this.#place = fileId;
    this.#connection.notify({ type: "place", file_id: fileId });
  }

  // -- the rest of the UI's side

  async rescues(): Promise<readonly Rescue[]> {
    return (await this.#rescuer()).list();
  }

  async applyRescue(id: string, text: string): Promise<boolean> {
    const isDone = await (await this.#rescuer()).apply(id, text);
    await this.#pending.refreshAside();
    return isDone;
  }

  async discardRescue(id: string): Promise<void> {
    (await this.#rescuer()).discard(id);
    await this.#pending.refreshAside();
  }

  /** Fetched when it is first asked for. */
  #rescuer(): Promise<Rescuer> {
    const documents = this.#documents;
    this.#rescuing ??= import("./rescue").then(
      ({ Rescuer }) =>
        new Rescuer({
          ...{ session: this, pending: this.#pending, memory: this.#memory, linkMark: this.#linkMark },
          documents: () => documents.all,
          waiting: () => documents.waiting,
          forgetWaiting: (ids) => documents.forgetWaiting(ids),
        }),
    );
    // Where it could not be fetched, the next one who asks tries again.
    this.#rescuing.catch(() => (this.#rescuing = null));
    return this.#rescuing;
  }

  unsavedFiles(): readonly UnsavedFile[] {
    const counts = new Map<number, number>();
    const add = (fileId: number, count: number): void => void counts.set(fileId, (counts.get(fileId) ?? 0) + count);
    for (const document of this.#documents.all) add(document.fileId, document.unsaved.value);
    for (const entry of this.#documents.waiting) add(entry.fileId, entry.edits);
    const unsaved = [...counts].filter(([, count]) => count > 0);
    return unsaved.map(([fileId, count]) => ({ fileId, path: this.#paths.get(fileId) ?? "", count }));
  }

  heardAtMs(): number | null {
    return this.#connection.lastHeardAtMs;
  }

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
    this.#claims.stop();
    const closing = this.#documents.close();
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
    this.#personSent = this.#personToken;
    const { name, color } = this.#profile;
    // The server ends an earlier connection of this very page that it has not noticed to be dead.
    const page = this.#pending.tabId;
    return { type: "hello", key: this.#options.key, person: this.#personSent, name, color, page };
  }

  get #personToken(): string {
    return personToken(this.#browser, this.workspaceId) || this.#person;
  }

  get #address(): [base: string, workspaceId: string, key: string] {
    return [this.#options.base, this.workspaceId, this.#options.key];
  }

  get #send(): rest.Send {
    return (url, init) => this.#browser.send(url, init);
  }

  #takeWelcome(welcome: Welcome): void {
    keepPerson(this.#browser, this.workspaceId, this.#personSent, welcome.person);
    this.#person = welcome.person;
    this.#wasWelcomed = true;
    this.me.set({ memberId: welcome.member_id, name: welcome.name, color: welcome.color });
    this.author.set(welcome.author);
    this.limits.set(welcome.limits);
    this.#fault = welcome.fault;
    this.title.set(welcome.title);
    this.role.set(welcome.role);
    this.members.set(new Map(welcome.members.map((member) => [member.member_id, member])));
    this.newBuild.set(this.#options.build !== BUILD_BY_HAND && welcome.build !== this.#options.build);
    this.#takeFiles(welcome.files, true);
    this.#rememberVisit();
    this.#documents.welcomed();
    if (this.#place !== null) this.#connection.notify({ type: "place", file_id: this.#place });
    this.#chat.welcomed();
    void this.#claims.takeOver();
    this.#claims.begin();
    this.#carrying.welcomed(welcome);
  }

  #takeNews(news: News): void {
    switch (news.type) {
      case "files":
        this.#takeFiles(news.files, news.full);
        if (news.request !== null) this.#fileRequests.answered(news.request, news.files);
        return;
      case "members":
        this.#takeMembers(news.members, news.left, news.full);
        return;
      case "chat":
        this.#chat.take(news);
        return;
      case "signal":
        this.#signals.take(news.member_id, news.kind, news.data);
        return;
      case "workspace":
        this.title.set(news.title);
        this.#rememberVisit();
        this.#rememberWorkspace();
        return;
      case "storage":
        this.#fault = news.fault;
        if (this.#fault === null) this.#chat.writable();
        this.#relight();
        return;
      case "refused":
        this.#takeRefusal(news);
    }
  }

  #takeFiles(changed: readonly FileRecord[], isFull: boolean): void {
    const files = new Map(isFull ? [] : this.files.value);
    for (const record of changed) files.set(record.file_id, record);
    this.#setFiles(files);
    this.#rememberWorkspace();
    this.#documents.listChanged(changed);
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
      this.#fileRequests.refused(notice.request, notice);
      this.#chat.refused(notice.request, notice);
    } else if (notice.file_id !== null && notice.code !== Code.RATE_LIMITED) {
      // Edits are never refused for their rate: what was is a name, a place or a signal, and no matter of the file.
      this.#documents.guard(notice.file_id, (document) => document.refuse(notice));
    }
  }

  #lost(): void {
    this.#documents.lost();
    this.members.set(new Map());
    this.#fileRequests.lost();
  }

  #statusChanged(): void {
    const status = this.status.value;
    if (status.kind === "closed") {
      this.#documents.ended(status.code);
      this.#chat.closed(status.code, status.reason);
    }
    this.#relight();
  }

  // -- this browser's storage

  #rememberVisit(): void {
    const role = this.role.value;
    if (role === null) return;
    const { key } = this.#options;
    rememberVisit(this.#browser, { workspaceId: this.workspaceId, key, role, title: this.title.value });
  }

  #rememberWorkspace(): void {
    const role = this.role.value;
    if (role === null) return;
    const files = [...this.files.value.values()];
    const title = this.title.value;
    void this.#memory.putWorkspace({ workspaceId: this.workspaceId, linkMark: this.#linkMark, title, role, files });
  }

  /** Show what is remembered until the server is heard. */
  async #recall(): Promise<void> {
    const known = await this.#memory.loadWorkspace(this.#linkMark);
    if (known === null || this.#wasWelcomed) return;
    this.title.set(known.title);
    this.role.set(known.role);
    this.#setFiles(new Map(known.files.map((record) => [record.file_id, record])));
    this.#claims.begin();
  }

  #openDocuments(): OpenDocuments {
    return new OpenDocuments({
      around: {
        browser: this.#browser,
        connection: this.#connection,
        pending: this.#pending,
        memory: this.#memory,
        memberId: () => this.me.value?.memberId ?? null,
        mayWrite: () => (this.role.value === null ? null : this.role.value !== "viewer"),
        isClosed: () => this.status.value.kind === "closed",
        record: (fileId) => this.files.value.get(fileId),
      },
      isListed: () => this.#wasWelcomed,
      onChange: () => this.#relight(),
    });
  }

  // -- the light

  #relight(): void {
    const aside = [...this.#pending.aside].reduce((sum, record) => sum + record.edits, 0);
    this.setAside.set({ count: aside + this.#documents.hopelessCount });
    this.strays.set(this.#pending.strayEdits);
    this.light.set(this.#lightOf(aside + this.#documents.unsavedCount));
  }

  #lightOf(count: number): Light {
    const kept = this.#pending.unkeptEdits === 0;
    const status = this.status.value;
    if (status.kind === "closed") return { kind: "closed", count, kept, reason: status.reason };
    if (status.kind === "offline") return { kind: "offline", count, kept };
    if (status.kind === "connecting" || !this.#claims.isKnown) return { kind: "connecting", count, kept };
    if (this.#fault !== null) return { kind: "failing", count, kept, fault: this.#fault };
    return count === 0 ? { kind: "saved" } : { kind: "unsaved", count, kept };
  }
}

function isSameLight(a: Light, b: Light): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
