/**
 * What of this browser's edits cannot go up by itself, each file's as a text to compare, apply or discard (promise 3).
 *
 * Owns: which edits these are, the text that they make of a file, and how that comes into the file. Does not know: the UI.
 * It is loaded when somebody asks; nothing here is needed for typing.
 *
 * Invariants:
 *   1. Edits are forgotten only when the person discarded them, or after what came of them is in the file as a new edit.
 *   2. Another history is never merged: texts are, and a person sees the result before it is anybody else's.
 */

import { diff } from "@codemirror/merge";
import { ChangeSet, Text } from "@codemirror/state";
import * as Y from "yjs";
import type { PendingRecord } from "./database";
import type { SharedDocument } from "./document";
import { Code, RefusedError } from "./errors";
import type { Memory } from "./memory";
import type { FileRecord } from "./messages";
import type { Rescue, Session, TextEdit } from "./model";
import type { Entry, PendingEdits } from "./pending";
import { isInsidePair } from "./reentry";
import { type Base, typedText } from "./setaside";
import type { Bytes } from "./wire";

/** Milliseconds that a file's text may take to come; a drawer that does not open helps nobody. */
const TEXT_MS_MAX = 5_000;
/** What a comparison may cost before it becomes coarser: changed characters, and milliseconds. */
const DIFF = { scanLimit: 2_000, timeout: 500 };
/** Free names looked for beside a path that is taken. */
const NAMES_MAX = 100;

/** What rescuing needs of a session's inside. */
export interface Ground {
  readonly session: Session;
  readonly pending: PendingEdits;
  readonly memory: Pick<Memory, "loadDocument">;
  readonly linkMark: string;
  documents(): Iterable<SharedDocument>;
  /** Kept edits that no file of the list fits, yet. */
  waiting(): readonly Entry[];
  /** Take these from what waits. */
  forgetWaiting(ids: ReadonlySet<string>): void;
}

type Kept = Pick<PendingRecord, "id" | "fileId" | "epoch" | "update" | "edits" | "path" | "atMs">;

interface Group {
  readonly id: string;
  readonly kind: Rescue["kind"];
  readonly code: number;
  readonly fileId: number;
  readonly epoch: string;
  readonly kept: Kept[];
  /** The open document that shows the edits. */
  readonly document: SharedDocument | null;
}

interface Listed {
  readonly group: Group;
  readonly rescue: Rescue;
}

