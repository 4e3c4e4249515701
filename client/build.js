/** Builds `dist/`, which is served and published: one file per entry, and the files that are loaded on demand. */

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

/** Modules that are loaded on demand or shared by several entries. */
const APART = new Set(['bellcast.js', 'bellcast/cache-invalidation.js', 'bellcast/debug.js', 'bellcast/live-topics.js', 'bellcast/push.js', 'bellcast/resilience.js', 'bellcast/tab-coordinator.js', 'bellcast/warnings.js', 'bellcast/transports/http.js', 'bellcast/elements/desktop-notifications.js', 'bellcast/elements/panel.js', 'bellcast/elements/keys-help.js', 'bellcast/elements/row-menu.js', 'bellcast/elements/touch.js', 'bellcast/elements/type-icons.js', 'bellcast/elements/preferences-form.js', ...LANGUAGES]);
/** The files in `dist/`, by path. Entries import the shared ones from there. */
const ENTRIES = [...APART, 'bellcast-load.js', 'bellcast-push.js', 'bellcast/session.js', 'bellcast/react.js', 'bellcast/template-editor.js', 'bellcast/touches.js'];

/** Fixed, so that all files use the same names; the trailing `_` distinguishes them from browser properties. */
const SHORT_NAMES = Object.fromEntries(INTERNAL_NAMES.map((name, index) => [name, String.fromCharCode(97 + (index % 26)) + '_'.repeat(Math.ceil((index + 1) / 26))]));

/** Keep imports of separate files as imports, with paths relative to the bundle. @param {string} entry */
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

/** Minify style sheets, which are strings to the bundler. */
const tight = {
  name: 'tight',
  /** @param {import('esbuild').PluginBuild} building */
  setup({ onLoad }) {
    onLoad({ filter: /elements\/(panel-|preferences-)?styles\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const [, css = ''] = /CSS = `([^`]*)`/.exec(text) ?? [];
      const { code } = await transform(css, { loader: 'css', minify: true });
      // esbuild keeps the values of custom properties unchanged, although spaces after colons and commas are insignificant.
      return { contents: text.replace(css, () => code.trim().replace(/(--\w+:|,) /g, '$1')), loader: 'js' };
    });
  },
};

/** Bundle one file with esbuild, then minify it with terser, which produces the smaller code. @param {string} entry */
async function bundle(entry) {
  const { outputFiles: [joined] } = await build({
    entryPoints: [new URL(entry, SRC).pathname],
    write: false,
    bundle: true,
    minifySyntax: true,
    minifyIdentifiers: true, // terser removes the whitespace; esbuild would also remove the comments of imports
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

/** Write the compressed forms that the server sends; it would not have the time to compress so well. Browsers accept Brotli over HTTPS only. @param {string} entry @param {string} code */
async function pack(entry, code) {
  const { default: zopfli } = await import('@gfx/zopfli'); // imported here, because it handles every later error of the process by printing its own source
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
// The client for servers is published unminified: readable in stack traces, and small enough for edge runtimes.
await cp(new URL('server/', DIST), SERVER, { recursive: true });
await cp(new URL('server/', SRC), SERVER, { recursive: true });
await rm(new URL('server/', DIST), { recursive: true });
