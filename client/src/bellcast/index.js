/** What the package gives: the session, the elements. */

import { Bell } from './elements/bell.js';

export { Refused } from './api.js';
export { Session } from './session.js';
export { Bell };

// Two copies of the script in one page must not break it; without a DOM (server rendering) there is nothing to register.
const { customElements } = globalThis;
if (customElements && !customElements.get('bellcast-bell')) customElements.define('bellcast-bell', Bell);
