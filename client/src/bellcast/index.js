/** The package's exports; importing it registers the elements. */

import { Bell } from './elements/bell.js';
import { Inbox } from './elements/inbox.js';
import { Preferences } from './elements/preferences.js';
import { Toasts } from './elements/toasts.js';

export { Refused } from './api.js';
export { Session } from './session.js';
export { Bell, Inbox, Preferences, Toasts };

/** A second copy of the script must not fail; without a DOM (server rendering) elements cannot be registered. @param {string} name @param {CustomElementConstructor} Kind */
function define(name, Kind) {
  const { customElements } = globalThis;
  if (customElements && !customElements.get(name)) customElements.define(name, Kind);
}

define('bellcast-bell', Bell);
define('bellcast-inbox', Inbox);
define('bellcast-preferences', Preferences);
define('bellcast-toasts', Toasts);
