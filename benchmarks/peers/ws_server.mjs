// The peer "ws": the smallest fair broadcast server. POST /publish sends its body to every open WebSocket.
// A message is framed once and the same bytes are written to every socket, which is the cheapest way that the package offers.
import { createServer } from 'node:http';
import { Sender, WebSocketServer } from 'ws';

const port = Number(process.argv[2]);
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, clientTracking: true });

function broadcast(body) {
  const options = { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true };
  const frame = Buffer.concat(Sender.frame(body, options));
  for (const client of sockets.clients) client._socket.write(frame);
}

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    broadcast(Buffer.concat(parts));
    response.writeHead(202, { 'content-length': 0 });
    response.end();
  });
});

server.on('upgrade', (request, socket, head) => {
  socket.setNoDelay(true);
  sockets.handleUpgrade(request, socket, head, () => {});
});

server.listen({ host: '127.0.0.1', port, backlog: 4096 });
process.on('SIGTERM', () => process.exit(0));
