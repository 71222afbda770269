// Stock Yjs clients for the tests: Yjs and y-websocket as npm has them, with the provider's defaults.
//
// One process is one browser: its tabs share BroadcastChannel. It reads commands from standard input, one JSON
// object a line, and says on standard output whatever happens to a tab: its text, its connection, its awareness.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const Y = require("yjs");
const { WebsocketProvider } = require("y-websocket");

const tabs = new Map();

function say(tab, event, more = {}) {
  process.stdout.write(`${JSON.stringify({ tab, event, ...more })}\n`);
}

// The provider's one way to tell of permissionDenied.
console.warn = (text) => {
  for (const [name, { provider }] of tabs) {
    if (text.includes(`${provider.url}.`)) say(name, "warned", { text });
  }
};

const commands = {
  open({ tab, url, room, params, protocols, user, connect = true }) {
    const doc = new Y.Doc();
    const text = doc.getText("text");
    doc.on("update", () => say(tab, "text", { text: text.toString() }));
    // `connect: false` is a tab whose line is down: it still talks to its neighbours.
    const provider = new WebsocketProvider(url, room, doc, { params, protocols, connect: false });
    const { awareness } = provider;
    tabs.set(tab, { doc, text, provider });
    say(tab, "opened", { client_id: doc.clientID });
    provider.on("status", ({ status }) => say(tab, status));
    provider.on("sync", (synced) => say(tab, "synced", { synced }));
    provider.on("connection-close", (event) => say(tab, "lost", { code: event?.code ?? null }));
    provider.on("closed", ({ code, reason }) => say(tab, "closed", { code, reason }));
    awareness.on("change", () => say(tab, "awareness", { states: Object.fromEntries(awareness.getStates()) }));
    if (user) awareness.setLocalStateField("user", user);
    if (connect) provider.connect();
    else provider.connectBc();
  },
  connect: ({ tab }) => tabs.get(tab).provider.connect(),
  insert({ tab, index, content }) {
    const { text } = tabs.get(tab);
    text.insert(index ?? text.length, content);
  },
  set_user: ({ tab, user }) => tabs.get(tab).provider.awareness.setLocalStateField("user", user),
  close: ({ tab }) => tabs.get(tab).provider.destroy(),
  // Time as the browser has it: says so when `ms` have passed.
  wait: ({ tab, ms }) => setTimeout(() => say(tab, "waited", { ms }), ms),
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit());
