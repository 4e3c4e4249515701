// Drives the stock client: reads commands as lines of JSON, and reports the client's events in the same format.
import { createInterface } from "node:readline";
import { io, Manager } from "socket.io-client";

const sockets = new Map();
const managers = new Map();
const bytes = (value) => {
  if (Array.isArray(value)) return value.map(bytes);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$bytes === "string") return Buffer.from(value.$bytes, "hex");
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, bytes(item)]));
};
const plain = (value) => {
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
};
const report = (socket, what, more = {}) => console.log(JSON.stringify({ socket, what, ...more }));

function watch(name, socket, replies) {
  sockets.set(name, socket);
  socket.on("connect", () =>
    report(name, "connect", {
      id: socket.id,
      recovered: socket.recovered,
      transport: socket.io.engine.transport.name,
      pid: socket._pid ?? null,
    }),
  );
  socket.on("connect_error", (error) =>
    report(name, "connect_error", { message: error.message, data: plain(error.data), active: socket.active }),
  );
  socket.on("disconnect", (reason) => report(name, "disconnect", { reason, active: socket.active }));
  socket.onAny((event, ...args) => {
    const reply = typeof args.at(-1) === "function" ? args.pop() : null;
    report(name, "event", { name: event, args: plain(args) });
    if (reply !== null && event in replies) reply(...bytes(replies[event]));
  });
}

const commands = {
  open({ socket, url, options = {}, replies = {} }) {
    watch(socket, io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, forceNew: true, ...options }), replies);
    const engine = () => sockets.get(socket).io.engine;
    sockets.get(socket).io.on("open", () => {
      report(socket, "open", { transport: engine().transport.name });
      engine().on("upgrade", (transport) => report(socket, "upgrade", { transport: transport.name }));
    });
  },
  share({ socket, url, namespaces, options = {} }) {
    const manager = new Manager(url, { reconnectionDelay: 50, ...options });
    managers.set(socket, manager);
    for (const namespace of namespaces) watch(namespace, manager.socket(namespace, { auth: options.auth }), {});
  },
  emit({ socket, name, args = [], ref }) {
    const client = sockets.get(socket);
    if (ref === undefined) return void client.emit(name, ...bytes(args));
    client.timeout(8000).emit(name, ...bytes(args), (error, ...reply) =>
      report(socket, "ack", { ref, error: error?.message ?? null, args: plain(reply) }),
    );
  },
  many({ socket, name, count }) {
    for (let number = 0; number < count; number += 1) sockets.get(socket).emit(name, number);
  },
  cut({ socket }) {
    // Like a broken network: without a close frame.
    sockets.get(socket).io.engine.transport.ws?.terminate?.();
  },
  drop({ socket }) {
    sockets.get(socket).io.engine.close();
  },
  connect: ({ socket }) => void sockets.get(socket).connect(),
  disconnect: ({ socket }) => void sockets.get(socket).disconnect(),
  state({ socket, ref }) {
    const client = sockets.get(socket);
    report(socket, "state", { ref, connected: client.connected, transport: client.io.engine?.transport?.name ?? null });
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit(0));
report(null, "ready");
