/** `bellcast/server` against a real server; test_server_sdk.py starts it and passes its address and project. */

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';

import * as sdk from '../../client/src/server/index.js';

const { Bellcast, BulkInterrupted, InvalidArgument, NotConfigured, NotFound, RequestRefused, Refused, Unauthorized, Unavailable, UnknownArgument, Unreadable, WrongProject, toNode } = sdk;
const bell = new Bellcast();
const [, key, secret] = process.env.BELLCAST_PROJECT.split(':');
const unique = () => `node-${crypto.randomUUID()}`;

async function sign(body, { id = 'call_1', at = Math.floor(Date.now() / 1000), using = secret } = {}) {
  const imported = await crypto.subtle.importKey('raw', new TextEncoder().encode(using), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const digest = await crypto.subtle.sign('HMAC', imported, new TextEncoder().encode(`${id}.${at}.${body}`));
  return { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${Buffer.from(digest).toString('base64')}` };
}

test('a notification is sent, read, edited and recalled', async () => {
  const alice = unique();
  const { id } = await bell.notify(alice, { title: 'Your session is booked', type: 'booking', data: { booking: 7 } });
  const inbox = bell.inbox(await bell.token(alice));
  const { notifications, unread } = await inbox.list({ type: 'booking' });
  assert.deepEqual([notifications.map((one) => one.id), unread], [[id], 1]);
  assert.equal((await bell.edit(id, { title: 'Moved to Sunday' })).title, 'Moved to Sunday');
  assert.equal((await inbox.read([id])).unread, 0);
  assert.equal((await bell.notification(id)).recipient, alice);
  await bell.recall(id);
  await assert.rejects(() => bell.notification(id), NotFound);
  assert.equal((await inbox.list()).notifications.length, 0);
});

test('the same idempotency key sends once', async () => {
  const [alice, idempotencyKey] = [unique(), unique()];
  const ids = [];
  for (let times = 0; times < 2; times++) ids.push((await bell.notify(alice, { title: 'Hello' }, { idempotencyKey })).id);
  assert.equal(ids[0], ids[1]);
});

test('several recipients and tenants are separate', async () => {
  const [alice, bob] = [unique(), unique()];
  const sent = await bell.notify([alice, bob], { title: 'Hello' }, { tenant: 'acme' });
  assert.deepEqual(sent.notifications.map(({ recipient }) => recipient), [alice, bob]);
  assert.equal((await bell.inbox(await bell.token(alice)).counts()).unread, 0);
  assert.equal((await bell.inbox(await bell.token(alice, { tenant: 'acme' })).counts()).unread, 1);
});

test('a bulk send reports each item', async () => {
  const alice = unique();
  const results = await bell.notifyMany([{ to: alice, title: 'One' }, { to: alice, title: 'x'.repeat(501) }, { to: [alice, unique()], title: 'Two' }]);
  assert.ok(results[0].id);
  assert.equal(results[1].error.status, 422);
  assert.equal(results[2].ids.length, 2);
});

test('a draft that JSON cannot express does not stop a bulk send', async () => {
  const sizes = [];
  const fetch = async (_, { body }) => {
    const sent = body.split('\n').map((line) => JSON.parse(line));
    sizes.push(sent.length);
    return new Response(JSON.stringify({ results: sent.map(({ title }) => ({ id: title })) }));
  };
  const drafts = Array.from({ length: 25_000 }, (_, number) => ({ to: 'alice', title: `n${number}` }));
  const wrong = { 3: ['data', { to: 'alice', data: { n: NaN } }], 24_000: ['data', { to: 'alice', data: { big: 1n } }], 24_001: ['to', { title: 'Hello' }], 24_002: ['to', null] };
  for (const [number, [, draft]] of Object.entries(wrong)) drafts[number] = draft;
  const own = new Bellcast({ secret, fetch });
  const results = await own.notifyMany(drafts);
  assert.deepEqual(sizes, [9_999, 10_000, 4_997]);
  assert.deepEqual(results.map(({ id, error }) => id ?? `${error.status} ${error.code} ${error.errors[0].field}`), drafts.map((draft, number) => (number in wrong ? `422 invalid ${wrong[number][0]}` : draft.title)));
  assert.match(results[3].error.detail, /^data: cannot be written as JSON: n: NaN/);
  assert.equal((await own.notifyMany([null]))[0].error.code, 'invalid');
  assert.equal(sizes.length, 3, 'nothing to send, no request');
});

test('a send for later has a schedule and no id yet', async () => {
  const { id, schedule } = await bell.notify(unique(), { title: 'Reminder', send_at: new Date(Date.now() + 3600e3) });
  assert.deepEqual([id, typeof schedule.key], [undefined, 'string']);
});

test('refusals are typed and name the field', async () => {
  await assert.rejects(bell.notify(unique(), { title: 'Hello', action_url: 'javascript:x' }), (error) => error instanceof RequestRefused && error.status === 422 && error.errors[0].field === 'action_url');
  await assert.rejects(bell.recipients.put(unique(), { timezone: 'Vienna' }), (error) => error instanceof RequestRefused && error.errors[0].field === 'timezone' && error.message.includes('Europe/Vienna'));
  await assert.rejects(new Bellcast({ secret: 'another' }).stats(), Unauthorized);
  await assert.rejects(bell.notify('', { title: 'Hello' }), InvalidArgument);
  await assert.rejects(bell.publish({ topic: 'a' }, 'tick'), UnknownArgument);
  assert.throws(() => new Bellcast({ ulr: 'http://127.0.0.1:1', secret: 'x' }), /^UnknownArgument: ulr: is not known; expected url, /);
  await assert.rejects(new Bellcast({ secret: 'another', key: 'another-key' }).stats(), (error) => error instanceof WrongProject && error.project === key);
  await assert.rejects(bell.token('alice', { ttl: 'soon' }), InvalidArgument);
});

test('what cannot be expressed is refused before anything is sent', async () => {
  const silent = new Bellcast({ fetch: () => assert.fail('something was sent') });
  const circular = {};
  circular.self = circular;
  const calls = {
    'to': () => silent.publish(null, 'tick'),
    'to:': () => silent.publish([], 'tick'),
    'to[1]': () => silent.publish(['a', {}], 'tick'),
    'to.recipient': () => silent.publish({ recipient: {} }, 'tick'),
    'to.topic': () => silent.publish({ topic: 'a' }, 'tick'),
    'name': () => silent.publish('a', undefined),
    'data: cannot be written as JSON: n: NaN': () => silent.publish('a', 'tick', { n: NaN }),
    'data: cannot be written as JSON: a function': () => silent.publish('a', 'tick', () => 1),
    'data: cannot be written as JSON: seen: a value of the type Map': () => silent.publish('a', 'tick', { seen: new Map() }),
    'data: cannot': () => silent.publish('a', 'tick', { big: 1n }),
    'data: ': () => silent.publish('a', 'tick', circular),
    'data': () => silent.publish('a', 'tick', ['\ud800']),
    'body: cannot be written as JSON: n: NaN': () => silent.notify('a', { title: 'Hello', data: { n: NaN } }),
    'body: cannot be written as JSON: seen: a value of the type Map': () => silent.trigger('booking', 'a', { seen: new Map() }),
    'except': () => silent.publish('a', 'tick', 1, { except: {} }),
    'tenant': () => silent.publish('a', 'tick', 1, { tenant: ['acme'] }),
    'topic': () => silent.presence(undefined),
    'topic:': () => silent.presence(' '),
    'tenant:': () => silent.presence('a', { tenant: {} }),
    'recipient': () => silent.subscribe('a', undefined),
    'limit': () => silent.connections({ limit: NaN }),
    'key: ': () => silent.recipients.put(undefined, {}),
    'key: expected': () => silent.preferences.get(null),
    'key: expected a': () => silent.revoke(''),
    'key: expected a text': () => silent.edit(undefined, {}),
  };
  for (const [beginning, call] of Object.entries(calls)) await assert.rejects(call, (error) => error instanceof InvalidArgument && error.message.startsWith(beginning), beginning);
});

test('topics, recipients and preferences', async () => {
  const alice = unique();
  await bell.recipients.put(alice, { name: 'Alice', email: 'alice@example.com' });
  assert.equal((await bell.recipients.patch(alice, { locale: 'de' })).name, 'Alice');
  await bell.subscribe('node.news', alice);
  await bell.notify({ topic: 'node.news' }, { title: 'News' });
  assert.equal((await bell.inbox(await bell.token(alice)).counts()).unread, 1);
  await bell.unsubscribe('node.news', alice);
  await bell.publish('node.news', 'tick', { at: 1 });
  assert.deepEqual((await bell.presence('presence-node')).members, []);
  assert.deepEqual((await bell.preferences.change(alice, { channels: { sms: 'urgent' } })).channels, { sms: 'urgent' });
  await bell.recipients.delete(alice);
});

test('a workflow is simulated, with a stored definition or another', async () => {
  const key = unique();
  await bell.workflows.put(key, { steps: [{ key: 'bell', type: 'inbox', title: 'Hello {{ data.name }}' }] });
  const { recipients: [run], truncated } = await bell.workflows.simulate(key, 'alice', { name: 'Ann' });
  assert.deepEqual([run.state, run.path[0].content.title, truncated], ['completed', 'Hello Ann', false]);
  const values = { steps: [{ key: 'mail', type: 'email', subject: 'Hello', text: 'Hello' }] };
  const found = await bell.workflows.simulate(key, [{ key: 'bob', email: 'bob@example.com' }, 'eve'], {}, { values, at: '2026-06-10T12:00:00Z' });
  assert.deepEqual(found.recipients.map(({ path: [{ decision }] }) => decision.outcome), ['send', 'skip']);
});

test('an editor token is made for a tenant, and ended', async () => {
  const token = await bell.editorToken('sdk-node', ['news-*'], { can: ['edit'], origin: 'https://app.example.com', name: 'Ann', ttl: '2h' });
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  assert.deepEqual([claims.aud, claims.exp - claims.iat], ['editor', 7200]);
  await bell.endEditorTokens('sdk-node');
  await assert.rejects(bell.editorToken('sdk-node', ['a'], { can: ['edit'], origin: 'https://app.example.com', name: 'Ann', ttl: 'soon' }), InvalidArgument);
});

test('a revoked token is refused', async () => {
  const alice = unique();
  const inbox = bell.inbox(await bell.token(alice));
  await inbox.counts();
  await bell.revoke(alice);
  await assert.rejects(inbox.counts(), Unauthorized);
});

test('a token is signed without a request, with the key of the project', async () => {
  const offline = new Bellcast({ url: 'http://127.0.0.1:9', secret, key });
  const [header, claims] = (await offline.token(7, { ttl: '2h', roles: ['admin'] })).split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  assert.equal(header.kid, key);
  assert.deepEqual([claims.sub, claims.roles, Math.round(claims.exp - claims.iat)], ['7', ['admin'], 7200]);
  assert.equal('since' in claims, false);
});

test('a token has no claims but those of Bellcast', async () => {
  const offline = new Bellcast({ secret, fetch: () => assert.fail('something was sent') });
  for (const wrong of [{ sub: 'bob' }, { exp: 9e9 }, { tenent: 'acme' }]) await assert.rejects(offline.token('alice', wrong), UnknownArgument);
  for (const wrong of [{ topics: 'news' }, { publish: {} }, { roles: [7] }]) await assert.rejects(offline.token('alice', wrong), InvalidArgument);
  const session = { recipient: 'alice', sub: 'bob', exp: 9e9, email: 'alice@example.com', roles: ['admin'], since: new Date('2026-01-31T12:00:00Z'), expires_at: new Date(Date.now() + 60e3) };
  const { token } = await (await offline.tokenHandler(() => session)(new Request('http://app.example/'))).json();
  const { iat, exp, ...claims } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  assert.deepEqual(claims, { sub: 'alice', roles: ['admin'], since: 1_769_860_800 });
  assert.ok(exp - iat <= 60);
});

test('a token has the time at which its recipient joined the app', async () => {
  const joined = new Date('2026-01-31T12:00:00Z');
  for (const since of [joined, joined.getTime() / 1000]) {
    const token = await bell.token('sdk-joined', { since });
    assert.equal(JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).since, 1_769_860_800);
    await bell.inbox(token).counts();
  }
  for (const since of ['2026-01-31', '', NaN, Infinity, new Date('soon')]) await assert.rejects(bell.token('sdk-joined', { since }), InvalidArgument);
});

test('a lost connection is retried, then Unavailable', async () => {
  let tries = 0;
  const fetch = async () => {
    tries++;
    throw new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
  };
  const offline = new Bellcast({ url: 'http://bell.example', secret, fetch });
  await assert.rejects(offline.notify('alice', { title: 'Hello' }), (error) => error instanceof Unavailable && /bell\.example.*ECONNREFUSED/.test(error.message));
  assert.equal(tries, 3);
  tries = 0;
  await assert.rejects(offline.publish('desk', 'tick'), Unavailable);
  assert.equal(tries, 1, 'a live event that may have arrived is not repeated');
  await assert.rejects(offline.notifyMany([{ to: 'alice', title: 'Hello' }]), BulkInterrupted);
});

test('every try of a send carries the same key, and Retry-After is respected', async () => {
  const keys = [];
  const fetch = async (url, { headers }) => {
    keys.push(headers['idempotency-key']);
    return keys.length < 2 ? new Response('{}', { status: 503, headers: { 'retry-after': '0' } }) : new Response(JSON.stringify({ notifications: [{ id: '1', recipient: 'alice' }] }), { status: 201 });
  };
  assert.equal((await new Bellcast({ secret, fetch }).notify('alice', { title: 'Hello' })).id, '1');
  assert.equal(keys.length, 2);
  assert.equal(keys[0], keys[1]);
});

test('a response that breaks off is retried, then Unavailable', async () => {
  let left = 2;
  const keys = new Set();
  const server = createServer((request, response) => {
    keys.add(request.headers['idempotency-key']);
    const body = '{"notifications":[{"id":"1","recipient":"a"}]}';
    response.writeHead(201, { 'content-type': 'application/json', 'content-length': body.length });
    if (left-- > 0) response.write(body.slice(0, 8), () => request.socket.destroy());
    else response.end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const flaky = new Bellcast({ url: `http://127.0.0.1:${server.address().port}`, secret });
    assert.equal((await flaky.notify('a', { title: 'Hello' })).id, '1');
    left = Infinity;
    await assert.rejects(flaky.notify('a', { title: 'Hello' }), Unavailable);
    assert.equal(keys.size, 2);
  } finally {
    server.close();
  }
});

