import { describe, expect, test } from "vitest";
import { Connection, RETRY_MS_MAX, RETRY_MS_MIN, retryWaitMs } from "../src/connection";
import { Room } from "./room";
import { Machine, Tab } from "./tab";

async function setting(key = "owner-key"): Promise<{
  machine: Machine;
  tab: Tab;
  room: Room;
  connection: Connection;
  log: string[];
}> {
  const machine = new Machine();
  const room = new Room();
  const tab = new Tab(machine, room);
  const log: string[] = [];
  const connection = new Connection({
    url: "ws://host/ws/workspace-1",
    browser: tab,
    hello: () => ({ type: "hello", key, person: "", name: "Quiet Heron", color: "#1d4ed8", page: "" }),
    listener: {
      onWelcome: () => void log.push("welcome"),
      onNews: (news) => void log.push(news.type),
      onMessage: () => void log.push("message"),
      onLost: () => void log.push("lost"),
    },
  });
  await machine.advance(0);
  return { machine, tab, room, connection, log };
}

test("hello is the first frame, and the welcome makes it online", async () => {
  const { tab, connection, log } = await setting();
  expect(JSON.parse(String(tab.socket.written[0]))).toMatchObject({ type: "hello", key: "owner-key" });
  expect(connection.status.value).toEqual({ kind: "online" });
  expect(log).toEqual(["welcome"]);
});

describe("heartbeat", () => {
  test("a seen page asks after 15 s of silence, and takes 10 s more for a dead line", async () => {
    const { machine, tab, room, connection, log } = await setting();
    await machine.advance(14_900);
    expect(room.heard).toHaveLength(1);
    room.isSilent = true;
    await machine.advance(200);
    expect(String(tab.socket.written.at(-1))).toContain("ping");
    await machine.advance(9_700);
    expect(connection.status.value.kind).toBe("online");
    await machine.advance(300);
    expect(connection.status.value.kind).toBe("offline");
    expect(log).toEqual(["welcome", "lost"]);
  });

  test("an answered ping keeps the line, for hours", async () => {
    const { machine, tab, room, connection } = await setting();
    await machine.advance(3_600_000);
    expect(connection.status.value.kind).toBe("online");
    expect(tab.sockets).toHaveLength(1);
    expect(room.heard.filter((request) => request.type === "ping").length).toBeGreaterThan(200);
  });

  test("a hidden page rests, and asks at once when it is seen again", async () => {
    const { machine, tab, room, connection } = await setting();
    tab.isSeen = false;
    await machine.advance(600_000);
    expect(room.heard.filter((request) => request.type === "ping").length).toBeLessThanOrEqual(1);
    room.isSilent = true;
    tab.isSeen = true;
    tab.happen("visible");
    expect(String(tab.socket.written.at(-1))).toContain("ping");
    await machine.advance(10_100);
    expect(connection.status.value.kind).toBe("offline");
  });

  test("coming online asks at once", async () => {
    const { tab } = await setting();
    tab.happen("online");
    expect(String(tab.socket.written.at(-1))).toContain("ping");
  });

  test("a handshake that hangs is given up", async () => {
    const machine = new Machine();
    const tab = new Tab(machine, null);
    const silent = {
      onWelcome: () => undefined,
      onNews: () => undefined,
      onMessage: () => undefined,
      onLost: () => undefined,
    };
    new Connection({ url: "ws://h/", browser: tab, hello: () => ({ type: "ping" }), listener: silent });
    await machine.advance(9_900);
    expect(tab.sockets).toHaveLength(1);
    await machine.advance(2_000);
    expect(tab.sockets).toHaveLength(2);
  });
});

