/** Size limits of the built files, gzipped as served, as documented. Raising one needs a line in the changelog. */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';

const DIST = new URL('../dist/', import.meta.url);
const DESIGN = new URL('../../docs/design/client.md', import.meta.url);
const read = (name) => readFileSync(new URL(name, DIST));
const weight = (name) => read(`${name}.gz`).length / 1000;

assert.ok(existsSync(DIST), 'no build found: run npm run build');

test('an idle page with the bell downloads at most 20 kB', (t) => {
  const size = weight('bellcast.js') + weight('bellcast/resilience.js');
  t.diagnostic(`${size.toFixed(2)} kB`);
  assert.ok(size <= 20, `${size.toFixed(2)} kB`);
});

/** The documented limits, in kB by file. A language has the limit of all. */
const LIMITS = Array.from(readFileSync(DESIGN, 'utf8').matchAll(/^\| `(bellcast[^`]*\.js)` \|.*\| ([\d.]+) kB \|$/gm), ([, name, limit]) => [name, Number(limit)]);
const files = readdirSync(DIST, { recursive: true }).filter((name) => name.endsWith('.js'));
const rowOf = (name) => name.replace(/lang\/\w+\.js$/, 'lang/*.js');

test('every built file has a documented limit', () => {
  assert.deepEqual(LIMITS.map(([name]) => name).sort(), [...new Set(files.map(rowOf))].sort());
});

for (const name of files) {
  const limit = Object.fromEntries(LIMITS)[rowOf(name)];
  test(`${name} stays within ${limit} kB`, (t) => {
    const size = weight(name);
    t.diagnostic(`${size.toFixed(2)} kB`);
    assert.ok(size <= limit, `${size.toFixed(2)} kB`);
  });
}

test('the compressed files equal the built ones', () => {
  for (const name of ['bellcast.js', 'bellcast/session.js']) assert.deepEqual(gunzipSync(read(`${name}.gz`)), read(name));
});
