/** Architecture: allowed imports and forbidden constructs. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { INTERNAL_NAMES } from '../internal-names.js';

const SRC = new URL('../src/', import.meta.url);
const files = readdirSync(SRC, { recursive: true }).filter((name) => name.endsWith('.js') && !name.startsWith('server/')); // `server/` is a separate client: bellcast/server
const text = (name) => readFileSync(new URL(name, SRC), 'utf8');

/** Layers, top first. Modules of one layer do not import each target, except within a folder. */
const LAYERS = [
  ['bellcast-load.js', 'bellcast-push.js', 'bellcast/react.js', 'bellcast/template-editor.js', 'bellcast/touches.js'],
  ['bellcast/react/', 'bellcast/cache-invalidation.js'],
  ['bellcast.js'],
  ['bellcast/index.js'],
  ['bellcast/elements/'],
  ['bellcast/session.js'],
  ['bellcast/tab-leader.js'],
  ['bellcast/tab-coordinator.js'],
  ['bellcast/inbox-view.js', 'bellcast/action-queue.js'],
  ['bellcast/connection.js'],
  ['bellcast/lazy.js'],
  ['bellcast/resilience.js', 'bellcast/live-topics.js', 'bellcast/push.js', 'bellcast/debug.js'],
  ['bellcast/reconnect.js', 'bellcast/offline-store.js', 'bellcast/rpc.js'],
  ['bellcast/warnings.js'],
  ['bellcast/inbox-reducer.js', 'bellcast/api.js'],
  ['bellcast/transports/'],
  ['bellcast/events.js', 'bellcast/environment.js', 'bellcast/strict.js'],
];
const layer = (name) => LAYERS.findIndex((modules) => modules.some((module) => (module.endsWith('/') ? name.startsWith(module) : name === module)));

/** Types are imports too. */
function imports(name) {
  const paths = text(name).matchAll(/(?:from|import|@import [^*]*? from|import\() ?'(\.[^']+)'/g);
  return [...paths].map(([, path]) => new URL(path, new URL(name, SRC)).href.slice(SRC.href.length));
}

test('every module has a layer', () => {
  assert.deepEqual(files.filter((name) => layer(name) < 0), []);
});

test('imports point down only', () => {
  const wrong = files.flatMap((name) =>
    imports(name)
      .filter((target) => layer(target) < layer(name) || (layer(target) === layer(name) && !/(elements|react|transports)\//.test(name)))
      .map((target) => `${name} -> ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test('every import resolves and every module is used', () => {
  const used = new Set(files.flatMap(imports));
  assert.deepEqual([...used].filter((name) => !files.includes(name)), []);
  assert.deepEqual(files.filter((name) => !used.has(name)).sort(), ['bellcast-load.js', 'bellcast-push.js', 'bellcast/react.js', 'bellcast/template-editor.js', 'bellcast/touches.js']);
});

for (const [never, pattern, except = []] of [
  ['markup from text', /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser/],
  ['code from text', /\beval\(|new Function/],
  ['a global', /(?:window|globalThis|self)\.\w+ = /],
  ['a style attribute', /setAttribute\('style'/],
  ['the console', /console\.(?!warn)/, ['bellcast/debug.js']],
]) {
  test(`no module uses ${never}`, () => assert.deepEqual(files.filter((name) => pattern.test(text(name))), except));
}

test('template literals contain no lines that look like comments', () => {
  const inside = files.flatMap((name) => [...text(name).matchAll(/`[^`]*`/g)].flatMap(([literal]) => literal.split('\n')));
  assert.deepEqual(inside.filter((line) => /^\s*(\/[/*]|\*)/.test(line)), []);
});

test('every name that the build shortens is used in the sources, is never a string, and is not in the README', () => {
  const sources = files.map(text).join().replace(/\/\*[\s\S]*?\*\//g, '');
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  for (const name of INTERNAL_NAMES) {
    assert.match(sources, new RegExp(`\\b${name}\\b`), name);
    assert.doesNotMatch(sources, new RegExp(`['"\`]${name}['"\`]`), `${name} is a string`);
    assert.doesNotMatch(readme, new RegExp(`\\b${name}\\b`), `${name} is documented`);
  }
});

test('bellcast/server imports only its own modules, and nothing of Node', () => {
  const modules = readdirSync(new URL('server/', SRC));
  const foreign = modules.flatMap((name) => [...text(`server/${name}`).matchAll(/from '([^']+)'/g)].map(([, path]) => path).filter((path) => !modules.includes(path.slice(2))));
  assert.deepEqual(foreign, []);
});
