/** Enabling and disabling push messages, with a stand-in for the browser's part and the server. */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { disablePush, enablePush, pushState } from '../src/bellcast/push.js';

const BASE = 'https://bell.example/';
const GRANTED = Promise.resolve(/** @type {const} */ ('granted'));

/** A browser with a service worker, and the requests of a session. */
function browser() {
  const calls = [];
  const workers = new EventTarget();
  let subscription = null;
  const pushManager = {
    subscribe: async ({ applicationServerKey }) => {
      const options = { applicationServerKey };
      return (subscription ??= { endpoint: 'https://push.example/1', options, toJSON: () => ({ endpoint: 'https://push.example/1' }), unsubscribe: async () => void (calls.push(['unsubscribe']), (subscription = null)) });
    },
    getSubscription: async () => subscription,
  };
  const registration = { active: {}, pushManager };
  const serviceWorker = Object.assign(workers, { register: async () => (calls.push(['register']), registration), getRegistration: async (scope) => (calls.push(['registration', scope]), registration) });
  Object.defineProperty(globalThis, 'navigator', { value: { serviceWorker }, configurable: true });
  globalThis.PushManager = class {};
  globalThis.Notification = /** @type {any} */ ({ permission: 'granted' });
  globalThis.location = /** @type {any} */ ({ origin: new URL(BASE).origin });
  const endpoints = [{ id: 'e0', endpoint: null, token: 'abc' }, { id: 'e1', endpoint: 'https://push.example/1' }, { id: 'e2', endpoint: 'https://push.example/2' }];
  const api = {
    failure: null,
    call: async (method, path, body) => {
      calls.push([method, path, ...(body ? [body] : [])]);
      if (api.failure) throw api.failure;
      return path.endsWith('/key') ? { public_key: 'KEY' } : method === 'GET' ? { push_endpoints: endpoints } : { id: 'e1' };
    },
  };
  const post = (data) => workers.dispatchEvent(Object.assign(new Event('message'), { data }));
  return { api, post, registration, calls: () => calls.splice(0), subscription: () => subscription };
}

const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
afterEach(() => {
  delete globalThis.location;
  delete globalThis.Notification;
  before ? Object.defineProperty(globalThis, 'navigator', before) : delete globalThis.navigator;
});

test('disabling deletes the endpoint of this browser only, then ends the subscription', async () => {
  const { api, calls, subscription } = browser();
  assert.equal(await enablePush(api, BASE, {}, GRANTED), 'e1');
  assert.deepEqual(calls(), [['registration', BASE], ['register'], ['GET', 'v1/push-endpoints/key'], ['POST', 'v1/push-endpoints', { endpoint: 'https://push.example/1' }]]);
  await disablePush(api, BASE);
  assert.deepEqual(calls(), [['registration', BASE], ['GET', 'v1/push-endpoints'], ['DELETE', 'v1/push-endpoints/e1'], ['unsubscribe']]);
  assert.equal(subscription(), null);
  await disablePush(api, BASE);
  assert.deepEqual(calls(), [['registration', BASE]]);
});

/** Disable push messages for a subscription with this key, whose endpoint the server does not list. Returns whether it has ended. */
async function disableUnlisted(key) {
  const { api, registration } = browser();
  const options = { applicationServerKey: new TextEncoder().encode(key).buffer };
  let hasEnded = false;
  registration.pushManager.getSubscription = async () => ({ endpoint: 'https://push.example/unlisted', options, unsubscribe: async () => void (hasEnded = true) });
  await disablePush({ call: (method, path) => (path.endsWith('/key') ? { public_key: 'Pj8-' } : api.call(method, path)) }, BASE); // '>?>' in base64url
  return hasEnded;
}

test('disabling ends a subscription whose endpoint the server has deleted, and none of other code of the page', async () => {
  assert.equal(await disableUnlisted('>?>'), true);
  assert.equal(await disableUnlisted('another key'), false);
});

test('the service worker of the page is not replaced', async () => {
  const { api, calls, registration } = browser();
  for (const [scope, script, state] of [[BASE, 'sw.js', 'unsupported'], [BASE, 'bellcast-push.js', 'off'], ['https://bell.example/elsewhere/', 'sw.js', 'off']]) {
    Object.assign(registration, { scope, active: { scriptURL: `${BASE}${script}` } });
    assert.equal(await pushState(api, BASE), state, `${scope} ${script}`);
  }
  Object.assign(registration, { scope: BASE, active: { scriptURL: `${BASE}sw.js` } });
  calls();
  await assert.rejects(enablePush(api, BASE, {}, GRANTED), { code: 'push_unsupported' });
  assert.ok(!calls().some(([name]) => name === 'register'));
  assert.equal(await pushState(api, BASE, { registration }), 'off');
  assert.equal(await enablePush(api, BASE, { registration }, GRANTED), 'e1');
});

test('the subscription stays while the server is unavailable', async () => {
  const { api, subscription } = browser();
  await enablePush(api, BASE, {}, GRANTED);
  api.failure = new Error('away');
  await assert.rejects(disablePush(api, BASE), /away/);
  assert.ok(subscription());
});

test('a replaced subscription is registered once, until push messages are disabled', async () => {
  const { api, post, calls } = browser();
  await enablePush(api, BASE, {}, GRANTED);
  await enablePush(api, BASE, {}, GRANTED);
  calls();
  const subscription = { endpoint: 'https://push.example/new' };
  post({ type: 'bellcast-push-changed', subscription });
  post({ type: 'another sender' });
  post(null);
  assert.deepEqual(calls(), [['POST', 'v1/push-endpoints', subscription]]);
  await disablePush(api, BASE);
  calls();
  post({ type: 'bellcast-push-changed', subscription });
  assert.deepEqual(calls(), []);
});

test('unknown options are refused', async () => {
  const { api } = browser();
  await assert.rejects(disablePush(api, BASE, /** @type {any} */ ({ worker: 1 })), /disablePush: invalid option worker/);
});

test('the state is that of this browser and this person', async () => {
  const { api } = browser();
  assert.equal(await pushState(api, BASE), 'off');
  await enablePush(api, BASE, {}, GRANTED);
  assert.equal(await pushState(api, BASE), 'on');
  const another = { call: async () => ({ push_endpoints: [] }) };
  assert.equal(await pushState(another, BASE), 'off');
  globalThis.Notification = /** @type {any} */ ({ permission: 'denied' });
  assert.equal(await pushState(api, BASE), 'blocked');
});

test('a server on another origin needs a service worker of the page', async () => {
  const { api } = browser();
  assert.equal(await pushState(api, 'https://elsewhere.example/'), 'unsupported');
  const registration = /** @type {any} */ (await navigator.serviceWorker.register(''));
  assert.equal(await pushState(api, 'https://elsewhere.example/', { registration }), 'off');
});

test('a browser without push messages supports none', async () => {
  const { api } = browser();
  delete globalThis.PushManager;
  assert.equal(await pushState(api, BASE), 'unsupported');
});
