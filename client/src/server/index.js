/** `bellcast/server`: the client for servers. It imports nothing from Node, so it runs wherever `fetch` and Web Crypto exist. */

export { Bellcast } from './client.js';
export * from './data-types.js';
export {
  BellcastError,
  BulkInterrupted,
  Forbidden,
  InvalidArgument,
  NotConfigured,
  NotFound,
  Refused,
  RequestRefused,
  TooManyRequests,
  Unauthorized,
  Unavailable,
  UnknownArgument,
  Unreadable,
  WrongProject,
} from './errors.js';
export { Call, toNode } from './responders.js';

/** @typedef {import('./client.js').Draft} Draft */
/** @typedef {import('./client.js').Item} Item */
/** @typedef {import('./client.js').Notification} Notification */
/** @typedef {import('./client.js').Options} Options */
/** @typedef {import('./client.js').Target} Target */
/** @typedef {import('./responders.js').Identity} Identity */
/** @typedef {import('./responders.js').Who} Who */
