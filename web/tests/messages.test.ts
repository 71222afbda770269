import { expect, test } from "vitest";
import { Code, closeText, isFinal, refusalText, WireError } from "../src/errors";
import { parseNotice } from "../src/messages";

test("absent fields have their defaults", () => {
  expect(parseNotice('{"type":"files","files":[{"file_id":1,"path":"a","epoch":"e"}]}')).toEqual({
    type: "files",
    files: [{ file_id: 1, path: "a", epoch: "e", eol: "lf", deleted_at_ms: null }],
    full: false,
    request: null,
  });
  expect(parseNotice('{"type":"members","members":[]}')).toEqual({
    type: "members",
    members: [],
    left: [],
    full: false,
  });
});

test("chat, signals, titles and places are read", () => {
  const entry = { chat_id: 1, at_ms: 2, author: "person:a", name: "Ada", color: "#123456", text: "hi" };
  expect(parseNotice(JSON.stringify({ type: "chat", entries: [entry], full: true, request: 3 }))).toEqual({
    ...{ type: "chat", entries: [entry], full: true, request: 3 },
  });
  expect(parseNotice(JSON.stringify({ type: "chat", entries: [] }))).toMatchObject({ full: false, request: null });
  expect(parseNotice('{"type":"signal","member_id":4,"kind":"x","data":{"a":[1]}}')).toEqual({
    ...{ type: "signal", member_id: 4, kind: "x", data: { a: [1] } },
  });
  expect(parseNotice('{"type":"workspace","title":"T"}')).toEqual({ type: "workspace", title: "T" });
  const member = { member_id: 1, name: "a", color: "b", role: "viewer" };
  expect(parseNotice(JSON.stringify({ type: "members", members: [member, { ...member, file_id: 7 }] }))).toMatchObject({
    members: [{ file_id: null }, { file_id: 7 }],
  });
});

test("why the server cannot save is read, a reason of a newer server too", () => {
  expect(parseNotice('{"type":"storage","fault":"full"}')).toEqual({ type: "storage", fault: "full" });
  expect(parseNotice('{"type":"storage","fault":"on fire"}')).toEqual({ type: "storage", fault: "failing" });
  expect(parseNotice('{"type":"storage","fault":null}')).toEqual({ type: "storage", fault: null });
});

test("fields and types of a newer server are passed over", () => {
  expect(parseNotice('{"type":"saved","count":3,"when":"now"}')).toEqual({ type: "saved", count: 3 });
  expect(parseNotice('{"type":"fireworks"}')).toBeNull();
});

test.each([
  "",
  "[]",
  "null",
  "7",
  "{}",
  '{"type":7}',
  '{"type":"saved"}',
  '{"type":"saved","count":-1}',
  '{"type":"saved","count":1.5}',
  '{"type":"saved","count":"1"}',
  '{"type":"files"}',
  '{"type":"files","files":[{}]}',
  '{"type":"files","files":[{"file_id":1,"path":"a","epoch":"e","eol":"cr"}]}',
  '{"type":"members","members":[{"member_id":1,"name":"a","color":"b","role":"king"}]}',
  '{"type":"welcome"}',
  '{"type":"chat","entries":[{"chat_id":1}]}',
  '{"type":"chat","entries":{}}',
  '{"type":"signal","member_id":"1","kind":"x","data":1}',
  '{"type":"workspace","title":7}',
  '{"type":"storage","fault":7}',
  '{"type":"refused","code":4400}',
])("%s is a WireError", (text) => {
  expect(() => parseNotice(text)).toThrow(WireError);
});

test("a refusal says what to do, and when, where the server knows", () => {
  const said = { text: "Too much.", next_step: "Wait as long as it says.", retry_after_ms: 2_001 };
  expect(refusalText(said)).toBe("Too much. Try again in 3 s.");
  expect(refusalText({ ...said, retry_after_ms: 0 })).toBe("Too much. Try again in 1 s.");
  expect(refusalText({ ...said, retry_after_ms: null })).toBe("Too much. Wait as long as it says.");
  const notice = '{"type":"refused","code":4505,"name":"a","text":"b","next_step":"c","retry_after_ms":7}';
  expect(parseNotice(notice)).toMatchObject({ code: 4505, retry_after_ms: 7, request: null });
});

test("4400 to 4499 are final, and have a text for a person", () => {
  expect([4399, 4400, 4499, 4500].map(isFinal)).toEqual([false, true, true, false]);
  expect(closeText(Code.LINK_REVOKED)).toContain("revoked");
  expect(closeText(4499)).not.toBe("");
});
