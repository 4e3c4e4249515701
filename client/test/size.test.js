/** Size budgets of the built files, gzipped as served. Raising a budget needs a line in the changelog. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

const DIST = new URL('../dist/', import.meta.url);
const read = (name) => readFileSync(new URL(name, DIST));
const weight = (name) => read(`${name}.gz`).length / 1000;

before(() => assert.ok(existsSync(DIST), 'no build found: run npm run build'));

test('a page at rest with the bell downloads at most 20 kB', (t) => {
  const size = weight('bellcast.js') + weight('bellcast/resilience.js');
  t.diagnostic(`${size.toFixed(2)} kB`);
  assert.ok(size <= 20, `${size.toFixed(2)} kB`);
});

for (const [name, budget] of [
  ['bellcast.js', 17.2], // bell, toasts and the session
  ['bellcast/session.js', 6.6], // state, counts, live events, actions
  ['bellcast/resilience.js', 2.05], // reconnecting and offline actions: loaded in parallel to the first file
  ['bellcast/push.js', 0.8], // push messages: loaded when a page enables them
  ['bellcast-push.js', 0.6], // the service worker's part
  ['bellcast/live-topics.js', 1], // topics and requests
  ['bellcast/tab-coordinator.js', 1.7], // several tabs
  ['bellcast/transports/http.js', 1], // event stream and polling
  ['bellcast/elements/panel.js', 15.5], // the panel: loaded when the person is about to open it
  ['bellcast/elements/keys-help.js', 1.2],
  ['bellcast/elements/row-menu.js', 2.1], // with the times to snooze
  ['bellcast/elements/until-back.js', 0.8],
  ['bellcast/elements/preferences-form.js', 5], // with its texts in five languages
  ['bellcast/elements/touch.js', 1.9],
  ['bellcast/elements/desktop-notifications.js', 0.8], // sound and desktop notifications
  ['bellcast/warnings.js', 1], // console warnings
  ['bellcast/react.js', 2.9],
  ['bellcast/elements/lang/ar.js', 1.6],
]) {
  test(`${name} stays within ${budget} kB`, (t) => {
    const size = weight(name);
    t.diagnostic(`${size.toFixed(2)} kB`);
    assert.ok(size <= budget, `${size.toFixed(2)} kB`);
  });
}

test('the compressed files equal the built ones', () => {
  for (const name of ['bellcast.js', 'bellcast/session.js']) assert.deepEqual(gunzipSync(read(`${name}.gz`)), read(name));
});
