/** One live connection per dialect, as the app's own pages open it. Each calls `live` when connected, `lost` when not, and `arrived` per event. */

const RETRY = 2_000; // ms before a lost WebSocket is opened again
const { network, key } = document.body.dataset;

const withToken = (path, token) => `${network}${path}?${new URLSearchParams({ token })}`;
const parsed = ({ data }) => JSON.parse(data);

function sse(getToken, name, line) {
  getToken().then((token) => {
    const source = new EventSource(withToken('/v1/stream', token));
    source.onopen = line.live;
    source.addEventListener(name, line.arrived);
    source.onerror = () => {
      line.lost();
      // EventSource retries by itself, unless the server refused the token.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => sse(getToken, name, line), RETRY);
    };
  });
}

function websocket(getToken, name, line) {
  getToken().then((token) => {
    const socket = new WebSocket(withToken('/v1/ws', token).replace(/^http/, 'ws'));
    socket.onopen = line.live;
    socket.onmessage = (message) => parsed(message).type === name && line.arrived();
    socket.onclose = () => {
      line.lost();
      setTimeout(() => websocket(getToken, name, line), RETRY);
    };
  });
}

function pusher(_, name, line) {
  const { Pusher } = globalThis;
  if (!Pusher) return line.failed(new Error('pusher-js is not installed: run npm run build in client/'));
  const { hostname, port, protocol } = new URL(network);
  const client = new Pusher(key, { cluster: '', wsHost: hostname, wsPort: port, wssPort: port, forceTLS: protocol === 'https:', enabledTransports: ['ws'] });
  client.connection.bind('state_change', ({ current }) => (current === 'connected' ? line.live() : line.lost()));
  client.subscribe('admin').bind(name, line.arrived);
}

function socketio(getToken, name, line) {
  const { io } = globalThis;
  if (!io) return line.failed(new Error('socket.io-client is not installed: run npm run build in client/'));
  const socket = io(network, { auth: (use) => getToken().then((token) => use({ token })) });
  socket.on('connect', line.live);
  socket.on('disconnect', line.lost);
  socket.on('connect_error', line.lost);
  socket.on(name, line.arrived);
}

export const dialects = { sse, websocket, pusher, socketio };
