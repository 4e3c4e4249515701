/** What is needed where a WebSocket cannot pass: the other transports, and the way back. */

export { scheduleUpgrade } from './upgrade.js';
export { polling } from './polling.js';
export { sse } from './sse.js';
