/** React bindings: one session for a tree, hooks, and the bell as a component. No JSX, no compile step. */

import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';

import { Session } from '../bellcast.js';

/** @import { ReactNode } from 'react' */
/** @import { Member, Notification, Query } from './events.js' */
/** @import { Options, Session as LiveSession } from './session.js' */

/** @typedef {{type: string, [field: string]: unknown}} Message */

const SessionContext = createContext(/** @type {LiveSession | null} */ (null));

/** Opens a session while mounted, or provides a given one without opening or closing it. @param {Options & {session?: LiveSession, children?: ReactNode}} props */
export function BellcastProvider({ session: provided, children, ...options }) {
  const { server, token, tokenUrl, recipient, getToken, topics } = options;
  const getTokenRef = useRef(getToken);
  getTokenRef.current = getToken;
  const created = useMemo(() => {
    for (const [name, value] of Object.entries(provided ? options : {})) if (value !== undefined) throw new TypeError(`BellcastProvider: pass ${name} to the session instead`);
    if (provided) return null;
    const renew = getToken && (() => getTokenRef.current?.() ?? null);
    return new Session({ ...options, ...(renew && { getToken: renew }) });
  }, [provided, server, token, tokenUrl, recipient, Boolean(getToken), topics && [...topics].join()]);
  useEffect(() => {
    created?.open();
    return () => created?.close();
  }, [created]);
  return createElement(SessionContext.Provider, { value: provided ?? created }, children);
}

/** The session of the nearest provider. @returns {LiveSession} */
export function useBellcast() {
  const session = useContext(SessionContext);
  if (!session) throw new Error('useBellcast() needs a <BellcastProvider> above it.');
  return session;
}

/** @template T @param {(session: LiveSession) => T} read  must return the same value for the same state */
function useSessionValue(read) {
  const session = useBellcast();
  const subscribe = useCallback((/** @type {() => void} */ changed) => {
    session.addEventListener('change', changed);
    return () => session.removeEventListener('change', changed);
  }, [session]);
  const get = () => read(session);
  return useSyncExternalStore(subscribe, get, get);
}

/** State and actions of the inbox, or of one of its views. `unread` is the count, so the action is named `markUnread`. @param {Query} [query] */
export function useInbox(query) {
  const session = useBellcast();
  const key = query && JSON.stringify(Object.entries(query));
  const view = useMemo(() => (query ? session.view(query) : session), [session, key]);
  const state = useSessionValue(() => session.state);
  const listing = useSessionValue(() => view.state);
  const verbs = useMemo(() => ({
    seen: session.seen.bind(session),
    read: session.read.bind(session),
    markUnread: session.unread.bind(session),
    archive: session.archive.bind(session),
    unarchive: session.unarchive.bind(session),
    delete: session.delete.bind(session),
  }), [session]);
  const loadMore = useCallback(() => view.loadMore(), [view]);
  return { ...state, ...listing, ...verbs, loadMore };
}

export const useUnread = () => useSessionValue((session) => session.state.unread);

/** Call `onEvent` for live events with this name, and on this topic if given. @param {string} name @param {(data: any) => void} onEvent @param {string} [topic] */
export function useEvent(name, onEvent, topic) {
  const session = useBellcast();
  const latest = useRef(onEvent);
  latest.current = onEvent;
  useTopic(session, topic);
  useEffect(() => {
    /** @param {Event} event */
    const listen = (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      if (detail.name === name && (!topic || detail.topic === topic)) latest.current(detail.data);
    };
    session.addEventListener('event', listen);
    return () => session.removeEventListener('event', listen);
  }, [session, name, topic]);
}

/** Members of a presence topic. @param {string} topic @returns {Member[]} */
export function usePresence(topic) {
  const session = useBellcast();
  const [members, set] = useState(/** @type {Member[]} */ ([]));
  useEffect(() => {
    const listen = () => set(session.members(topic));
    session.addEventListener('presence', listen);
    listen();
    return () => session.removeEventListener('presence', listen);
  }, [session, topic]);
  useTopic(session, topic);
  return members;
}

/** @type {WeakMap<LiveSession, Map<string, number>>} */
const subscriptions = new WeakMap();

/** Subscribed while at least one component uses the topic. @param {LiveSession} session @param {string | undefined} topic */
function useTopic(session, topic) {
  useEffect(() => {
    if (!topic) return undefined;
    const counts = subscriptions.get(session) ?? new Map();
    subscriptions.set(session, counts);
    counts.set(topic, (counts.get(topic) ?? 0) + 1);
    if (counts.get(topic) === 1) session.subscribe(topic).catch(() => {});
    return () => {
      counts.set(topic, counts.get(topic) - 1);
      if (!counts.get(topic)) session.unsubscribe(topic).catch(() => {});
    };
  }, [session, topic]);
}

/** `<bellcast-bell>` with the session of this tree; attributes are props. @param {Record<string, unknown>} props */
export function Bell(props) {
  const session = useBellcast();
  const set = useCallback((/** @type {HTMLElement | null} */ element) => void (element && Object.assign(element, { session })), [session]);
  return createElement('bellcast-bell', { ...props, ref: set });
}

/** @typedef {{[callback: `on${string}Update`]: (data: Message) => void, onNotification?: (data: any) => void}} MessageCallbacks */

/**
 * Passes each live event and notification as `{type, ...data}` to one callback: `on<Word>Update` if the type contains that word
 * (`onOrderUpdate` receives `new_order` and `order.paid`), otherwise `onNotification`.
 * @param {MessageCallbacks} [callbacks]
 */
export function useWebSocket(callbacks = {}) {
  for (const name of Object.keys(callbacks)) if (!CALLBACK.test(name)) throw new TypeError(`useWebSocket: invalid option ${name}`);
  const session = useBellcast();
  const latest = useRef(callbacks);
  latest.current = callbacks;
  const isConnected = useSessionValue(({ state }) => state.status === 'live');
  useEffect(() => {
    /** @param {Event} event */
    const listen = (event) => route(latest.current, message(/** @type {CustomEvent} */ (event)));
    const types = ['event', 'notification'];
    for (const type of types) session.addEventListener(type, listen);
    return () => types.forEach((type) => session.removeEventListener(type, listen));
  }, [session]);
  const sendMessage = useCallback((/** @type {Message} */ { type, ...data }) => send(session, type, data), [session]);
  return { isConnected, sendMessage };
}

const CALLBACK = /^on(Notification|[A-Z]\w*Update)$/;

/** @param {CustomEvent} event @returns {Message} */
function message({ type, detail }) {
  const { data } = detail;
  if (type === 'event') return { ...data, type: detail.name };
  return { message: detail.body ?? detail.title, ...data, id: detail.id, title: detail.title, type: detail.type };
}

/** @param {MessageCallbacks} callbacks @param {Message} received */
function route(callbacks, received) {
  for (const word of received.type.split(/[^A-Za-z0-9]+|(?=[A-Z])/)) {
    const callback = callbacks[`on${word.charAt(0).toUpperCase()}${word.slice(1)}Update`];
    if (callback) return callback(received);
  }
  callbacks.onNotification?.(received);
}

/** Send now, or as soon as the session is live. @param {LiveSession} session @param {string} type @param {object} data */
async function send(session, type, data) {
  while (session.state.status !== 'live') {
    if (session.state.error) throw session.state.error;
    await new Promise((resolve) => session.addEventListener('change', resolve, { once: true }));
  }
  return type === 'ping' ? session.ping() : session.call(type, data);
}