export class Rescuer {
  readonly #ground: Ground;
  #listed = new Map<string, Listed>();
  #bases: readonly PendingRecord[] = [];

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  /** Everything that needs a person, the latest first. Open files whose edits can never be sent show the server's text from here on. */
  async list(): Promise<readonly Rescue[]> {
    this.#startAnew();
    const { records, living } = await this.#ground.pending.everything();
    this.#bases = records.filter((record) => record.base !== undefined);
    const groups = this.#groups(records, living);
    const rescues = await Promise.all(groups.map(async (group) => ({ group, rescue: await this.#rescue(group) })));
    rescues.sort((a, b) => b.rescue.atMs - a.rescue.atMs);
    this.#listed = new Map(rescues.map((one) => [one.group.id, one]));
    return rescues.map((one) => one.rescue);
  }

  /**
   * Make `text` the file's text, as a new edit of this person, or a new file's where there is none, and forget the edits.
   * Returns false, with nothing done, when the file is another by now: list again.
   */
  async apply(id: string, text: string): Promise<boolean> {
    const { group, rescue } = this.#find(id);
    if (!rescue.mayApply) throw new RefusedError(Code.ROLE_TOO_LOW, "This cannot be put into the file here.");
    if (rescue.now === null) await this.#create(rescue.path, text);
    else if (text !== rescue.now) {
      const isDone = await this.#ground.session.editFile(group.fileId, rescue.now, editsBetween(rescue.now, text));
      if (!isDone) return false;
    }
    this.#forget(group);
    return true;
  }

  /** Forget the edits: only when the person says so. */
  discard(id: string): void {
    this.#forget(this.#find(id).group);
  }

  #find(id: string): Listed {
    const listed = this.#listed.get(id);
    if (listed === undefined) throw new RefusedError(0, "These edits are not here any more.");
    return listed;
  }

  /** Edits that can never be sent leave their document, which takes the server's text. */
  #startAnew(): void {
    const { session, pending } = this.#ground;
    if (session.status.value.kind !== "online") return;
    for (const document of [...this.#ground.documents()]) {
      const record = session.files.value.get(document.fileId);
      if (!document.isHopeless || record === undefined || record.deleted_at_ms !== null) continue;
      const code = document.refused.value?.code ?? 0;
      pending.putAside(document.startAnew(), code);
    }
  }

  // -- what there is

  #groups(records: readonly PendingRecord[], living: ReadonlySet<string>): Group[] {
    const { session, linkMark, pending } = this.#ground;
    const groups = new Map<string, Group>();
    const add = (kept: Kept, kind: Rescue["kind"], code: number, document: SharedDocument | null = null): void => {
      const { fileId, epoch } = kept;
      const id = `${kind}.${fileId}.${epoch}`;
      const group = groups.get(id) ?? { id, kind, code, fileId, epoch, kept: [], document };
      group.kept.push(kept);
      groups.set(id, group);
    };
    const { status } = session;
    const closed = status.value.kind === "closed" ? status.value.code : null;
    const seen = new Set<string>();
    for (const document of this.#ground.documents()) {
      const code = document.refused.value?.code ?? closed;
      for (const entry of document.entries) {
        seen.add(entry.id);
        if (code !== null) add(entry, document.isHopeless ? "aside" : "waits", code, document);
      }
    }
    for (const entry of this.#ground.waiting()) {
      seen.add(entry.id);
      const isDeleted = session.files.value.get(entry.fileId)?.deleted_at_ms != null;
      if (isDeleted) add(entry, "waits", Code.FILE_DELETED);
      else if (closed !== null) add(entry, "waits", closed);
    }
    for (const record of records) {
      if (record.base !== undefined || seen.has(record.id)) continue;
      if (record.setAside !== undefined) add(record, "aside", record.setAside);
      else if (record.tabId === pending.tabId || living.has(record.tabId)) continue;
      else if (record.linkMark !== linkMark) add(record, "stray", 0);
      else if (closed !== null) add(record, "waits", closed);
    }
    return [...groups.values()];
  }

  async #rescue(group: Group): Promise<Rescue> {
    const { session } = this.#ground;
    const { fileId, kind, code } = group;
    const record = session.files.value.get(fileId);
    const isLive = record !== undefined && record.deleted_at_ms === null;
    const { before, mine, isWhole } = await this.#seen(group);
    const { now, exact } = kind === "waits" ? { now: before, exact: mine } : await this.#now(group, record);
    const role = session.role.value;
    const mayWrite = (role === "editor" || role === "owner") && session.status.value.kind !== "closed";
    const isOnline = session.status.value.kind === "online";
    return {
      id: group.id,
      ...{ fileId, kind, code, now, mine, isWhole },
      path: record?.path ?? (group.kept.find((kept) => kept.path)?.path || `file ${fileId}`),
      isGone: !isLive,
      count: group.kept.reduce((sum, kept) => sum + kept.edits, 0),
      atMs: Math.max(...group.kept.map((kept) => kept.atMs)),
      proposal: exact ?? proposalOf(before, mine, isWhole, now),
      mayApply: mayWrite && kind !== "waits" && (isLive ? now !== null : isOnline),
      mayRestore: mayWrite && isOnline && kind === "waits" && code === Code.FILE_DELETED,
    };
  }

  /** The text as the person saw it, and as it was before their edits. */
  async #seen(group: Group): Promise<{ before: string | null; mine: string; isWhole: boolean }> {
    const updates = group.kept.map((kept) => kept.update);
    const seen = asSeen(await this.#baseOf(group), updates);
    // What is on the screen cannot be told better.
    return group.document === null ? seen : { ...seen, mine: group.document.text.toString(), isWhole: true };
  }

  async #baseOf({ fileId, epoch }: Group): Promise<Base | null> {
    const kept = this.#bases.find((base) => base.fileId === fileId && base.epoch === epoch);
    if (kept?.base === "clean") return { state: kept.update, kind: "clean" };
    const known = await this.#ground.memory.loadDocument(fileId);
    if (known?.epoch === epoch) return { state: Y.mergeUpdates([...known.updates]) as Bytes, kind: "clean" };
    return kept?.base === undefined ? null : { state: kept.update, kind: kept.base };
  }

  /** The file as it is, and, where it has still the same history, what the edits make of it. */
  async #now(group: Group, record: FileRecord | undefined): Promise<{ now: string | null; exact: string | null }> {
    const { session } = this.#ground;
    if (record === undefined || record.deleted_at_ms !== null) return { now: null, exact: null };
    try {
      const document = session.openFile(group.fileId);
      try {
        // It shows what can never be sent: that is not the file.
        if (this.#isHopeless(group.fileId)) return { now: null, exact: null };
        const now = await session.textOf(group.fileId, AbortSignal.timeout(TEXT_MS_MAX));
        const isSame = record.epoch === group.epoch && document.text.toString() === now;
        const state = isSame ? Y.encodeStateAsUpdate(document.doc) : null;
        return { now, exact: state === null ? null : withEdits(state, group.kept) };
      } finally {
        session.closeFile(group.fileId);
      }
    } catch {
      return { now: null, exact: null };
    }
  }

