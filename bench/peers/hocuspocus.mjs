// Hocuspocus as its documentation starts it, without extensions. Usage: node hocuspocus.mjs MODULES HOST PORT
//
// Persistence: none without an extension; the debounced onStoreDocument (2 s) finds no hook to call.
// Heartbeats: it sends no pings. It looks every 60 s and closes who sent no message in the 60 s before, so that a
// member must send something (its own provider repeats its awareness every 30 s).
// What it does by default and is left so: one broadcast per event-loop turn, merged (flushDelay 0); gc on.
// `quiet` leaves out the start screen only; it logs nothing per message.

const [modules, address, port] = process.argv.slice(2);
const { Server } = await import(`${modules}/@hocuspocus/server/dist/hocuspocus-server.esm.js`);

await new Server({ address, port: Number(port), quiet: true }).listen();