describe("trying again", () => {
  test("waits grow to half a minute, with chance from the first", () => {
    for (let attempts = 1; attempts < 40; attempts++) {
      expect(retryWaitMs(attempts, 0)).toBe(RETRY_MS_MIN);
      expect(retryWaitMs(attempts, 0.999999)).toBeLessThanOrEqual(RETRY_MS_MAX);
    }
    expect(retryWaitMs(1, 0.999999)).toBeCloseTo(1_000, 0);
    expect(retryWaitMs(4, 0.999999)).toBeCloseTo(8_000, 0);
    expect(retryWaitMs(12, 0.999999)).toBeCloseTo(RETRY_MS_MAX, 0);
  });

  test("a page whose server is away tries seldom, and at once when the network is back", async () => {
    const { machine, tab, connection } = await setting();
    tab.chance = 0.999;
    tab.cut();
    await machine.advance(600_000);
    expect(tab.sockets.length).toBeGreaterThan(15);
    expect(tab.sockets.length).toBeLessThan(30);
    tab.isReachable = true;
    tab.happen("online");
    await machine.advance(0);
    expect(connection.status.value.kind).toBe("online");
  });

  test.each([4505, 4506, 4507])(
    "after %i it waits as long as the server asked for, and not all come at once",
    async (code) => {
      const { machine, tab, room, connection } = await setting();
      for (const chance of [0, 0.999]) {
        tab.chance = chance;
        const [member] = room.members;
        if (member === undefined) throw new Error("nobody is there");
        room.refuse(member, code, { retry_after_ms: 20_000 });
        await machine.advance(0);
        const before = tab.sockets.length;
        room.closeAll(code);
        await machine.advance(19_900);
        expect(connection.status.value.kind).toBe("offline");
        expect(tab.sockets).toHaveLength(before);
        await machine.advance(chance === 0 ? 200 : 2_000);
        expect(tab.sockets).toHaveLength(chance === 0 ? before + 1 : before);
        await machine.advance(2_000);
        expect(connection.status.value.kind).toBe("online");
      }
    },
  );

  test("what was asked for after another refusal is no wait of this close", async () => {
    const { machine, tab, room, connection } = await setting();
    tab.chance = 0;
    const [member] = room.members;
    if (member === undefined) throw new Error("nobody is there");
    room.refuse(member, 4505, { retry_after_ms: 60_000 });
    await machine.advance(0);
    room.closeAll(4500);
    await machine.advance(1_000);
    expect(connection.status.value.kind).toBe("online");
  });

  test("a server that welcomes and closes at once is not hammered", async () => {
    const { machine, tab, room } = await setting();
    tab.chance = 0.999;
    for (let second = 0; second < 120; second++) {
      room.closeAll(4500);
      await machine.advance(1_000);
    }
    expect(tab.sockets.length).toBeLessThan(12);
  });

  test.each([4400, 4421, 4422, 4499])("%i is final", async (code) => {
    const { machine, tab, room, connection } = await setting();
    room.closeAll(code);
    await machine.advance(600_000);
    expect(connection.status.value).toMatchObject({ kind: "closed", code });
    expect(tab.sockets).toHaveLength(1);
    tab.happen("online");
    connection.reconnect();
    expect(tab.sockets).toHaveLength(1);
  });

  test.each([1006, 1001, 1012, 4500, 4503])("%i is tried again", async (code) => {
    const { machine, tab, room, connection } = await setting();
    room.closeAll(code);
    await machine.advance(2_000);
    expect(connection.status.value.kind).toBe("online");
    expect(tab.sockets).toHaveLength(2);
  });

  test("a wrong key is told with the server's words", async () => {
    const { connection } = await setting("no such key");
    expect(connection.status.value).toEqual({ kind: "closed", code: 4421, reason: "Refused 4421. Go on." });
  });

  test("after draining everybody is back within three seconds", async () => {
    const { machine, tab, room, connection } = await setting();
    for (const member of room.members) room.notify(member, { type: "draining" });
    tab.chance = 0.999;
    await machine.advance(0);
    room.closeAll(1001);
    await machine.advance(3_000);
    expect(connection.status.value.kind).toBe("online");
  });
});

test("what an abandoned socket still says is not heard", async () => {
  const { machine, tab, room, connection, log } = await setting();
  const first = tab.socket;
  const { onmessage } = first;
  room.isSilent = true;
  await machine.advance(25_300);
  room.isSilent = false;
  await machine.advance(2_000);
  expect(connection.status.value.kind).toBe("online");
  expect(onmessage).not.toBeNull();
  first.deliver('{"type":"files","files":[]}');
  first.drop(4400);
  await machine.advance(0);
  expect(log).toEqual(["welcome", "lost", "welcome"]);
});

test("a server that does not speak carets.v1 ends it", async () => {
  const { machine, tab, connection } = await setting();
  tab.socket.deliver("not JSON");
  await machine.advance(0);
  expect(connection.status.value).toMatchObject({ kind: "closed", code: 4400 });
});
