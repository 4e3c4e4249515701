/** Work that elements do once per session: alerts outside the page (sound, desktop notifications, the app's badge), as enabled by the user, and the return of snoozed rows. */

import { isEnabled } from './alert-settings.js';
import { watchReturn } from './until-back.js';

/** @import { Notification as InboxNotification } from '../events.js' */
/** @import { Session } from '../session.js' */

/**
 * @typedef {object} AlertUser  an element
 * @property {(count: number) => string} many  the text for several notifications
 * @property {(notification: InboxNotification) => string} titleOf
 * @property {(notification: InboxNotification) => void} open
 */

/** @type {WeakMap<Session, {users: Set<AlertUser>, end: AbortController}>} */
const registrations = new WeakMap();
const loadDesktop = () => import('./desktop-notifications.js');

/** Alert once per session, on behalf of one of its elements. Returns a function that removes an element. @param {Session} session @param {AlertUser} user */
export function startAlerts(session, user) {
  const { users = new Set(), end = listenForAlerts(session, users) } = registrations.get(session) ?? {};
  const registration = { users, end };
  registrations.set(session, registration);
  users.add(user);
  return () => {
    users.delete(user);
    if (users.size) return;
    registration.end.abort();
    registrations.delete(session);
  };
}

/** @param {Session} session @param {ReadonlySet<AlertUser>} users */
function listenForAlerts(session, users) {
  const end = new AbortController();
  const { signal } = end;
  session.addEventListener('change', () => badge(session.state.unread), { signal });
  session.addEventListener('alert', async (event) => {
    const { detail } = /** @type {CustomEvent<InboxNotification[]>} */ (event);
    const isShown = isEnabled('desktop') && !document.hasFocus();
    const desktop = (isShown || isEnabled('sound')) && (await loadDesktop().catch(() => null)); // the next alert tries again
    if (desktop && isEnabled('sound')) void desktop.chime();
    if (desktop && isShown) desktop.show(session, signal, detail, users);
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
