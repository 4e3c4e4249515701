/** Tabs of one browser: locks and channels here are Node's own kind, the network stands still. */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Session } from '../src/bellcast/session.js';
import { notification, ready, settled, fakeEnvironment } from './environment.js';

/** Web Locks as the standard has them, as far as tabs use them. */
class Locks {
  #held = new Map();

  request(name, options, run) {
    const { ifAvailable = false, signal } = typeof options === 'function' ? {} : options;
    const call = typeof options === 'function' ? options : run;
    const queue = this.#held.get(name) ?? this.#held.set(name, []).get(name);
    if (queue.length && ifAvailable) return Promise.resolve(call(null));
    return new Promise((resolve, reject) => {
      const entry = { start: () => Promise.resolve(call({ name })).then(resolve, reject).finally(() => this.#next(name)) };
      queue.push(entry);
      signal?.addEventListener('abort', () => queue.indexOf(entry) > 0 && (queue.splice(queue.indexOf(entry), 1), reject(new DOMException('', 'AbortError'))));
      if (queue.length === 1) entry.start();
    });
  }

  #next(name) {
    const queue = this.#held.get(name);
    queue.shift();
    queue[0]?.start();
  }
}

const kept = () => {
  const map = new Map();
  return new Proxy({ getItem: (key) => map.get(key) ?? null, setItem: (key, value) => void map.set(key, value), removeItem: (key) => void map.delete(key) }, {
    ownKeys: () => [...map.keys()],
    getOwnPropertyDescriptor: (_, key) => (map.has(key) ? { enumerable: true, configurable: true, value: map.get(key) } : undefined),
  });
};

const TOKEN = `x.${Buffer.from(JSON.stringify({ sub: 'alice', exp: 9e9, iat: 1 })).toString('base64url')}.x`;
const open = [];
afterEach(() => {
  for (const session of open.splice(0)) session.close();
});

/** A browser: what its tabs share. */
function browser(storage = kept()) {
  const locks = new Locks();
  const page = { notifications: [notification(1)], next: null, unread: 1, unseen: 1, position: 'p1' };
  return async (routes = () => page, token = TOKEN) => {
    const env = fakeEnvironment(({ method, url, body }) => routes({ method, url, body }) ?? page);
    Object.assign(env, { locks, Channel: BroadcastChannel, storage: () => storage });
    const session = new Session({ server: 'https://bell.example', token, environment: env });
    open.push(session);
    session.open();
    await heard();
    return { env, session };
  };
}

/** What tabs post has arrived: as a channel keeps the order, what is posted last comes last. */
async function heard() {
  for (let turn = 0; turn < 12; turn++) {
    await settled();
    await posted();
  }
}

/** There and back through a channel of the same kind. */
function posted() {
  const [here, there] = [new BroadcastChannel('heard'), new BroadcastChannel('heard')];
  return new Promise((resolve) => {
    there.onmessage = () => setTimeout(() => (here.close(), there.close(), resolve()), 3);
    here.postMessage(null);
  });
}

const told = (number, unread, position) => ({ type: 'notification', notification: notification(number), unread, unseen: unread, position });

test('the first has the line, the second hears through it', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const second = await tab();
  await heard();
  assert.equal(second.env.links.length, 0);
  assert.equal(second.session.state.status, 'live');
  first.env.link.receive(told(2, 2, 'p2'));
  await heard();
  assert.equal(second.session.state.unread, 2);
});

test('when the first is gone the second resumes from where it was', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const second = await tab();
  first.env.link.receive(told(2, 2, 'p2'));
  await heard();
  first.session.close();
  await heard();
  assert.equal(second.env.link.url.searchParams.get('position'), 'p2');
});

test('who stands elsewhere than the leader fetches again; who stands with it does not', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const beside = await tab();
  const elsewhere = await tab(() => ({ notifications: [notification(1)], next: null, unread: 1, unseen: 1, position: 'p0' }));
  const fetches = ({ env }) => env.requests.filter(({ url }) => url.pathname === '/v1/inbox').length;
  assert.deepEqual([fetches(beside), fetches(elsewhere)], [1, 2]);
  first.env.link.receive(told(2, 2, 'p2'));
  await heard();
  assert.deepEqual([fetches(beside), fetches(elsewhere)], [1, 3]);
});

test('a call goes through the tab that has the line, and its answer comes back', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const second = await tab();
  await heard();
  const called = second.session.call('sum', [1, 2]);
  await heard();
  const { ref, ...frame } = first.env.link.sent.at(-1);
  assert.deepEqual(frame, { type: 'call', name: 'sum', data: [1, 2] });
  first.env.link.receive({ type: 'ack', ref, data: 3 });
  await heard();
  assert.equal(await called, 3);
});

test('another person’s tab shares nothing', async () => {
  const tab = browser();
  await tab();
  const other = await tab(undefined, `x.${Buffer.from(JSON.stringify({ sub: 'bob', exp: 9e9 })).toString('base64url')}.x`);
  assert.equal(other.env.links.length, 1);
});

test('what was done with nobody to tell is there after a reload, and told then', async () => {
  const tab = browser();
  let away = true;
  const asked = [];
  const routes = ({ method, url }) => {
    if (method !== 'POST') return undefined;
    asked.push(url.pathname);
    return away ? { status: 503 } : { changed: 1 };
  };
  const before = await tab(routes);
  before.session.read('all').catch(() => {});
  await heard();
  assert.deepEqual([before.session.state.unread, before.session.state.queued], [0, 1]);
  before.session.close();
  away = false;
  const after = await tab(routes);
  assert.equal(after.session.state.unread, 0, 'shown before it is told');
  after.env.link.receive(ready());
  await heard();
  assert.equal(after.session.state.queued, 0);
  assert.deepEqual(asked, ['/v1/inbox/read', '/v1/inbox/read']);
});

test('where there is no room to keep it, what was done is told all the same when the server is back', async () => {
  const full = new Proxy(kept(), { get: (target, key) => (key === 'setItem' ? () => { throw new DOMException('', 'QuotaExceededError'); } : target[key]) });
  const tab = browser(full);
  let away = true;
  const asked = [];
  const { env, session } = await tab(({ method, url }) => {
    if (method !== 'POST') return undefined;
    asked.push(url.pathname);
    return away ? { status: 503 } : { changed: 1 };
  });
  session.read('all').catch(() => {});
  await heard();
  assert.deepEqual([session.state.unread, session.state.queued], [0, 1]);
  away = false;
  env.link.receive(ready());
  await heard();
  assert.deepEqual([session.state.unread, session.state.queued, asked.length], [0, 0, 2]);
});

test('it rings in one tab only', async () => {
  const tab = browser();
  const tabs = [await tab(), await tab(), await tab()];
  tabs[0].env.link.receive(ready());
  await heard();
  const rung = [];
  tabs.forEach(({ session }, at) => session.addEventListener('ring', ({ detail }) => rung.push([at, detail.length])));
  tabs[0].env.link.receive(told(2, 2, 'p2'));
  tabs[0].env.link.receive(told(3, 3, 'p3'));
  await heard();
  for (const { env } of tabs) await env.timers.advance(100);
  await heard();
  assert.deepEqual(rung, [[0, 2]]);
});
