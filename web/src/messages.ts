/**
 * The JSON messages of `carets.v1`: one closed union each way, and a reader for what the server sends.
 *
 * Owns: their shapes. Does not know: who may send what. The twin of `src/carets/protocol/messages.py`.
 *
 * Invariant: `parseNotice` returns a whole notice, null for a type that this page does not know yet, or throws `WireError`.
 */

import { WireError } from "./errors";

export type Role = "viewer" | "editor" | "owner";
export type LineEnd = "lf" | "crlf";

/** A file of the workspace; `deleted_at_ms` is there while it is a tombstone. */
export interface FileRecord {
  readonly file_id: number;
  readonly path: string;
  readonly epoch: string;
  readonly eol: LineEnd;
  readonly deleted_at_ms: number | null;
}

export interface MemberRecord {
  readonly member_id: number;
  readonly name: string;
  readonly color: string;
  readonly role: Role;
  /** The file that this member looks at. */
  readonly file_id: number | null;
}

/**
 * Why the server cannot save: its disk is full, is read-only, fails or does not answer, or the workspace's data are
 * damaged. `failing` is also how a reason of a newer server reads.
 */
export type Fault = "full" | "read_only" | "failing" | "damaged" | "stalled";

/** One message of the workspace's chat. */
export interface ChatRecord {
  /** From 1, without gaps in a workspace. */
  readonly chat_id: number;
  readonly at_ms: number;
  /** The person, or the link that they came by: compare it with the welcome's `author`. */
  readonly author: string;
  readonly name: string;
  readonly color: string;
  readonly text: string;
}

/** Bounds that the server told, in bytes, UTF-16 units and counts. */
export interface ClientLimits {
  readonly part_bytes_max: number;
  readonly update_bytes_max: number;
  readonly document_units_max: number;
  readonly presence_bytes_max: number;
  readonly files_max: number;
  readonly name_units_max: number;
}

export type Request =
  | { type: "hello"; key: string; person: string; name: string; color: string; page: string }
  | { type: "profile"; name: string; color: string }
  | { type: "place"; file_id: number | null }
  | { type: "open_file"; file_id: number; client_id: number; epoch: string }
  | { type: "close_file"; file_id: number }
  | { type: "create_file"; path: string; eol: LineEnd; request?: number }
  | { type: "rename_file"; file_id: number; path: string; request?: number }
  | { type: "delete_file"; file_id: number; request?: number }
  | { type: "restore_file"; file_id: number; path?: string; request?: number }
  | { type: "rename_folder"; path: string; to: string; request?: number }
  | { type: "delete_folder"; path: string; request?: number }
  | { type: "chat"; text: string; nonce: string; request?: number }
  | { type: "signal"; kind: string; data: unknown; to?: number }
  | { type: "ping" };

export interface Welcome {
  type: "welcome";
  member_id: number;
  person: string;
  /** Oneself as chat names authors; empty when the server does not tell. */
  author: string;
  role: Role;
  name: string;
  color: string;
  workspace_id: string;
  title: string;
  files: FileRecord[];
  members: MemberRecord[];
  build: string;
  limits: ClientLimits;
  /** Why nothing can be saved at the moment. */
  fault: Fault | null;
  /** An older backup was restored: what this browser remembers of other files is wanted, too. */
  carries: boolean;
}

export interface ChatNotice {
  type: "chat";
  entries: ChatRecord[];
  /** These are the latest there are. */
  full: boolean;
  request: number | null;
}

export interface RefusedNotice {
  type: "refused";
  code: number;
  name: string;
  text: string;
  next_step: string;
  file_id: number | null;
  frame: number | null;
  request: number | null;
  /** In how many milliseconds another try is worth it, where the server knows. */
  retry_after_ms: number | null;
}

export type Notice =
  | Welcome
  | { type: "files"; files: FileRecord[]; full: boolean; request: number | null }
  | { type: "members"; members: MemberRecord[]; left: number[]; full: boolean }
  | ChatNotice
  | { type: "signal"; member_id: number; kind: string; data: unknown }
  | { type: "workspace"; title: string }
  | { type: "storage"; fault: Fault | null }
  | { type: "saved"; count: number }
  | { type: "pong" }
  | RefusedNotice
  | { type: "draining" };