  #isHopeless(fileId: number): boolean {
    return [...this.#ground.documents()].some((document) => document.fileId === fileId && document.isHopeless);
  }

  // -- what is done about it

  async #create(path: string, text: string): Promise<void> {
    for (let number = 0; number < NAMES_MAX; number++) {
      try {
        await this.#ground.session.createFile(beside(path, number), { text });
        return;
      } catch (error) {
        if (!(error instanceof RefusedError) || error.code !== Code.PATH_TAKEN) throw error;
      }
    }
    throw new RefusedError(Code.PATH_TAKEN, "No free name was found for the file.");
  }

  #forget(group: Group): void {
    const { pending } = this.#ground;
    const ids = new Set(group.kept.map((kept) => kept.id));
    if (group.document !== null) for (const entry of group.document.startAnew()) ids.add(entry.id);
    this.#ground.forgetWaiting(ids);
    this.#listed.delete(group.id);
    const isOf = (one: { fileId: number; epoch: string }): boolean =>
      one.fileId === group.fileId && one.epoch === group.epoch;
    const isLast = ![...this.#listed.values()].some((other) => isOf(other.group));
    for (const base of this.#bases) if (isLast && isOf(base)) ids.add(base.id);
    pending.discardAside([...ids]);
  }
}

/** What updates make of a base: the text before, and with them. Without a base only what was typed is known. */
export function asSeen(
  base: Base | null,
  updates: readonly Uint8Array[],
): { before: string | null; mine: string; isWhole: boolean } {
  if (base !== null) {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, base.state);
    const before = base.kind === "clean" ? doc.getText("text").toString() : null;
    for (const update of updates) Y.applyUpdate(doc, update);
    // Edits that build on something that is missing are no text.
    const isWhole = base.kind === "mixed" || (doc.store.pendingStructs === null && doc.store.pendingDs === null);
    if (isWhole) return { before, mine: doc.getText("text").toString(), isWhole };
  }
  return { before: null, mine: typedText(updates), isWhole: false };
}

function withEdits(state: Uint8Array, kept: readonly Kept[]): string | null {
  const seen = asSeen(
    { state: state as Bytes, kind: "clean" },
    kept.map((one) => one.update),
  );
  return seen.isWhole ? seen.mine : null;
}

/** What is proposed to a person; where only pieces are known they stand at the end. */
function proposalOf(before: string | null, mine: string, isWhole: boolean, now: string | null): string {
  if (now === null) return mine;
  if (isWhole) return before === null ? mine : mergeTexts(before, mine, now);
  return now === "" || now.endsWith("\n") ? `${now}${mine}` : `${now}\n${mine}`;
}

/**
 * What was done from `before` to `mine`, done to `now`: what the others deleted stays deleted, what was typed is all in
 * it, and where both changed the same place both stand there.
 */
export function mergeTexts(before: string, mine: string, now: string): string {
  const own = ChangeSet.of([...editsBetween(before, mine)], before.length);
  const theirs = ChangeSet.of([...editsBetween(before, now)], before.length);
  return own.map(theirs).apply(textOf(now)).sliceString(0, undefined, "\n");
}

/**
 * The edits that make `to` of `from`, sorted and not overlapping. A comparison by UTF-16 units may cut characters in half,
 * on either side; it is widened until it does not.
 */
export function editsBetween(from: string, to: string): TextEdit[] {
  const whole: Stretch[] = [];
  for (const change of diff(from, to, DIFF)) {
    const one = { fromA: change.fromA, toA: change.toA, fromB: change.fromB, toB: change.toB };
    if (isInsidePair(from, one.fromA) || isInsidePair(to, one.fromB)) {
      one.fromA--;
      one.fromB--;
    }
    if (isInsidePair(from, one.toA) || isInsidePair(to, one.toB)) {
      one.toA++;
      one.toB++;
    }
    const last = whole.at(-1);
    if (last !== undefined && (one.fromA < last.toA || one.fromB < last.toB)) {
      last.toA = one.toA;
      last.toB = one.toB;
    } else {
      whole.push(one);
    }
  }
  return whole.map(({ fromA, toA, fromB, toB }) => ({ from: fromA, to: toA, insert: to.slice(fromB, toB) }));
}

/** What lies here in the one text lies there in the other. */
interface Stretch {
  fromA: number;
  toA: number;
  fromB: number;
  toB: number;
}

function textOf(text: string): Text {
  return Text.of(text.split("\n"));
}

/** `a/b.py`, then `a/b (rescued).py`, `a/b (rescued 2).py`, … */
function beside(path: string, number: number): string {
  if (number === 0) return path;
  const [, stem = path, ending = ""] = /^(.*[^/.])(\.[^/.]+)$/.exec(path) ?? [];
  return `${stem} (rescued${number === 1 ? "" : ` ${number}`})${ending}`;
}
