import { expect, test } from "vitest";
import { RefusedError } from "../errors";
import type { Session } from "../model";
import { draftOf } from "./chatdraft.svelte";

interface Sent {
  readonly text: string;
  keep(): void;
  refuse(): void;
}

function room(): { session: Session; sent: Sent[] } {
  const sent: Sent[] = [];
  const sendChat = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      sent.push({ text, keep: resolve, refuse: () => reject(new RefusedError(4443, "Too long.")) });
    });
  return { session: { sendChat } as unknown as Session, sent };
}
const calm = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

test("what was typed and what waits is there for every panel of the room, however often it is closed", async () => {
  const { session, sent } = room();
  draftOf(session).text = " one ";
  void draftOf(session).send();
  draftOf(session).text = "two";
  expect([draftOf(session).text, draftOf(session).waiting]).toEqual(["two", ["one"]]);
  sent[0]?.keep();
  await calm();
  expect([draftOf(session).text, draftOf(session).waiting, sent.length]).toEqual(["two", [], 1]);
  expect(draftOf(room().session).text).toBe("");
});

test("what is refused comes back before what was typed since, with the reason", async () => {
  const { session, sent } = room();
  const draft = draftOf(session);
  draft.text = "one";
  void draft.send();
  draft.text = "two";
  sent[0]?.refuse();
  await calm();
  expect([draft.text, draft.fault, draft.waiting]).toEqual(["one\ntwo", "Too long.", []]);
  void draft.send();
  expect(draft.fault).toBe("");
  expect(sent[1]?.text).toBe("one\ntwo");
});

test("nothing is sent of nothing", () => {
  const { session, sent } = room();
  draftOf(session).text = " \n";
  void draftOf(session).send();
  expect(sent).toEqual([]);
});
