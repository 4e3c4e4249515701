/** Builds `dist/`, which is served and published: one file per entry, and the files that are loaded on use. */

import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { brotliCompressSync, constants } from 'node:zlib';
import { build, transform } from 'esbuild';
import { minify } from 'terser';

import { INTERNAL_NAMES } from './internal-names.js';

const SRC = new URL('src/', import.meta.url);
const DIST = new URL('dist/', import.meta.url);
const LANGUAGES = readdirSync(new URL('bellcast/elements/lang/', SRC)).map((name) => `bellcast/elements/lang/${name}`);

/** Fetched late, or shared by who imports them. */
const APART = new Set(['bellcast.js', 'bellcast/cache-invalidation.js', 'bellcast/debug.js', 'bellcast/live-topics.js', 'bellcast/push.js', 'bellcast/resilience.js', 'bellcast/tab-coordinator.js', 'bellcast/warnings.js', 'bellcast/transports/http.js', 'bellcast/elements/desktop-notifications.js', 'bellcast/elements/panel.js', 'bellcast/elements/keys-help.js', 'bellcast/elements/row-menu.js', 'bellcast/elements/touch.js', 'bellcast/elements/preferences-form.js', ...LANGUAGES]);
/** Files of their own, by the path they have under `dist/`: what an entry imports of them, it finds there. */
const ENTRIES = [...APART, 'bellcast-push.js', 'bellcast/session.js', 'bellcast/react.js', 'bellcast/touches.js'];

/** Fixed, so that all files agree; a trailing `_` or `$` keeps them apart from the properties of browsers. */
const SHORT_NAMES = Object.fromEntries(INTERNAL_NAMES.map((name, index) => [name, String.fromCharCode(97 + (index % 26)) + '_'.repeat(Math.ceil((index + 1) / 26))]));

/** Imports of files that stay apart are left as imports, with the way from where the bundle lies. @param {string} entry */
const apart = (entry) => ({
  name: 'apart',
  /** @param {import('esbuild').PluginBuild} building */
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, importer, kind }) => {
      if (kind === 'entry-point') return undefined;
      const name = new URL(path, `file://${importer}`).href.slice(SRC.href.length);
      if (!APART.has(name) || name === entry) return undefined;
      const up = '../'.repeat(entry.split('/').length - 1) || './';
      return { path: up + name, external: true };
    });
  },
});

/** Styles are text to a bundler: their spaces and line ends go here. */
const tight = {
  name: 'tight',
  /** @param {import('esbuild').PluginBuild} building */
  setup({ onLoad }) {
    onLoad({ filter: /elements\/(panel-|preferences-)?styles\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const [, css = ''] = /CSS = `([^`]*)`/.exec(text) ?? [];
      const { code } = await transform(css, { loader: 'css', minify: true });
      // What a custom property is given is kept to the letter, though a space behind a colon or a comma says nothing.
      return { contents: text.replace(css, () => code.trim().replace(/(--\w+:|,) /g, '$1')), loader: 'js' };
    });
  },
};

/** One file, joined, then made small by who is best at it. @param {string} entry */
async function bundle(entry) {
  const { outputFiles: [joined] } = await build({
    entryPoints: [new URL(entry, SRC).pathname],
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['react'],
    legalComments: 'none',
    mangleProps: new RegExp(`^(${INTERNAL_NAMES.join('|')})$`),
    mangleCache: SHORT_NAMES,
    plugins: [apart(entry), tight],
  });
  // Bundlers of apps leave the import of the server's check alone for its comments.
  const format = { comments: /webpackIgnore|@vite-ignore/ };
  const { code = '' } = await minify(joined?.text ?? '', { module: true, ecma: 2020, compress: { passes: 4, hoist_funs: true }, format });
  const file = new URL(entry, DIST);
  const content = entry === 'bellcast/react.js' ? `'use client';${code}` : code; // minifiers drop the directive of React Server Components
  await mkdir(new URL('.', file), { recursive: true });
  await writeFile(file, content);
  return content;
}

/** As the server sends it: better packed than it has the time for. Browsers take Brotli over HTTPS only. @param {string} entry @param {string} code */
async function pack(entry, code) {
  const { default: zopfli } = await import('@gfx/zopfli'); // not sooner: it answers every failure, anybody's, with all of its own text
  await writeFile(new URL(`${entry}.gz`, DIST), await promisify(zopfli.gzip)(code, { numiterations: 30 }));
  const params = { [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT, [constants.BROTLI_PARAM_SIZE_HINT]: code.length };
  await writeFile(new URL(`${entry}.br`, DIST), brotliCompressSync(code, { params }));
}

const SERVER = new URL('dist-server/', import.meta.url);
await rm(DIST, { recursive: true, force: true });
await rm(SERVER, { recursive: true, force: true });
const codes = await Promise.all(ENTRIES.map(bundle));
await Promise.all(codes.map((code, at) => pack(ENTRIES[at] ?? '', code)));
execFileSync('npx', ['tsc', '-p', 'tsconfig.types.json'], { cwd: new URL('.', import.meta.url), stdio: 'inherit' });
await cp(new URL('types/', DIST), DIST, { recursive: true });
await rm(new URL('types/', DIST), { recursive: true });
// For servers the sources are the build: readable in stack traces, and small enough for edge runtimes.
await cp(new URL('server/', SRC), SERVER, { recursive: true });
await cp(new URL('server/', DIST), SERVER, { recursive: true });
await rm(new URL('server/', DIST), { recursive: true });
