import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Credential, Refused } from '../src/bellcast/api.js';
import { Connection } from '../src/bellcast/connection.js';
import { rpcFor } from '../src/bellcast/rpc.js';
import { ready, settled, fakeEnvironment } from './environment.js';

/** A dialled connection and the types of the events it received. */
async function connect({ token = 'one', getToken, respond, ...options } = {}) {
  const env = fakeEnvironment(respond);
  const received = [];
  const connection = new Connection({
    base: 'https://bell.example/under/',
    environment: env,
    credential: new Credential(token, getToken, undefined, env.timeout),
    topics: () => ['team', 'a,b'],
    position: () => 'p1',
    lastEvent: {},
    prepare: async () => {},
    onEvent: (event) => received.push(event.type),
    onStatusChange() {},
    restoreActions() {},
    ...options,
  });
  connection.open();
  await settled();
  return { ...env, env, connection, received };
}

const live = async (options) => {
  const opened = await connect(options);
  opened.env.link.receive(ready());
  return opened;
};
const closeFrame = (code, reason, reconnect, after) => ({ type: 'close', code, reason, reconnect, ...(after && { after }) });

test('a connection first dials a WebSocket below the server’s path with token, position and topics', async () => {
  const { env } = await connect();
  const { url } = env.link;
  assert.equal(url.origin + url.pathname, 'wss://bell.example/under/v1/ws');
  assert.equal(url.searchParams.get('token'), 'one');
  assert.equal(url.searchParams.get('position'), 'p1');
  assert.deepEqual(url.searchParams.getAll('topic'), ['team', 'a,b']);
});

test('a connection is live once the server sent ready', async () => {
  const { env, connection } = await connect();
  assert.equal(connection.status, 'connecting');
  env.link.receive(ready());
  assert.equal(connection.status, 'live');
});

test('a failed WebSocket falls back to server-sent events immediately', async () => {
  const { env, connection } = await connect();
  env.link.disconnect();
  await settled();
  assert.equal(env.link.url.pathname, '/under/v1/stream');
  env.link.receive(ready());
  assert.equal(connection.status, 'live');
  assert.equal(connection.twoWay, false);
});

test('a WebSocket without ready times out and falls back', async () => {
  const { env, timers } = await connect();
  await timers.advance(10_000);
  assert.equal(env.links[0].closed, true);
  await settled();
  assert.equal(env.link.url.pathname, '/under/v1/stream');
});

test('a connection without a token uses cookies', async () => {
  const { env } = await connect({ token: null });
  assert.equal(env.link.url.searchParams.has('token'), false);
  env.link.disconnect();
  await settled();
  assert.equal(env.link.withCredentials, true);
});

test('retry delays double with full jitter up to a limit', async () => {
  const { env, connection, timers } = await connect({ respond: () => ({ status: 503 }) });
  for (const wait of [500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
    env.link.disconnect();
    await settled();
    env.link.disconnect();
    await settled();
    assert.equal(connection.status, 'waiting');
    const before = env.links.length;
    await timers.advance(wait - 1);
    assert.equal(env.links.length, before, `not before ${wait}`);
    await timers.advance(1);
    assert.equal(env.links.length, before + 1);
  }
});

test('a lost connection resumes from its position', async () => {
  const { env, timers, connection } = await live();
  env.link.disconnect();
  assert.equal(connection.status, 'waiting');
  await timers.advance(1_000);
  assert.equal(env.link.url.searchParams.get('position'), 'p1');
});

test('a connection resumes its topics from the last live event', async () => {
  const { env, timers } = await live();
  const { link } = env;
  link.receive(ready({ id: 'a.1' }));
  link.receive({ type: 'event', topic: 'team', name: 'moved', data: null, id: 'a.2' });
  link.receive({ type: 'event', topic: 'team', name: 'passing', data: null });
  link.receive({ type: 'notification-delete', id: 'n1', unread: 0, unseen: 0, position: 'p2' });
  link.disconnect();
  await timers.advance(60_000);
  await settled();
  assert.equal(env.link.url.searchParams.get('position'), 'p1~a.2');
});

test('a connection does not receive again what it published last', async () => {
  const { env, timers } = await live();
  env.link.receive({ type: 'ack', ref: '1', id: 'a.3' });
  env.link.disconnect();
  await timers.advance(60_000);
  await settled();
  assert.equal(env.link.url.searchParams.get('position'), 'p1~a.3');
});

test('a connection that may have missed live events does not resume its topics', async () => {
  const { env, timers } = await live();
  env.link.receive({ type: 'event', topic: 'team', name: 'moved', data: null, id: 'a.2' });
  env.link.receive({ ...closeFrame(1012, 'events_lost', true, 100), id: '' });
  env.link.disconnect(1012);
  await timers.advance(60_000);
  await settled();
  assert.equal(env.link.url.searchParams.get('position'), 'p1');
});

test('a server that closes right after ready is retried with growing delays', async () => {
  const { env, timers } = await live();
  const waits = [];
  for (let i = 0; i < 4; i++) {
    env.link.disconnect();
    const from = timers.time;
    const links = env.links.length;
    while (env.links.length === links) await timers.advance(100);
    waits.push(timers.time - from);
    env.link.receive(ready());
  }
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000]);
});

