/** Polling transport: requests with an ETag. It detects that something changed, but not what. */

/** @import { Open } from './sse.js' */

const POLL_INTERVAL = 15_000; // ms; without changes the response is a 304 without a body
const REQUEST_TIMEOUT = 30_000; // ms

/** @type {Open} */
export function polling(base, query, environment, onEvent, onClose) {
  const token = query.get('token');
  /** @type {string | undefined} */
  let lastPosition;
  let isClosed = false;
  /** @type {any} */
  let timer;

  async function poll() {
    const response = await environment.fetch(new URL('v1/inbox/counts', base).href, {
      credentials: token ? 'omit' : 'include',
      signal: environment.timeout(REQUEST_TIMEOUT),
      headers: { ...(token && { authorization: `Bearer ${token}` }), ...(lastPosition && { 'if-none-match': `"${lastPosition}"` }) },
    });
    const { status } = response;
    if (isClosed) return;
    if (status === 401 || status === 403) return onClose({ code: 4000 + status, reason: 'unauthenticated' });
    if (response.ok) report(await response.json());
    else if (status !== 304) return onClose();
    else onEvent({ type: 'heartbeat', time: '' });
    timer = environment.setTimeout(next, POLL_INTERVAL);
  }

  /** @param {import('../events.js').Counts} counts */
  function report(counts) {
    const { position } = counts;
    if (lastPosition === undefined) onEvent({ type: 'ready', connection: '', recipient: null, heartbeat: POLL_INTERVAL / 1000, resumed: false, topics: [], refused: [], ...counts });
    else if (position !== lastPosition) onEvent({ type: 'reset', ...counts });
    lastPosition = position;
  }

  const next = () => void poll().catch(() => isClosed || onClose());
  next();
  return {
    close() {
      isClosed = true;
      environment.clearTimeout(timer);
    },
  };
}
