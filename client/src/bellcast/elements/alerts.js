/** Telling a person outside of our own elements: a sound, the desktop, the app's badge. As often as they allowed, once a person. */

/** @import { Notification as Told } from '../events.js' */
/** @import { Session } from '../session.js' */

/** @typedef {'sound' | 'desktop'} AlertKind */

/** @type {WeakMap<Session, {users: number, end: AbortController}>} */
const registrations = new WeakMap();
const loadDesktop = () => import('./desktop-notifications.js');

/** What this person chose in this browser. @param {AlertKind} choice */
export function isEnabled(choice) {
  try {
    return localStorage.getItem(`bellcast ${choice}`) === 'on' && (choice === 'sound' || globalThis.Notification?.permission === 'granted');
  } catch {
    return false; // a page may be forbidden to keep anything
  }
}

/** On their own click, the only time a browser's question is welcome. @param {AlertKind} choice */
export async function toggle(choice) {
  const on = !isEnabled(choice) && (choice === 'sound' || (await Notification.requestPermission()) === 'granted');
  try {
    localStorage.setItem(`bellcast ${choice}`, on ? 'on' : 'off');
  } catch {
    return false;
  }
  if (on && choice === 'sound') void loadDesktop().then(({ chime }) => chime());
  return on;
}

/** @param {AlertKind} choice */
export const isSupported = (choice) => (choice === 'sound' ? 'AudioContext' : 'Notification') in globalThis;

/** Once a session, however many elements show it. Returns how to stop. @param {Session} session @param {(count: number) => string} many @param {(told: Told) => void} open */
export function startAlerts(session, many, open) {
  const herald = registrations.get(session) ?? { users: 0, end: listenForAlerts(session, many, open) };
  registrations.set(session, herald);
  herald.users++;
  return () => {
    if (--herald.users) return;
    herald.end.abort();
    registrations.delete(session);
  };
}

/** @param {Session} session @param {(count: number) => string} many @param {(told: Told) => void} open */
function listenForAlerts(session, many, open) {
  const end = new AbortController();
  const { signal } = end;
  session.addEventListener('change', () => badge(session.state.unread), { signal });
  session.addEventListener('alert', async (event) => {
    const { detail } = /** @type {CustomEvent<Told[]>} */ (event);
    if (isEnabled('sound')) void (await loadDesktop()).chime();
    if (isEnabled('desktop') && !document.hasFocus()) (await loadDesktop()).show(session, signal, detail, many, open);
  }, { signal });
  signal.addEventListener('abort', () => badge(0));
  return end;
}

let badged = 0;

/** @param {number} count */
function badge(count) {
  if (count !== badged) navigator.setAppBadge?.((badged = count)).catch(() => {});
}
