'use client';

/** React bindings: one session for a tree, hooks, and the elements as components. No JSX, no compile step. */

import { useCallback, useEffect, useMemo, useRef, useState } from 'react';

import { INITIAL, useBellcast, useSessionValue } from './react/provider.js';

/** @import { Member, Notification, Query } from './events.js' */
/** @import { Listing, Session as LiveSession, State } from './session.js' */

export { Bell, Inbox, Preferences, RealtimeNotifications, Toasts } from './react/components.js';
export { BellcastProvider, useBellcast } from './react/provider.js';
export { useWebSocket } from './react/websocket.js';

/** State and actions of the inbox, or of one of its views. `unread` is the count, so the action is named `markUnread`. @param {Query} [query] */
export function useInbox(query) {
  const session = useBellcast();
  const key = query && JSON.stringify(Object.entries(query));
  const view = useMemo(() => (query ? session.view(query) : session), [session, key]);
  const state = useSessionValue(() => session.state, INITIAL);
  const listing = useSessionValue(() => view.state, /** @type {Listing} */ (INITIAL));
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

/** The number of unread notifications. @returns {number} */
export const useUnread = () => useSessionValue((session) => session.state.unread, 0);

/**
 * The inbox under the names of common hand-written hooks. The list is live: `refetch` retries a failed connection immediately.
 */
export function useRealtimeNotifications() {
  const session = useBellcast();
  const { notifications, unread, loaded, status, error } = useSessionValue(() => session.state, INITIAL);
  const rows = useMemo(() => notifications.map(toRow), [notifications]);
  const actions = useMemo(() => ({
    refetch: () => void session.open(),
    markAsRead: (/** @type {string} */ id) => session.read(id),
    markAllAsRead: () => session.read('all'),
    removeNotification: (/** @type {string} */ id) => session.delete(id),
    clearNotifications: () => session.delete('all'),
  }), [session]);
  return { notifications: rows, unreadCount: unread, loading: !loaded && !error, isConnected: status === 'live', ...actions };
}

/** @param {Notification} notification */
function toRow(notification) {
  const { title, body, read_at, created_at, action_url } = notification;
  return { ...notification, message: body ?? title, isRead: read_at !== null, createdAt: created_at, actionUrl: action_url, timestamp: created_at };
}

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

/** Follow the topic while the component is mounted. @param {LiveSession} session @param {string | undefined} topic */
function useTopic(session, topic) {
  useEffect(() => (topic ? session.followTopics([topic]) : undefined), [session, topic]);
}
