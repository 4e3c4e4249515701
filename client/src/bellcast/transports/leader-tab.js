/** How bytes travel between the tabs of one browser: through the tab that holds the line. */

/** @import { BellcastEvent } from '../events.js' */
/** @import { Open } from './sse.js' */

/**
 * @typedef {object} TabMessage  what tabs post to each other
 * @property {string} from  the tab that posts
 * @property {string} [to]  the only one it is for
 * @property {string} [except]  the only one it is not for
 * @property {BellcastEvent} [event]  heard by the leader
 * @property {string | null} [since]  its position before that
 * @property {object & {ref?: string}} [request]  a frame for the server
 * @property {string[]} [topics]  hello: what this tab follows
 * @property {'elected' | 'disconnected' | 'retry'} [type]  a new leader; its line broke; somebody pressed "try again"
 * @property {string[]} [claimed]  what this tab tells the person, so that no other does
 */

/** @param {BroadcastChannel} channel @param {string} me @returns {Open} */
export const leaderTab = (channel, me) => (_base, query, _environment, hear, end) => {
  /** @param {MessageEvent<TabMessage>} message */
  const listen = ({ data: { to = me, except, event, type, since } }) => {
    if (to === me && except !== me && event) hear(event, since);
    else if (type === 'disconnected') end();
  };
  /** @param {object} note */
  const post = (note) => channel.postMessage({ from: me, ...note });
  channel.addEventListener('message', listen);
  post({ topics: query.getAll('topic') });
  return {
    send: (frame) => post({ request: JSON.parse(JSON.stringify(frame)) }), // as the wire would carry it
    close: () => channel.removeEventListener('message', listen),
  };
};
