/** Lazy chunk: the reconnect policy and the offline store. Loaded during the first connection, before it can break. */

export { ReconnectPolicy } from './reconnect.js';
export { OfflineStore } from './offline-store.js';
