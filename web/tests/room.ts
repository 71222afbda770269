/**
 * A server for the tests, in memory, by docs/PROTOCOL.md: commit first, then saved and broadcast.
 */

import * as Y from "yjs";
import type { ChatRecord, Fault, FileRecord, Request, Role } from "../src/messages";
import {
  type Bytes,
  decodeAwareness,
  decodeFrame,
  encodeAwareness,
  encodeFrame,
  encodePart,
  encodeStep1,
  encodeStep2,
  encodeUpdate,
  needsParts,
  PartsInbox,
} from "../src/wire";
import type { TestSocket } from "./tab";

interface Seat {
  isReady: boolean;
  isBlocked: boolean;
}

export interface TestMember {
  readonly socket: TestSocket;
  id: number;
  role: Role;
  person: string;
  name: string;
  page: string;
  place: number | null;
  received: number;
  gapAt: number | null;
  readonly seats: Map<number, Seat>;
  readonly inbox: PartsInbox;
  /** Files of which something was held while nothing could be saved. */
  readonly held: Set<number>;
}

interface TestFile {
  record: FileRecord;
  doc: Y.Doc;
  readonly owners: Map<number, string>;
}

export class Room {
  readonly members: TestMember[] = [];
  readonly files = new Map<number, TestFile>();
  readonly keys = new Map<string, Role>([
    ["owner-key", "owner"],
    ["editor-key", "editor"],
    ["viewer-key", "viewer"],
  ]);
  /** Every text frame that came, for looking at. */
  readonly heard: Request[] = [];
  readonly chat: (ChatRecord & { nonce: string })[] = [];
  build = "unpackaged00";
  /** Entries that a welcome tells. */
  chatTail = 50;
  /** Every HTTP request that came. */
  readonly asked: { url: string; init: RequestInit }[] = [];
  /** While true nothing becomes durable. */
  isHeld = false;
  isSilent = false;
  /** Ask before answering: a large answer can be overtaken by the question. */
  isEager = false;
  /** Refuse updates of a file with this code. */
  readonly refusing = new Map<number, number>();
  /** Files that cannot be read at the moment. */
  readonly unreadable = new Set<number>();
  /** Why nothing can be saved; set it by `setFault`. */
  fault: Fault | null = null;
  carries = false;
  #waiting: (() => void)[] = [];
  #ids = 0;

  constructor(files: Record<string, string> = { "main.py": "print('hello')\n" }) {
    for (const [path, text] of Object.entries(files)) this.addFile(path, text);
  }

  addFile(path: string, text = ""): TestFile {
    const doc = new Y.Doc();
    if (text !== "") doc.getText("text").insert(0, text);
    const file_id = this.files.size + 1;
    const record: FileRecord = { file_id, path, epoch: `epoch-${file_id}`, eol: "lf", deleted_at_ms: null };
    const file: TestFile = { record, doc, owners: new Map([[doc.clientID, "server"]]) };
    this.files.set(file_id, file);
    return file;
  }

  text(fileId = 1): string {
    return this.file(fileId).doc.getText("text").toString();
  }

  file(fileId: number): TestFile {
    const file = this.files.get(fileId);
    if (file === undefined) throw new Error(`no file ${fileId}`);
    return file;
  }

  /** Somebody else types. */
  type(text: string, at = 0, fileId = 1): void {
    const { doc } = this.file(fileId);
    const before = Y.encodeStateVector(doc);
    doc.getText("text").insert(at, text);
    this.#broadcast(fileId, Y.encodeStateAsUpdate(doc, before), null);
  }

