/** The browser as the client needs it; tests bring their own. */

/**
 * @typedef {object} Environment
 * @property {new (url: string) => WebSocket} WebSocket
 * @property {new (url: string, init?: EventSourceInit) => EventSource} [EventSource]
 * @property {typeof globalThis.fetch} fetch
 * @property {(run: () => void, after: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {(after: number) => AbortSignal} timeout  aborted after so many ms
 * @property {() => number} now
 * @property {() => number} random
 * @property {() => boolean} online
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} page  tells `online` and `offline`, and when somebody looks
 * @property {() => number} alertDelay  ms to wait before a person is told: the tab they look at is first, and many at once are told as one
 * @property {LockManager | undefined} locks  with `Channel`, what tabs need to share a line
 * @property {(new (name: string) => BroadcastChannel) | undefined} Channel
 * @property {() => Storage | undefined} [storage]  where what was done offline outlives a reload; may throw
 */

/** What only late files use, they take from the browser themselves. @returns {Environment} */
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