test('a response of another server is no success', async () => {
  const sends = {
    'notify': (client) => client.notify('alice', { title: 'Hello' }),
    'trigger': (client) => client.trigger('booking', 'alice'),
    'notifyMany': (client) => client.notifyMany([{ to: 'alice', title: 'Hello' }]).catch((error) => { throw error.cause; }),
  };
  for (const [name, send] of Object.entries(sends)) {
    for (const body of ['{}', '[]', 'null', '"ok"', '{"status":"ok"}', '']) await assert.rejects(send(new Bellcast({ secret, fetch: async () => new Response(body) })), Unreadable, `${name} ${body}`);
  }
  const pages = createServer((request, response) => (request.method === 'POST' ? response.writeHead(302, { location: '/v1/notifications' }) : response.writeHead(200)).end('{"notifications":[],"next":null}'));
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
  try {
    const redirected = new Bellcast({ url: `http://127.0.0.1:${pages.address().port}`, secret });
    await assert.rejects(redirected.notify('alice', { title: 'Hello' }), (error) => error instanceof RequestRefused && error.status === 302 && error.message.includes('check the URL'));
  } finally {
    pages.close();
  }
});

test('an error document of another form is a refusal', async () => {
  for (const body of ['{"errors":{"title":["is wrong"]}}', '{"errors":["is wrong",null]}', '{"detail":[{"loc":["body"]}]}', '"no"', 'null', '<html>']) {
    const fetch = async () => new Response(body, { status: 422 });
    await assert.rejects(new Bellcast({ secret, fetch }).notify('alice', { title: 'Hello' }), (error) => error instanceof RequestRefused && error.errors.length === 0 && error.message.endsWith('422 unknown'), body);
  }
});

