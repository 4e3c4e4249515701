/** Finds out why a page gets no notifications: a log of the session in the browser's console, and the server's check. Loaded on first use. */

/** @typedef {EventTarget & {readonly state: {status: string}}} LoggedSession */

/** Sessions that are logged: several elements on a page may share one. @type {WeakSet<LoggedSession>} */
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

/** Run the server's check of the page. The server provides its module, so that it fits the server; bundlers ignore the import. @param {{base: string, credential: import('./api.js').Credential, topics: () => Iterable<string>}} options @returns {Promise<unknown>} */
export async function check({ base, credential, topics }) {
  const module = await import(/* webpackIgnore: true */ /* @vite-ignore */ new URL('bellcast/check.js', base).href);
  return module.check({ server: base, token: () => credential.token(), topics: [...topics()] });
}
