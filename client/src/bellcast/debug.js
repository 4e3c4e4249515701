/** Logs what a session does in the browser's console. Loaded by the first element with `debug`. */

/** @typedef {EventTarget & {readonly state: {status: string}}} LoggedSession */

/** Sessions that are logged: several elements of a page may share one. @type {WeakSet<LoggedSession>} */
const logged = new WeakSet();

/** @param {LoggedSession} session */
export function logSession(session) {
  if (logged.has(session)) return;
  logged.add(session);
  let shown = '';
  const logStatus = () => {
    const { status } = session.state;
    if (status === shown) return;
    shown = status;
    console.info(`[bellcast] ${status === 'live' ? 'connected' : status}`);
  };
  logStatus();
  session.addEventListener('change', logStatus);
  for (const type of ['notification', 'event', 'presence', 'typing', 'preferences', 'refused']) {
    session.addEventListener(type, (event) => console.info(`[bellcast] ${type}`, /** @type {CustomEvent} */ (event).detail));
  }
}
