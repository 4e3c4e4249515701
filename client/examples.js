/**
 * Builds the files that the pages of the examples need: the React page with the package as it is built here, and copies of the
 * stock libraries (MIT) that other examples use, so that no page loads anything from the web.
 */

import { cpSync, existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SITE = here('../examples/service_marketplace/');

/** Files of npm packages, by the example that serves them under `/libraries/`. */
const LIBRARIES = {
  lead_market: ['pusher-js/dist/web/pusher.min.js', 'pusher-js/LICENCE', 'laravel-echo/dist/echo.iife.js', 'laravel-echo/LICENSE.md'],
  celebrity_booking: ['socket.io-client/dist/socket.io.min.js', 'socket.io-client/LICENSE'],
};

/** The page's plain scripts already exist next to the built file. */
const beside = {
  name: 'beside',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(device|live|site|texts)\.js$/ }, ({ path }) => ({ path, external: true }));
  },
};

if (existsSync(SITE)) { // a copy of the client outside its checkout has no examples to build
  for (const [example, files] of Object.entries(LIBRARIES)) {
    const folder = here(`../examples/${example}/libraries/`);
    rmSync(folder, { recursive: true, force: true });
    for (const file of files) cpSync(here(`node_modules/${file}`), folder + file);
  }
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
