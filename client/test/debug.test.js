/** The log of a session for developers. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { logSession } from '../src/bellcast/debug.js';
import { counts, open } from './live-session.js';

test('the log has each status once, and what arrives', async (t) => {
  const lines = [];
  t.mock.method(console, 'info', (...line) => lines.push(line));
  const { env, session } = await open();
  logSession(session);
  logSession(session);
  assert.deepEqual(lines, [['[bellcast] connected']]);
  env.link.receive({ type: 'counts', ...counts(2) });
  const event = { type: 'event', topic: 'team', name: 'moved', data: 1, id: 'e1' };
  env.link.receive(event);
  session.close();
  assert.deepEqual(lines.map(([line]) => line), ['[bellcast] connected', '[bellcast] event', '[bellcast] closed']);
  assert.equal(lines[1][1].name, 'moved');
});
