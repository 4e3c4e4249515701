import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parse } from '../src/bellcast/events.js';
import { notification } from './environment.js';

const counts = { unread: 1, unseen: 1, position: 'p' };

test('a WebSocket frame names its own type', () => {
  const frame = { type: 'notification', notification: notification(1), ...counts };
  assert.deepEqual(parse(JSON.stringify(frame)), frame);
});

test('a server-sent event has its type in a separate field', () => {
  assert.deepEqual(parse(JSON.stringify(counts), 'reset'), { type: 'reset', ...counts });
});

for (const [what, text] of [
  ['not JSON', '{'],
  ['null', 'null'],
  ['a list', '[]'],
  ['an unknown type', '{"type":"hologram"}'],
  ['the name of an object’s own property', '{"type":"constructor"}'],
  ['counts without counters', '{"type":"counts","position":"p"}'],
  ['a notification of null', '{"type":"notification","notification":null,"unread":0,"unseen":0,"position":"p"}'],
  ['a close frame without reconnect', '{"type":"close","code":4400}'],
]) {
  test(`parse rejects ${what}`, () => assert.equal(parse(text), null));
}
