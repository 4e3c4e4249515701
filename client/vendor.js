/**
 * Bundles the stock libraries (MIT) that the console loads on demand into its folder, with their licences, so that no page loads anything
 * from the web.
 */

import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const CONSOLE = here('../src/bellcast/api/console/files/');
const VENDOR = join(CONSOLE, 'vendor');

/** The imports of the console, by file name. */
const LIBRARIES = {
  'pusher-js': "export { default } from 'pusher-js';",
  'socket.io-client': "export { io } from 'socket.io-client';",
};

/** The folders of the packages whose files are in a bundle. */
function packagesOf({ inputs }) {
  const names = Object.keys(inputs).map((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]);
  return [...new Set(names.filter(Boolean))].map((folder) => here(folder)).sort();
}

function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (license !== 'MIT' || !file) throw new Error(`${name} has no MIT licence to copy.`);
  return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
}

if (existsSync(CONSOLE)) { // a copy of the client outside its checkout has no console to build for
  rmSync(VENDOR, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: Object.keys(LIBRARIES).map((name) => ({ in: `vendored:${name}`, out: name })),
    outdir: VENDOR,
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
        onLoad({ filter: /./, namespace: 'vendored' }, ({ path }) => ({ contents: LIBRARIES[path], resolveDir: here('.') }));
      },
    }],
  });
  writeFileSync(join(VENDOR, 'LICENSES.txt'), packagesOf(metafile).map(licenceOf).join(`\n${'-'.repeat(80)}\n\n`));
}
