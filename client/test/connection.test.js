import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Credential, Refused } from '../src/bellcast/api.js';
import { Connection } from '../src/bellcast/connection.js';
import { speaking } from '../src/bellcast/speaking.js';
import { ready, settled, world } from './world.js';

/** A connection under way, with what it has heard and asked. */
async function connect({ token = 'one', ask, answer, ...plan } = {}) {
  const bench = world(answer);
  const heard = [];
  const connection = new Connection({
    base: 'https://bell.example/under/',
    world: bench,
    credential: new Credential(token, ask),
    topics: () => ['team', 'a,b'],
    position: () => 'p1',
    prepare: async () => {},
    hear: (event) => heard.push(event.type),
    moved() {},
    recalled() {},
    ...plan,
  });
  connection.open();
  await settled();
  return { ...bench, bench, connection, heard };
}

const live = async (options) => {
  const made = await connect(options);
  made.bench.link.says(ready());
  return made;
};
const farewell = (code, reason, reconnect, after) => ({ type: 'close', code, reason, reconnect, ...(after && { after }) });

test('a WebSocket first, with token, position and topics, where the server is mounted', async () => {
  const { bench } = await connect();
  const { url } = bench.link;
  assert.equal(url.origin + url.pathname, 'wss://bell.example/under/v1/ws');
  assert.equal(url.searchParams.get('token'), 'one');
  assert.equal(url.searchParams.get('position'), 'p1');
  assert.deepEqual(url.searchParams.getAll('topic'), ['team', 'a,b']);
});

test('live is what the server greets, not what opens', async () => {
  const { bench, connection } = await connect();
  assert.equal(connection.status, 'connecting');
  bench.link.says(ready());
  assert.equal(connection.status, 'live');
});

test('where a WebSocket cannot pass, events do, without waiting', async () => {
  const { bench, connection } = await connect();
  bench.link.breaks();
  await settled();
  assert.equal(bench.link.url.pathname, '/under/v1/stream');
  bench.link.says(ready());
  assert.equal(connection.status, 'live');
  assert.equal(connection.twoWay, false);
});

test('a WebSocket that never greets is given up', async () => {
  const { bench, timers } = await connect();
  await timers.advance(10_000);
  assert.equal(bench.links[0].closed, true);
  await settled();
  assert.equal(bench.link.url.pathname, '/under/v1/stream');
});

test('without a token the cookies speak', async () => {
  const { bench } = await connect({ token: null });
  assert.equal(bench.link.url.searchParams.has('token'), false);
  bench.link.breaks();
  await settled();
  assert.equal(bench.link.withCredentials, true);
});

test('waits double, with full jitter, to a limit', async () => {
  const { bench, connection, timers } = await connect({ answer: () => ({ status: 503 }) });
  for (const wait of [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
    bench.link.breaks();
    await settled();
    bench.link.breaks();
    await settled();
    assert.equal(connection.status, 'waiting');
    const before = bench.links.length;
    await timers.advance(wait - 1);
    assert.equal(bench.links.length, before, `not before ${wait}`);
    await timers.advance(1);
    assert.equal(bench.links.length, before + 1);
  }
});

test('a cut line comes back by its position', async () => {
  const { bench, timers, connection } = await live();
  bench.link.breaks();
  assert.equal(connection.status, 'waiting');
  await timers.advance(1_000);
  assert.equal(bench.link.url.searchParams.get('position'), 'p1');
});

test('a server that greets and hangs up is not hammered', async () => {
  const { bench, timers } = await live();
  const waits = [];
  for (let i = 0; i < 4; i++) {
    bench.link.breaks();
    const from = timers.time;
    const links = bench.links.length;
    while (bench.links.length === links) await timers.advance(100);
    waits.push(timers.time - from);
    bench.link.says(ready());
  }
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000]);
});

test('two and a half heartbeats of silence are a broken line', async () => {
  const { bench, connection, timers } = await live();
  await timers.advance(62_000);
  bench.link.says({ type: 'heartbeat', time: 'now' });
  await timers.advance(62_000);
  assert.equal(connection.status, 'live');
  await timers.advance(1_000);
  assert.equal(bench.links[0].closed, true);
  assert.notEqual(connection.status, 'live');
});

