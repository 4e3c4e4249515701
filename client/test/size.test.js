/** How much a page loads: what is built, gzipped as it is served. Raising a budget takes a line in the changelog. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

const DIST = new URL('../dist/', import.meta.url);
const read = (name) => readFileSync(new URL(name, DIST));
const weight = (name) => read(`${name}.gz`).length / 1000;

before(() => assert.ok(existsSync(DIST), 'nothing is built: npm run build'));

for (const [name, budget] of [
  ['bellcast.js', 18], // all elements, and the session under them
  ['bellcast/session.js', 6], // state, counts, live events, actions
  ['bellcast/resilience.js', 1.95], // what they need when the line breaks: fetched beside the first
  ['bellcast/live-topics.js', 1], // where topics are followed or something is said
  ['bellcast/tab-coordinator.js', 1.7], // where a person has several tabs open
  ['bellcast/transports/fallbacks.js', 1], // where a WebSocket cannot pass
  ['bellcast/elements/desktop-notifications.js', 0.7], // where a sound or the desktop's own notifications are wished
  ['bellcast/warnings.js', 1], // where a developer has something to repair
  ['bellcast/react.js', 1.4],
  ['bellcast/elements/lang/ar.js', 1.2],
]) {
  test(`${name} stays within ${budget} kB`, (t) => {
    const size = weight(name);
    t.diagnostic(`${size.toFixed(2)} kB`);
    assert.ok(size <= budget, `${size.toFixed(2)} kB`);
  });
}

test('what is packed is what is built', () => {
  for (const name of ['bellcast.js', 'bellcast/session.js']) assert.deepEqual(gunzipSync(read(`${name}.gz`)), read(name));
});
