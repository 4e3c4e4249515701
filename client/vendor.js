/**
 * Bundles the stock libraries that pages of the server load on demand into the folders of these pages, with their licences, so that no page
 * loads anything from the web.
 */

import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const API = here('../src/bellcast/console/pages/');
/** Licences that allow distribution with their text. */
const LICENSES = ['MIT', 'BSD-3-Clause', 'Apache-2.0'];

/** The imports of each folder's page, by file name. */
const LIBRARIES = {
  'console/files/vendor': {
    // The components of the console. Committed, because without it an installation from a checkout without Node.js would have no console.
    preact: "import htm from 'htm'; import { h } from 'preact'; export * from 'preact'; export * from 'preact/hooks'; export * from '@preact/signals'; export const html = htm.bind(h);",
    'pusher-js': "export { default } from 'pusher-js';",
    'socket.io-client': "export { io } from 'socket.io-client';",
  },
};

/** The folders of the packages whose files are in a bundle. */
function packagesOf({ inputs }) {
  const names = Object.keys(inputs).map((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]);
  return [...new Set(names.filter(Boolean))].map((folder) => here(folder)).sort();
}

function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!LICENSES.includes(license) || !file) throw new Error(`${name} has no licence to copy: expected one of ${LICENSES.join(', ')}, with its text.`);
  return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
}

async function bundle(folder, libraries) {
  rmSync(folder, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: Object.keys(libraries).map((name) => ({ in: `vendored:${name}`, out: name })),
    outdir: folder,
    absWorkingDir: dirname(here('vendor.js')),
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    legalComments: 'none', // the licences are in a separate file
    metafile: true,
    plugins: [{
      name: 'vendored',
      setup({ onResolve, onLoad }) {
        onResolve({ filter: /^vendored:/ }, ({ path }) => ({ path: path.slice('vendored:'.length), namespace: 'vendored' }));
        onLoad({ filter: /./, namespace: 'vendored' }, ({ path }) => ({ contents: libraries[path], resolveDir: here('.') }));
      },
    }],
  });
  writeFileSync(join(folder, 'LICENSES.txt'), packagesOf(metafile).map(licenceOf).join(`\n${'-'.repeat(80)}\n\n`));
}

if (existsSync(API)) { // a copy of the client outside its checkout has no pages to build for
  for (const [folder, libraries] of Object.entries(LIBRARIES)) await bundle(join(API, folder), libraries);
}