test('requests leave no listeners on their signal', async () => {
  const { signal } = new AbortController();
  let added = 0;
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (...args) => { added++; add.apply(signal, args); };
  signal.removeEventListener = (...args) => { added--; remove.apply(signal, args); };
  const fetch = async () => new Response('{}', { status: 503, headers: { 'retry-after': '0' } });
  await assert.rejects(new Bellcast({ secret, fetch }).stats({ signal }), Unavailable);
  assert.equal(added, 0);
});

test('without a secret it is not configured', () => {
  const { BELLCAST_PROJECT } = process.env;
  delete process.env.BELLCAST_PROJECT;
  try {
    assert.throws(() => new Bellcast(), NotConfigured);
  } finally {
    process.env.BELLCAST_PROJECT = BELLCAST_PROJECT;
  }
});

test('webhooks are verified', async () => {
  const body = '{"type":"notification.created"}';
  assert.deepEqual(await bell.verifyWebhook({ headers: await sign(body), body }), JSON.parse(body));
  assert.deepEqual(await bell.verifyWebhook(new Request('http://x/', { method: 'POST', headers: await sign(body), body })), JSON.parse(body));
  const whsec = `whsec_${Buffer.from('another').toString('base64')}`;
  assert.deepEqual(await bell.verifyWebhook({ headers: await sign(body, { using: 'another' }), body }, { secret: whsec }), JSON.parse(body));
  const titled = Object.fromEntries(Object.entries(await sign(body)).map(([name, value]) => [name.toUpperCase(), value]));
  assert.deepEqual(await bell.verifyWebhook({ headers: titled, body }), JSON.parse(body));
  const http2 = { ':method': 'POST', ':path': '/hook', ...(await sign(body)) }; // `request.headers` of node:http2
  assert.deepEqual(await bell.verifyWebhook({ headers: http2, body }), JSON.parse(body));
  const bytes = new TextEncoder().encode(body);
  assert.deepEqual(await bell.verifyWebhook({ headers: await sign(body), body: bytes }), JSON.parse(body));
  await assert.rejects(bell.verifyWebhook({ headers: await sign(body), body: JSON.parse(body) }), /body: expected the text or the bytes/);
  await assert.rejects(bell.verifyWebhook({ headers: await sign('{'), body: '{' }), (error) => error instanceof InvalidArgument && /^body: must be JSON/.test(error.message));
  for (const wrong of [await sign(`${body} `), await sign(body, { at: 1 }), {}]) await assert.rejects(bell.verifyWebhook({ headers: wrong, body }), Unauthorized);
});

