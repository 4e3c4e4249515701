/** Builds the pages of the examples that are written in React, with the package as it is built here and the React it is tested with. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SITE = here('../examples/service_marketplace/');

/** The page's plain scripts are there already, beside what is made. */
const beside = {
  name: 'beside',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(device|live|site)\.js$/ }, ({ path }) => ({ path, external: true }));
  },
};

if (existsSync(SITE)) { // a client that was copied out of its checkout has no examples to build
  await build({
    entryPoints: [`${SITE}today/today.jsx`],
    outfile: `${SITE}static/today.js`,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    alias: { 'bellcast/react': here('dist/bellcast/react.js') },
    nodePaths: [here('node_modules')],
    legalComments: 'eof',
    plugins: [beside],
  });
}
