/** Transport between the tabs of one browser, through the leader. */

/** @import { BellcastEvent } from '../events.js' */
/** @import { Open } from './sse.js' */

/**
 * @typedef {object} TabMessage  a message between tabs
 * @property {string} from  id of the sending tab
 * @property {string} [to]  the only receiver
 * @property {string} [except]  the tab that must ignore it
 * @property {BellcastEvent} [event]  forwarded by the leader
 * @property {string | null} [since]  the leader's position before the event
 * @property {object & {ref?: string}} [request]  a frame for the server
 * @property {string[]} [topics]  sent by a new follower: the topics it follows
 * @property {'elected' | 'disconnected' | 'retry'} [type]  a new leader; the leader's connection is lost; the user pressed "try again"
 * @property {string[]} [claimed]  ids of notifications for which this tab alerts the user
 */

/** @param {BroadcastChannel} channel @param {string} id @returns {Open} */
export const leaderTab = (channel, id) => (_base, query, _environment, onEvent, onClose) => {
  /** @param {MessageEvent<TabMessage>} message */
  const listen = ({ data: { to = id, except, event, type, since } }) => {
    if (to === id && except !== id && event) onEvent(event, since);
    else if (type === 'disconnected') onClose();
  };
  /** @param {object} note */
  const post = (note) => channel.postMessage({ from: id, ...note });
  channel.addEventListener('message', listen);
  post({ topics: query.getAll('topic') });
  return {
    send: (frame) => post({ request: JSON.parse(JSON.stringify(frame)) }), // the same data as JSON sent to the server
    close: () => channel.removeEventListener('message', listen),
  };
};