  /** Let what is held become durable. */
  commit(): void {
    for (const run of this.#waiting.splice(0)) run();
  }

  /** From here on nothing can be saved, or all can again: then what was held is asked for. */
  setFault(fault: Fault | null): void {
    this.fault = fault;
    for (const member of this.members) {
      this.notify(member, { type: "storage", fault });
      for (const fileId of fault === null ? member.held : []) this.#ask(member, fileId);
      if (fault === null) member.held.clear();
    }
  }

  accept(socket: TestSocket): void {
    const member: TestMember = {
      socket,
      id: 0,
      role: "viewer",
      person: "",
      name: "",
      page: "",
      place: null,
      received: 0,
      gapAt: null,
      seats: new Map(),
      inbox: new PartsInbox(),
      held: new Set(),
    };
    socket.onSend = (data) => {
      if (this.isSilent) return;
      if (typeof data === "string") this.#takeText(member, JSON.parse(data));
      else this.#takeFrame(member, data);
    };
    socket.onClosedByPage = () => this.forget(socket);
    queueMicrotask(() => socket.open());
  }

  forget(socket: TestSocket): void {
    const index = this.members.findIndex((member) => member.socket === socket);
    if (index >= 0) this.members.splice(index, 1);
    socket.onSend = () => undefined;
  }

  notify(member: TestMember, notice: object): void {
    member.socket.deliver(JSON.stringify(notice));
  }

  refuse(member: TestMember, code: number, more: object = {}): void {
    this.notify(member, { type: "refused", code, name: "x", text: `Refused ${code}.`, next_step: "Go on.", ...more });
  }

  closeAll(code: number): void {
    for (const member of [...this.members]) {
      this.forget(member.socket);
      member.socket.drop(code);
    }
  }

  tellFiles(files: readonly FileRecord[]): void {
    for (const member of this.members) this.notify(member, { type: "files", files });
  }

  #takeText(member: TestMember, request: Request): void {
    this.heard.push(request);
    switch (request.type) {
      case "hello":
        this.#welcome(member, request);
        return;
      case "ping":
        this.notify(member, { type: "pong" });
        return;
      case "open_file":
        this.#open(member, request.file_id, request.client_id, request.epoch);
        return;
      case "close_file":
        member.seats.delete(request.file_id);
        return;
      case "profile":
        member.name = request.name;
        return;
      case "place":
        member.place = request.file_id;
        return;
      case "chat":
        this.#takeChat(member, request);
        return;
      case "signal":
        for (const other of this.members) {
          if (other === member || (request.to ?? other.id) !== other.id) continue;
          this.notify(other, { type: "signal", member_id: member.id, kind: request.kind, data: request.data });
        }
        return;
      default:
        this.#change(member, request);
    }
  }

