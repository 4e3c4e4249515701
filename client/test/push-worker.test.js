/** The service worker's part of push messages, with the events and clients of a browser. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';

const SOURCE = readFileSync(new URL('../src/bellcast-push.js', import.meta.url), 'utf8');
const MESSAGE = {
  id: 'n1', title: 'New booking', body: 'Saturday', url: '/bookings/7',
  actions: [{ key: 'open', label: 'Open', url: 'https://app.example/bookings/7/edit' }, { key: 'move', label: 'Move', url: '/bookings/7/move' }],
};

/** A service worker that has loaded the script, with open windows at these addresses. */
function worker(...addresses) {
  const listeners = new Map();
  const calls = [];
  const self = {
    addEventListener: (type, listener) => listeners.set(type, listener),
    registration: {
      pushManager: { subscribe: async (options) => (calls.push(['subscribe', options]), { toJSON: () => ({ endpoint: 'https://push.example/renewed' }) }) },
      scope: 'https://app.example/', showNotification: async (...shown) => void calls.push(['show', ...shown]),
    },
    navigator: { setAppBadge: async (...count) => void calls.push(['badge', ...count]) },
    clients: {
      matchAll: async () => addresses.map((url) => ({ url, focus: async () => void calls.push(['focus', url]), postMessage: (message) => void calls.push(['post', url, message]) })),
      openWindow: async (url) => void calls.push(['open', url]),
    },
  };
  runInNewContext(SOURCE, { self, URL });
  /** Dispatch an event and wait for its work. */
  const dispatch = async (type, event) => {
    const work = [];
    listeners.get(type)({ ...event, waitUntil: (promise) => work.push(promise) });
    await Promise.all(work);
    return JSON.parse(JSON.stringify(calls.splice(0)));
  };
  return {
    change: (event) => dispatch('pushsubscriptionchange', event),
    push: (message) => dispatch('push', { data: { json: () => message } }),
    click: (data, action = '', tag = data?.id) => dispatch('notificationclick', { action, notification: { data, tag, close: () => calls.push(['close']) } }),
  };
}

test('a push is shown with its buttons, and puts a dot on the icon', async () => {
  const actions = [{ action: 'open', title: 'Open' }, { action: 'move', title: 'Move' }];
  assert.deepEqual(await worker().push(MESSAGE), [['show', 'New booking', { body: 'Saturday', tag: 'n1', data: MESSAGE, actions }], ['badge']]);
});

test('a push without buttons is shown', async () => {
  const [[, , { actions }]] = await worker().push({ id: 'n2', title: 'Second' });
  assert.deepEqual(actions, []);
});

test('pushes of other senders are left to the rest of the worker', async () => {
  assert.deepEqual(await worker().push({ kind: 'other' }), []);
  assert.deepEqual(await worker().click({ id: 'n1' }, '', 'other'), []);
});

test('a click focuses the window with the link, else opens one', async () => {
  const here = 'https://app.example/bookings/7';
  assert.deepEqual(await worker('https://app.example/', here).click(MESSAGE), [['close'], ['focus', here]]);
  assert.deepEqual(await worker('https://app.example/').click(MESSAGE), [['close'], ['open', here]]);
  assert.deepEqual(await worker().click({ id: 'n1' }), [['close'], ['open', 'https://app.example/']]);
});

test('a click on a button opens its link', async () => {
  assert.deepEqual(await worker().click(MESSAGE, 'move'), [['close'], ['open', 'https://app.example/bookings/7/move']]);
  assert.deepEqual(await worker().click(MESSAGE, 'open'), [['close'], ['open', 'https://app.example/bookings/7/edit']]);
});

test('a replaced subscription is reported to every open page', async () => {
  const newSubscription = { toJSON: () => ({ endpoint: 'https://push.example/new' }) };
  const message = { type: 'bellcast-push-changed', subscription: { endpoint: 'https://push.example/new' } };
  const pages = ['https://app.example/', 'https://app.example/b'];
  assert.deepEqual(await worker(...pages).change({ oldSubscription: null, newSubscription }), pages.map((page) => ['post', page, message]));
});

test('an ended subscription is replaced by one to the same server', async () => {
  const oldSubscription = { options: { applicationServerKey: 'KEY' } };
  const subscription = { endpoint: 'https://push.example/renewed' };
  assert.deepEqual(await worker('https://app.example/').change({ oldSubscription, newSubscription: null }), [
    ['subscribe', { userVisibleOnly: true, applicationServerKey: 'KEY' }],
    ['post', 'https://app.example/', { type: 'bellcast-push-changed', subscription }],
  ]);
  assert.deepEqual(await worker('https://app.example/').change({ oldSubscription: null, newSubscription: null }), []);
});
