/** How bytes travel where nothing holds: asking again. It cannot tell what changed, only that something did. */

/** @import { Open } from './sse.js' */

const POLL_INTERVAL = 15_000; // ms; an answer without news is a 304 of no body
const REQUEST_TIMEOUT = 30_000; // ms

/** @type {Open} */
export function polling(base, query, environment, hear, end) {
  const token = query.get('token');
  /** @type {string | undefined} */
  let known;
  let over = false;
  /** @type {any} */
  let timer;

  async function ask() {
    const response = await environment.fetch(new URL('v1/inbox/counts', base).href, {
      credentials: token ? 'omit' : 'include',
      signal: environment.timeout(REQUEST_TIMEOUT),
      headers: { ...(token && { authorization: `Bearer ${token}` }), ...(known && { 'if-none-match': `"${known}"` }) },
    });
    const { status } = response;
    if (over) return;
    if (status === 401 || status === 403) return end({ code: 4000 + status, reason: 'unauthenticated' });
    if (response.ok) tell(await response.json());
    else if (status !== 304) return end();
    else hear({ type: 'heartbeat', time: '' });
    timer = environment.setTimeout(again, POLL_INTERVAL);
  }

  /** @param {import('../events.js').Counts} counts */
  function tell(counts) {
    const { position } = counts;
    if (known === undefined) hear({ type: 'ready', connection: '', recipient: null, heartbeat: POLL_INTERVAL / 1000, resumed: false, topics: [], refused: [], ...counts });
    else if (position !== known) hear({ type: 'reset', ...counts });
    known = position;
  }

  const again = () => void ask().catch(() => over || end());
  again();
  return {
    close() {
      over = true;
      environment.clearTimeout(timer);
    },
  };
}
