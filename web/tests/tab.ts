/**
 * A browser for the tests: virtual time, sockets that lead to a room, tabs of one machine that share its storage.
 */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import type { Browser, Channel, Drawer, PageEvent, Socket } from "../src/browser";
import type { Room } from "./room";

/** Let everything happen that needs no time: promises, and the steps of fake-indexeddb. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

class Cupboard implements Drawer {
  readonly items = new Map<string, string>();
  getItem(name: string): string | null {
    return this.items.get(name) ?? null;
  }
  setItem(name: string, value: string): void {
    this.items.set(name, value);
  }
  removeItem(name: string): void {
    this.items.delete(name);
  }
}

/** What the tabs of one browser share. */
export class Machine {
  readonly localStorage = new Cupboard();
  readonly channels = new Set<Channel>();
  readonly tabs = new Set<Tab>();
  nowMs = 1_000_000;
  hasChannels = true;
  seed = 1;

  constructor() {
    globalThis.indexedDB = new IDBFactory();
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await settle();
    for (;;) {
      const due = [...this.tabs].flatMap((tab) => tab.timers).filter((timer) => timer.atMs <= endMs);
      const next = due.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      for (const tab of this.tabs) tab.timers = tab.timers.filter((timer) => timer !== next);
      next.run();
      await settle();
    }
    this.nowMs = endMs;
    await settle();
  }
}

export class TestSocket implements Socket {
  binaryType = "blob";
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  /** Everything that was written, in order. */
  readonly written: (string | Uint8Array<ArrayBuffer>)[] = [];
  /** While true, what is written stays in the buffer and nobody gets it. */
  isStuck = false;
  isOpen = false;
  onSend: (data: string | Uint8Array<ArrayBuffer>) => void = () => undefined;
  onClosedByPage: () => void = () => undefined;

  send(data: string | Uint8Array<ArrayBuffer>): void {
    this.written.push(data);
    if (this.isStuck) this.bufferedAmount += data.length;
    else this.onSend(data);
  }

  close(): void {
    this.isOpen = false;
    this.onClosedByPage();
  }

  /** The server's side. */
  open(): void {
    this.isOpen = true;
    this.onopen?.();
  }

  deliver(data: string | Uint8Array<ArrayBuffer>): void {
    queueMicrotask(() => this.onmessage?.({ data: typeof data === "string" ? data : data.slice().buffer }));
  }

  drop(code = 1006, reason = ""): void {
    queueMicrotask(() => {
      this.isOpen = false;
      this.onclose?.({ code, reason });
    });
  }
}

export class Tab implements Browser {
  readonly machine: Machine;
  readonly room: Room | null;
  readonly sessionStorage = new Cupboard();
  readonly sockets: TestSocket[] = [];
  timers: { atMs: number; run: () => void }[] = [];
  chance = 0.5;
  isSeen = true;
  /** Whether sockets reach the room. */
  isReachable = true;
  hasIndexedDb = true;
  readonly #listeners = new Map<PageEvent, Set<() => void>>();
  #channel: Channel | null = null;

  constructor(machine: Machine, room: Room | null) {
    this.machine = machine;
    this.room = room;
    machine.tabs.add(this);
  }

  get localStorage(): Drawer {
    return this.machine.localStorage;
  }

  get indexedDB(): IDBFactory | null {
    return this.hasIndexedDb ? globalThis.indexedDB : null;
  }

  get socket(): TestSocket {
    const last = this.sockets.at(-1);
    if (last === undefined) throw new Error("no socket yet");
    return last;
  }

  nowMs(): number {
    return this.machine.nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs() + delayMs, run };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  random(): number {
    return this.chance;
  }

  randomUint32(): number {
    this.machine.seed = (Math.imul(this.machine.seed, 1664525) + 1013904223) >>> 0;
    return this.machine.seed;
  }

  openSocket(): Socket {
    const socket = new TestSocket();
    this.sockets.push(socket);
    if (!this.isReachable) socket.drop();
    else if (this.room !== null) this.room.accept(socket);
    return socket;
  }

  async send(url: URL, init: RequestInit): Promise<Response> {
    if (!this.isReachable || this.room === null) throw new TypeError("no network");
    return this.room.http(url, init);
  }

  openChannel(): Channel | null {
    if (!this.machine.hasChannels) return null;
    const { channels } = this.machine;
    const channel: Channel = {
      onmessage: null,
      post: (message) => {
        for (const other of channels) if (other !== channel) queueMicrotask(() => other.onmessage?.(message));
      },
      close: () => void channels.delete(channel),
    };
    channels.add(channel);
    this.#channel = channel;
    return channel;
  }

  isVisible(): boolean {
    return this.isSeen;
  }

  on(event: PageEvent, run: () => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(run));
    return () => void listeners.delete(run);
  }

  happen(event: PageEvent): void {
    for (const run of this.#listeners.get(event) ?? []) run();
  }

  /** The connection ends and no other comes about. */
  cut(): void {
    this.isReachable = false;
    this.room?.forget(this.socket);
    this.socket.drop();
  }

  /** The process is gone, without a word: timers, sockets, answers to other tabs. */
  kill(): void {
    this.machine.tabs.delete(this);
    this.timers = [];
    if (this.#channel !== null) this.machine.channels.delete(this.#channel);
    for (const socket of this.sockets) {
      this.room?.forget(socket);
      socket.onmessage = socket.onclose = null;
    }
  }
}
