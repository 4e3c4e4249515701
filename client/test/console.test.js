/** The console's modules, which are served unbuilt: every name in them is defined or imported. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

const FOLDER = new URL('../../src/bellcast/console/pages/console/files/', import.meta.url);
const COMPILER = new URL('../node_modules/typescript/bin/tsc', import.meta.url);
const OPTIONS = ['--ignoreConfig', '--noEmit', '--allowJs', '--checkJs', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2023,dom,dom.iterable'];
/** An unknown name (also with a proposal, as a type's name, or as a shorthand property), and an import of what a module does not export. The other rules are
 * about types, which these modules do not declare. */
const UNDEFINED_NAME = /error TS(2304|2552|2693|18004|2305|2724)/;

test('every name in the modules of the console is defined', () => {
  const modules = readdirSync(FOLDER).filter((name) => name.endsWith('.js'));
  const { stdout } = spawnSync(process.execPath, [fileURLToPath(COMPILER), ...OPTIONS, ...modules], { cwd: fileURLToPath(FOLDER), encoding: 'utf8' });
  assert.match(stdout, /error TS/); // about types: the compiler has read them
  assert.deepEqual(stdout.split('\n').filter((line) => UNDEFINED_NAME.test(line)), []);
});
