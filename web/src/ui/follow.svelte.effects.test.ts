import { flushSync } from "svelte";
import { afterEach, expect, test } from "vitest";
import type { FileRecord, MemberRecord } from "../messages";
import type { Session, Status } from "../model";
import { Cell } from "../observable";
import { Follow } from "./follow.svelte";
import { OpenFiles } from "./openfiles.svelte";

const file = (file_id: number): [number, FileRecord] => [
  file_id,
  { ...{ file_id, path: `${file_id}.py`, epoch: "e", eol: "lf", deleted_at_ms: null } },
];
const at = (file_id: number | null): ReadonlyMap<number, MemberRecord> =>
  new Map([[7, { ...{ member_id: 7, name: "Ada", color: "#123456", role: "editor", file_id } }]]);

let end = (): void => undefined;
afterEach(() => end());

function room(): { members: Cell<ReadonlyMap<number, MemberRecord>>; opened: OpenFiles; follow: Follow } {
  const members = new Cell(at(1));
  const session = {
    workspaceId: "w",
    members,
    files: new Cell(new Map([file(1), file(2), file(3)])),
    status: new Cell<Status>({ kind: "online" }),
    openFile: () => ({ unsaved: new Cell(0), presence: { states: new Cell(new Map()) } }),
    closeFile: () => undefined,
  } as unknown as Session;
  const opened = new OpenFiles(session, null);
  let follow: Follow | undefined;
  end = $effect.root(() => {
    follow = new Follow(session, opened);
  });
  flushSync();
  return { members, opened, follow: follow as Follow };
}

test("whoever is followed is gone along with, and one's own choice of a file ends it, by whatever way", () => {
  for (const choose of [
    (opened: OpenFiles) => opened.open(3),
    (opened: OpenFiles) => opened.reveal(3, { line: 1 }),
    (opened: OpenFiles) => opened.step(1),
    (opened: OpenFiles) => opened.close(2),
  ]) {
    const { members, opened, follow } = room();
    opened.open(3);
    follow.start(7);
    flushSync();
    expect(opened.active).toBe(1);
    members.set(at(2));
    flushSync();
    expect([opened.active, follow.memberId]).toEqual([2, 7]);
    choose(opened);
    flushSync();
    expect([opened.active === 2, follow.memberId], String(choose)).toEqual([false, null]);
    members.set(at(1));
    flushSync();
    expect(opened.list.map(({ fileId }) => fileId)).not.toEqual([]);
    expect(follow.memberId).toBe(null);
    end();
  }
});

test("choosing the file where they are goes on following", () => {
  const { members, opened, follow } = room();
  follow.start(7);
  opened.open(1);
  flushSync();
  expect(follow.memberId).toBe(7);
  members.set(at(3));
  flushSync();
  expect(opened.active).toBe(3);
});