test('a connection is lost after two and a half heartbeats of silence', async () => {
  const { env, connection, timers } = await live();
  await timers.advance(62_000);
  env.link.receive({ type: 'heartbeat', time: 'now' });
  await timers.advance(62_000);
  assert.equal(connection.status, 'live');
  await timers.advance(1_000);
  assert.equal(env.links[0].closed, true);
  assert.notEqual(connection.status, 'live');
});

test('a close frame with a delay is followed by a reconnect after that delay', async () => {
  const { env, timers } = await live();
  env.link.receive(closeFrame(1012, 'restarting', true, 7_000));
  env.link.disconnect(1012);
  await timers.advance(6_999);
  assert.equal(env.links.length, 1);
  await timers.advance(1);
  assert.equal(env.links.length, 2);
});

test('a close frame without reconnect ends the connection', async () => {
  const { env, connection, timers } = await live({ getToken: () => 'two' });
  env.link.receive(closeFrame(4403, 'forbidden', false));
  env.link.disconnect(4403);
  await timers.advance(100_000);
  assert.equal(connection.status, 'closed');
  assert.equal(connection.error.code, 'forbidden');
  assert.equal(env.links.length, 1);
  assert.equal(timers.count, 0);
});

/** Revoke the tokens of a connection, as a sign-out on another device does. */
async function revoke({ env, timers }) {
  env.link.receive(closeFrame(4401, 'revoked', false));
  env.link.disconnect(4401);
  await timers.advance(1_500);
  await settled();
}

test('a revoked token is replaced after a moment, in which the app can end its own session', async () => {
  const requests = [];
  const opened = await live({ getToken: () => (requests.push(opened.timers.time), 'two') });
  const revokedAt = opened.timers.time;
  await revoke(opened);
  assert.ok(requests[0] >= revokedAt + 500, `${requests}`);
  assert.equal(opened.env.link.url.searchParams.get('token'), 'two');
  opened.env.link.receive(ready());
  assert.equal(opened.connection.status, 'live');
});

test('a revoked token ends the session of a user who is signed out', async () => {
  const getToken = () => new Response('', { status: 401 });
  const opened = await live({ getToken });
  await revoke(opened);
  assert.equal(opened.connection.status, 'closed');
  assert.equal(opened.connection.error.status, 401);
  assert.equal(opened.env.links.length, 1);
});

test('a revoked token without getToken ends the connection', async () => {
  const opened = await live();
  await revoke(opened);
  assert.equal(opened.connection.error.code, 'revoked');
  assert.equal(opened.timers.count, 0);
});

test('a cookie whose user signed out elsewhere is tried once', async () => {
  const opened = await live({ token: null });
  await revoke(opened);
  assert.equal(opened.env.links.length, 2);
  opened.env.link.receive(closeFrame(4401, 'unauthenticated', false));
  opened.env.link.disconnect(4401);
  assert.equal(opened.connection.error.code, 'unauthenticated');
  assert.equal(opened.connection.error.message, 'unauthenticated');
});

