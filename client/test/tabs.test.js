/** Tabs of one browser: fake locks, Node's BroadcastChannel, a fake network. */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { Session } from '../src/bellcast/session.js';
import { notification, ready, settled, fakeEnvironment } from './environment.js';

/** The part of the Web Locks API that tabs use. */
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

const fakeStorage = () => {
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

/** Create the shared parts of a browser, and return a function that opens a tab. */
function browser(storage = fakeStorage()) {
  const locks = new Locks();
  const page = { notifications: [notification(1)], next: null, unread: 1, unseen: 1, position: 'p1' };
  return async (routes = () => page, token = TOKEN, topics = []) => {
    const env = fakeEnvironment(({ method, url, body }) => routes({ method, url, body }) ?? page);
    Object.assign(env, { locks, Channel: BroadcastChannel, storage: () => storage });
    const session = new Session({ server: 'https://bell.example', token, topics, environment: env });
    open.push(session);
    session.open();
    await delivered();
    return { env, session };
  };
}

/** Wait until all messages between tabs were delivered: a channel keeps the order. */
async function delivered() {
  for (let turn = 0; turn < 12; turn++) {
    await settled();
    await posted();
  }
}

/** Deliver one message through a channel of the same kind. */
function posted() {
  const [sender, receiver] = [new BroadcastChannel('delivered'), new BroadcastChannel('delivered')];
  return new Promise((resolve) => {
    receiver.onmessage = () => setTimeout(() => (sender.close(), receiver.close(), resolve()), 3);
    sender.postMessage(null);
  });
}

const arrival = (number, unread, position) => ({ type: 'notification', notification: notification(number), unread, unseen: unread, position });

test('a second tab receives events through the first one’s connection', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const second = await tab();
  await delivered();
  assert.equal(second.env.links.length, 0);
  assert.equal(second.session.state.status, 'live');
  first.env.link.receive(arrival(2, 2, 'p2'));
  await delivered();
  assert.equal(second.session.state.unread, 2);
});

test('a follower takes over from its position when the leader closes', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const second = await tab();
  first.env.link.receive(arrival(2, 2, 'p2'));
  await delivered();
  first.session.close();
  await delivered();
  assert.equal(second.env.link.url.searchParams.get('position'), 'p2');
});

test('a follower fetches again only at another position than the leader’s', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const sibling = await tab();
  const diverged = await tab(() => ({ notifications: [notification(1)], next: null, unread: 1, unseen: 1, position: 'p0' }));
  const fetches = ({ env }) => env.requests.filter(({ url }) => url.pathname === '/v1/inbox').length;
  assert.deepEqual([fetches(sibling), fetches(diverged)], [1, 2]);
  first.env.link.receive(arrival(2, 2, 'p2'));
  await delivered();
  assert.deepEqual([fetches(sibling), fetches(diverged)], [1, 3]);
});

test('a follower’s call is relayed by the leader', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const second = await tab();
  await delivered();
  const called = second.session.call('sum', [1, 2]);
  await delivered();
  const { ref, ...frame } = first.env.link.sent.at(-1);
  assert.deepEqual(frame, { type: 'call', name: 'sum', data: [1, 2] });
  first.env.link.receive({ type: 'ack', ref, data: 3 });
  await delivered();
  assert.equal(await called, 3);
});

test('a tab that takes over resumes after events that its siblings published', async () => {
  const tab = browser();
  const first = await tab(undefined, TOKEN, ['team']);
  first.env.link.receive(ready());
  const [second, third] = [await tab(undefined, TOKEN, ['team']), await tab(undefined, TOKEN, ['team'])];
  const received = [];
  second.session.addEventListener('event', ({ detail }) => received.push(detail.name));
  for (const [{ session }, id] of [[first, 'e7'], [third, 'e8']]) {
    const published = session.publish('team', id);
    await delivered();
    first.env.link.receive({ type: 'ack', ref: first.env.link.sent.at(-1).ref, id });
    await delivered();
    await published;
  }
  first.session.close();
  await delivered();
  assert.deepEqual(received, ['e7', 'e8']);
  assert.equal(second.env.link.url.searchParams.get('position'), 'p1~e8');
});

test('a tab that takes over after live events may have been missed does not resume its topics', async () => {
  const tab = browser();
  const first = await tab(undefined, TOKEN, ['team']);
  first.env.link.receive(ready({ id: 'e1' }));
  const second = await tab(undefined, TOKEN, ['team']);
  first.env.link.receive({ type: 'event', topic: 'team', name: 'moved', data: null, id: 'e2' });
  first.env.link.receive({ type: 'close', code: 1012, reason: 'events_lost', reconnect: true, after: 100, id: '' });
  first.env.link.disconnect(1012);
  await delivered();
  first.session.close();
  await delivered();
  assert.equal(second.env.link.url.searchParams.get('position'), 'p1');
});

