/** The transports for where a WebSocket cannot pass. */

export { polling } from './polling.js';
export { sse } from './sse.js';
