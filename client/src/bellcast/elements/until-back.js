/** "Until I'm back": the user is back when a new browser tab opens, or one that was hidden for a while is shown again, on any device. */

/** @import { Session } from '../session.js' */

const AWAY = 15 * 60_000; // ms for which a tab must be hidden before the user counts as having been away
const HIDDEN_AT = 'bellcast hidden at'; // kept across reloads, which do not count as a return

/** Return snoozed notifications when the user is back. @param {Session} session @param {AbortSignal} signal */
export function watchReturn(session, signal) {
  let hiddenAt = storedTime();
  const isBack = () => Date.now() - hiddenAt > AWAY;
  const hide = () => storeTime((hiddenAt = Date.now()));
  let isNew = isBack();
  let isDue = false;
  const check = () => {
    const { loaded, awaits_return, status } = session.state;
    if (isNew && loaded) {
      isNew = false;
      isDue = Boolean(awaits_return);
    }
    if (!isDue || status !== 'live') return;
    isDue = false;
    session.back().catch((error) => (isDue = !error.status)); // no response: try again when the session has reconnected
  };
  if (isNew) hide(); // a crash stores no time, and the reload after it does not count as a return
  session.addEventListener('change', check, { signal });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return hide();
    isDue ||= isBack(); // regardless of the page's state: another device may have snoozed rows since
    check();
  }, { signal });
  check();
}

/** 0 in a new tab, and where storage is forbidden. */
function storedTime() {
  try {
    return Number(sessionStorage.getItem(HIDDEN_AT));
  } catch {
    return 0;
  }
}

/** @param {number} time */
function storeTime(time) {
  try {
    sessionStorage.setItem(HIDDEN_AT, String(time));
  } catch {} // then each page load counts as a return
}
