/** A hook with the interface of common hand-written WebSocket hooks. */

import { useCallback, useEffect, useRef, useState } from 'react';

import { useBellcast, useSessionValue } from './provider.js';

/** @import { Session as LiveSession } from '../session.js' */

/** @typedef {{type: string, [field: string]: unknown}} Message */

/** @typedef {{[callback: `on${string}Update`]: (data: Message) => void, onMessage?: (data: Message) => void, onNotification?: (data: any) => void}} MessageCallbacks */

/**
 * Passes each live event and notification as `{type, ...data}` once to each `on<Word>Update` with a word of the type
 * (`onOrderUpdate` receives `new_order` and `order.paid`), without one to `onNotification`; and each to `onMessage`.
 * @param {MessageCallbacks} [callbacks]
 */
export function useWebSocket(callbacks = {}) {
  for (const name of Object.keys(callbacks)) if (!CALLBACK.test(name)) throw new TypeError(`useWebSocket: invalid option ${name}`);
  const session = useBellcast();
  const latest = useRef(callbacks);
  latest.current = callbacks;
  const [lastMessage, setLastMessage] = useState(/** @type {Message | null} */ (null));
  const isConnected = useSessionValue(({ state }) => state.status === 'live', false);
  useEffect(() => {
    /** @param {Event} event */
    const listen = (event) => {
      const received = message(/** @type {CustomEvent} */ (event));
      setLastMessage(received);
      latest.current.onMessage?.(received);
      route(latest.current, received);
    };
    const types = ['event', 'notification'];
    for (const type of types) session.addEventListener(type, listen);
    return () => types.forEach((type) => session.removeEventListener(type, listen));
  }, [session]);
  const sendMessage = useCallback((/** @type {Message} */ { type, ...data }) => send(session, type, data), [session]);
  return { isConnected, lastMessage, sendMessage };
}

const CALLBACK = /^on(Message|Notification|[A-Z]\w*Update)$/;

/** @param {CustomEvent} event @returns {Message} */
function message({ type, detail }) {
  const { data } = detail;
  if (type === 'event') return { ...data, type: detail.name };
  return { message: detail.body ?? detail.title, ...data, id: detail.id, title: detail.title, type: detail.type };
}

/** Words of a type have any case: `new_order`, `NEW_ORDER` and `newOrder` have the word of `onOrderUpdate`. @param {MessageCallbacks} callbacks @param {Message} received */
export function route(callbacks, received) {
  const words = new Set(received.type.replace(/(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '_').toLowerCase().split(/[^\p{L}\p{N}]+/u));
  const called = Object.entries(callbacks).filter(([name]) => words.has(/^on(.+)Update$/.exec(name)?.[1]?.toLowerCase() ?? ' '));
  for (const [, callback] of called) callback?.(received);
  if (!called.length) callbacks.onNotification?.(received);
}

/** Send now, or as soon as the session is live. @param {LiveSession} session @param {string} type @param {object} data */
async function send(session, type, data) {
  while (session.state.status !== 'live') {
    if (session.state.error) throw session.state.error;
    await new Promise((resolve) => session.addEventListener('change', resolve, { once: true }));
  }
  return type === 'ping' ? session.ping() : session.call(type, data);
}
