/** How bytes travel, first choice: a WebSocket, one JSON object a frame, both ways. */

import { parse } from '../events.js';

/** @import { Open } from './sse.js' */

/** @type {Open} */
export function websocket(base, query, environment, hear, end) {
  const socket = new environment.WebSocket(`${base.replace('http', 'ws')}v1/ws?${query}`);
  socket.onmessage = ({ data }) => {
    const event = parse(data);
    if (event) hear(event);
  };
  socket.onclose = end;
  return {
    send: (frame) => socket.send(JSON.stringify(frame)),
    close: () => socket.close(1000),
  };
}