test('handlers issue tokens that end with the session', async () => {
  const handler = bell.tokenHandler((request) => (request.headers.get('cookie') ? { recipient: 7, tenant: 'acme', expires_at: new Date(Date.now() + 60_000) } : null));
  assert.equal((await handler(new Request('http://x/'))).status, 401);
  const { token, expires_at: end } = await (await handler(new Request('http://x/', { headers: { cookie: 'a=1' } }))).json();
  assert.ok(new Date(end) - Date.now() <= 60_000);
  assert.equal((await bell.inbox(token).counts()).unread, 0);
  for (const recipient of [undefined, null, false, '']) {
    await assert.rejects(bell.sessionHandler(() => ({ recipient }))(new Request('http://x/')), InvalidArgument);
  }
  const session = await (await bell.sessionHandler(() => ({ recipient: 7, roles: ['admin'], topics: ['desk'], since: 1_769_860_800 }))(new Request('http://x/'))).json();
  assert.deepEqual(session, { recipient: '7', tenant: null, roles: ['admin'], topics: ['desk'], since: 1_769_860_800 });
  const named = await (await bell.sessionHandler(() => ({ recipient: 7, name: 'Ann', publish: ['desk'] }))(new Request('http://x/'))).json();
  assert.deepEqual(named, { recipient: '7', tenant: null, publish: ['desk'], name: 'Ann' });
  for (const handlerOf of [bell.tokenHandler, bell.sessionHandler]) {
    for (const wrong of [{ expires_at: 'soon' }, { since: 'soon' }]) {
      await assert.rejects(handlerOf.call(bell, () => ({ recipient: 7, ...wrong }))(new Request('http://x/')), InvalidArgument);
    }
  }
});

