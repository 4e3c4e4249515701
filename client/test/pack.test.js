/** The packed npm package, in a built app. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

import { pack } from './app/pack.js';

const TSC = fileURLToPath(new URL('../node_modules/.bin/tsc', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'bellcast-pack-'));
let result;

before(async () => {
  result = await pack(folder);
});
after(() => rmSync(folder, { recursive: true }));

test('the package contains the build, its types and nothing else', () => {
  const names = result.packed.files.map(({ path }) => path);
  for (const name of ['dist/bellcast.js', 'dist/bellcast.d.ts', 'dist/bellcast/react.js', 'dist/bellcast/react.d.ts', 'dist/bellcast/session.d.ts', 'dist/bellcast/cache-invalidation.js', 'dist/bellcast/touches.js', 'dist/bellcast/tab-coordinator.js', 'dist/bellcast/live-topics.js', 'dist/bellcast/resilience.js', 'README.md', 'package.json']) {
    assert.ok(names.includes(name), name);
  }
  assert.deepEqual(names.filter((name) => !/^(dist(-server)?\/.*\.(js|d\.ts)|README\.md|package\.json|LICENSE)$/.test(name)), []);
});

test('every entry can be imported without a DOM', async () => {
  const code = "const all = await Promise.all(['bellcast', 'bellcast/session', 'bellcast/react', 'bellcast/cache-invalidation', 'bellcast/touches', 'bellcast/template-editor', 'bellcast/server'].map((name) => import(name))); console.log(all.map((each) => Object.keys(each).length > 0).join())";
  const output = execFileSync(process.execPath, ['--preserve-symlinks', '--input-type=module', '-e', code], { cwd: result.app, encoding: 'utf8' });
  assert.equal(output.trim(), 'true,true,true,true,true,true,true');
});

test('the client for servers does not build for browsers, and the error says why', async () => {
  const stdin = { contents: "import { Bellcast } from 'bellcast/server'; new Bellcast();", resolveDir: result.app };
  await assert.rejects(build({ stdin, bundle: true, write: false, logLevel: 'silent' }), /dist-server\/not-for-browsers\.js" for import "Bellcast"/);
});

test('React Server Components see a client module', () => {
  const file = join(result.app, 'node_modules/bellcast/dist/bellcast/react.js');
  assert.match(readFileSync(file, 'utf8'), /^'use client';/);
});

test('a server renders the elements with their attributes and the place of the bell', () => {
  const [bell] = /<bellcast-bell[^>]*>/.exec(result.rendered) ?? [''];
  for (const attribute of ['class="place"', 'badge="unread"', 'title-badge=""', 'sign-in-url="/login"', 'session=""', 'min-width:var(--bellcast-size, 40px)']) {
    assert.ok(bell.includes(attribute), `${attribute} in ${bell}`);
  }
  assert.doesNotMatch(bell, /open|toasts/);
  for (const name of ['toasts', 'preferences']) assert.ok(result.rendered.includes(`<bellcast-${name}`), name);
});

test('Vite builds an app with the package', () => {
  assert.ok(readdirSync(join(result.app, 'dist', 'assets')).some((name) => name.endsWith('.js')));
});

test('the types compile in a strict TypeScript app', () => {
  execFileSync(TSC, ['-p', '.', '--preserveSymlinks'], { cwd: result.app, stdio: 'inherit' });
});
