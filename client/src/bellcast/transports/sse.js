/** Server-sent events transport: receives only. */

import { parse } from '../events.js';

/** @import { BellcastEvent, Close } from '../events.js' */
/** @import { Environment } from '../environment.js' */

/**
 * @typedef {Pick<Close, 'code' | 'reason'> & Partial<Pick<Close, 'reconnect' | 'after'>>} End  how a link ended, if known
 * @typedef {{send?: (frame: object) => void, close: () => void}} Link  without `send` it only receives
 *
 * @callback Open  `onEvent` gets each event; `onClose` is called once if the link breaks, but not after `close()`
 * @param {string} base
 * @param {URLSearchParams} query
 * @param {Environment} environment
 * @param {(event: BellcastEvent, since?: string | null) => void} onEvent  `since`: the leader's position before an event that it forwarded
 * @param {(end?: End) => void} onClose
 * @returns {Link}
 */

const TYPES = [
  'ready', 'notification', 'notification-update', 'notification-delete', 'counts', 'reset', 'event', 'presence',
  'typing', 'preferences', 'heartbeat', 'close',
];

/** @type {Open} */
export function sse(base, query, environment, onEvent, onClose) {
  const url = new URL('v1/stream', base);
  url.search = query.toString();
  const source = new (environment.EventSource ?? EventSource)(url.href, { withCredentials: !query.has('token') });
  for (const type of TYPES) {
    source.addEventListener(type, ({ data }) => {
      const event = parse(data, type);
      if (event) onEvent(event);
    });
  }
  source.onerror = () => {
    source.close(); // EventSource reconnects without backoff and without a new token
    onClose();
  };
  return { close: () => source.close() };
}
