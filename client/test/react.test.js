/** Props of the provider; the hooks are tested in a browser. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createElement, useState } from 'react';
import { renderToString } from 'react-dom/server';

import { BellcastProvider, useBellcast, useInbox, useWebSocket } from '../src/bellcast/react.js';
import { route } from '../src/bellcast/react/websocket.js';
import { Session } from '../src/bellcast/session.js';
import { settled, fakeEnvironment } from './environment.js';

/** The session that a provider with these props provides. */
function provided(props) {
  let session;
  const Below = () => ((session = useBellcast()), null);
  renderToString(createElement(BellcastProvider, props, createElement(Below)));
  return session;
}

test('a provider passes every option to its session', async () => {
  const env = fakeEnvironment(() => ({ notifications: [], next: null, unread: 0, unseen: 0, position: 'p1' }));
  provided({ server: 'https://bell.example', getToken: () => 'one', topics: ['team', 'room'], environment: env }).open();
  await settled();
  await settled();
  const { searchParams } = env.link.url;
  assert.deepEqual([searchParams.get('token'), searchParams.getAll('topic')], ['one', ['team', 'room']]);
});

test('a query without a value throws instead of showing the whole inbox', () => {
  const Below = () => (useInbox({ type: undefined }), null);
  const session = new Session({ server: 'https://bell.example', environment: fakeEnvironment() });
  assert.throws(() => renderToString(createElement(BellcastProvider, { session }, createElement(Below))), { message: 'view: invalid option type' });
});

test('an unknown prop throws', () => {
  assert.throws(() => provided({ server: 'https://bell.example', url: '/' }), { message: 'Session: invalid option url' });
});

test('a provider with a session provides it and rejects other options', () => {
  const session = new Session({ server: 'https://bell.example', environment: fakeEnvironment() });
  assert.equal(provided({ session, server: undefined }), session);
  assert.throws(() => provided({ session, topics: ['team'] }), { message: 'BellcastProvider: pass topics to the session instead' });
});

test('a provider opens another session for other topics, however their names divide', () => {
  const lists = [['a,b'], ['a,b'], ['a', 'b']];
  const sessions = [];
  const Rerendered = () => {
    const [at, setAt] = useState(0);
    sessions.push(BellcastProvider({ server: 'https://bell.example', topics: lists[at] }).props.value);
    if (at < lists.length - 1) setAt(at + 1);
    return null;
  };
  renderToString(createElement(Rerendered));
  assert.equal(sessions[0], sessions[1]);
  assert.notEqual(sessions[1], sessions[2]);
});

test('useWebSocket finds the word of a callback in any part and case of the type', () => {
  for (const [type, ...expected] of [
    ['new_order', 'order'], ['order.paid', 'order'], ['order-order', 'order'], ['NEW_ORDER', 'order'], ['newOrder', 'order'], ['HTTPOrder', 'order'],
    ['sms.sent', 'sms'], ['SMS', 'sms'], ['order-sms', 'order', 'sms'], ['borders', 'other'], ['großorder', 'other'], ['', 'other'],
  ]) {
    const called = [];
    const callbacks = { onOrderUpdate: () => called.push('order'), onSMSUpdate: () => called.push('sms'), onNotification: () => called.push('other') };
    route(callbacks, { type });
    assert.deepEqual(called, expected, type);
  }
});

test('useWebSocket rejects callbacks that it never calls', () => {
  const Below = () => (useWebSocket({ onNotification() {}, onOrderUpdate() {}, onBooking() {} }), null);
  const session = new Session({ server: 'https://bell.example', environment: fakeEnvironment() });
  assert.throws(() => renderToString(createElement(BellcastProvider, { session }, createElement(Below))), { message: 'useWebSocket: invalid option onBooking' });
});