test('the session of an app may have the time at which its user joined as text', async () => {
  const user = () => ({ recipient: 7, since: '2026-01-31T12:00:00Z' });
  assert.equal((await (await bell.sessionHandler(user)(new Request('http://x/'))).json()).since, 1_769_860_800);
  const { token } = await (await bell.tokenHandler(user)(new Request('http://x/'))).json();
  assert.equal(JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).since, 1_769_860_800);
});

test('calls are answered, in Node too', async () => {
  const handle = bell.callHandler({
    free_slots: (call) => {
      call.emit('viewed', { by: call.recipient });
      call.join('desk');
      return ['10:00', call.data.day];
    },
    closed: () => {
      throw new Refused('Closed.', { day: 'Sunday' });
    },
    connect: (call) => call.accept(7, { roles: ['admin'] }),
  });
  const server = createServer(toNode(handle));
  const connect = JSON.stringify({ name: 'connect' });
  for (const id of [undefined, null, '', {}]) {
    const request = new Request('http://x/', { method: 'POST', headers: await sign(connect), body: connect });
    await assert.rejects(bell.callHandler({ connect: (call) => call.accept(id) })(request), InvalidArgument);
  }
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const call = async (name, signed) => {
    const body = JSON.stringify({ name, args: [{ day: 'Monday' }], recipient: 'é' });
    const response = await fetch(`http://127.0.0.1:${server.address().port}/`, { method: 'POST', headers: signed ?? (await sign(body)), body });
    return [response.status, await response.json()];
  };
  try {
    assert.deepEqual(await call('free_slots'), [200, { emit: [{ name: 'viewed', args: [{ by: 'é' }] }], join: ['desk'], reply: ['10:00', 'Monday'] }]);
    assert.deepEqual(await call('closed'), [200, { refuse: { message: 'Closed.', data: { day: 'Sunday' } } }]);
    assert.deepEqual((await call('connect'))[1].accept, { recipient: '7', roles: ['admin'] });
    assert.equal((await call('unknown'))[0], 404);
    assert.equal((await call('toString'))[0], 404);
    assert.equal((await call('free_slots', {}))[0], 401);
    const step = await sign(JSON.stringify({ name: 'free_slots', args: [{ day: 'Monday' }], recipient: 'é' }), { id: 'run.step' });
    assert.equal((await call('free_slots', step))[0], 401);
  } finally {
    server.close();
  }
});