test('a token that cannot be renewed while the app is unreachable is requested again', async () => {
  const responses = [() => Promise.reject(new TypeError('fetch failed')), () => 'two'];
  const { env, connection, timers } = await live({ getToken: () => responses.shift()() });
  env.link.receive(closeFrame(4402, 'expired', false));
  env.link.disconnect(4402);
  await settled();
  assert.equal(connection.status, 'waiting');
  await timers.advance(1_000);
  assert.equal(env.link.url.searchParams.get('token'), 'two');
});

test('a final close code without a close frame ends the connection', async () => {
  const { env, connection } = await connect();
  env.link.disconnect(4403, 'forbidden');
  assert.equal(connection.status, 'closed');
  assert.equal(connection.error.code, 'forbidden');
});

test('an expired token is replaced by a new one', async () => {
  const tokens = ['one', 'two'];
  const { env, connection } = await live({ token: null, getToken: () => tokens.shift() });
  env.link.receive(closeFrame(4402, 'expired', false));
  env.link.disconnect(4402);
  await settled();
  assert.equal(env.link.url.searchParams.get('token'), 'two');
  env.link.receive(ready());
  assert.equal(connection.status, 'live');
});

test('a second refused token ends the connection', async () => {
  let number = 0;
  const { env, connection } = await connect({ token: null, getToken: () => `token ${++number}` });
  for (let i = 0; i < 2; i++) {
    env.link.receive(closeFrame(4401, 'unauthenticated', false));
    env.link.disconnect(4401);
    await settled();
  }
  assert.equal(connection.status, 'closed');
  assert.equal(connection.error.code, 'unauthenticated');
  assert.equal(number, 2);
});

test('an expired token without getToken ends the connection', async () => {
  const { env, connection } = await live();
  env.link.receive(closeFrame(4402, 'expired', false));
  env.link.disconnect(4402);
  await settled();
  assert.equal(connection.status, 'closed');
});

test('a 401 from HTTP ends the connection, a network failure is retried', async () => {
  const refused = await connect({ prepare: () => Promise.reject(new Refused(401, { code: 'unauthenticated' })) });
  assert.equal(refused.connection.status, 'closed');
  const unreachable = await connect({ prepare: () => Promise.reject(new TypeError('fetch failed')) });
  assert.equal(unreachable.connection.status, 'waiting');
});

test('Retry-After of HTTP delays the next attempt', async () => {
  let busy = true;
  const { env, timers } = await connect({ prepare: () => (busy ? Promise.reject(new Refused(503, {}, 9_000)) : Promise.resolve()) });
  busy = false;
  await timers.advance(8_999);
  assert.equal(env.links.length, 0);
  await timers.advance(1);
  assert.equal(env.links.length, 1);
});

test('a connection suspends while offline and reconnects when online', async () => {
  const { env, connection, timers } = await live();
  env.setNetwork('offline');
  assert.equal(connection.status, 'offline');
  assert.equal(env.links[0].closed, true);
  assert.equal(env.links.length, 1);
  env.setNetwork('online');
  await settled();
  env.link.receive(ready());
  await timers.advance(10_000);
  assert.equal(env.links.length, 2);
});

test('a connection is tried again while the browser reports that it is offline: the server may run on the same machine', async () => {
  const { env, connection, timers } = await live();
  env.setNetwork('offline');
  await timers.advance(1_000);
  assert.equal(env.links.length, 2);
  env.link.receive(ready());
  assert.equal(connection.status, 'live');
  await timers.advance(20_000);
  env.link.disconnect();
  assert.equal(connection.status, 'offline');
  await timers.advance(10_000);
  env.link.receive(ready());
  assert.equal(connection.status, 'live');
});

test('responses are matched to requests by ref', async () => {
  const { env, connection } = await live();
  const first = rpcFor(connection).request({ type: 'call', name: 'a' });
  const second = rpcFor(connection).request({ type: 'call', name: 'b' });
  const [a, b] = env.link.sent;
  env.link.receive({ type: 'error', ref: b.ref, code: 'no_handler', message: 'nobody' });
  env.link.receive({ type: 'ack', ref: a.ref, data: 42 });
  assert.equal((await first).data, 42);
  await assert.rejects(second, { code: 'no_handler' });
});

