/** How much a page loads: what is built, gzipped as it is served. Raising a budget takes a line in the changelog. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { gzipSync } from 'node:zlib';

const DIST = new URL('../dist/', import.meta.url);
const weight = (name) => gzipSync(readFileSync(new URL(name, DIST)), { level: 9 }).length / 1000;

before(() => assert.ok(existsSync(DIST), 'nothing is built: npm run build'));

for (const [name, budget] of [
  ['bellcast.js', 18], // all elements, and the session under them
  ['bellcast/session.js', 6],
  ['bellcast/line.js', 4.3], // behind the first look: WebSocket, resuming, what tabs share
  ['bellcast/transports/fallbacks.js', 1.1], // where a WebSocket cannot pass
  ['bellcast/react.js', 1.5],
  ['bellcast/elements/lang/ar.js', 1.2],
]) {
  test(`${name} stays within ${budget} kB`, (t) => {
    const size = weight(name);
    t.diagnostic(`${size.toFixed(2)} kB`);
    assert.ok(size <= budget, `${size.toFixed(2)} kB`);
  });
}