test('a body without end is not kept in memory', async () => {
  let [sent, calls] = [0, 0];
  let failure;
  const handler = toNode(async () => { calls++; return new Response('{}'); });
  const server = createServer((request, response) => handler(request, response, (error) => { failure = error; response.destroy(); }));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const body = new ReadableStream({ pull: (stream) => (sent++ < 64 ? stream.enqueue(new Uint8Array(1024 * 1024)) : stream.close()) });
  try {
    await fetch(`http://127.0.0.1:${server.address().port}/`, { method: 'POST', body, duplex: 'half' }).catch(() => {});
    assert.deepEqual([failure?.status, calls], [413, 0]);
  } finally {
    server.close();
  }
});

test('outbox rows have the keys of the other languages', () => {
  const row = bell.outboxRow('notify', { to: 'alice', title: 'Hello' }, { key: 'booking-7', dialect: 'sqlite' });
  const statements = JSON.parse(process.env.ROW_STATEMENTS);
  for (const [dialect, sql] of Object.entries(statements)) assert.equal(bell.outboxRow('publish', {}, { dialect }).sql, sql);
  assert.equal(bell.outboxRow('publish', {}).sql, statements.sqlite);
  assert.equal(bell.outboxRow('publish', {}, { dialect: 'postgres' }).sql, statements.postgresql);
  assert.deepEqual(row.params, [process.env.ROW_KEY, 'notify', '{"to":"alice","title":"Hello"}']);
  assert.throws(() => bell.outboxRow('notify', { to: 'alice', title: 'Hello 😀'.slice(0, 7) }), /payload: .*valid Unicode/);
  assert.throws(() => bell.outboxRow('publish', {}, { dialect: 'oracle' }), /dialect: expected one of/);
  assert.throws(() => bell.outboxRow('send', {}), /kind: expected notify or publish/);
});

test('a workflow is triggered', async () => {
  const [workflow, alice] = [unique(), unique()];
  await bell.workflows.put(workflow, { steps: [{ key: 'hello', type: 'inbox', title: 'Hello {{ data.name }}' }] });
  const { run } = await bell.trigger(workflow, alice, { name: 'Alice' });
  assert.ok(run);
  const sendAt = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3_600_000);
  const later = await bell.trigger(workflow, alice, { name: 'Alice' }, { sendAt, cancelKey: 'a', actor: 'Bob' });
  assert.equal(new Date(later.schedule.next_at).getTime(), sendAt.getTime());
  assert.equal((await bell.cancel(workflow, 'a')).cancelled, 1);
  assert.equal((await bell.cancel(workflow, 'a', { to: alice })).cancelled, 0);
  assert.throws(() => bell.cancel(workflow, 'a', { to: undefined }), /to/);
  assert.match((await bell.explain(alice, { type: 'news', channel: 'email' })).text, /e-mail/i);
  await assert.rejects(bell.explain(alice, { run: 'missing' }), /run/);
});

const recipe = (name) => import(`${process.env.RECIPES}/${name}.js`);

