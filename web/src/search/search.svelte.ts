/**
 * A search over all files of a workspace, and its results while files change.
 *
 * Owns: the query, what was found, what a person left out. Does not know: how it is shown; `replacement.ts` changes files.
 *
 * Invariants:
 *   1. A result's matches are those of its `text`, which is what the file read when it was searched last.
 *   2. Only the newest search adds results: what an older one still brings is dropped.
 *   3. At most `MATCHES_MAX` are kept, and it is told when there are more.
 */
import { untrack } from "svelte";
import type { FileRecord } from "../messages";
import type { FileDocument, Session } from "../model";
import { carried } from "./carried";
import { type Pattern, pathFilter, patternOf, type Query } from "./pattern";
import type { Match } from "./scan";
import { Scanner } from "./scanner";

export interface Found {
  readonly fileId: number;
  readonly path: string;
  readonly text: string;
  readonly matches: readonly Match[];
}

/** More nobody reads; the page stays quick. */
export const MATCHES_MAX = 10_000;
/** Texts read at once: as many as the session loads at once. */
const READERS = 8;
/** After so many files in which the pattern takes too long, it will in the others as well. */
const SLOW_MAX = 3;
/** Results are shown in batches, so that a thousand files are not a thousand redraws. */
const SHOW_MS = 60;
/** A file that is typed in is searched again at most so often. */
const AGAIN_MS = 300;

const NOTHING: Query = { text: "", isRegexp: false, matchCase: false, wholeWord: false, include: "", exclude: "" };

type Phase = "idle" | "searching" | "done" | "stopped";

export class Search {
  query = $state.raw<Query>(NOTHING);
  template = $state("");
  /** Whether replacing is shown. */
  isReplacing = $state(false);
  phase = $state<Phase>("idle");
  /** Files that were looked at, and that are to be. */
  done = $state(0);
  total = $state(0);
  /** By path. */
  found = $state.raw<readonly Found[]>([]);
  /** Matches that are not to be replaced, by file and place in `matches`. */
  leftOut = $state.raw<ReadonlyMap<number, ReadonlySet<number>>>(new Map());
  folded = $state.raw<ReadonlySet<number>>(new Set());
  /** Files that could not be had. */
  unread = $state.raw<ReadonlySet<number>>(new Set());
  /** Paths in which the pattern took too long. */
  slow = $state.raw<readonly string[]>([]);
  isCut = $state(false);
  isWorkerMissing = $state(false);
  /** Why the query is no pattern. */
  fault = $state<string | null>(null);
  readonly count = $derived(this.found.reduce((sum, { matches }) => sum + matches.length, 0));

  /** Counts the searches that were begun: results and what was left out of them are of one. */
  round = 0;

  private readonly session: Session;
  private readonly scanner: Scanner;
  private readonly results = new Map<number, Found>();
  private pattern: Pattern | null = null;
  private running = new AbortController();
  private showTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly againTimers = new Map<number, ReturnType<typeof setTimeout>>();
  private paths = new Map<number, string>();

  constructor(session: Session, scanner = new Scanner()) {
    this.session = session;
    this.scanner = scanner;
  }

