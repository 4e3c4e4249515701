// The peer "socket.io": the authors' own server, configured by their advice on speed and memory. POST /publish emits
// its body to all clients in one room. An emit to a room is encoded and framed once.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const port = Number(process.argv[2]);
const room = 'bench';

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    io.to(room).emit('note', JSON.parse(Buffer.concat(parts)));
    response.writeHead(202, { 'content-length': 0 });
    response.end();
  });
});

const io = new Server(server, {
  transports: ['websocket'],
  serveClient: false,
  httpCompression: false,
  perMessageDeflate: false,
});

// Release the first request of a session, which the server would retain.
io.engine.on('connection', (session) => {
  session.request = null;
});
io.on('connection', (socket) => socket.join(room));

server.listen({ host: '127.0.0.1', port, backlog: 4096 });
process.on('SIGTERM', () => process.exit(0));
