// The stock client as a puppet: commands come in as lines of JSON, what the client says goes out the same way.
import { createInterface } from "node:readline";
import { io, Manager } from "socket.io-client";

const sockets = new Map();
const managers = new Map();
const bytes = (value) => {
  if (Array.isArray(value)) return value.map(bytes);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$bytes === "string") return Buffer.from(value.$bytes, "hex");
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, bytes(one)]));
};
const plain = (value) => {
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
};
const tell = (socket, what, more = {}) => console.log(JSON.stringify({ socket, what, ...more }));

function watch(name, socket, replies) {
  sockets.set(name, socket);
  socket.on("connect", () =>
    tell(name, "connect", {
      id: socket.id,
      recovered: socket.recovered,
      transport: socket.io.engine.transport.name,
      pid: socket._pid ?? null,
    }),
  );
  socket.on("connect_error", (error) =>
    tell(name, "connect_error", { message: error.message, data: plain(error.data), active: socket.active }),
  );
  socket.on("disconnect", (reason) => tell(name, "disconnect", { reason, active: socket.active }));
  socket.onAny((event, ...args) => {
    const reply = typeof args.at(-1) === "function" ? args.pop() : null;
    tell(name, "event", { name: event, args: plain(args) });
    if (reply !== null && event in replies) reply(...bytes(replies[event]));
  });
}

const doing = {
  open({ socket, url, options = {}, replies = {} }) {
    watch(socket, io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, forceNew: true, ...options }), replies);
    const engine = () => sockets.get(socket).io.engine;
    sockets.get(socket).io.on("open", () => {
      tell(socket, "open", { transport: engine().transport.name });
      engine().on("upgrade", (transport) => tell(socket, "upgrade", { transport: transport.name }));
    });
  },
  share({ socket, url, namespaces, options = {} }) {
    const manager = new Manager(url, { reconnectionDelay: 50, ...options });
    managers.set(socket, manager);
    for (const one of namespaces) watch(one, manager.socket(one, { auth: options.auth }), {});
  },
  emit({ socket, name, args = [], ref }) {
    const one = sockets.get(socket);
    if (ref === undefined) return void one.emit(name, ...bytes(args));
    one.timeout(8000).emit(name, ...bytes(args), (error, ...said) =>
      tell(socket, "ack", { ref, error: error?.message ?? null, args: plain(said) }),
    );
  },
  many({ socket, name, count }) {
    for (let number = 0; number < count; number += 1) sockets.get(socket).emit(name, number);
  },
  cut({ socket }) {
    // As a network does: nothing is said to anybody.
    sockets.get(socket).io.engine.transport.ws?.terminate?.();
  },
  drop({ socket }) {
    sockets.get(socket).io.engine.close();
  },
  connect: ({ socket }) => void sockets.get(socket).connect(),
  disconnect: ({ socket }) => void sockets.get(socket).disconnect(),
  state({ socket, ref }) {
    const one = sockets.get(socket);
    tell(socket, "state", { ref, connected: one.connected, transport: one.io.engine?.transport?.name ?? null });
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const asked = JSON.parse(line);
    doing[asked.do](asked);
  })
  .on("close", () => process.exit(0));
tell(null, "ready");