test('told when to come back, it comes back then', async () => {
  const { bench, timers } = await live();
  bench.link.says(farewell(1012, 'restarting', true, 7_000));
  bench.link.breaks(1012);
  await timers.advance(6_999);
  assert.equal(bench.links.length, 1);
  await timers.advance(1);
  assert.equal(bench.links.length, 2);
});

test('told not to come back, it does not', async () => {
  const { bench, connection, timers } = await live({ ask: () => 'two' });
  bench.link.says(farewell(4401, 'revoked', false));
  bench.link.breaks(4401);
  await timers.advance(100_000);
  assert.equal(connection.status, 'closed');
  assert.equal(connection.error.code, 'revoked');
  assert.equal(bench.links.length, 1);
  assert.equal(timers.count, 0);
});

test('a close code alone says it too', async () => {
  const { bench, connection } = await connect();
  bench.link.breaks(4403, 'forbidden');
  assert.equal(connection.status, 'closed');
  assert.equal(connection.error.code, 'forbidden');
});

test('an expired session goes on with a fresh token', async () => {
  const tokens = ['one', 'two'];
  const { bench, connection } = await live({ token: null, ask: () => tokens.shift() });
  bench.link.says(farewell(4402, 'expired', false));
  bench.link.breaks(4402);
  await settled();
  assert.equal(bench.link.url.searchParams.get('token'), 'two');
  bench.link.says(ready());
  assert.equal(connection.status, 'live');
});

test('a fresh token that is refused as well ends it', async () => {
  let number = 0;
  const { bench, connection } = await connect({ token: null, ask: () => `token ${++number}` });
  for (let i = 0; i < 2; i++) {
    bench.link.says(farewell(4401, 'unauthenticated', false));
    bench.link.breaks(4401);
    await settled();
  }
  assert.equal(connection.status, 'closed');
  assert.equal(connection.error.code, 'unauthenticated');
  assert.equal(number, 2);
});

test('an expired session with no one to ask ends', async () => {
  const { bench, connection } = await live();
  bench.link.says(farewell(4402, 'expired', false));
  bench.link.breaks(4402);
  await settled();
  assert.equal(connection.status, 'closed');
});

test('HTTP says 401: it ends; HTTP is away: it waits', async () => {
  const refused = await connect({ prepare: () => Promise.reject(new Refused(401, { code: 'unauthenticated' })) });
  assert.equal(refused.connection.status, 'closed');
  const away = await connect({ prepare: () => Promise.reject(new TypeError('fetch failed')) });
  assert.equal(away.connection.status, 'waiting');
});

test('HTTP says when to come back', async () => {
  let busy = true;
  const { bench, timers } = await connect({ prepare: () => (busy ? Promise.reject(new Refused(503, {}, 9_000)) : Promise.resolve()) });
  busy = false;
  await timers.advance(8_999);
  assert.equal(bench.links.length, 0);
  await timers.advance(1);
  assert.equal(bench.links.length, 1);
});

test('offline it rests, online it returns at once', async () => {
  const { bench, connection, timers } = await live();
  bench.goes('offline');
  assert.equal(connection.status, 'offline');
  assert.equal(bench.links[0].closed, true);
  await timers.advance(100_000);
  assert.equal(bench.links.length, 1);
  bench.goes('online');
  await settled();
  assert.equal(bench.links.length, 2);
});

test('answers find who asked, by ref', async () => {
  const { bench, connection } = await live();
  const first = speaking(connection).ask({ type: 'call', name: 'a' });
  const second = speaking(connection).ask({ type: 'call', name: 'b' });
  const [a, b] = bench.link.sent;
  bench.link.says({ type: 'error', ref: b.ref, code: 'no_handler', message: 'nobody' });
  bench.link.says({ type: 'ack', ref: a.ref, data: 42 });
  assert.equal((await first).data, 42);
  await assert.rejects(second, { code: 'no_handler' });
});

