/** Renders the page as a server does: `node render.js` prints its HTML. */

import { createElement } from 'react';
import { renderToString } from 'react-dom/server';

import { App } from './notifications.js';

console.log(renderToString(createElement(App)));
