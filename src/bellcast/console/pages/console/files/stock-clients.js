/**
 * The clients of the four dialects as apps use them: the browser's EventSource and WebSocket, socket.io-client and pusher-js. Each
 * connects a recipient until the signal of `target` aborts, and reports to callbacks: `opened`, `closed`, `failed(text)` and
 * `receive(name, data)`.
 */
import { ROOT } from './server.js';

const NATIVE = ['ready', 'notification', 'notification-update', 'notification-delete', 'counts', 'event', 'presence', 'typing', 'preferences', 'reset', 'close'];

const query = ({ token, topic }) => new URLSearchParams({ token, topic });

/** Load a library that npm bundled into `vendor/`. */
async function library(name) {
  try {
    return await import(`./vendor/${name}.js`);
  } catch {
    throw new Error(`${name} could not be loaded. Released packages contain it; a server from a checkout has it after `
      + '"npm ci && npm run build" in client/ and a restart.');
  }
}

async function eventStream(target, { opened, failed, receive }) {
  const source = new EventSource(`${ROOT}/v1/stream?${query(target)}`);
  source.onopen = opened;
  source.onerror = () => failed(source.readyState === EventSource.CLOSED ? 'The stream was refused.' : 'The stream ended; the browser opens it again.');
  for (const name of NATIVE) source.addEventListener(name, ({ data }) => data && receive(name, JSON.parse(data)));
  return () => source.close();
}

async function webSocket(target, { opened, closed, failed, receive }) {
  const url = new URL(`${ROOT}/v1/ws?${query(target)}`, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new WebSocket(url);
  socket.onerror = () => failed('The WebSocket could not be opened.');
  socket.onclose = closed;
  socket.onmessage = ({ data }) => {
    const { type, ...fields } = JSON.parse(data);
    if (type === 'ready') opened();
    receive(type, fields);
  };
  return () => socket.close();
}

async function socketIO({ token }, { opened, closed, failed, receive }) {
  const { io } = await library('socket.io-client');
  const socket = io(location.origin, { path: `${ROOT}/socket.io/`, auth: { token }, forceNew: true });
  socket.on('connect', opened);
  socket.on('disconnect', closed);
  socket.on('connect_error', ({ message }) => failed(message));
  socket.onAny((name, ...values) => receive(name, values.length === 1 ? values[0] : values));
  return () => socket.disconnect();
}

async function pusher({ token, topic, key }, { opened, closed, failed, receive }) {
  if (!key) throw new Error('This tenant has no Pusher app: add one under Pusher apps.');
  const { default: Pusher } = await library('pusher-js');
  const port = Number(location.port) || undefined;
  const headers = { authorization: `Bearer ${token}` };
  const client = new Pusher(key, {
    cluster: '', wsHost: location.hostname, wsPort: port ?? 80, wssPort: port ?? 443, wsPath: ROOT,
    forceTLS: location.protocol === 'https:', enabledTransports: ['ws'],
    channelAuthorization: { endpoint: `${ROOT}/pusher/auth`, headers }, userAuthentication: { endpoint: `${ROOT}/pusher/user-auth`, headers },
  });
  client.connection.bind('connected', opened);
  client.connection.bind('unavailable', closed);
  client.connection.bind('error', ({ error }) => failed(error?.data?.message ?? 'The connection failed.'));
  client.connection.bind('message', ({ event, channel, data }) => receive(event, data, channel));
  client.signin();
  client.subscribe(topic).bind('pusher:subscription_error', ({ error }) => failed(error ?? 'The subscription was refused.'));
  return () => client.disconnect();
}

/** Dialects with their class, the name of the client, what they are for, and the frames after connecting, sending and publishing; an event without a name has its own. */
export const DIALECTS = [
  ['SSE', 'sse', 'EventSource', eventStream, 'One response that stays open: for pages that only receive.', ['ready', 'notification', 'event']],
  ['WebSocket', 'websocket', 'WebSocket', webSocket, 'Both directions on one connection: for pages that also publish.', ['ready', 'notification', 'event']],
  ['Socket.IO', 'socketio', 'socket.io-client', socketIO, 'For apps that have a Socket.IO client: it stays as it is.', ['ready', 'notification']],
  ['Pusher', 'pusher', 'pusher-js', pusher, 'For apps that use pusher-js or Laravel Echo: they stay as they are.', ['reset', 'notification']],
];
