/**
 * What was typed here and is not known to be on the server's disk, kept in this browser until it is.
 *
 * Owns: its entries in the database, whose they are, and the lease that says that this page is alive.
 * Does not know: documents, connections.
 *
 * Invariants:
 *   1. An edit is counted as kept only when the database has said so.
 *   2. An entry leaves the database only when it is saved, or in the transaction that puts its successor there.
 *   3. A dead page's entries come to one living page. Should a page have been thought dead that was not, both send the
 *      same updates, which is harmless: they are idempotent, and the same person's.
 */

import type { Browser, Channel } from "./browser";
import type { Database, DatabaseDoor, PendingRecord, TabRecord } from "./database";
import { type Base, baseRecord } from "./setaside";
import type { Bytes } from "./wire";

/** Milliseconds between signs of life. A hidden page's timers may run only once a minute. */
const BEAT_EVERY_MS = 20_000;
/** Milliseconds without a sign of life after which a page is dead, where pages cannot ask each other. */
export const LEASE_MS = 180_000;
/** Milliseconds after which a lease that nobody asks for is swept out. */
const FORGOTTEN_MS = 86_400_000;
/** Milliseconds that living pages have to answer. Messages reach hidden pages at once, unless they are frozen. */
export const ANSWER_MS = 1_500;
/** Milliseconds until the database is tried again after it failed. */
const TRY_AGAIN_MS = 5_000;
/** Milliseconds of a write after which nobody should rely on it. */
const WRITE_MS_MAX = 2_000;
const CHANNEL = "carets.tabs";

/** One pending record while this page has it. */
export interface Entry {
  readonly id: string;
  readonly fileId: number;
  readonly epoch: string;
  readonly clientId: number;
  readonly update: Bytes;
  readonly edits: number;
  /** The file's path, as far as it was known when this was typed; the server may know the file no more. */
  readonly path: string;
  readonly atMs: number;
  isKept: boolean;
}

export interface PendingOptions {
  readonly browser: Browser;
  readonly door: DatabaseDoor;
  readonly workspaceId: string;
  readonly linkMark: string;
  /** Empty when it is not known. */
  readonly pathOf: (fileId: number) => string;
  /** What edits of a file and epoch were typed upon, while it can be had; asked when they are set aside. */
  readonly baseOf: (fileId: number, epoch: string) => Promise<Base | null>;
  /** Called when what is kept or set aside may have changed. */
  readonly onChange: () => void;
  /** Another page of this browser has gone and left something: a `claim` finds it. */
  readonly onLeft: () => void;
}

interface Store {
  get(id: string): Promise<PendingRecord | undefined>;
  put(record: PendingRecord): unknown;
  delete(id: string): unknown;
}
type Change = (store: Store) => unknown;

export class PendingEdits {
  /** This page's life; a reload is another. */
  readonly tabId: string;
  readonly #options: PendingOptions;
  readonly #browser: Browser;
  readonly #unlisten: (() => void)[];
  readonly #answered = new Set<string>();
  readonly #owned = new Map<string, Entry>();
  readonly #gone = new Set<string>();
  /** What is set aside and in no document of this page. */
  readonly #aside = new Map<string, PendingRecord>();
  /** What was discarded, which the database may still have for a moment. */
  readonly #dropped = new Set<string>();
  /** Files and epochs for whose edits the base was asked for. */
  readonly #based = new Set<string>();
  #channel: Channel | null;
  #count = 0;
  #unkeptEdits = 0;
  #strayEdits = 0;
  #queue: { change: Change; entry: Entry | null }[] = [];
  #isWriting = false;
  /** The database refuses to keep things, at the moment. */
  #isFailing = false;
  #isClosed = false;
  #cancelBeat: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;

