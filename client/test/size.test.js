/** How much a page loads: each module gzipped by itself, as it is served, with the lines that are only comments left out. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

const SRC = new URL('../src/', import.meta.url);

/** Every module an entry loads. @returns {Map<string, string>} */
function loaded(entry, found = new Map()) {
  const url = new URL(entry, SRC);
  if (found.has(url.href)) return found;
  const text = readFileSync(url, 'utf8');
  found.set(url.href, text);
  for (const [, path] of text.matchAll(/^(?:import|export) [^;]*?from '(\.[^']+)';$/gm)) loaded(new URL(path, url), found);
  return found;
}

const served = (text) => text.replace(/^\s*(\/\*\*|\*|\/\/).*\n/gm, '');
const kilobytes = (texts, as) => texts.reduce((sum, text) => sum + gzipSync(as(text), { level: 9 }).length, 0) / 1000;

// Raising a budget takes a line in the changelog.
for (const [entry, budget] of [
  ['bellcast.js', 20],
  ['bellcast/session.js', 8.2],
]) {
  test(`${entry} and all it loads stay within ${budget} kB`, (t) => {
    const texts = [...loaded(entry).values()];
    const size = kilobytes(texts, served);
    t.diagnostic(`${texts.length} modules, ${size.toFixed(1)} kB; ${kilobytes(texts, String).toFixed(1)} kB with their comments`);
    assert.ok(size <= budget, `${size.toFixed(1)} kB`);
  });
}
