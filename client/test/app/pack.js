/** Packs the package, installs it in a separate app and builds that app: `node test/app/pack.js FOLDER`, with the result in `FOLDER/app/dist`. */

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const CLIENT = fileURLToPath(new URL('../../', import.meta.url));
const APP = fileURLToPath(new URL('./', import.meta.url));
const LINKED = ['react', 'react-dom', 'scheduler', 'swr', '@tanstack', '@types', 'dequal', 'use-sync-external-store', 'csstype'];

export async function pack(folder) {
  const app = join(folder, 'app');
  const modules = join(app, 'node_modules');
  mkdirSync(join(modules, 'bellcast'), { recursive: true });
  const said = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: CLIENT, stdio: ['ignore', 'pipe', 'ignore'] });
  const [packed] = Object.values(JSON.parse(said));
  execFileSync('tar', ['-xzf', join(folder, packed.filename), '-C', join(modules, 'bellcast'), '--strip-components=1']);
  const there = new Set(readdirSync(join(CLIENT, 'node_modules')));
  for (const name of LINKED.filter((each) => there.has(each))) symlinkSync(join(CLIENT, 'node_modules', name), join(modules, name));
  for (const name of ['index.html', 'main.tsx', 'tsconfig.json']) cpSync(join(APP, name), join(app, name));
  await build({ root: app, logLevel: 'error', base: './', resolve: { preserveSymlinks: true } });
  return { app, packed };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await pack(resolve(process.argv[2]));
