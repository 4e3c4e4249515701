import { createElement } from 'react';
import { hydrateRoot } from 'react-dom/client';

import { App } from './notifications.js';

const { server, token } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
hydrateRoot(document.getElementById('root'), createElement(App, { server, token }));