  #welcome(member: TestMember, hello: Extract<Request, { type: "hello" }>): void {
    const role = this.keys.get(hello.key);
    if (role === undefined) {
      this.refuse(member, 4421);
      member.socket.drop(4421);
      return;
    }
    this.#ids++;
    member.id = this.#ids;
    member.role = role;
    member.person = hello.person || `person-${member.id}`;
    member.name = hello.name;
    member.page = hello.page;
    for (const ghost of this.members.filter((one) => one.page === hello.page && one.person === member.person)) {
      this.forget(ghost.socket);
    }
    this.members.push(member);
    const { id: member_id, person, name } = member;
    this.notify(member, {
      type: "welcome",
      ...{
        member_id,
        person,
        author: `person:${person}`,
        role,
        name,
        color: hello.color,
        workspace_id: "workspace-1",
        title: "Work",
      },
      files: [...this.files.values()].map((file) => file.record),
      members: this.members.map((one) => ({ member_id: one.id, name: one.name, color: "#1d4ed8", role: one.role })),
      build: this.build,
      fault: this.fault,
      carries: this.carries,
      limits: {
        ...{ part_bytes_max: 65536, update_bytes_max: 2 ** 26, document_units_max: 2 ** 25 },
        ...{ presence_bytes_max: 4096, files_max: 5000, name_units_max: 40 },
      },
    });
    if (this.chat.length > 0)
      this.notify(member, { type: "chat", entries: this.chat.slice(-this.chatTail), full: true });
  }

  /** Somebody else says something. */
  say(text: string): void {
    this.#keepChat({ author: "person:other", name: "Ada", color: "#1d4ed8", text, nonce: "" }, null, {});
  }

  #takeChat(member: TestMember, { text, nonce, request }: Extract<Request, { type: "chat" }>): void {
    const answer = request === undefined ? {} : { request };
    if (member.role === "viewer") {
      this.refuse(member, 4424, answer);
      return;
    }
    if (this.fault !== null) {
      this.refuse(member, 4500, answer);
      return;
    }
    const author = `person:${member.person}`;
    this.#durably(() => {
      const kept = this.chat.find((one) => one.author === author && one.nonce === nonce);
      if (kept !== undefined) this.notify(member, { type: "chat", entries: [kept], ...answer });
      else this.#keepChat({ author, name: member.name, color: "#1d4ed8", text, nonce }, member, answer);
    });
  }

  #keepChat(
    said: Omit<ChatRecord, "chat_id" | "at_ms"> & { nonce: string },
    from: TestMember | null,
    answer: object,
  ): void {
    const entry = { chat_id: this.chat.length + 1, at_ms: 1_000 + this.chat.length, ...said };
    this.chat.push(entry);
    for (const one of this.members) {
      this.notify(one, { type: "chat", entries: [entry], ...(one === from ? answer : {}) });
    }
  }

  /** What is asked by HTTP. */
  async http(url: URL, init: RequestInit): Promise<Response> {
    this.asked.push({ url: url.pathname + url.search, init });
    const role = this.keys.get(new Headers(init.headers).get("Authorization")?.slice(7) ?? "");
    if (role === undefined) return refusal(4421, 401);
    const [, what = ""] = /^\/api\/workspaces\/[^/]+\/(.*)$/.exec(url.pathname) ?? [];
    if (what === "chat") {
      const [before, count] = ["before", "count"].map((name) => Number(url.searchParams.get(name)));
      const earlier = this.chat.filter((entry) => entry.chat_id < (before ?? 0));
      return Response.json({ entries: earlier.slice(-(count ?? 0)) });
    }
    if (what === "export.zip") return new Response("zip");
    const { files } = JSON.parse(String(init.body)) as { files: Record<string, string> };
    const taken = new Set([...this.files.values()].map(({ record }) => record.path));
    if (Object.keys(files).some((path) => taken.has(path))) return refusal(4428, 409);
    const made = Object.entries(files).map(([path, text]) => this.addFile(path, text.replaceAll("\r\n", "\n")).record);
    this.tellFiles(made);
    return Response.json({ files: made }, { status: 201 });
  }

  #open(member: TestMember, file_id: number, clientId: number, epoch: string): void {
    const { record, owners } = this.file(file_id);
    if (this.unreadable.has(file_id)) {
      this.refuse(member, 4500, { file_id });
      return;
    }
    if (record.deleted_at_ms !== null) {
      this.refuse(member, 4426, { file_id });
      return;
    }
    if (epoch !== "" && epoch !== record.epoch) {
      this.refuse(member, 4430, { file_id });
      return;
    }
    if ((owners.get(clientId) ?? member.person) !== member.person) {
      this.refuse(member, 4431, { file_id });
      return;
    }
    owners.set(clientId, member.person);
    member.seats.set(file_id, { isReady: false, isBlocked: false });
  }

  #change(member: TestMember, request: Exclude<Request, { type: "hello" }>): void {
    if (!("request" in request)) return;
    const answer = { request: request.request };
    if (member.role === "viewer") {
      this.refuse(member, 4424, answer);
      return;
    }
    if (request.type === "create_file") {
      if ([...this.files.values()].some(({ record }) => record.path === request.path)) {
        this.refuse(member, 4428, answer);
        return;
      }
      const file = this.addFile(request.path);
      file.record = { ...file.record, eol: request.eol };
      this.notify(member, { type: "files", files: [file.record], ...answer });
      this.tellFiles([file.record]);
      return;
    }
    if (request.type === "rename_folder" || request.type === "delete_folder") {
      this.#changeFolder(member, request, answer);
      return;
    }
    if (!("file_id" in request) || request.file_id === null) return;
    const file = this.file(request.file_id);
    if (request.type === "rename_file") file.record = { ...file.record, path: request.path };
    if (request.type === "delete_file") file.record = { ...file.record, deleted_at_ms: 5 };
    if (request.type === "restore_file") file.record = { ...file.record, deleted_at_ms: null };
    this.notify(member, { type: "files", files: [file.record], ...answer });
    this.tellFiles([file.record]);
  }

  #changeFolder(
    member: TestMember,
    request: Extract<Request, { type: "rename_folder" | "delete_folder" }>,
    answer: object,
  ): void {
    const inside = [...this.files.values()].filter(({ record }) => record.path.startsWith(`${request.path}/`));
    if (inside.length === 0) {
      this.refuse(member, 4425, answer);
      return;
    }
    for (const file of inside) {
      const { path } = file.record;
      const isRename = request.type === "rename_folder";
      const change = isRename ? { path: request.to + path.slice(request.path.length) } : { deleted_at_ms: 5 };
      file.record = { ...file.record, ...change };
    }
    const records = inside.map((file) => file.record);
    this.notify(member, { type: "files", files: records, ...answer });
    this.tellFiles(records);
  }

  #takeFrame(member: TestMember, data: Bytes): void {
    const [fileId, frame] = decodeFrame(data);
    const message = frame.kind === "part" ? member.inbox.take(fileId, frame) : frame;
    const seat = member.seats.get(fileId);
    if (message === null) return;
    if (message.kind === "step_2" || message.kind === "update") {
      this.#takeUpdate(member, fileId, seat, message.update, message.kind === "step_2");
    } else if (seat !== undefined && message.kind === "step_1") {
      const { doc } = this.file(fileId);
      seat.isReady = true;
      const question = encodeStep1(Y.encodeStateVector(doc));
      if (member.role !== "viewer" && this.isEager) this.#send(member, fileId, question);
      this.#send(member, fileId, encodeStep2(Y.encodeStateAsUpdate(doc, message.stateVector)));
      if (member.role !== "viewer" && !this.isEager) this.#send(member, fileId, question);
    } else if (seat !== undefined && message.kind === "awareness") {
      const [entry] = decodeAwareness(message.payload);
      const state = JSON.parse(entry?.state ?? "null");
      const user = { id: member.id, name: member.name, color: "#1d4ed8", role: member.role };
      const shown = JSON.stringify(state === null ? null : { user, ...state });
      for (const other of this.members) {
        if (!other.seats.get(fileId)?.isReady) continue;
        this.#send(other, fileId, encodeAwareness([{ id: member.id, clock: 1, state: shown }]));
      }
    }
  }

  #takeUpdate(member: TestMember, fileId: number, seat: Seat | undefined, update: Bytes, isStep2: boolean): void {
    member.received++;
    const frame = member.received;
    const code = this.#whyNot(member, fileId, seat, update);
    const isHeldBack = this.fault !== null && this.#hasNews(fileId, update);
    if (code !== 0) {
      if (seat !== undefined) seat.isBlocked = true;
      this.refuse(member, code, { file_id: fileId, frame });
    } else if (seat?.isBlocked !== true) {
      if (isHeldBack) {
        member.gapAt ??= frame;
        member.held.add(fileId);
      } else if (this.#hasGap(fileId, update)) {
        member.gapAt ??= frame;
        this.#ask(member, fileId);
      } else if (isStep2) {
        member.gapAt = null;
      }
    }
    const isTaken = code === 0 && !isHeldBack && seat?.isBlocked !== true;
    this.#durably(() => {
      if (isTaken && !this.#hasGap(fileId, update)) {
        Y.applyUpdate(this.file(fileId).doc, update);
        this.#broadcast(fileId, update, member);
      }
      const count = member.gapAt === null ? frame : member.gapAt - 1;
      if (this.members.includes(member)) this.notify(member, { type: "saved", count });
    });
  }

  #whyNot(member: TestMember, fileId: number, seat: Seat | undefined, update: Bytes): number {
    if (seat === undefined) return 4434;
    if (seat.isBlocked) return 0;
    const { record, owners, doc } = this.file(fileId);
    const { structs } = Y.decodeUpdate(update);
    const isNews = structs.some(({ id, length }) => id.clock + length > Y.getState(doc.store, id.client));
    if (isNews && member.role === "viewer") return 4424;
    if (record.deleted_at_ms !== null) return 4426;
    if (isNews && this.refusing.has(fileId)) return this.refusing.get(fileId) ?? 0;
    for (const { id, length } of structs) {
      if (id.clock + length <= Y.getState(doc.store, id.client)) continue;
      if ((owners.get(id.client) ?? member.person) !== member.person) return 4431;
      owners.set(id.client, member.person);
    }
    return 0;
  }

  /** Held updates are admitted, though not in the document: only what fits neither is a gap. */
  #hasGap(fileId: number, update: Bytes): boolean {
    if (this.isHeld) return false;
    const { doc } = this.file(fileId);
    const { structs } = Y.decodeUpdate(update);
    const first = new Map<number, number>();
    for (const { id } of structs) first.set(id.client, Math.min(id.clock, first.get(id.client) ?? Infinity));
    return [...first].some(([client, clock]) => clock > Y.getState(doc.store, client));
  }

  #hasNews(fileId: number, update: Bytes): boolean {
    const copy = new Y.Doc();
    Y.applyUpdate(copy, Y.encodeStateAsUpdate(this.file(fileId).doc));
    const before = Y.snapshot(copy);
    Y.applyUpdate(copy, update);
    return !Y.equalSnapshots(before, Y.snapshot(copy));
  }

  #ask(member: TestMember, fileId: number): void {
    this.#send(member, fileId, encodeStep1(Y.encodeStateVector(this.file(fileId).doc)));
  }

  #durably(run: () => void): void {
    if (this.isHeld) this.#waiting.push(run);
    else run();
  }

  #broadcast(fileId: number, update: Bytes | Uint8Array, author: TestMember | null): void {
    for (const member of this.members) {
      if (member !== author && member.seats.get(fileId)?.isReady) this.#send(member, fileId, encodeUpdate(update));
    }
  }

  #send(member: TestMember, fileId: number, message: Bytes): void {
    if (!needsParts(message)) member.socket.deliver(encodeFrame(fileId, message));
    for (let at = needsParts(message) ? 0 : message.length; at < message.length; ) {
      const [frame, after] = encodePart(fileId, message, at);
      member.socket.deliver(frame);
      at = after;
    }
  }
}

function refusal(code: number, status: number): Response {
  return Response.json({ error: { code, name: "x", text: `Refused ${code}.`, next_step: "Go on." } }, { status });
}
