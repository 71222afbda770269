import { expect, test } from "vitest";
import vectors from "../../tests/vectors/wire.json";
import { WireError } from "../src/errors";
import * as wire from "../src/wire";

function bytes(hex: string): wire.Bytes {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString("hex");
}

/** A message's one payload, under the name that the vectors use. */
function payloadOf(message: wire.Message): string {
  if (message.kind === "step_1") return hex(message.stateVector);
  if (message.kind === "awareness") return hex(message.payload);
  if (message.kind === "part") return hex(message.chunk);
  return message.kind === "query_awareness" ? "" : hex(message.update);
}

function written(fileId: number, message: wire.Message): string | null {
  if (message.kind === "step_1") return hex(wire.encodeFrame(fileId, wire.encodeStep1(message.stateVector)));
  if (message.kind === "step_2") return hex(wire.encodeFrame(fileId, wire.encodeStep2(message.update)));
  if (message.kind === "update") return hex(wire.encodeFrame(fileId, wire.encodeUpdate(message.update)));
  if (message.kind !== "awareness") return null;
  return hex(wire.encodeFrame(fileId, wire.encodeAwareness(wire.decodeAwareness(message.payload))));
}

test.each(vectors.varuints)("the number $value has its one form", ({ value, bytes: form }) => {
  expect(hex(wire.encodeVaruint(value))).toBe(form);
  expect(wire.decodeVaruint(bytes(form), 0)).toEqual([value, form.length / 2]);
});

test.each(vectors.varuints_refused)("a number is refused: $why", ({ bytes: form }) => {
  expect(() => wire.decodeVaruint(bytes(form), 0)).toThrow(WireError);
});

test.each(vectors.frames)("a frame of $kind is read, and written back", (vector) => {
  const [fileId, message] = wire.decodeFrame(bytes(vector.bytes));
  expect([fileId, message.kind, payloadOf(message)]).toEqual([vector.file_id, vector.kind, vector.payload]);
  if (message.kind === "part") expect(message.bytesLeft).toBe((vector as { bytes_left?: number }).bytes_left);
  expect(written(fileId, message) ?? vector.bytes).toBe(vector.bytes);
});

test.each(vectors.frames_refused)("a frame is refused: $why", ({ bytes: form }) => {
  expect(() => wire.decodeFrame(bytes(form))).toThrow(WireError);
});

test.each(vectors.awareness)("presence is read, and written back", ({ entries, bytes: form }) => {
  expect(wire.decodeAwareness(bytes(form))).toEqual(entries);
  expect(hex(wire.encodeAwareness(entries)).endsWith(form)).toBe(true);
});

test.each(vectors.awareness_refused)("presence is refused: $why", ({ bytes: form }) => {
  expect(() => wire.decodeAwareness(bytes(form))).toThrow(WireError);
});

test("a large message is cut into the parts of the vectors, and is whole again", () => {
  const { file_id, update_bytes, update_byte, message_head, frames } = vectors.parts;
  const update = new Uint8Array(update_bytes).fill(Number.parseInt(update_byte, 16));
  const message = wire.encodeStep2(update);
  expect(hex(message).startsWith(message_head)).toBe(true);
  const inbox = new wire.PartsInbox();
  let at = 0;
  let whole: wire.Message | null = null;
  for (const expected of frames) {
    const [frame, after] = wire.encodePart(file_id, message, at);
    expect(hex(frame).startsWith(expected.head)).toBe(true);
    expect(frame.length).toBe(expected.head.length / 2 + expected.chunk_bytes);
    const [fileId, part] = wire.decodeFrame(frame);
    if (part.kind !== "part") throw new Error("not a part");
    expect(whole).toBeNull();
    whole = inbox.take(fileId, part);
    at = after;
  }
  expect(whole).toEqual({ kind: "step_2", update });
});

test.each(vectors.parts_refused)("parts are refused: $why", ({ file_id, parts }) => {
  const inbox = new wire.PartsInbox();
  expect(() => {
    for (const { bytes_left, chunk } of parts) {
      inbox.take(file_id, { kind: "part", bytesLeft: bytes_left, chunk: bytes(chunk) });
    }
  }).toThrow(WireError);
});

test("an abandoned message is not taken for the next one", () => {
  const { file_id, parts, update } = vectors.parts_abandoned;
  const inbox = new wire.PartsInbox();
  const taken = parts.map(({ bytes_left, chunk }) =>
    inbox.take(file_id, { kind: "part", bytesLeft: bytes_left, chunk: bytes(chunk) }),
  );
  expect(taken).toEqual([null, null, null, { kind: "update", update: bytes(update) }]);
});

test("any bytes are a frame or a WireError", () => {
  let seed = 7;
  const next = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed >>> 24;
  };
  for (let round = 0; round < 20_000; round++) {
    const data = Uint8Array.from({ length: next() % 24 }, () => (next() < 160 ? next() % 4 : next()));
    try {
      const [, message] = wire.decodeFrame(data);
      if (message.kind === "awareness") wire.decodeAwareness(message.payload);
    } catch (error) {
      if (!(error instanceof WireError)) throw new Error(`seed 7, round ${round}: ${hex(data)}: ${String(error)}`);
    }
  }
});
