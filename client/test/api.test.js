import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Api, Credential } from '../src/bellcast/api.js';
import { fakeEnvironment } from './environment.js';

function createApi(respond, token = 'one', getToken) {
  const env = fakeEnvironment(respond);
  return { api: new Api('https://bell.example/under/', new Credential(token, getToken, undefined, env.timeout), env), requests: env.requests, timers: env.timers };
}

test('requests carry the token and no cookies', async () => {
  const { api, requests } = createApi(() => ({ notifications: [] }));
  await api.inbox({ view: 'unread', limit: 5 });
  const [{ url, token, credentials }] = requests;
  assert.equal(url.href, 'https://bell.example/under/v1/inbox?view=unread&limit=5');
  assert.deepEqual([token, credentials], ['one', 'omit']);
});

test('requests without a token carry cookies', async () => {
  const { api, requests } = createApi(() => ({}), null);
  await api.inbox({});
  assert.deepEqual([requests[0].token, requests[0].credentials], [undefined, 'include']);
});

test('each action is one request with its whole target, and outlives the page', async () => {
  const { api, requests } = createApi(() => ({ changed: 2 }));
  assert.deepEqual(await api.act('archive', { ids: ['a', 'b'] }), { changed: 2 });
  await api.act('read', { all: true });
  await api.act('delete', { all: true, of: { type: 'booking' } });
  await api.act('delete', { ids: ['a', 'b'] });
  assert.deepEqual(requests.map(({ method, url, body }) => [method, url.pathname + url.search, body]), [
    ['POST', '/under/v1/inbox/archive', { ids: ['a', 'b'] }],
    ['POST', '/under/v1/inbox/read', { all: true }],
    ['POST', '/under/v1/inbox/delete', { all: true, of: { type: 'booking' } }],
    ['POST', '/under/v1/inbox/delete', { ids: ['a', 'b'] }],
  ]);
  assert.ok(requests.every(({ keepalive }) => keepalive));
});

test('a hanging request times out after 30 seconds', async () => {
  const { api, timers } = createApi(() => new Promise(() => {}));
  const failed = assert.rejects(api.act('read', { all: true }), { name: 'TimeoutError' });
  await timers.advance(30_000);
  await failed;
});

test('a truncated response rejects as a network error', async () => {
  const broken = { ok: true, status: 200, headers: new Headers(), json: () => Promise.reject(new TypeError('network error')) };
  const api = new Api('https://bell.example/', new Credential(null), { ...fakeEnvironment(), fetch: async () => broken });
  await assert.rejects(api.act('read', { all: true }), { name: 'TypeError' });
});

const json = (body, init) => new Response(JSON.stringify(body), init);
for (const [what, getToken, token] of [
  ['a string', () => 'one', 'one'],
  ['an object', () => ({ token: 'one' }), 'one'],
  ['a promise of an object', async () => ({ token: 'one' }), 'one'],
  ['a response with an object', async () => json({ token: 'one' }), 'one'],
  ['a response with a JSON string', async () => json('one'), 'one'],
  ['a response with text', async () => new Response('one.two.three'), 'one.two.three'],
  ['JSON as text', async () => '{"token": "one"}', 'one'],
  ['nothing', () => undefined, undefined],
  ['a response with null', async () => json(null), undefined],
]) {
  test(`getToken may return ${what}`, async () => {
    const { api, requests } = createApi(() => ({ unread: 1 }), null, getToken);
    await api.inbox({});
    assert.equal(requests[0].token, token);
  });
}

for (const [status, expected] of [[401, 401], [403, 403], [404, 503], [500, 503]]) {
  test(`a response with status ${status} is not a token, and is reported as ${expected}`, async () => {
    const { api, requests } = createApi(() => ({ unread: 1 }), null, async () => json({ token: 'one' }, { status }));
    await assert.rejects(api.inbox({}), { name: 'Refused', status: expected, code: 'no_token', message: `getToken: HTTP ${status}` });
    assert.equal(requests.length, 0);
  });
}

