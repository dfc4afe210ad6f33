/**
 * The peer: a minimal socket.io server that pairs the people in a queue, and relays their signals.
 *
 * It exists for comparison only (docs/performance.md), and is as fast as such a server gets with simple code:
 * memory only, WebSocket only, no compression, partners held as sockets and not as rooms. It has no database, no
 * resuming, no time limits, and validates nothing.
 */

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import process from "node:process";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
});

// Drop the handshake request to save memory, as the manual of socket.io advises.
io.engine.on("connection", (raw) => {
  raw.request = null;
});

/** The searching sockets, longest waiting first. @type {import("socket.io").Socket[]} */
const waiting = [];

/** The next searching socket that is still connected. */
function nextWaiting() {
  for (;;) {
    const socket = waiting.shift();
    if (!socket || socket.data.searching) return socket;
  }
}

function search(socket) {
  if (socket.data.searching || socket.data.partner) return;
  const partner = nextWaiting();
  if (!partner) {
    socket.data.searching = true;
    waiting.push(socket);
    return;
  }
  const session = randomUUID();
  pair(partner, socket, session, true);
  pair(socket, partner, session, false);
}

function pair(socket, partner, session, initiator) {
  Object.assign(socket.data, { searching: false, session, partner, connected: false });
  socket.emit("matched", { session, initiator, partner: { id: partner.id } });
}

function connected(socket) {
  const { partner, session } = socket.data;
  socket.data.connected = true;
  if (!partner?.data.connected) return;
  socket.emit("connected", { session });
  partner.emit("connected", { session });
}

function leave(socket, cause) {
  socket.data.searching = false;
  const { partner, session } = socket.data;
  if (!partner) return;
  socket.data.partner = partner.data.partner = null;
  socket.data.session = partner.data.session = null;
  socket.emit("ended", { session, cause });
  partner.emit("ended", { session, cause: `partner_${cause}` });
}

io.on("connection", (socket) => {
  const aboutThis = (act) => (message) => {
    if (socket.data.partner && message.session === socket.data.session) act(message);
  };
  socket.on("search", () => search(socket));
  socket.on(
    "signal",
    aboutThis((message) => socket.data.partner.emit("signal", message)),
  );
  socket.on(
    "connected",
    aboutThis(() => connected(socket)),
  );
  socket.on(
    "skip",
    aboutThis(() => leave(socket, "skipped")),
  );
  socket.on("disconnect", () => leave(socket, "lost"));
});

http.listen(0, "127.0.0.1", () => {
  process.stdout.write(`peer is ready at http://127.0.0.1:${http.address().port}\n`);
});
process.on("SIGTERM", () => process.exit(0));
