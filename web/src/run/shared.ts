/**
 * The runs of a room: one's own, and those of others as far as they are told.
 *
 * Owns: the list of runs with their output, and what is told of one's own. Does not know: frames, views.
 *
 * Invariants:
 *   1. What comes from others is judged: its shape, its size, and how many runs there may be. It is text and numbers only.
 *   2. One's own output is told in at most ten messages a second, each small enough for a signal; a flood leaves a gap.
 *   3. A viewer's run is seen by the viewer alone, since viewers send no signals.
 */
import { pathFault } from "../files/paths";
import type { MemberRecord } from "../messages";
import type { Session } from "../model";
import { Cell, type Observable } from "../observable";
import { wellFormed } from "../reentry";
import { LOG_UNITS_MAX, RunLog } from "./log";
import { type Chunk, type Language, readChunks } from "./messages";
import { languageOfRun } from "./runnable";
import { isOver, Runner, type RunnerOptions, type RunState } from "./runner";
import { Spout } from "./spout";

/** What of a session is needed. */
export interface Room
  extends Pick<Session, "me" | "members" | "files" | "role" | "sendSignal" | "onSignal" | "textOf"> {}

export interface SharedRun {
  readonly key: string;
  readonly isOwn: boolean;
  readonly name: string;
  readonly color: string;
  /** Empty when it was not told. */
  readonly path: string;
  /** It had begun before this page heard of it. */
  readonly isLate: boolean;
  readonly state: Observable<RunState>;
  readonly log: RunLog;
  /** Files of the workspace that could not be had for it. */
  readonly missing: Observable<readonly string[]>;
}

interface Entry extends SharedRun {
  readonly memberId: number | null;
  readonly state: Cell<RunState>;
  readonly missing: Cell<readonly string[]>;
  seq: number;
}

/** Runs that are listed, and how many of them one member may have. */
const RUNS_MAX = 12;
const RUNS_MEMBER_MAX = 3;
const OTHERS_UNITS_MAX = LOG_UNITS_MAX / 2;
/** Between two signals of output. */
const TELL_MS = 100;
/** Units of output in a signal: 16 KiB hold as many of three bytes each, with the path and what surrounds them. */
const TELL_UNITS_MAX = 4000;
const TELL_WAITING_UNITS_MAX = 16_384;
/** Texts that are asked for at a time, and what they may measure together. */
const GATHER_WIDTH = 16;
const GATHER_UNITS_MAX = 67_108_864;
/** How long texts are waited for that are not in this browser. */
const GATHER_WAIT_MS = 15_000;

export class SharedRuns {
  readonly #room: Room;
  readonly #runner: Runner;
  readonly #runs = new Cell<readonly SharedRun[]>([]);
  readonly #heard = new Map<string, Entry>();
  readonly #ends: (() => void)[] = [];
  /** What is written into the field for input, kept while no panel is there. */
  readonly input = new Cell("");
  readonly #waiting = new Spout(TELL_WAITING_UNITS_MAX);
  #own: Entry | null = null;
  #ownId = "";
  #tellTimer: ReturnType<typeof setTimeout> | null = null;
  #known: ReadonlySet<number> = new Set();
  #count = 0;

