/** What bad weather takes: who stays connected, and where actions are kept. Fetched with the first line, so that it is there before the line breaks. */

export { ReconnectPolicy } from './reconnect.js';
export { OfflineStore } from './offline-store.js';