/** The live events of a recipient, in order, while `work` runs; the stream ends with the last expected one. */
async function follow(token, number, work) {
  const { body } = await fetch(`${process.env.BELLCAST_URL}/v1/stream`, { headers: { authorization: `Bearer ${token}` } });
  const events = [];
  let text = '';
  for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
    const frames = (text += chunk).split('\n\n');
    text = frames.pop();
    for (const frame of frames) {
      const name = /^event: ?(.*)$/m.exec(frame)?.[1];
      if (name === 'ready') await work();
      if (name === 'event') events.push(JSON.parse(/^data: ?(.*)$/m.exec(frame)[1]));
    }
    if (events.length === number) return events;
  }
  throw new Error('the stream ended');
}

test('recipe: the WebSocket server keeps its messages', async () => {
  const { wsServer } = await recipe('websocket-server');
  const nora = unique();
  const fact = { message: 'Your service was booked!', timestamp: '2026-11-20T09:00:00Z' };
  const booking = { type: 'new_booking', bookingId: 'abc123', serviceName: 'House Cleaning', message: 'New booking received' };
  const payment = { type: 'payment_received', paymentId: 'pay123', amount: '150.00', message: 'Payment received' };
  await wsServer.sendToUser(nora, { type: 'notification', data: fact });
  for (let times = 0; times < 2; times++) await wsServer.sendBookingUpdate(nora, booking, { once: `${nora}-booked` });
  await wsServer.sendPaymentUpdate(nora, payment);
  const { notifications } = await bell.inbox(await bell.token(nora)).list();
  const rows = notifications.reverse().map(({ type, title, body, priority, action_url: url, data }) => [type, title, body, priority, url, data]);
  assert.deepEqual(rows, [
    ['notification', fact.message, null, 'normal', null, fact],
    ['new_booking', booking.message, 'House Cleaning', 'high', '/bookings/abc123', booking],
    ['payment_received', payment.message, '€150.00', 'normal', null, payment],
  ]);
});

test('recipe: the notification manager sends a live event and a notification', async () => {
  const { NotificationManager } = await recipe('notification-manager');
  const tenant = unique(); // its admins and its users are those of this test
  const own = new Bellcast();
  const manager = new NotificationManager({
    notify: (to, draft, options) => own.notify(to, draft, { ...options, tenant }),
    publish: (to, name, data) => own.publish(to, name, data, { tenant }),
  });
  for (const [name, roles] of [['ada', ['admin']], ['ben', []]]) await own.recipients.put(name, { roles }, { tenant });
  const [ada, ben] = [await own.token('ada', { tenant, roles: ['admin'] }), await own.token('ben', { tenant })];
  const booking = { id: 7, clientId: 'ben', status: 'confirmed' };
  const [live] = await follow(ben, 1, () => manager.notifyBookingUpdate(booking, 'confirmed'));
  const { id, type, action, booking: sent, timestamp } = live.data;
  assert.deepEqual([live.name, type, action, sent], ['booking_update', 'booking_update', 'confirmed', booking]);
  assert.ok(id && !Number.isNaN(Date.parse(timestamp)));
  await manager.notifyBookingUpdate(booking, 'confirmed');
  await manager.notifyUser('ben', 'order_shipped', { order: 7 });
  await manager.broadcast('system_alert', { title: 'We move on Sunday', priority: 'high' });
  const titles = async (token) => (await own.inbox(token).list()).notifications.map(({ title }) => title);
  assert.deepEqual(await titles(ben), ['We move on Sunday', 'Order shipped', 'Booking 7: confirmed']);
  assert.deepEqual(await titles(ada), ['We move on Sunday', 'Booking 7: confirmed']);
});

test('recipe: the booking service notifies each person once', async () => {
  const { BookingNotificationService: service } = await recipe('booking-notification-service');
  const [id, adminId, photographerId, clientId] = [unique(), unique(), unique(), unique()];
  const booking = { id, adminId, photographerId, clientId, clientName: 'Clara', photographerName: 'Theo', when: 'Sunday', place: 'The orchard', photos: 9 };
  for (const [step, person, title] of [
    ['notifyAdminOfNewBooking', adminId, 'New booking from Clara'],
    ['notifyPhotographerOfAssignment', photographerId, 'Session for Clara'],
    ['notifyClientWorkCompleted', clientId, 'Your photographs are ready'],
  ]) {
    assert.equal(await service[step](booking), await service[step](booking));
    const { notifications, unread } = await bell.inbox(await bell.token(person)).list();
    assert.deepEqual([notifications.map((one) => one.title), unread], [[title], 1]);
  }
});
