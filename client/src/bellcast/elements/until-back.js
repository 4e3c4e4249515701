/** Notifications snoozed "until I'm back": they return when the person opens the app the next time, or looks at it after a while. Loaded when there are any. */

import { BACK_KEY, withStorage } from './back-key.js';

/** @import { Session } from '../session.js' */

const AWAY = 15 * 60_000; // ms that a page is hidden before its person counts as having been away
export const LONGEST = '30d'; // then they return anyway

/** @param {Session} session @param {readonly string[]} ids */
export function rememberUntilBack(session, ids) {
  withStorage(({ local, tab }) => {
    local.setItem(BACK_KEY, JSON.stringify([...stored(local), ...ids]));
    tab.setItem(BACK_KEY, 'here');
  });
  let hiddenAt = Infinity;
  document.addEventListener('visibilitychange', function watch() {
    if (document.hidden) hiddenAt = Date.now();
    else if (Date.now() - hiddenAt > AWAY) {
      document.removeEventListener('visibilitychange', watch);
      void wakeReturned(session);
    }
  });
}

/** Wake those of this person; others may use this browser too. @param {Session} session */
export async function wakeReturned(session) {
  const ids = withStorage(({ local }) => stored(local)) ?? [];
  const { notifications } = await snoozedRows(session);
  const own = new Set(notifications.map(({ id }) => id));
  const due = ids.filter((id) => own.has(id));
  if (due.length) await session.snooze(due, { for: 1 });
  withStorage(({ local, tab }) => {
    const others = stored(local).filter((id) => !own.has(id));
    if (others.length) local.setItem(BACK_KEY, JSON.stringify(others));
    else local.removeItem(BACK_KEY);
    tab.setItem(BACK_KEY, 'here');
  });
}

/** @param {Storage} storage @returns {string[]} */
const stored = (storage) => JSON.parse(storage.getItem(BACK_KEY) ?? '[]');

/** @param {Session} session */
async function snoozedRows(session) {
  const view = session.view({ view: 'snoozed' });
  while (!view.state.loaded) await new Promise((resolve) => session.addEventListener('change', resolve, { once: true }));
  return view.state;
}
