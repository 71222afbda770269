import "fake-indexeddb/auto";
import { openDB } from "idb";
import { expect, test } from "vitest";

test("the page knows its build", () => {
  expect(__CARETS_BUILD__).toMatch(/^\w{12}$/);
});

test("the tests have an IndexedDB", async () => {
  const db = await openDB("house", 1, { upgrade: (fresh) => void fresh.createObjectStore("kept") });
  await db.put("kept", new Uint8Array([1, 2]), "key");
  expect(await db.get("kept", "key")).toEqual(new Uint8Array([1, 2]));
  db.close();
});
