import { expect, test } from "vitest";
import { Outbox } from "../src/outbox";
import { decodeFrame, encodeUpdate, PART_BYTES_MAX } from "../src/wire";
import { Machine, Tab, TestSocket } from "./tab";

function setting(): { machine: Machine; tab: Tab; socket: TestSocket; outbox: Outbox } {
  const machine = new Machine();
  const tab = new Tab(machine, null);
  const socket = new TestSocket();
  return { machine, tab, socket, outbox: new Outbox(socket, tab) };
}

const large = (parts: number): Uint8Array<ArrayBuffer> => encodeUpdate(new Uint8Array(parts * PART_BYTES_MAX - 100));
const small = encodeUpdate(new Uint8Array([1]));

/** `7` for a whole message of file 7, `7/3` for a part of it of which 3 parts are still to come, or a text's type. */
function order(socket: TestSocket): string[] {
  const all = socket.written.map((data) => {
    if (typeof data === "string") return JSON.parse(data).type;
    const [fileId, message] = decodeFrame(data);
    return message.kind === "part" ? `${fileId}/${Math.ceil(message.bytesLeft / PART_BYTES_MAX)}` : `${fileId}`;
  });
  return all.filter((one) => one !== "ping");
}

/** The line takes everything that was written, and the server answers each ping in it. */
function drain(socket: TestSocket, outbox: Outbox): void {
  const pings = socket.written.filter((data) => typeof data === "string" && data.includes('"ping"')).length;
  socket.bufferedAmount = 0;
  for (let ping = answered.get(socket) ?? 0; ping < pings; ping++) outbox.answered();
  answered.set(socket, pings);
}
const answered = new WeakMap<TestSocket, number>();

test("a large message goes out at the pace of the line, one part at a time", async () => {
  const { machine, socket, outbox } = setting();
  socket.isStuck = true;
  outbox.send(1, large(80), () => undefined);
  expect(order(socket)).toHaveLength(1);
  await machine.advance(1_000);
  expect(order(socket)).toHaveLength(1);
  for (let part = 2; part <= 80; part++) {
    drain(socket, outbox);
    await machine.advance(10);
    expect(order(socket)).toHaveLength(part);
  }
  expect(order(socket).at(-1)).toBe("1/0");
});

test("small frames, text and presence never wait for more than a part of another file", async () => {
  const { machine, socket, outbox } = setting();
  socket.isStuck = true;
  outbox.send(1, large(80));
  outbox.send(2, small);
  outbox.notify({ type: "profile", name: "Ann", color: "" });
  outbox.sendPresence(3, small);
  expect(order(socket)).toEqual(["1/79", "2", "profile", "3"]);
  expect(socket.bufferedAmount).toBeLessThan(PART_BYTES_MAX + 200);
  drain(socket, outbox);
  await machine.advance(10);
  outbox.send(2, small);
  expect(order(socket).slice(4)).toEqual(["1/78", "2"]);
});

test("files take turns, and a file's own messages keep their order", async () => {
  const { machine, socket, outbox } = setting();
  socket.isStuck = true;
  outbox.send(1, large(4));
  outbox.send(1, small);
  outbox.notifyInTurn(1, { type: "close_file", file_id: 1 });
  outbox.send(2, large(4));
  for (let turn = 0; turn < 10; turn++) {
    drain(socket, outbox);
    await machine.advance(10);
  }
  const first = order(socket).filter((one) => one.startsWith("1") || one === "close_file");
  expect(first).toEqual(["1/3", "1/2", "1/1", "1/0", "1", "close_file"]);
  expect(order(socket).indexOf("2/2")).toBeLessThan(order(socket).indexOf("1/0"));
});

test("at most four messages are under way in parts", async () => {
  const { machine, socket, outbox } = setting();
  socket.isStuck = true;
  for (let fileId = 1; fileId <= 6; fileId++) outbox.send(fileId, large(3));
  const open = new Set<string>();
  for (let turn = 0; turn < 30; turn++) {
    drain(socket, outbox);
    await machine.advance(10);
    open.clear();
    for (const one of order(socket)) {
      const [file = "", left] = one.split("/");
      if (left === "0") open.delete(file);
      else open.add(file);
      expect(open.size).toBeLessThanOrEqual(4);
    }
  }
  expect(order(socket)).toHaveLength(18);
});

test("a message in parts counts with its last part", async () => {
  const { machine, socket, outbox } = setting();
  const done: string[] = [];
  socket.isStuck = true;
  outbox.send(1, large(3), () => done.push("large"));
  outbox.send(2, small, () => done.push("small"));
  outbox.saved(1);
  expect(done).toEqual(["small"]);
  for (let turn = 0; turn < 3; turn++) {
    drain(socket, outbox);
    await machine.advance(10);
  }
  outbox.saved(1);
  expect(done).toEqual(["small"]);
  outbox.saved(2);
  expect(done).toEqual(["small", "large"]);
});

test("steps 1 and presence are not counted", () => {
  const { outbox } = setting();
  const done: number[] = [];
  outbox.send(1, small);
  outbox.sendPresence(1, small);
  outbox.send(1, small, () => done.push(1));
  outbox.send(1, small, () => done.push(2));
  outbox.saved(1);
  expect(done).toEqual([1]);
});

test("what a refusal names is never saved, though it counts, until the file is opened again", () => {
  const { outbox } = setting();
  const done: string[] = [];
  const send = (fileId: number, name: string): void => outbox.send(fileId, small, () => done.push(name));
  send(1, "first");
  send(1, "refused");
  send(2, "other");
  send(1, "after");
  outbox.refuse(1, 2);
  send(1, "later");
  outbox.notifyInTurn(1, { type: "open_file", file_id: 1, client_id: 1, epoch: "" });
  send(1, "again");
  outbox.saved(5);
  expect(done).toEqual(["first", "other"]);
  outbox.saved(6);
  expect(done).toEqual(["first", "other", "again"]);
});

test("a hidden page uploads as fast as the server answers, whatever its timers do", () => {
  const { tab, socket, outbox } = setting();
  tab.isSeen = false;
  socket.isStuck = true;
  outbox.send(1, large(80));
  for (let turn = 0; turn < 80; turn++) drain(socket, outbox);
  expect(order(socket).at(-1)).toBe("1/0");
});
