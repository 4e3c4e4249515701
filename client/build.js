/** Makes `dist/`, what is served and published: each entry one small file, beside it what is fetched when it is needed. */

import { execFileSync } from 'node:child_process';
import { cp, rm } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { build } from 'esbuild';

const SRC = new URL('src/', import.meta.url);
const DIST = new URL('dist/', import.meta.url);
const LANGUAGES = readdirSync(new URL('bellcast/elements/lang/', SRC)).map((name) => `bellcast/elements/lang/${name}`);

/** Files of their own, by the path they have under `dist/`: what an entry imports of them, it finds there. */
const ENTRIES = ['bellcast.js', 'bellcast/session.js', 'bellcast/react.js', 'bellcast/touches.js', 'bellcast/line.js', 'bellcast/transports/fallbacks.js', 'bellcast/elements/desktop.js', ...LANGUAGES];
/** Fetched late, or shared by who imports them. */
const APART = new Set(['bellcast.js', 'bellcast/line.js', 'bellcast/transports/fallbacks.js', 'bellcast/elements/desktop.js', ...LANGUAGES]);

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
  setup({ onLoad, esbuild }) {
    onLoad({ filter: /elements\/styles\.js$/ }, async ({ path }) => {
      const { readFile } = await import('node:fs/promises');
      const text = await readFile(path, 'utf8');
      const [, css = ''] = /const CSS = `([^`]*)`/.exec(text) ?? [];
      const { code } = await esbuild.transform(css, { loader: 'css', minify: true });
      return { contents: text.replace(css, () => code.trim()), loader: 'js' };
    });
  },
};

await rm(DIST, { recursive: true, force: true });
await Promise.all(ENTRIES.map((entry) => build({
  entryPoints: [new URL(entry, SRC).pathname],
  outfile: new URL(entry, DIST).pathname,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  external: ['react'],
  legalComments: 'none',
  plugins: [apart(entry), tight],
})));
execFileSync('npx', ['tsc', '-p', 'tsconfig.types.json'], { cwd: new URL('.', import.meta.url), stdio: 'inherit' });
await cp(new URL('types/', DIST), DIST, { recursive: true });
await rm(new URL('types/', DIST), { recursive: true });
