/** WebSocket transport: one JSON object per frame, both ways. */

import { parse } from '../events.js';

/** @import { Open } from './sse.js' */

/** @type {Open} */
export function websocket(base, query, environment, onEvent, onClose) {
  const socket = new environment.WebSocket(`${base.replace('http', 'ws')}v1/ws?${query}`);
  socket.onmessage = ({ data }) => {
    const event = parse(data);
    if (event) onEvent(event);
  };
  socket.onclose = onClose;
  return {
    send: (frame) => socket.send(JSON.stringify(frame)),
    close: () => socket.close(1000),
  };
}
