/**
 * The protocol and the transport of a connection.
 */
import { html } from './html.js';

const PROTOCOLS = { native: 'Native', pusher: 'Pusher', socketio: 'Socket.IO' };
const TRANSPORTS = { sse: 'SSE', websocket: 'WebSocket', polling: 'polling' };
/** The protocol and the transport of a connection, by their usual names. */
export const dialectName = ({ protocol, transport }) => `${PROTOCOLS[protocol] ?? protocol} over ${TRANSPORTS[transport] ?? transport}`;
/** The same in one word: the transport of the native one, the name of others. */
export const shortName = (one) => dialectName(one).replace(/^Native over | over .*/, '');
/** The name of the dialect's colour. */
export const dialectOf = ({ protocol, transport }) => (protocol === 'native' ? transport : protocol);
/** The same with the colour of the dialect. */
export const Dialect = ({ of }) => html`<span class=${`dialect ${dialectOf(of)}`} data-short=${shortName(of)}>${dialectName(of)}</span>`;
