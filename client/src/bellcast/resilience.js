/** Lazy chunk: the reconnect policy and the offline store. Loaded beside the first connection, before it can break. */

export { ReconnectPolicy } from './reconnect.js';
export { OfflineStore } from './offline-store.js';
