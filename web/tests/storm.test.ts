/**
 * Two tabs of one browser do whatever comes to mind, on a line that comes and goes: nothing typed is lost or doubled.
 *
 * A run is known by its seed: `STORM_SEED=7 npx vitest run tests/storm.test.ts`; `STORM_RUNS=400` makes more of them.
 */

import { expect, test } from "vitest";
import { openPage, type Page } from "./page";
import { Room } from "./room";
import { Machine } from "./tab";

const RUNS = 12;
const STEPS = 45;
const FILES = 3;

type Fate = "kept" | "unknown" | "refused";

class Storm {
  readonly machine = new Machine();
  readonly room = new Room(Object.fromEntries(Array.from({ length: FILES }, (_, at) => [`f${at + 1}.txt`, "begin\n"])));
  readonly pages: Page[] = [];
  /** What became of each word, by the file that it went into. */
  readonly words = new Map<string, { fileId: number; fate: Fate }>();
  readonly log: string[] = [];
  readonly opened = new Map<Page, number[]>();
  private state: number;

  constructor(seed: number) {
    this.state = seed * 2_654_435_761;
  }

  chance(below: number): number {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * below);
  }

  enter(): void {
    const page = openPage(this.machine, this.room);
    this.pages.push(page);
    this.opened.set(page, []);
  }

  word(fileId: number, fate: Fate): string {
    const word = `<${this.words.size + 1}>`;
    this.words.set(word, { fileId, fate });
    return word;
  }

  async step(): Promise<void> {
    const page = this.pages[this.chance(this.pages.length)] as Page;
    const at = this.pages.indexOf(page);
    const fileId = 1 + this.chance(FILES);
    const { session, tab } = page;
    const files = this.opened.get(page) ?? [];
    const acts: readonly [string, number, () => void | Promise<void>][] = [
      ["type", 10, () => this.type(page, fileId)],
      ["open", 4, () => this.open(page, fileId)],
      [
        "close",
        3,
        () => {
          const found = files.pop();
          if (found !== undefined) session.closeFile(found);
        },
      ],
      ["edit", 6, () => this.edit(page, fileId)],
      ["read", 2, () => void session.textOf(fileId).catch(() => undefined)],
      ["others", 4, () => this.room.type(this.word(fileId, "kept"), 0, fileId)],
      ["cut", 3, () => tab.cut()],
      [
        "back",
        5,
        () => {
          tab.isReachable = true;
          tab.happen("online");
        },
      ],
      ["hold", 2, () => this.hold()],
      ["commit", 4, () => this.commit()],
      ["delete", 1, () => void session.deleteFile(fileId).catch(() => undefined)],
      ["restore", 3, () => void session.restoreFile(fileId).catch(() => undefined)],
      ["leave", 1, () => this.leave(page)],
      ["crash", 1, () => this.crash(page)],
      ["wait", 6, () => this.machine.advance(this.chance(4_000))],
    ];
    let left = this.chance(acts.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [name, weight, act] of acts) {
      left -= weight;
      if (left >= 0) continue;
      this.log.push(`${name} ${at} ${fileId}`);
      await act();
      break;
    }
    if (this.chance(2) === 0) await this.machine.advance(this.chance(120));
  }

  async end(): Promise<void> {
    this.commit();
    for (const { tab } of this.pages) {
      tab.isReachable = true;
      tab.happen("online");
    }
    await this.machine.advance(60_000);
    const [first] = this.pages;
    for (let fileId = 1; fileId <= FILES; fileId++) {
      const restoring = first?.session.restoreFile(fileId).catch(() => undefined);
      await this.machine.advance(1_000);
      await restoring;
    }
    await this.machine.advance(400_000);
  }

  private hold(): void {
    this.room.isHeld = true;
  }

  private commit(): void {
    this.room.isHeld = false;
    this.room.commit();
  }

  private open(page: Page, fileId: number): void {
    if (!page.session.files.value.has(fileId)) return;
    page.session.openFile(fileId);
    this.opened.get(page)?.push(fileId);
  }

  private type(page: Page, fileId: number): void {
    if (this.opened.get(page)?.includes(fileId) !== true) return;
    const file = page.session.openFile(fileId);
    if (file.ready.value && !file.readOnly.value) file.text.insert(0, this.word(fileId, "kept"));
    page.session.closeFile(fileId);
  }

  private edit({ session }: Page, fileId: number): void {
    const word = this.word(fileId, "unknown");
    const settle = (fate: Fate): void => void this.words.set(word, { fileId, fate });
    const work = async (): Promise<void> => {
      const text = await session.textOf(fileId);
      const end = { from: text.length, to: text.length, insert: word };
      const isDone = await session.editFile(fileId, text, [end]);
      settle(isDone ? "kept" : "refused");
    };
    void work().catch(() => settle("refused"));
  }

  private async leave(page: Page): Promise<void> {
    await this.machine.advance(50);
    page.session.close();
    await this.machine.advance(50);
    this.forget(page);
  }

  /** Without a word; what was typed has had the time to reach the disk. */
  private async crash(page: Page): Promise<void> {
    await this.machine.advance(50);
    this.forget(page);
  }

  private forget(page: Page): void {
    page.tab.kill();
    this.pages.splice(this.pages.indexOf(page), 1);
    this.opened.delete(page);
    this.enter();
  }
}

const only = process.env["STORM_SEED"];
const seeds =
  only === undefined
    ? Array.from({ length: Number(process.env["STORM_RUNS"] ?? RUNS) }, (_, at) => at + 1)
    : [Number(only)];

test.each(seeds)("nothing typed is lost or doubled, run %i", async (seed) => {
  const storm = new Storm(seed);
  storm.enter();
  // Tabs that come together are two people to this room, and it takes nobody's edits from another while it holds them.
  await storm.machine.advance(500);
  storm.enter();
  await storm.machine.advance(500);
  for (let at = 0; at < STEPS; at++) await storm.step();
  await storm.end();
  const told = (): string => `STORM_SEED=${seed}\n${storm.log.join("\n")}`;
  const wrong = [...storm.words].flatMap(([word, { fileId, fate }]) => {
    const count = storm.room.text(fileId).split(word).length - 1;
    const isRight = fate === "kept" ? count === 1 : fate === "refused" ? count === 0 : count <= 1;
    return isRight ? [] : [`${word} of file ${fileId}, ${fate}: ${count} times`];
  });
  expect(wrong, told()).toEqual([]);
  for (const { session } of storm.pages) {
    expect(session.status.value, told()).toEqual({ kind: "online" });
    expect(session.light.value, told()).toEqual({ kind: "saved" });
    for (let fileId = 1; fileId <= FILES; fileId++) {
      const reading = session.textOf(fileId);
      await storm.machine.advance(100);
      expect(await reading, told()).toBe(storm.room.text(fileId));
    }
  }
});
