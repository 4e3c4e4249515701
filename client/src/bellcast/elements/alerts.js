/** Work that elements do once per session: alerts outside the page (sound, desktop notifications, the app's badge), as enabled by the user, and the return of snoozed rows. */

import { isEnabled } from './alert-settings.js';
import { watchReturn } from './until-back.js';

/** @import { Notification as InboxNotification } from '../events.js' */
/** @import { Session } from '../session.js' */

/** @type {WeakMap<Session, {users: number, end: AbortController}>} */
const registrations = new WeakMap();
const loadDesktop = () => import('./desktop-notifications.js');

/** Alert once per session, regardless of the number of elements. Returns a function that stops it. @param {Session} session @param {(count: number) => string} many @param {(notification: InboxNotification) => void} open */
export function startAlerts(session, many, open) {
  const registration = registrations.get(session) ?? { users: 0, end: listenForAlerts(session, many, open) };
  registrations.set(session, registration);
  registration.users++;
  return () => {
    if (--registration.users) return;
    registration.end.abort();
    registrations.delete(session);
  };
}

/** @param {Session} session @param {(count: number) => string} many @param {(notification: InboxNotification) => void} open */
function listenForAlerts(session, many, open) {
  const end = new AbortController();
  const { signal } = end;
  session.addEventListener('change', () => badge(session.state.unread), { signal });
  session.addEventListener('alert', async (event) => {
    const { detail } = /** @type {CustomEvent<InboxNotification[]>} */ (event);
    if (isEnabled('sound')) void (await loadDesktop()).chime();
    if (isEnabled('desktop') && !document.hasFocus()) (await loadDesktop()).show(session, signal, detail, many, open);
  }, { signal });
  signal.addEventListener('abort', () => badge(0));
  watchReturn(session, signal);
  return end;
}

let badged = -1; // unknown: a push may have put a dot on the icon while no page was open

/** @param {number} count */
function badge(count) {
  if (count !== badged) navigator.setAppBadge?.((badged = count)).catch(() => {});
}
