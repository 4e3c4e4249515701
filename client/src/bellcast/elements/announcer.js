/** Which element announces new notifications to screen readers: a session's first visible bell, else the toasts. */

/** @import { Session } from '../session.js' */

/** @type {WeakMap<Session, Set<Element>>} */
const bells = new WeakMap();

/** @param {Session} session @param {Element} bell @param {AbortSignal} signal  removes it */
export function addBell(session, bell, signal) {
  const all = bells.get(session) ?? new Set();
  bells.set(session, all.add(bell));
  signal.addEventListener('abort', () => all.delete(bell));
}

/** The bell that announces; a hidden one, for example of the page's layout for phones, cannot. @param {Session} session */
export const announcingBell = (session) => [...(bells.get(session) ?? [])].find((bell) => bell.checkVisibility());
