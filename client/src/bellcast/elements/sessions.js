/** One session for all elements of a page that name the same server and the same person. */

import { Session } from '../session.js';

/** @import { Options } from '../session.js' */

/** @type {Map<string, {session: Session, users: number}>} */
const open = new Map();
/** @type {WeakMap<Function, number>} */
const callbacks = new WeakMap();
let counted = 0;

/** @param {Function | undefined} callback */
function numbered(callback) {
  if (!callback) return 0;
  if (!callbacks.has(callback)) callbacks.set(callback, ++counted);
  return callbacks.get(callback);
}

/** @param {Options} options @returns {{session: Session, release: () => void}} */
export function acquire(options) {
  const key = JSON.stringify([options.server, options.token, options.recipient, numbered(options.getToken)]);
  const held = open.get(key) ?? { session: new Session(options).open(), users: 0 };
  open.set(key, held);
  held.users++;
  const release = () => {
    if (--held.users) return;
    open.delete(key);
    held.session.close();
  };
  return { session: held.session, release };
}
