import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parse } from '../src/bellcast/events.js';
import { notification } from './environment.js';

const counts = { unread: 1, unseen: 1, position: 'p' };

test('a WebSocket frame names its own type', () => {
  const frame = { type: 'notification', notification: notification(1), ...counts };
  assert.deepEqual(parse(JSON.stringify(frame)), frame);
});

test('a server-sent event is named beside its data', () => {
  assert.deepEqual(parse(JSON.stringify(counts), 'reset'), { type: 'reset', ...counts });
});

for (const [what, text] of [
  ['not JSON', '{'],
  ['nothing', 'null'],
  ['a list', '[]'],
  ['a type of tomorrow', '{"type":"hologram"}'],
  ['a type every object has', '{"type":"constructor"}'],
  ['counts that count nothing', '{"type":"counts","position":"p"}'],
  ['a notification that is none', '{"type":"notification","notification":null,"unread":0,"unseen":0,"position":"p"}'],
  ['a farewell without a rule', '{"type":"close","code":4400}'],
]) {
  test(`not let in: ${what}`, () => assert.equal(parse(text), null));
}
