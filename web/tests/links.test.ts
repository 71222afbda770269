import { expect, test } from "vitest";
import * as links from "../src/links";
import { loadProfile, PALETTE, saveProfile } from "../src/profile";
import { Machine, Tab } from "./tab";

const ID = "workspace-1";
const place = (key: string | null): links.Place => ({ base: "http://host/", workspaceId: ID, key });

test("an address is read, under a subpath too", () => {
  expect(links.readAddress("https://host/tools/carets/w/abcdefgh12#key=a%2Bb_c-d")).toEqual({
    base: "https://host/tools/carets/",
    workspaceId: "abcdefgh12",
    key: "a+b_c-d",
  });
  expect(links.readAddress("http://10.0.0.7:8080/")).toEqual({
    base: "http://10.0.0.7:8080/",
    workspaceId: null,
    key: null,
  });
  expect(links.readAddress("http://h/carets/index.html").base).toBe("http://h/carets/");
  expect(links.readAddress("http://h/w/short").workspaceId).toBeNull();
  expect(links.withoutKey("http://h/w/abcdefgh12?x=1#key=secret")).toBe("http://h/w/abcdefgh12?x=1");
});

test("a tab keeps its own key: an owner who opens the viewer's link is a viewer there, and an owner elsewhere", () => {
  const machine = new Machine();
  const [first, second, third] = [new Tab(machine, null), new Tab(machine, null), new Tab(machine, null)];
  const visit = { workspaceId: ID, title: "Work" };
  expect(links.tabKey(first, place("owner-key"))).toBe("owner-key");
  links.rememberVisit(first, { ...visit, key: "owner-key", role: "owner" });
  expect(links.tabKey(second, place("viewer-key"))).toBe("viewer-key");
  links.rememberVisit(second, { ...visit, key: "viewer-key", role: "viewer" });
  expect(links.tabKey(first, place(null))).toBe("owner-key");
  expect(links.tabKey(second, place(null))).toBe("viewer-key");
  expect(links.tabKey(third, place(null))).toBe("owner-key");
  expect(links.recentWorkspaces(third)).toMatchObject([
    { workspaceId: ID, keys: { owner: "owner-key", viewer: "viewer-key" } },
  ]);
});

test("the recent list has the last opened first, and forgets on demand", () => {
  const machine = new Machine();
  const tab = new Tab(machine, null);
  for (let number = 0; number < 60; number++) {
    links.rememberVisit(tab, { workspaceId: `workspace-${number}`, key: "k", role: "editor", title: `${number}` });
  }
  expect(links.recentWorkspaces(tab)).toHaveLength(50);
  expect(links.recentWorkspaces(tab)[0]?.title).toBe("59");
  links.forgetVisits(tab, "workspace-59");
  expect(links.recentWorkspaces(tab)[0]?.title).toBe("58");
  machine.localStorage.setItem("carets.recent", '[7,null,{"workspaceId":1}]');
  expect(links.recentWorkspaces(tab)).toEqual([]);
  machine.localStorage.setItem("carets.recent", "{");
  expect(links.recentWorkspaces(tab)).toEqual([]);
});

test("of two tabs that came first together, one token stays; a token that the server did not take is replaced", () => {
  const tab = new Tab(new Machine(), null);
  links.keepPerson(tab, ID, "", "first");
  links.keepPerson(tab, ID, "", "second");
  expect(links.personToken(tab, ID)).toBe("first");
  links.keepPerson(tab, ID, "first", "renewed");
  expect(links.personToken(tab, ID)).toBe("renewed");
});

test("a profile is made once, of the palette, and kept", () => {
  const tab = new Tab(new Machine(), null);
  const profile = loadProfile(tab);
  expect(profile.name).toMatch(/^\w+ \w+$/);
  expect(PALETTE).toContain(profile.color);
  expect(loadProfile(tab)).toEqual(profile);
  saveProfile(tab, { name: "Ada", color: "#123456" });
  expect(loadProfile(tab)).toEqual({ name: "Ada", color: "#123456" });
  tab.localStorage.setItem("carets.profile", '{"name":7}');
  expect(loadProfile(tab).name).toMatch(/^\w+ \w+$/);
});

test("a workspace chosen from the list opens with the strongest key, in a tab that was a viewer's before too", () => {
  const tab = new Tab(new Machine(), null);
  links.rememberVisit(tab, { workspaceId: ID, title: "Work", key: "owner-key", role: "owner" });
  links.rememberVisit(tab, { workspaceId: ID, title: "Work", key: "viewer-key", role: "viewer" });
  expect(links.tabKey(tab, place(null))).toBe("viewer-key");
  const [recent] = links.recentWorkspaces(tab);
  if (recent === undefined) throw new Error("nothing is remembered");
  expect(links.strongestKey(recent)).toEqual({ role: "owner", key: "owner-key" });
  links.chooseStrongest(tab, recent);
  expect(links.tabKey(tab, place(null))).toBe("owner-key");
  expect(links.strongestKey({ ...recent, keys: {} })).toBeNull();
});

test("the create token of an address is there for the tab's next workspaces, and in no other tab", () => {
  const machine = new Machine();
  const [tab, other] = [new Tab(machine, null), new Tab(machine, null)];
  expect(links.createToken(tab, "http://host/")).toBe("");
  expect(links.createToken(tab, "http://host/#create=T%2B1")).toBe("T+1");
  expect(links.createToken(tab, "http://host/")).toBe("T+1");
  links.keepCreateToken(tab, "typed");
  expect(links.createToken(tab, "http://host/")).toBe("typed");
  expect(links.createToken(other, "http://host/")).toBe("");
});