  constructor(options: PendingOptions) {
    this.#options = options;
    this.#browser = options.browser;
    this.tabId = `${options.browser.randomUint32().toString(36)}${options.browser.randomUint32().toString(36)}`;
    this.#channel = options.browser.openChannel(CHANNEL);
    if (this.#channel !== null) this.#channel.onmessage = (message) => this.#hear(message);
    this.#unlisten = [
      options.browser.on("leaving", () => this.leave()),
      options.browser.on("returning", () => this.#return()),
      options.browser.on("marked", () => this.#channel === null && options.onLeft()),
    ];
  }

  /** Edits that the database has not said it keeps, yet. */
  get unkeptEdits(): number {
    return this.#unkeptEdits;
  }

  /** Edits of dead pages of other links of this workspace, as of the last `refreshAside`. */
  get strayEdits(): number {
    return this.#strayEdits;
  }

  /** What is set aside in this workspace, except for what an open document of this page still shows. */
  get aside(): Iterable<PendingRecord> {
    return this.#aside.values();
  }

  /** Keep an edit. The entry is usable at once, and kept later. */
  append(fileId: number, epoch: string, clientId: number, update: Bytes, edits: number): Entry {
    if (this.#cancelBeat === null) void this.#beat();
    this.#count++;
    this.#unkeptEdits += edits;
    const id = `${this.tabId}.${this.#count}`;
    const path = this.#options.pathOf(fileId);
    const atMs = this.#browser.nowMs();
    const entry: Entry = { id, fileId, epoch, clientId, update, edits, path, atMs, isKept: false };
    this.#owned.set(id, entry);
    const record = this.#record(entry);
    this.#write((store) => (this.#owned.has(id) ? store.put(record) : undefined), entry);
    return entry;
  }

  /** Forget entries: they are saved. */
  remove(entries: Iterable<Entry>): void {
    for (const entry of entries) {
      this.#owned.delete(entry.id);
      this.#settleEntry(entry);
      this.#write((store) => store.delete(entry.id));
    }
  }

  /** Keep entries for the person, and never send them by themselves again. Their document still shows and counts them. */
  setAside(entries: Iterable<Entry>, code: number): void {
    for (const entry of entries) {
      const record: PendingRecord = { ...this.#record(entry), setAside: code };
      this.#write((store) => store.put(record));
      void this.#keepBase(record);
    }
  }

  /** The same for entries that are in no document: they are in `aside` from here on. */
  putAside(entries: readonly Entry[], code: number): void {
    if (entries.length === 0) return;
    this.setAside(entries, code);
    for (const entry of entries) {
      this.#owned.delete(entry.id);
      this.#aside.set(entry.id, { ...this.#record(entry), setAside: code });
    }
    this.#options.onChange();
  }

  /** Bring `aside` level with the database, where other pages write, too. */
  async refreshAside(): Promise<void> {
    const isIdle = !this.#isWriting && this.#queue.length === 0;
    const written = isIdle ? [...this.#aside.keys()] : [];
    try {
      const [records, beats] = await this.#options.door.use((database) =>
        Promise.all([database.getAll("pending"), database.getAll("tabs")]),
      );
      const living = this.#living(beats);
      this.#strayEdits = records
        .filter((record) => this.#isStray(record, living))
        .reduce((sum, record) => sum + record.edits, 0);
      for (const id of written) this.#aside.delete(id);
      for (const record of records) {
        const isHere = record.workspaceId === this.#options.workspaceId && record.setAside !== undefined;
        if (isHere && !this.#owned.has(record.id) && !this.#dropped.has(record.id)) this.#aside.set(record.id, record);
      }
    } catch {
      this.#fail();
    }
    this.#options.onChange();
  }

  /** The person needs these no more: what is in `aside`, unless some of it, or of another link, is named. */
  discardAside(ids: readonly string[] = [...this.#aside.keys()]): void {
    this.#based.clear();
    for (const id of ids) {
      this.#aside.delete(id);
      this.#dropped.add(id);
      const entry = this.#owned.get(id);
      if (entry !== undefined) this.#settleEntry(entry);
      this.#owned.delete(id);
      this.#write((store) => store.delete(id));
    }
    this.#options.onChange();
  }

  /**
   * All that this browser keeps of the workspace, whoever typed it, and the tabs that may still send it themselves: those
   * that gave a sign of life, this one among them. Without a database: what this page has set aside.
   */
  async everything(): Promise<{ records: PendingRecord[]; living: ReadonlySet<string> }> {
    await this.settle();
    let living = this.#living([]);
    const records = new Map(this.#aside);
    try {
      const [kept, beats] = await this.#options.door.use((database) =>
        Promise.all([database.getAll("pending"), database.getAll("tabs")]),
      );
      for (const record of kept) {
        const isHere = record.workspaceId === this.#options.workspaceId;
        if (isHere && !this.#dropped.has(record.id)) records.set(record.id, record);
      }
      living = this.#living(beats);
    } catch {
      this.#fail();
    }
    return { records: [...records.values()], living };
  }

  /** Put `successor` in the place of `entries`: in one transaction, so that neither both nor none remain. */
  replace(
    entries: readonly Entry[],
    fileId: number,
    epoch: string,
    clientId: number,
    update: Bytes,
    edits: number,
  ): Entry {
    // Both changes are queued in one breath, and a breath is never cut into two transactions.
    const successor = this.append(fileId, epoch, clientId, update, edits);
    this.remove(entries);
    return successor;
  }

  /**
   * Take over what dead pages of the same link have left: this page's own earlier life above all. Empty when the database
   * fails. `isPatient`: first ask the other pages whether they live.
   */
  async claim(isPatient: boolean): Promise<Entry[]> {
    if (this.#cancelBeat === null) void this.#beat();
    try {
      const { records, isDead } = await this.#options.door.use(async (database) => {
        if (isPatient && (await this.#hasOthers(database))) await this.#ask();
        return this.#takeOver(database, isPatient);
      });
      for (const [tabId, dead] of isDead) {
        if (!dead) continue;
        this.#forgetMark(tabId);
        this.#gone.delete(tabId);
      }
      return records.sort(inOrder).map((record) => this.#own(record));
    } catch {
      this.#fail();
      return [];
    }
  }

  /** The promise is kept when nothing waits to be written any more, or cannot be. */
  async settle(): Promise<void> {
    while ((this.#isWriting || this.#queue.length > 0) && !this.#isFailing) {
      await new Promise<void>((resolve) => void this.#browser.after(0, resolve));
    }
  }

  /** A page that goes has no time for the database; this is said at once. */
  leave(): void {
    if (this.#owned.size === 0 || this.#isClosed) return;
    try {
      this.#browser.localStorage?.setItem(markName(this.tabId), "1");
    } catch {
      // Then the message below must do, or the lease's end.
    }
    this.#channel?.post({ left: this.tabId });
  }

  close(): void {
    if (this.#isClosed) return;
    this.leave();
    this.#isClosed = true;
    this.#cancelBeat?.();
    this.#cancelRetry?.();
    for (const unlisten of this.#unlisten) unlisten();
    this.#channel?.close();
    this.#channel = null;
  }

  /** Tabs that may still send what they typed themselves, this one among them. */
  #living(beats: readonly TabRecord[]): Set<string> {
    const isFresh = (beatAtMs: number): boolean => Math.abs(this.#browser.nowMs() - beatAtMs) <= LEASE_MS;
    const living = beats.filter(
      ({ tabId, beatAtMs }) => isFresh(beatAtMs) && !this.#gone.has(tabId) && !this.#hasMark(tabId),
    );
    return new Set([this.tabId, ...living.map(({ tabId }) => tabId)]);
  }

  /** Typed under another link, by a page that is no more: only a person can bring it home from here. */
  #isStray(record: PendingRecord, living: ReadonlySet<string>): boolean {
    const { workspaceId, linkMark } = this.#options;
    const isOtherLinks = record.workspaceId === workspaceId && record.linkMark !== linkMark;
    return isOtherLinks && !this.#dropped.has(record.id) && record.setAside === undefined && !living.has(record.tabId);
  }

  /** Beside what is set aside lies what it was typed upon; a clean one that is there already is the better one. */
  async #keepBase(like: PendingRecord): Promise<void> {
    const name = `${like.fileId}.${like.epoch}`;
    if (this.#based.has(name)) return;
    this.#based.add(name);
    const base = await this.#options.baseOf(like.fileId, like.epoch);
    if (base === null || this.#isClosed) return;
    const record = baseRecord(like, base);
    this.#dropped.delete(record.id);
    this.#aside.set(record.id, record);
    this.#write(async (store) => {
      if ((await store.get(record.id))?.base !== "clean") await store.put(record);
    });
  }

  // -- writing

  /** Group commit: while one transaction runs, the next one's changes gather. */
  #write(change: Change, entry: Entry | null = null): void {
    this.#queue.push({ change, entry });
    if (this.#isWriting || this.#cancelRetry !== null) return;
    this.#isWriting = true;
    queueMicrotask(() => void this.#writeAll());
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      const cancelAlarm = this.#browser.after(WRITE_MS_MAX, () => this.#fail());
      try {
        await this.#writeBatch(batch.map(({ change }) => change));
      } catch {
        this.#queue = [...batch, ...this.#queue];
        this.#isWriting = false;
        this.#fail();
        return;
      } finally {
        cancelAlarm();
      }
      this.#isFailing = false;
      for (const { entry } of batch) if (entry !== null) this.#settleEntry(entry);
      this.#options.onChange();
    }
    this.#isWriting = false;
  }

  async #writeBatch(changes: readonly Change[]): Promise<void> {
    await this.#options.door.use(async (database) => {
      const transaction = database.transaction("pending", "readwrite", { durability: "strict" });
      // Heard below; without this, a change that throws at once would leave it unheard.
      transaction.done.catch(() => undefined);
      await Promise.all([...changes.map((change) => change(transaction.store)), transaction.done]);
    });
  }

  #settleEntry(entry: Entry): void {
    if (!entry.isKept) this.#unkeptEdits -= entry.edits;
    entry.isKept = true;
  }

  #fail(): void {
    this.#isFailing = true;
    if (!this.#isClosed && !this.#isWriting && this.#queue.length > 0) {
      this.#cancelRetry ??= this.#browser.after(TRY_AGAIN_MS, () => {
        this.#cancelRetry = null;
        this.#isWriting = true;
        void this.#writeAll();
      });
    }
    this.#options.onChange();
  }

  #record(entry: Entry): PendingRecord {
    const { workspaceId, linkMark } = this.#options;
    const { isKept: _, ...kept } = entry;
    return { ...kept, workspaceId, linkMark, tabId: this.tabId };
  }

  #own(record: PendingRecord): Entry {
    const { id, fileId, epoch, clientId, update, edits, path = "", atMs } = record;
    const entry: Entry = { id, fileId, epoch, clientId, update, edits, path, atMs, isKept: true };
    this.#owned.set(id, entry);
    return entry;
  }

  // -- who lives

  #isDead(tabId: string, beatAtMs: number | undefined, wasAsked: boolean): boolean {
    if (beatAtMs === undefined || this.#gone.has(tabId) || this.#hasMark(tabId)) return true;
    // A hidden page's beats can be late by minutes, its answers are not.
    if (this.#channel !== null) return wasAsked && !this.#answered.has(tabId);
    return Math.abs(this.#browser.nowMs() - beatAtMs) > LEASE_MS;
  }

  async #takeOver(
    database: Database,
    isPatient: boolean,
  ): Promise<{ records: PendingRecord[]; isDead: Map<string, boolean> }> {
    const transaction = database.transaction(["pending", "tabs"], "readwrite");
    transaction.done.catch(() => undefined);
    const store = transaction.objectStore("pending");
    const tabs = transaction.objectStore("tabs");
    const link: [string, string] = [this.#options.workspaceId, this.#options.linkMark];
    const records = (await store.index("link").getAll(link)).filter((record) => this.#isOthers(record));
    const beats = await tabs.getAll();
    const isDead = new Map<string, boolean>();
    for (const { tabId } of records) {
      const beatAtMs = beats.find((tab) => tab.tabId === tabId)?.beatAtMs;
      if (!isDead.has(tabId)) isDead.set(tabId, this.#isDead(tabId, beatAtMs, isPatient));
    }
    const claimed = records.filter((record) => isDead.get(record.tabId) === true);
    const mine = claimed.map((record) => ({ ...record, tabId: this.tabId }));
    const forgotten = beats.filter(
      ({ tabId, beatAtMs }) => isDead.get(tabId) === true || Math.abs(this.#browser.nowMs() - beatAtMs) > FORGOTTEN_MS,
    );
    await Promise.all([
      ...mine.map((record) => store.put(record)),
      ...forgotten.map((tab) => tabs.delete(tab.tabId)),
      transaction.done,
    ]);
    return { records: mine, isDead };
  }

  #isOthers(record: PendingRecord): boolean {
    return record.tabId !== this.tabId && record.setAside === undefined;
  }

  async #hasOthers(database: Database): Promise<boolean> {
    const records = await database.getAllFromIndex("pending", "link", [
      this.#options.workspaceId,
      this.#options.linkMark,
    ]);
    return records.some((record) => this.#isOthers(record));
  }

  async #ask(): Promise<void> {
    if (this.#channel === null) return;
    this.#answered.clear();
    this.#channel.post({ ask: this.tabId });
    await new Promise<void>((resolve) => void this.#browser.after(ANSWER_MS, resolve));
  }

  #hear(message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    const { ask, alive, left } = message as Record<string, unknown>;
    if (typeof ask === "string") this.#channel?.post({ alive: this.tabId });
    if (typeof alive === "string") {
      this.#answered.add(alive);
      this.#gone.delete(alive);
    }
    if (typeof left === "string") {
      this.#gone.add(left);
      this.#options.onLeft();
    }
  }

  async #beat(): Promise<void> {
    if (this.#isClosed) return;
    this.#cancelBeat = this.#browser.after(BEAT_EVERY_MS, () => void this.#beat());
    try {
      await this.#options.door.use(async (database) => {
        if (!this.#isClosed) await database.put("tabs", { tabId: this.tabId, beatAtMs: this.#browser.nowMs() });
      });
    } catch {
      this.#fail();
    }
  }

  #return(): void {
    this.#forgetMark(this.tabId);
    this.#channel?.post({ alive: this.tabId });
  }

  #hasMark(tabId: string): boolean {
    try {
      return this.#browser.localStorage?.getItem(markName(tabId)) === "1";
    } catch {
      return false;
    }
  }

  #forgetMark(tabId: string): void {
    try {
      this.#browser.localStorage?.removeItem(markName(tabId));
    } catch {
      // It is looked at only beside entries of that tab.
    }
  }
}

function markName(tabId: string): string {
  return `carets.left.${tabId}`;
}

function inOrder(a: PendingRecord, b: PendingRecord): number {
  return a.atMs - b.atMs || Number(a.id.split(".")[1]) - Number(b.id.split(".")[1]);
}