test('a tab that takes over resumes the topics that its siblings follow, and passes on what they missed', async () => {
  const tab = browser();
  const first = await tab(undefined, TOKEN, ['a']);
  first.env.link.receive(ready({ id: 'e1' }));
  const [second, third, fourth] = [await tab(undefined, TOKEN, ['b']), await tab(undefined, TOKEN, ['c']), await tab(undefined, TOKEN, ['d'])];
  const acknowledged = async (request) => {
    await delivered();
    first.env.link.receive({ type: 'ack', ref: first.env.link.sent.at(-1).ref });
    await request;
  };
  await acknowledged(third.session.subscribe('c2', 'c3'));
  await acknowledged(third.session.unsubscribe('c3'));
  fourth.session.close();
  await delivered();
  const received = [];
  third.session.addEventListener('event', ({ detail }) => received.push(detail.name));
  const takeOver = async (leader, next) => {
    leader.session.close();
    await delivered();
    return next.env.link.url.searchParams;
  };
  const query = await takeOver(first, second);
  assert.deepEqual([query.getAll('topic'), query.get('position')], [['b', 'c', 'c2'], 'p1~e1']);
  second.env.link.receive(ready({ id: 'e1' }));
  second.env.link.receive({ type: 'event', topic: 'c', name: 'missed', data: null, id: 'e2' });
  await delivered();
  assert.deepEqual(received, ['missed']);
  assert.deepEqual((await takeOver(second, third)).getAll('topic'), ['c', 'c2']);
});

test('a topic whose subscription was cut by the closing of the leader is subscribed by the next leader', async () => {
  const tab = browser();
  const first = await tab();
  first.env.link.receive(ready());
  const [second, third] = [await tab(), await tab()];
  const pending = [second.session.subscribe('b'), third.session.subscribe('c')];
  await delivered();
  first.session.close();
  await delivered();
  assert.deepEqual(await Promise.all(pending), [null, null]);
  const query = second.env.link.url.searchParams;
  second.env.link.receive(ready());
  await delivered();
  const sent = second.env.link.sent.flatMap(({ type, topics }) => (type === 'subscribe' ? topics : []));
  assert.deepEqual([...new Set([...query.getAll('topic'), ...sent])].sort(), ['b', 'c']);
});

test('tabs of different recipients do not share a connection', async () => {
  const tab = browser();
  await tab();
  const other = await tab(undefined, `x.${Buffer.from(JSON.stringify({ sub: 'bob', exp: 9e9 })).toString('base64url')}.x`);
  assert.equal(other.env.links.length, 1);
});

/** A server that refuses all changes until it is available, and records them. */
function unavailableServer() {
  const server = {
    isAvailable: false,
    requests: [],
    routes: ({ method, url }) => {
      if (method !== 'POST') return undefined;
      server.requests.push(url.pathname);
      return server.isAvailable ? { changed: 1 } : { status: 503 };
    },
  };
  return server;
}

test('an offline action survives a reload and is sent then', async () => {
  const tab = browser();
  const server = unavailableServer();
  const before = await tab(server.routes);
  before.session.read('all').catch(() => {});
  await delivered();
  assert.deepEqual([before.session.state.unread, before.session.state.queued], [0, 1]);
  before.session.close();
  server.isAvailable = true;
  const after = await tab(server.routes);
  assert.equal(after.session.state.unread, 0, 'shown before it is sent');
  after.env.link.receive(ready());
  await delivered();
  assert.equal(after.session.state.queued, 0);
  assert.deepEqual(server.requests, ['/v1/inbox/read', '/v1/inbox/read']);
});

test('an action that could still be undone while offline survives a reload', async () => {
  const tab = browser();
  const server = unavailableServer();
  const before = await tab(server.routes);
  before.env.setNetwork('offline');
  before.session.hold('delete', notification(1).id);
  before.env.page.dispatchEvent(new Event('pagehide'));
  before.session.close(); // without waiting: the page is gone before its request fails
  const stored = before.session.state.queued;
  server.isAvailable = true;
  const after = await tab(server.routes);
  after.env.link.receive(ready());
  await delivered();
  assert.deepEqual([stored, after.session.state.queued], [1, 0]);
  assert.equal(server.requests.at(-1), '/v1/inbox/delete');
});

test('an action is sent when the page is left, also while the connection is not live', async () => {
  const tab = browser();
  const server = unavailableServer();
  server.isAvailable = true;
  const { env, session } = await tab(server.routes);
  env.link.disconnect();
  await delivered();
  session.hold('archive', notification(1).id);
  env.page.dispatchEvent(new Event('pagehide'));
  await delivered();
  assert.deepEqual(server.requests, ['/v1/inbox/archive']);
});

test('an offline action is sent from memory if the storage is full', async () => {
  const full = new Proxy(fakeStorage(), { get: (target, key) => (key === 'setItem' ? () => { throw new DOMException('', 'QuotaExceededError'); } : target[key]) });
  const tab = browser(full);
  const server = unavailableServer();
  const { env, session } = await tab(server.routes);
  session.read('all').catch(() => {});
  await delivered();
  assert.deepEqual([session.state.unread, session.state.queued], [0, 1]);
  server.isAvailable = true;
  env.link.receive(ready());
  await delivered();
  assert.deepEqual([session.state.unread, session.state.queued, server.requests.length], [0, 0, 2]);
});

test('an alert is dispatched in one tab only, also under its old name ring', async () => {
  const tab = browser();
  const tabs = [await tab(), await tab(), await tab()];
  tabs[0].env.link.receive(ready());
  await delivered();
  const alerts = [];
  for (const [index, { session }] of tabs.entries()) {
    for (const type of ['alert', 'ring']) session.addEventListener(type, ({ detail }) => alerts.push([index, type, detail.length]));
  }
  tabs[0].env.link.receive(arrival(2, 2, 'p2'));
  tabs[0].env.link.receive(arrival(3, 3, 'p3'));
  await delivered();
  for (const { env } of tabs) await env.timers.advance(100);
  await delivered();
  assert.deepEqual(alerts, [[0, 'alert', 2], [0, 'ring', 2]]);
});