/** Read one text frame. Throws `WireError` for anything but a whole notice; null for a type of a newer server. */
export function parseNotice(text: string): Notice | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new WireError("not JSON");
  }
  const fields = new Fields(parsed);
  const type = fields.text("type");
  switch (type) {
    case "welcome":
      return parseWelcome(fields);
    case "files":
      return {
        type,
        files: fields.list("files", parseFile),
        full: fields.flag("full"),
        request: fields.countOrNull("request"),
      };
    case "members":
      return {
        type,
        members: fields.list("members", parseMember),
        left: fields.has("left") ? fields.list("left", parseCount) : [],
        full: fields.flag("full"),
      };
    case "chat":
      return {
        type,
        entries: fields.list("entries", parseChat),
        full: fields.flag("full"),
        request: fields.countOrNull("request"),
      };
    case "signal":
      return { type, member_id: fields.count("member_id"), kind: fields.text("kind"), data: fields.any("data") };
    case "workspace":
      return { type, title: fields.text("title") };
    case "storage":
      return { type, fault: parseFault(fields) };
    case "saved":
      return { type, count: fields.count("count") };
    case "refused":
      return parseRefused(fields);
    case "pong":
    case "draining":
      return { type };
    default:
      return null;
  }
}

/** One JSON object whose fields are asked for by shape. */
class Fields {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new WireError("not an object");
    this.#fields = value as Record<string, unknown>;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name) && this.#fields[name] !== null;
  }

  any(name: string): unknown {
    return this.#fields[name] ?? null;
  }

  textOr(name: string, absent: string): string {
    return this.has(name) ? this.text(name) : absent;
  }

  text(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== "string") throw new WireError(`${name} is no text`);
    return value;
  }

  count(name: string): number {
    return parseCount(this.#fields[name]);
  }

  countOrNull(name: string): number | null {
    return this.has(name) ? this.count(name) : null;
  }

  flag(name: string): boolean {
    return this.has(name) && this.#fields[name] === true;
  }

  list<T>(name: string, parse: (value: unknown) => T): T[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) throw new WireError(`${name} is no list`);
    return value.map(parse);
  }

  inner(name: string): Fields {
    return new Fields(this.#fields[name]);
  }

  oneOf<T extends string>(name: string, allowed: readonly T[], absent?: T): T {
    if (absent !== undefined && !this.has(name)) return absent;
    const found = allowed.find((one) => one === this.#fields[name]);
    if (found === undefined) throw new WireError(`${name} is none of ${allowed.join(", ")}`);
    return found;
  }
}

function parseCount(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new WireError("not a count");
  return value;
}

const ROLES = ["viewer", "editor", "owner"] as const;

/** Throws `WireError`; so does the next. */
export function parseFile(value: unknown): FileRecord {
  const fields = new Fields(value);
  return {
    file_id: fields.count("file_id"),
    path: fields.text("path"),
    epoch: fields.text("epoch"),
    eol: fields.oneOf("eol", ["lf", "crlf"], "lf"),
    deleted_at_ms: fields.countOrNull("deleted_at_ms"),
  };
}

function parseMember(value: unknown): MemberRecord {
  const fields = new Fields(value);
  return {
    member_id: fields.count("member_id"),
    name: fields.text("name"),
    color: fields.text("color"),
    role: fields.oneOf("role", ROLES),
    file_id: fields.countOrNull("file_id"),
  };
}

export function parseChat(value: unknown): ChatRecord {
  const fields = new Fields(value);
  return {
    chat_id: fields.count("chat_id"),
    at_ms: fields.count("at_ms"),
    author: fields.text("author"),
    name: fields.text("name"),
    color: fields.text("color"),
    text: fields.text("text"),
  };
}

const FAULTS = ["full", "read_only", "failing", "damaged", "stalled"] as const;

function parseFault(fields: Fields): Fault | null {
  if (!fields.has("fault")) return null;
  const told = fields.text("fault");
  return FAULTS.find((one) => one === told) ?? "failing";
}

function parseWelcome(fields: Fields): Welcome {
  const limits = fields.inner("limits");
  return {
    type: "welcome",
    member_id: fields.count("member_id"),
    person: fields.text("person"),
    author: fields.textOr("author", ""),
    role: fields.oneOf("role", ROLES),
    name: fields.text("name"),
    color: fields.text("color"),
    workspace_id: fields.text("workspace_id"),
    title: fields.text("title"),
    files: fields.list("files", parseFile),
    members: fields.list("members", parseMember),
    build: fields.text("build"),
    limits: {
      part_bytes_max: limits.count("part_bytes_max"),
      update_bytes_max: limits.count("update_bytes_max"),
      document_units_max: limits.count("document_units_max"),
      presence_bytes_max: limits.count("presence_bytes_max"),
      files_max: limits.count("files_max"),
      name_units_max: limits.count("name_units_max"),
    },
    fault: parseFault(fields),
    carries: fields.flag("carries"),
  };
}

function parseRefused(fields: Fields): RefusedNotice {
  return {
    type: "refused",
    code: fields.count("code"),
    name: fields.text("name"),
    text: fields.text("text"),
    next_step: fields.text("next_step"),
    file_id: fields.countOrNull("file_id"),
    frame: fields.countOrNull("frame"),
    request: fields.countOrNull("request"),
    retry_after_ms: fields.countOrNull("retry_after_ms"),
  };
}