test('who waits for an answer when the line breaks is told', async () => {
  const { bench, connection } = await live();
  const asked = speaking(connection).ask({ type: 'ping' });
  bench.link.breaks();
  await assert.rejects(asked, { code: 'not_connected' });
  await assert.rejects(speaking(connection).ask({ type: 'ping' }), { code: 'not_connected' });
});

test('closed, nothing is left behind and nothing late is heard', async () => {
  const { bench, connection, timers, heard } = await live();
  connection.close();
  const before = heard.length;
  bench.link.says({ type: 'heartbeat', time: 'late' });
  bench.link.breaks();
  bench.goes('online');
  await timers.advance(100_000);
  assert.equal(timers.count, 0);
  assert.equal(heard.length, before);
  assert.equal(bench.links.length, 1);
  assert.equal(bench.link.closed, true);
});

test('closed while a token is on its way, it stays closed', async () => {
  let give;
  const { bench, connection } = await connect({ token: null, ask: () => new Promise((resolve) => (give = resolve)) });
  connection.close();
  give('late');
  await settled();
  assert.equal(bench.links.length, 0);
});

test('a browser that forbids the socket is as one that cannot', async () => {
  const bench = world();
  bench.WebSocket = function forbidden() {
    throw new DOMException('mixed content', 'SecurityError');
  };
  await connect({ world: bench });
  assert.equal(bench.link.url.pathname, '/under/v1/stream');
});

test('where nothing holds it asks again, with an ETag, and says so when something is new', async () => {
  let position = 'p1';
  const answer = ({ ifNoneMatch }) => (ifNoneMatch === `"${position}"` ? { status: 304 } : { unread: 1, unseen: 1, position });
  const { bench, connection, heard, timers } = await connect({ answer });
  bench.link.breaks();
  await settled();
  bench.link.breaks();
  await settled();
  assert.equal(connection.status, 'live');
  await timers.advance(15_000);
  assert.deepEqual(heard, ['ready', 'heartbeat']);
  position = 'p2';
  await timers.advance(15_000);
  assert.deepEqual(heard, ['ready', 'heartbeat', 'reset']);
});

test('on a lesser way the better one is tried again beside it, and taken when it is open', async () => {
  const { bench, connection, timers } = await connect();
  bench.link.breaks();
  await settled();
  const stream = bench.link;
  stream.says(ready());
  await timers.advance(60_000);
  const socket = bench.link;
  assert.equal(socket.url.pathname, '/under/v1/ws');
  assert.equal(connection.status, 'live');
  assert.equal(stream.closed, false, 'the one in use goes on until then');
  socket.says(ready());
  await settled();
  bench.link.says(ready());
  assert.equal(stream.closed, true);
  assert.equal(connection.twoWay, true);
});

const jwt = (exp) => `x.${Buffer.from(JSON.stringify({ iat: 1000, exp })).toString('base64url')}.x`;

test('a token is renewed over the open line before it ends', async () => {
  const tokens = [jwt(1100), jwt(1200)];
  const { bench, connection, timers } = await live({ token: null, ask: () => tokens.shift() ?? jwt(1300) });
  bench.link.says({ type: 'heartbeat', time: '' });
  for (let i = 0; i < 3; i++) {
    await timers.advance(25_000);
    bench.link.says({ type: 'heartbeat', time: '' });
  }
  await settled();
  const { type, token } = bench.link.sent.at(-1);
  assert.deepEqual([type, token], ['auth', jwt(1200)]);
  assert.equal(connection.status, 'live');
  assert.equal(bench.links.length, 1);
});

test('with nobody to ask, no token is renewed', async () => {
  const { bench, timers } = await live({ token: jwt(1100) });
  for (let i = 0; i < 5; i++) {
    await timers.advance(25_000);
    bench.link.says({ type: 'heartbeat', time: '' });
  }
  assert.deepEqual(bench.link.sent, []);
  assert.equal(bench.links.length, 1);
});

test('a machine that slept looks at the clock, not at its timers', async () => {
  const { bench, connection, timers } = await live();
  timers.time += 3_600_000;
  bench.page.dispatchEvent(new Event('visibilitychange'));
  await settled();
  assert.equal(bench.links.length, 2);
  assert.equal(connection.status, 'connecting');
});
