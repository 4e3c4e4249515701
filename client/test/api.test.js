import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Api, Credential } from '../src/bellcast/api.js';
import { world } from './world.js';

function asked(answer, token = 'one', ask) {
  const bench = world(answer);
  return { api: new Api('https://bell.example/under/', new Credential(token, ask), bench.fetch), requests: bench.requests };
}

test('asks with the token and without cookies', async () => {
  const { api, requests } = asked(() => ({ notifications: [] }));
  await api.inbox({ view: 'unread', limit: 5 });
  const [{ url, token, credentials }] = requests;
  assert.equal(url.href, 'https://bell.example/under/v1/inbox?view=unread&limit=5');
  assert.deepEqual([token, credentials], ['one', 'omit']);
});

test('asks with cookies where there is no token', async () => {
  const { api, requests } = asked(() => ({}), null);
  await api.inbox({});
  assert.deepEqual([requests[0].token, requests[0].credentials], [undefined, 'include']);
});

test('each action has its door, and outlives the page', async () => {
  const { api, requests } = asked(() => ({ changed: 2 }));
  assert.equal(await api.act('archive', { ids: ['a', 'b'] }), 2);
  await api.act('read', { all: true });
  await api.act('delete', { all: true, of: { view: 'read' } });
  await api.act('delete', { ids: ['a/b'] });
  assert.deepEqual(requests.map(({ method, url, body }) => [method, url.pathname + url.search, body]), [
    ['POST', '/under/v1/inbox/archive', { ids: ['a', 'b'] }],
    ['POST', '/under/v1/inbox/read', { all: true }],
    ['DELETE', '/under/v1/inbox?view=read', undefined],
    ['DELETE', '/under/v1/inbox/a%2Fb', undefined],
  ]);
  assert.ok(requests.every(({ keepalive }) => keepalive));
});

test('what was deleted already is deleted', async () => {
  const { api } = asked(() => ({ status: 404, code: 'not_found' }));
  await api.act('delete', { ids: ['a'] });
});

test('a refusal carries the problem and when to come back', async () => {
  const { api } = asked(() => ({ status: 429, code: 'too_fast', detail: 'Slow down.', retryAfter: 3 }));
  await assert.rejects(api.inbox({}), { name: 'Refused', status: 429, code: 'too_fast', message: 'Slow down.', after: 3_000 });
});

test('a proxy’s error page is a refusal too', async () => {
  const bench = new Api('https://bell.example/', new Credential(null, undefined), async () => new Response('<h1>Bad gateway</h1>', { status: 502 }));
  await assert.rejects(bench.inbox({}), { status: 502, code: 'unknown' });
});

test('a refused token is renewed once, for all who wait', async () => {
  let asks = 0;
  const { api, requests } = asked(({ token }) => (token === 'two' ? { unread: 1 } : { status: 401 }), 'one', () => {
    asks++;
    return 'two';
  });
  await Promise.all([api.inbox({}), api.inbox({}), api.inbox({})]);
  assert.equal(asks, 1);
  assert.equal(requests.length, 6);
});

test('a token that stays refused is not asked for forever', async () => {
  const { api, requests } = asked(() => ({ status: 401, code: 'unauthenticated' }), 'one', () => 'two');
  await assert.rejects(api.inbox({}), { status: 401 });
  assert.equal(requests.length, 2);
});

test('a callback that had no token is asked again', async () => {
  const tokens = [undefined, 'one'];
  const { api, requests } = asked(() => ({ unread: 1 }), null, () => tokens.shift());
  await api.inbox({});
  await api.inbox({});
  assert.deepEqual(requests.map(({ token }) => token), [undefined, 'one']);
});

test('a callback that failed is asked again', async () => {
  let down = true;
  const { api } = asked(() => ({ unread: 1 }), null, () => (down ? Promise.reject(new Error('down')) : 'one'));
  await assert.rejects(api.inbox({}), { message: 'down' });
  down = false;
  await api.inbox({});
});
