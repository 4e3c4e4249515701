/** The transports over HTTP, for networks without WebSocket, and the upgrade back from them. */

export { scheduleUpgrade } from './upgrade.js';
export { polling } from './polling.js';
export { sse } from './sse.js';
