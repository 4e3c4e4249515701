/** The browser as the client needs it; tests bring their own. */

/**
 * @typedef {object} World
 * @property {new (url: string) => WebSocket} WebSocket
 * @property {new (url: string, init?: EventSourceInit) => EventSource} EventSource
 * @property {typeof globalThis.fetch} fetch
 * @property {(run: () => void, after: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} now
 * @property {() => number} random
 * @property {() => boolean} online
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} page  tells `online` and `offline`, and when somebody looks
 * @property {() => 'focused' | 'visible' | 'hidden'} attention  whether somebody looks
 * @property {LockManager | undefined} locks  with `Channel`, what tabs need to share a line
 * @property {(new (name: string) => BroadcastChannel) | undefined} Channel
 * @property {() => Storage | undefined} storage  where what was done offline outlives a reload; may throw
 */

/** @returns {World} */
export const browser = () => ({
  WebSocket: globalThis.WebSocket,
  EventSource: globalThis.EventSource,
  fetch: globalThis.fetch.bind(globalThis),
  setTimeout: (run, after) => setTimeout(run, after),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => Date.now(),
  random: Math.random,
  online: () => globalThis.navigator?.onLine ?? true,
  page: 'addEventListener' in globalThis ? globalThis : new EventTarget(),
  attention: () => (document.hasFocus() ? 'focused' : document.hidden ? 'hidden' : 'visible'),
  locks: globalThis.document && navigator.locks,
  Channel: globalThis.BroadcastChannel,
  storage: () => globalThis.localStorage,
});
