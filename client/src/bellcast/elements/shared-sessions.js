/** Sessions shared by the elements of a page with the same server and user. */

import { Session } from '../session.js';

/** @import { Options } from '../session.js' */

/** @type {Map<string, {session: Session, users: number}>} */
const sessions = new Map();
/** @type {WeakMap<Function, number>} */
const callbacks = new WeakMap();
let lastCallbackId = 0;

/** @param {Function | undefined} callback */
function callbackId(callback) {
  if (!callback) return 0;
  if (!callbacks.has(callback)) callbacks.set(callback, ++lastCallbackId);
  return callbacks.get(callback);
}

/** @param {Options} options @returns {{session: Session, release: () => void}} */
export function acquire(options) {
  const key = JSON.stringify([options.server, options.token, options.recipient, callbackId(options.getToken), options.tokenUrl]);
  const shared = sessions.get(key) ?? { session: new Session(options).open(), users: 0 };
  sessions.set(key, shared);
  shared.users++;
  const release = () => {
    if (--shared.users) return;
    sessions.delete(key);
    shared.session.close();
  };
  return { session: shared.session, release };
}
