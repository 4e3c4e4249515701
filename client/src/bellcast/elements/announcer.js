/** Which element announces new notifications to screen readers: a session's open or first visible bell, else the toasts. */

/** @import { Session } from '../session.js' */

/** @type {WeakMap<Session, Set<Element>>} */
const bells = new WeakMap();

/** @param {Session} session @param {Element} bell @param {AbortSignal} signal  removes it */
export function addBell(session, bell, signal) {
  const all = bells.get(session) ?? new Set();
  bells.set(session, all.add(bell));
  signal.addEventListener('abort', () => all.delete(bell));
}

/** The bell that announces: an open one first, since a sheet makes the others inert. A hidden one, for example of the page's layout for phones, cannot. @param {Session} session */
export function announcingBell(session) {
  const visible = [...(bells.get(session) ?? [])].filter((bell) => bell.checkVisibility());
  return visible.find((bell) => bell.hasAttribute('open')) ?? visible[0];
}