  constructor(room: Room, make: (onOutput: RunnerOptions["onOutput"]) => Runner) {
    this.#room = room;
    this.#runner = make((chunks) => this.#print(chunks));
    this.#runner.state.subscribe((state) => this.#ownChanged(state));
    this.#ends.push(
      room.onSignal("run.begin", (memberId, sent) => this.#takeBegin(memberId, sent)),
      room.onSignal("run.out", (memberId, sent) => this.#takeOut(memberId, sent)),
      room.onSignal("run.end", (memberId, sent) => this.#takeEnd(memberId, sent)),
      room.members.subscribe((members) => this.#membersChanged(members)),
    );
  }

  /** The latest first. */
  get runs(): Observable<readonly SharedRun[]> {
    return this.#runs;
  }

  /** Run a file with all others around it; a run of one's own that is under way is stopped. */
  async start(fileId: number, stdin: readonly string[]): Promise<void> {
    const path = this.#room.files.value.get(fileId)?.path ?? "";
    const language = languageOfRun(path);
    if (language === null) return;
    this.stop();
    const own = this.#begin(path, language);
    const { files, missing } = await this.#gather(path);
    if (this.#own !== own || isOver(own.state.value)) return;
    own.missing.set(missing);
    if (!files.has(path)) own.state.set({ kind: "failed", fault: "load" });
    else this.#runner.start({ path, files, stdin });
  }

  stop(): void {
    this.#runner.stop();
    if (this.#own !== null && !isOver(this.#own.state.value)) this.#ownEnded({ kind: "stopped", ms: 0 });
  }

  dispose(): void {
    this.stop();
    for (const end of this.#ends.splice(0)) end();
    this.#runner.dispose();
  }

  // -- one's own

  #begin(path: string, language: Language): Entry {
    const me = this.#room.me.value;
    this.#count++;
    this.#ownId = `${Date.now().toString(36)}${this.#count.toString(36)}`;
    if (this.#own !== null) this.#heard.delete(this.#own.key);
    this.#waiting.take();
    const own: Entry = {
      ...blank(`own:${this.#ownId}`, null, me?.name ?? "", me?.color ?? "", path, false),
      log: new RunLog(),
    };
    own.state.set({ kind: "gathering" });
    this.#own = own;
    this.#list(own);
    this.#tell("run.begin", { run: this.#ownId, path, language, seq: 0 });
    return own;
  }

  /** Every live file's text by path; which could not be had, or were too much together. */
  async #gather(first: string): Promise<{ files: Map<string, string>; missing: string[] }> {
    const files = new Map<string, string>();
    const missing: string[] = [];
    const live = [...this.#room.files.value.values()].filter((each) => each.deleted_at_ms === null);
    live.sort((a, b) => Number(b.path === first) - Number(a.path === first));
    let units = 0;
    const soon = AbortSignal.timeout(GATHER_WAIT_MS);
    const next = async (): Promise<void> => {
      for (let record = live.shift(); record !== undefined; record = live.shift()) {
        try {
          const text = await this.#room.textOf(record.file_id, soon);
          units += text.length;
          if (units <= GATHER_UNITS_MAX) files.set(record.path, text);
          else missing.push(record.path);
        } catch {
          missing.push(record.path);
        }
      }
    };
    await Promise.all(Array.from({ length: GATHER_WIDTH }, next));
    return { files, missing: missing.sort() };
  }

  #print(chunks: readonly Chunk[]): void {
    this.#own?.log.append(chunks);
    for (const [stream, text] of chunks) this.#waiting.write(stream, text);
    this.#tellTimer ??= setTimeout(() => this.#tellOutput(), 0);
  }

  #tellOutput(): void {
    this.#tellTimer = null;
    if (this.#own === null || this.#waiting.isEmpty) return;
    this.#sendOutput();
    this.#tellTimer = setTimeout(() => this.#tellOutput(), TELL_MS);
  }

  #sendOutput(): void {
    const own = this.#own;
    if (own === null) return;
    const chunks = this.#waiting.take(TELL_UNITS_MAX);
    // The path each time: who comes late, and who opens the panel late, has heard no begin.
    this.#tell("run.out", { run: this.#ownId, seq: own.seq, path: own.path, chunks: chunks.map(plain) });
    own.seq++;
  }

  #ownChanged(state: RunState): void {
    if (this.#own === null || state.kind === "idle" || isOver(this.#own.state.value)) return;
    if (isOver(state)) this.#ownEnded(state);
    else this.#own.state.set(state);
  }

  #ownEnded(state: RunState): void {
    while (!this.#waiting.isEmpty) this.#sendOutput();
    this.#own?.state.set(state);
    const code = state.kind === "ended" ? state.code : null;
    const ms = state.kind === "ended" || state.kind === "stopped" ? Math.round(state.ms) : 0;
    this.#tell("run.end", { run: this.#ownId, code, ms, ...(state.kind === "failed" ? { fault: state.fault } : {}) });
  }

  #tell(kind: string, sent: unknown, to?: number): void {
    if (this.#room.role.value === "viewer") return;
    this.#room.sendSignal(kind, sent, to);
  }

  /** Who comes while something runs is told what it is; who goes has no runs any more. */
  #membersChanged(members: ReadonlyMap<number, MemberRecord>): void {
    const own = this.#own;
    const fresh = [...members.keys()].filter((memberId) => !this.#known.has(memberId));
    this.#known = new Set(members.keys());
    if (own !== null && !isOver(own.state.value)) {
      const begin = { run: this.#ownId, path: own.path, language: languageOfRun(own.path), seq: own.seq };
      for (const memberId of fresh) {
        if (memberId !== this.#room.me.value?.memberId) this.#tell("run.begin", begin, memberId);
      }
    }
    for (const entry of this.#heard.values()) {
      if (entry.memberId === null || members.has(entry.memberId) || isOver(entry.state.value)) continue;
      entry.state.set({ kind: "failed", fault: "gone" });
    }
  }

  // -- the others'

  #takeBegin(memberId: number, sent: unknown): void {
    const run = runIn(sent);
    if (run === null || !("path" in run.sent)) return;
    const path = pathIn(run.sent.path);
    const seq = "seq" in run.sent ? countIn(run.sent.seq) : 0;
    if (path === null || seq === null || this.#heard.has(`${memberId}:${run.id}`)) return;
    this.#hear(memberId, run.id, path, seq);
  }

  #takeOut(memberId: number, sent: unknown): void {
    const run = runIn(sent);
    if (run === null || !("seq" in run.sent) || !("chunks" in run.sent)) return;
    const seq = countIn(run.sent.seq);
    const chunks = readChunks(run.sent.chunks, TELL_WAITING_UNITS_MAX);
    if (seq === null || chunks === null) return;
    const path = "path" in run.sent ? pathIn(run.sent.path) : null;
    const entry = this.#heard.get(`${memberId}:${run.id}`) ?? this.#hear(memberId, run.id, path ?? "", seq);
    if (seq < entry.seq) return;
    entry.log.append(seq > entry.seq ? [["gap", "0"], ...chunks] : chunks);
    entry.seq = seq + 1;
    // Somebody who was not seen for a moment is there after all.
    if (isOver(entry.state.value)) entry.state.set({ kind: "running", sinceMs: performance.now() });
  }

  #takeEnd(memberId: number, sent: unknown): void {
    const run = runIn(sent);
    if (run === null || !("code" in run.sent) || !("ms" in run.sent)) return;
    const entry = this.#heard.get(`${memberId}:${run.id}`);
    const ms = countIn(run.sent.ms);
    const { code } = run.sent;
    const fault = "fault" in run.sent ? run.sent.fault : null;
    if (entry === undefined || ms === null) return;
    if (fault === "load" || fault === "crash") entry.state.set({ kind: "failed", fault });
    else if (code === null) entry.state.set({ kind: "stopped", ms });
    else if (Number.isSafeInteger(code)) entry.state.set({ kind: "ended", code: Number(code), ms });
  }

  #hear(memberId: number, id: string, path: string, seq: number): Entry {
    const member = this.#room.members.value.get(memberId);
    const key = `${memberId}:${id}`;
    const isLate = path === "" || seq > 0;
    const entry = blank(key, memberId, member?.name ?? "", member?.color ?? "", path, isLate);
    entry.seq = seq;
    entry.state.set({ kind: "running", sinceMs: performance.now() });
    this.#list(entry);
    return entry;
  }

  /** Put a run first, and let go of the oldest ones that are too many. */
  #list(entry: Entry): void {
    this.#heard.set(entry.key, entry);
    const oldest = [...this.#heard.values()].filter((each) => each !== this.#own && each !== entry);
    const same = oldest.filter((each) => each.memberId === entry.memberId);
    for (const each of same.slice(0, Math.max(0, same.length - RUNS_MEMBER_MAX + 1))) this.#heard.delete(each.key);
    for (const each of oldest) if (this.#heard.size > RUNS_MAX) this.#heard.delete(each.key);
    this.#runs.set([...this.#heard.values()].reverse());
  }
}

function blank(
  key: string,
  memberId: number | null,
  name: string,
  color: string,
  path: string,
  isLate: boolean,
): Entry {
  return {
    key,
    memberId,
    isOwn: memberId === null,
    name,
    color,
    path,
    isLate,
    state: new Cell<RunState>({ kind: "idle" }),
    log: new RunLog(OTHERS_UNITS_MAX),
    missing: new Cell<readonly string[]>([]),
    seq: 0,
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they cost six bytes each in JSON, and a reader drops them
const COSTLY = /\x1b\[[0-9;]*m|[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g;

/** Without what a reader drops anyway, and what JSON would make long: units of three bytes at most are left. */
function plain([stream, text]: Chunk): Chunk {
  return [stream, wellFormed(text.replace(COSTLY, ""))];
}

function runIn(sent: unknown): { id: string; sent: object } | null {
  if (typeof sent !== "object" || sent === null || !("run" in sent)) return null;
  const { run } = sent;
  return typeof run === "string" && /^[a-z0-9]{1,32}$/.test(run) ? { id: run, sent } : null;
}

function pathIn(value: unknown): string | null {
  return typeof value === "string" && pathFault(value) === null ? value : null;
}

function countIn(value: unknown): number | null {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : null;
}

const BY_ROOM = new WeakMap<Room, SharedRuns>();

/** The runs of a session: the same ones for whoever asks, whether a panel shows them or not. */
export function runsOf(room: Room, base: string, build: string): SharedRuns {
  const known = BY_ROOM.get(room);
  if (known !== undefined) return known;
  const runs = new SharedRuns(room, (onOutput) => new Runner({ base, build, onOutput }));
  BY_ROOM.set(room, runs);
  return runs;
}