test('pending requests are rejected when the connection is lost', async () => {
  const { env, connection } = await live();
  const pending = rpcFor(connection).request({ type: 'ping' });
  env.link.disconnect();
  await assert.rejects(pending, { code: 'not_connected', message: 'not_connected' });
  await assert.rejects(rpcFor(connection).request({ type: 'ping' }), { code: 'not_connected' });
});

test('a closed connection leaves no timers and ignores late events', async () => {
  const { env, connection, timers, received } = await live();
  connection.close();
  const before = received.length;
  env.link.receive({ type: 'heartbeat', time: 'late' });
  env.link.disconnect();
  env.setNetwork('online');
  await timers.advance(100_000);
  assert.equal(timers.count, 0);
  assert.equal(received.length, before);
  assert.equal(env.links.length, 1);
  assert.equal(env.link.closed, true);
});

test('a connection closed during getToken stays closed', async () => {
  let resolveToken;
  const { env, connection } = await connect({ token: null, getToken: () => new Promise((resolve) => (resolveToken = resolve)) });
  connection.close();
  resolveToken('late');
  await settled();
  assert.equal(env.links.length, 0);
});

test('a forbidden WebSocket falls back to server-sent events', async () => {
  const env = fakeEnvironment();
  env.WebSocket = function forbidden() {
    throw new DOMException('mixed content', 'SecurityError');
  };
  await connect({ environment: env });
  assert.equal(env.link.url.pathname, '/under/v1/stream');
});

test('polling uses an ETag and reports a change as a reset', async () => {
  let position = 'p1';
  const respond = ({ ifNoneMatch }) => (ifNoneMatch === `"${position}"` ? { status: 304 } : { unread: 1, unseen: 1, position });
  const { env, connection, received, timers } = await connect({ respond });
  env.link.disconnect();
  await settled();
  env.link.disconnect();
  await settled();
  assert.equal(connection.status, 'live');
  await timers.advance(15_000);
  assert.deepEqual(received, ['ready', 'heartbeat']);
  position = 'p2';
  await timers.advance(15_000);
  assert.deepEqual(received, ['ready', 'heartbeat', 'reset']);
});

test('a fallback connection upgrades to a WebSocket that becomes ready', async () => {
  const { env, connection, timers } = await connect();
  env.link.disconnect();
  await settled();
  const stream = env.link;
  stream.receive(ready());
  await timers.advance(60_000);
  const socket = env.link;
  assert.equal(socket.url.pathname, '/under/v1/ws');
  assert.equal(connection.status, 'live');
  assert.equal(stream.closed, false, 'the current transport stays open until then');
  socket.receive(ready());
  await settled();
  env.link.receive(ready());
  assert.equal(stream.closed, true);
  assert.equal(connection.twoWay, true);
});

const jwt = (exp) => `x.${Buffer.from(JSON.stringify({ iat: 1000, exp })).toString('base64url')}.x`;

test('a token is renewed over the open connection before it expires', async () => {
  const tokens = [jwt(1100), jwt(1200)];
  const { env, connection, timers } = await live({ token: null, getToken: () => tokens.shift() ?? jwt(1300) });
  env.link.receive({ type: 'heartbeat', time: '' });
  for (let i = 0; i < 3; i++) {
    await timers.advance(25_000);
    env.link.receive({ type: 'heartbeat', time: '' });
  }
  await settled();
  const { type, token } = env.link.sent.at(-1);
  assert.deepEqual([type, token], ['auth', jwt(1200)]);
  assert.equal(connection.status, 'live');
  assert.equal(env.links.length, 1);
});

test('a token without getToken is not renewed', async () => {
  const { env, timers } = await live({ token: jwt(1100) });
  for (let i = 0; i < 5; i++) {
    await timers.advance(25_000);
    env.link.receive({ type: 'heartbeat', time: '' });
  }
  assert.deepEqual(env.link.sent, []);
  assert.equal(env.links.length, 1);
});

test('a connection that slept with the machine reconnects on wake', async () => {
  const { env, connection, timers } = await live();
  timers.time += 3_600_000;
  env.page.dispatchEvent(new Event('visibilitychange'));
  await settled();
  assert.equal(env.links.length, 2);
  assert.equal(connection.status, 'connecting');
});