test('a refusal contains the problem and the retry delay', async () => {
  const { api } = createApi(() => ({ status: 429, code: 'too_fast', detail: 'Slow down.', retryAfter: 3 }));
  await assert.rejects(api.inbox({}), { name: 'Refused', status: 429, code: 'too_fast', message: 'Slow down.', after: 3_000 });
});

test('a proxy’s error page is a refusal too', async () => {
  const env = new Api('https://bell.example/', new Credential(null), { ...fakeEnvironment(), fetch: async () => new Response('<h1>Bad gateway</h1>', { status: 502 }) });
  await assert.rejects(env.inbox({}), { status: 502, code: 'unknown' });
});

test('a response without a body is no refusal', async () => {
  const { api } = createApi(() => ({ status: 204 }));
  assert.equal(await api.call('DELETE', 'v1/push-endpoints/1'), undefined);
});

test('a refused token is renewed once for concurrent requests', async () => {
  let asks = 0;
  const { api, requests } = createApi(({ token }) => (token === 'two' ? { unread: 1 } : { status: 401 }), 'one', () => {
    asks++;
    return 'two';
  });
  await Promise.all([api.inbox({}), api.inbox({}), api.inbox({})]);
  assert.equal(asks, 1);
  assert.equal(requests.length, 6);
});

test('a request is retried with a new token only once', async () => {
  const { api, requests } = createApi(() => ({ status: 401, code: 'unauthenticated' }), 'one', () => 'two');
  await assert.rejects(api.inbox({}), { status: 401 });
  assert.equal(requests.length, 2);
});

test('getToken is called again after it returned nothing', async () => {
  const tokens = [undefined, 'one'];
  const { api, requests } = createApi(() => ({ unread: 1 }), null, () => tokens.shift());
  await api.inbox({});
  await api.inbox({});
  assert.deepEqual(requests.map(({ token }) => token), [undefined, 'one']);
});

test('getToken is called again after a failure', async () => {
  let down = true;
  const { api } = createApi(() => ({ unread: 1 }), null, () => (down ? Promise.reject(new Error('down')) : 'one'));
  await assert.rejects(api.inbox({}), { message: 'down' });
  down = false;
  await api.inbox({});
});

test('getToken that never settles fails in time and is called again', async () => {
  const tokens = [new Promise(() => {}), 'one'];
  const { api, requests, timers } = createApi(() => ({ unread: 1 }), null, () => tokens.shift());
  const refused = assert.rejects(api.inbox({}), { name: 'TimeoutError' });
  await timers.advance(30_000);
  await refused;
  await api.inbox({});
  assert.deepEqual(requests.map(({ token }) => token), ['one']);
});

test('a getToken that returns an object without a token names its keys, and a failed request its address', async () => {
  const env = fakeEnvironment();
  const other = new Credential(null, async () => ({ jwt: 'a.b.c' }), undefined, env.timeout);
  await assert.rejects(other.token(), { code: 'no_token', message: 'getToken returned an object without "token": jwt' });
  const missing = { ok: false, status: 404, url: 'https://shop.example/bell-tokn', text: async () => '' };
  const failing = new Credential(null, async () => missing, undefined, env.timeout);
  await assert.rejects(failing.token(), { message: 'getToken: HTTP 404 from https://shop.example/bell-tokn' });
  const redirected = { ok: true, status: 200, url: 'https://shop.example/sign-in', text: async () => '\n<!doctype html>' };
  const page = new Credential(null, async () => redirected, undefined, env.timeout);
  await assert.rejects(page.token(), { status: 401, message: 'getToken: a page instead of a token from https://shop.example/sign-in. Is the user signed in?' });
  const signedOut = new Credential(null, async () => ({ token: null }), undefined, env.timeout);
  assert.equal(await signedOut.token(), null);
});
