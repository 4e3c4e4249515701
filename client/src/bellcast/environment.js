/** The browser APIs that the client uses; tests provide their own. */

/**
 * @typedef {object} Environment
 * @property {new (url: string) => WebSocket} WebSocket
 * @property {new (url: string, init?: EventSourceInit) => EventSource} [EventSource]
 * @property {typeof globalThis.fetch} fetch
 * @property {(run: () => void, after: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {(after: number) => AbortSignal} timeout  aborted after this many ms
 * @property {() => number} now
 * @property {() => number} random
 * @property {() => boolean} online
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} page  target of `online`, `offline` and the wake events
 * @property {() => number} alertDelay  ms to wait before alerting: shortest in the focused tab; notifications that arrive during it become one alert
 * @property {LockManager | undefined} locks  with `Channel`, lets tabs share a connection
 * @property {(new (name: string) => BroadcastChannel) | undefined} Channel
 * @property {() => Storage | undefined} [storage]  keeps offline actions across reloads; may throw
 */

/** Modules that are loaded later use the browser's APIs directly. @returns {Environment} */
export const browserEnvironment = () => ({
  WebSocket: globalThis.WebSocket,
  fetch: (url, init) => fetch(url, init),
  setTimeout: (run, after) => setTimeout(run, after),
  clearTimeout: (timer) => clearTimeout(timer),
  timeout: (after) => AbortSignal.timeout(after),
  now: () => Date.now(),
  random: Math.random,
  online: () => globalThis.navigator?.onLine !== false,
  page: 'addEventListener' in globalThis ? globalThis : new EventTarget(),
  alertDelay: () => (document.hasFocus() ? 40 : document.hidden ? 600 : 200),
  locks: globalThis.document && navigator.locks,
  Channel: globalThis.BroadcastChannel,
});
