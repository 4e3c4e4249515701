/** Which element announces new notifications to screen readers: the bell if a session has one, else the toasts. */

/** @import { Session } from '../session.js' */

/** Number of bells per session. @type {WeakMap<Session, number>} */
const bells = new WeakMap();

/** @param {Session} session @param {AbortSignal} signal  removes it */
export function addBell(session, signal) {
  /** @param {number} by */
  const change = (by) => bells.set(session, (bells.get(session) ?? 0) + by);
  change(1);
  signal.addEventListener('abort', () => change(-1));
}

/** @param {Session} session */
export const hasBell = (session) => Boolean(bells.get(session));