  /** Search for something else, or for the same again. Never rejects. */
  async start(query: Query = this.query): Promise<void> {
    this.forget();
    this.query = query;
    if (query.text === "") return;
    try {
      this.pattern = patternOf(query);
    } catch (error) {
      this.fault = error instanceof Error ? error.message : String(error);
      return;
    }
    this.paths = livePaths(this.session.files.value);
    const takes = pathFilter(query);
    const waiting = [...this.paths].filter(([, path]) => takes(path)).sort(([, a], [, b]) => (a < b ? -1 : 1));
    this.total = waiting.length;
    this.phase = "searching";
    const { signal } = this.running;
    const reader = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift()) {
        await this.look(next[0], signal);
        if (!signal.aborted) this.done++;
      }
    };
    await Promise.all(Array.from({ length: READERS }, reader));
    if (!signal.aborted) this.phase = "done";
    if (this.running.signal === signal) this.show();
  }

  /** Keep what was found so far. */
  stop(): void {
    if (this.phase === "searching") this.phase = "stopped";
    this.end();
    this.show();
  }

  /** Search files anew as they come, go and change; the answer ends it. An effect that calls this hangs on nothing of it. */
  watch(): () => void {
    const ends = untrack(() => [
      this.session.files.subscribe((files) => this.followFiles(files)),
      this.session.status.subscribe(({ kind }) => {
        if (kind === "online") for (const fileId of this.unread) this.again(fileId);
      }),
    ]);
    return () => {
      for (const end of ends) end();
      for (const timer of this.againTimers.values()) clearTimeout(timer);
      this.againTimers.clear();
    };
  }

  /** Search a file anew whenever its text changes; the answer ends it. For effects as above. */
  follow(document: FileDocument): () => void {
    const changed = (): void => this.again(document.fileId);
    let text = document.text;
    text.observe(changed);
    const ends = untrack(() => [
      document.generation.subscribe(() => {
        text.unobserve(changed);
        text = document.text;
        text.observe(changed);
      }),
      document.ready.subscribe((isReady) => {
        if (isReady && this.unread.has(document.fileId)) changed();
      }),
    ]);
    return () => {
      text.unobserve(changed);
      for (const end of ends) end();
    };
  }

  /** Search one file again, now. Returns what was found; null when nothing was, or it could not be had. */
  async refresh(fileId: number): Promise<Found | null> {
    const path = this.paths.get(fileId);
    if (this.pattern === null || path === undefined) return null;
    if (pathFilter(this.query)(path)) await this.look(fileId, this.running.signal);
    else this.results.delete(fileId);
    this.show();
    return this.results.get(fileId) ?? null;
  }

  /** Leave a match out of replacing, or take it in again. */
  toggle(fileId: number, at: number): void {
    const next = new Set(this.leftOut.get(fileId));
    if (!next.delete(at)) next.add(at);
    this.leftOut = new Map(this.leftOut).set(fileId, next);
  }

  isLeftOut(fileId: number, at: number): boolean {
    return this.leftOut.get(fileId)?.has(at) === true;
  }

  fold(fileId: number, isFolded: boolean): void {
    const next = new Set(this.folded);
    if (isFolded) next.add(fileId);
    else next.delete(fileId);
    this.folded = next;
  }

  private forget(): void {
    this.round++;
    this.end();
    this.results.clear();
    this.found = [];
    this.pattern = null;
    this.fault = null;
    this.phase = "idle";
    this.leftOut = new Map();
    this.folded = new Set();
    this.unread = new Set();
    this.slow = [];
    this.isCut = false;
    this.isWorkerMissing = false;
    this.done = 0;
    this.total = 0;
  }

  private end(): void {
    this.running.abort();
    this.running = new AbortController();
    for (const timer of this.againTimers.values()) clearTimeout(timer);
    this.againTimers.clear();
  }

  private async look(fileId: number, signal: AbortSignal): Promise<void> {
    const { pattern } = this;
    if (pattern === null) return;
    try {
      const text = await this.session.textOf(fileId, signal);
      // One more than are kept tells that there are more.
      const scanned = await this.scanner.scan(text, pattern, MATCHES_MAX + 1, signal);
      if (signal.aborted) return;
      this.mark(fileId, false);
      if (scanned.kind === "matches") this.take(fileId, text, scanned.matches);
      else if (scanned.kind === "slow") this.giveUp(fileId);
      else {
        this.isWorkerMissing = true;
        this.stop();
      }
    } catch (error) {
      if (signal.aborted) return;
      // Offline and never seen here, deleted meanwhile, refused: it is counted, and the others are searched.
      this.mark(fileId, this.paths.has(fileId));
      void error;
    }
  }

  private take(fileId: number, text: string, matches: readonly Match[]): void {
    const before = this.results.get(fileId);
    const path = this.paths.get(fileId);
    const others = [...this.results.values()].reduce(
      (sum, each) => sum + (each === before ? 0 : each.matches.length),
      0,
    );
    const kept = matches.slice(0, MATCHES_MAX - others);
    if (kept.length === 0 || path === undefined) this.results.delete(fileId);
    else this.results.set(fileId, { fileId, path, text, matches: kept });
    const after = this.results.get(fileId);
    const leftOut = this.leftOut.get(fileId);
    if (before !== undefined && leftOut !== undefined) {
      this.leftOut = new Map(this.leftOut).set(
        fileId,
        after === undefined ? new Set() : carried(before, after, leftOut),
      );
    }
    this.showSoon();
    if (others + matches.length <= MATCHES_MAX) return;
    this.isCut = true;
    this.stop();
  }

  private giveUp(fileId: number): void {
    this.results.delete(fileId);
    const path = this.paths.get(fileId);
    if (path !== undefined && !this.slow.includes(path)) this.slow = [...this.slow, path];
    if (this.slow.length >= SLOW_MAX) this.stop();
    this.showSoon();
  }

  private mark(fileId: number, isUnread: boolean): void {
    if (this.unread.has(fileId) === isUnread) return;
    const next = new Set(this.unread);
    if (isUnread) next.add(fileId);
    else next.delete(fileId);
    this.unread = next;
  }

  private followFiles(files: ReadonlyMap<number, FileRecord>): void {
    const before = this.paths;
    this.paths = livePaths(files);
    if (this.pattern === null) return;
    for (const fileId of before.keys()) {
      if (this.paths.has(fileId)) continue;
      this.results.delete(fileId);
      this.mark(fileId, false);
      this.showSoon();
    }
    for (const [fileId, path] of this.paths) if (before.get(fileId) !== path) this.again(fileId);
  }

  private again(fileId: number): void {
    if (this.pattern === null || this.againTimers.has(fileId)) return;
    const timer = setTimeout(() => {
      this.againTimers.delete(fileId);
      void this.refresh(fileId);
    }, AGAIN_MS);
    this.againTimers.set(fileId, timer);
  }

  private showSoon(): void {
    this.showTimer ??= setTimeout(() => this.show(), SHOW_MS);
  }

  private show(): void {
    clearTimeout(this.showTimer);
    this.showTimer = undefined;
    this.found = [...this.results.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  }
}

function livePaths(files: ReadonlyMap<number, FileRecord>): Map<number, string> {
  const live = [...files.values()].filter((file) => file.deleted_at_ms === null);
  return new Map(live.map((file) => [file.file_id, file.path]));
}

const searches = new WeakMap<Session, Search>();

/** The one search of a session: it stays while its panel is away. */
export function searchOf(session: Session): Search {
  const known = searches.get(session) ?? new Search(session);
  searches.set(session, known);
  return known;
}
