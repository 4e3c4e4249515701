/** Packs the package, installs it in a separate app and builds that app: `node test/app/pack.js FOLDER [18]`, with the result in `FOLDER/app/dist`. */

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const CLIENT = fileURLToPath(new URL('../../', import.meta.url));
const APP = fileURLToPath(new URL('./', import.meta.url));
/** The folder from which React is installed, by version; the companion packages come from the current one. */
const REACT = { 18: join(CLIENT, 'test/react18/node_modules'), 19: join(CLIENT, 'node_modules') };
const REACT_PACKAGES = ['react', 'react-dom', 'scheduler', 'loose-envify', 'js-tokens', '@types', 'csstype'];
const COMPANIONS = ['swr', '@tanstack', 'dequal', 'use-sync-external-store'];
const FILES = ['index.html', 'hydrated.html', 'hydrated.js', 'notifications.js', 'render.js', 'main.tsx', 'components.tsx', 'tsconfig.json'];

/** @param {string} folder @param {18 | 19} [version]  of React */
export async function pack(folder, version = 19) {
  const app = join(folder, 'app');
  const modules = join(app, 'node_modules');
  mkdirSync(join(modules, 'bellcast'), { recursive: true });
  const output = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: CLIENT, stdio: ['ignore', 'pipe', 'ignore'] });
  const [packed] = Object.values(JSON.parse(output));
  execFileSync('tar', ['-xzf', join(folder, packed.filename), '-C', join(modules, 'bellcast'), '--strip-components=1']);
  link(REACT[version], REACT_PACKAGES, modules);
  link(REACT[19], COMPANIONS, modules);
  for (const name of FILES) cpSync(join(APP, name), join(app, name));
  // React checks hydration and StrictMode in its development build.
  const define = { 'process.env.NODE_ENV': '"development"' };
  const input = ['index.html', 'hydrated.html'].map((name) => join(app, name));
  await build({ root: app, logLevel: 'error', base: './', define, resolve: { preserveSymlinks: true }, build: { rolldownOptions: { input } } });
  const rendered = execFileSync(process.execPath, ['--preserve-symlinks', '--preserve-symlinks-main', 'render.js'], { cwd: app, encoding: 'utf8' }).trim();
  const page = join(app, 'dist', 'hydrated.html');
  writeFileSync(page, readFileSync(page, 'utf8').replace('<!--rendered-->', rendered));
  return { app, packed, rendered };
}

/** @param {string} from @param {string[]} names @param {string} to */
function link(from, names, to) {
  for (const name of names) if (existsSync(join(from, name))) symlinkSync(join(from, name), join(to, name));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await pack(resolve(process.argv[2]), Number(process.argv[3] ?? 19));
