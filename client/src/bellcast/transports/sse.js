/** How bytes travel where a WebSocket cannot: server-sent events, one way. */

import { parse } from '../events.js';

/** @import { BellcastEvent, Close } from '../events.js' */
/** @import { Environment } from '../environment.js' */

/**
 * @typedef {Pick<Close, 'code' | 'reason'> & Partial<Pick<Close, 'reconnect' | 'after'>>} End  how a link ended, where that is known
 * @typedef {{send?: (frame: object) => void, close: () => void}} Link  without `send` it only listens
 *
 * @callback Open  hear() gets each event; end() comes once, when the link broke, unless close() was called
 * @param {string} base
 * @param {URLSearchParams} query
 * @param {Environment} environment
 * @param {(event: BellcastEvent, since?: string | null) => void} hear  `since`, where it is passed on: the position of who did, before it
 * @param {(end?: End) => void} end
 * @returns {Link}
 */

const TYPES = [
  'ready', 'notification', 'notification-update', 'notification-delete', 'counts', 'reset', 'event', 'presence',
  'typing', 'heartbeat', 'close',
];

/** @type {Open} */
export function sse(base, query, environment, hear, end) {
  const url = new URL('v1/stream', base);
  url.search = query.toString();
  const source = new (environment.EventSource ?? EventSource)(url.href, { withCredentials: !query.has('token') });
  for (const type of TYPES) {
    source.addEventListener(type, ({ data }) => {
      const event = parse(data, type);
      if (event) hear(event);
    });
  }
  source.onerror = () => {
    source.close(); // its own reconnecting knows neither backoff nor fresh tokens
    end();
  };
  return { close: () => source.close() };
}
