/** The components and the hook with familiar names, rendered by a server and hydrated by the browser. */

import { Inbox, BellcastProvider, Preferences, RealtimeNotifications, useRealtimeNotifications } from 'bellcast/react';
import { createElement as h, StrictMode, useRef, useState } from 'react';

function Feed() {
  const { notifications, unreadCount, loading, isConnected, markAsRead, markAllAsRead, removeNotification } = useRealtimeNotifications();
  return h('section', { 'aria-label': 'feed' },
    h('output', { 'aria-label': 'count' }, unreadCount),
    h('output', { 'aria-label': 'status' }, loading ? 'loading' : isConnected ? 'connected' : 'disconnected'),
    h('ul', null, notifications.map(({ id, message, isRead }) => h('li', { key: id, 'data-read': String(isRead) },
      h('button', { onClick: () => void markAsRead(id) }, `Read ${message}`), h('button', { onClick: () => void removeNotification(id) }, `Remove ${message}`)))),
    h('button', { onClick: () => void markAllAsRead() }, 'Read all'));
}

function Page() {
  const bell = useRef(null);
  const [opened, setOpened] = useState('');
  const [tabs, setTabs] = useState(undefined);
  const [isListed, setListed] = useState(false);
  const onOpenNotification = (event) => (event.preventDefault(), setOpened(event.detail.notification.title));
  return h('main', null,
    h(RealtimeNotifications, { ref: bell, className: 'place', badge: 'unread', titleBadge: true, open: false, signInUrl: '/login', tabs, onOpenNotification, toasts: { duration: 60_000 } }),
    h('output', { 'aria-label': 'opened' }, opened),
    h('button', { onClick: () => setTabs(tabs ? undefined : [{ view: 'all' }, { type: 'order', label: 'Orders' }]) }, 'Tabs'),
    h('button', { onClick: () => bell.current.toggleAttribute('open', true) }, 'Open'),
    h('button', { onClick: () => setListed(!isListed) }, 'List'),
    h(Feed), isListed && h(Inbox, { id: 'inbox' }), h(Preferences, { id: 'preferences' }));
}

export const App = (props) => h(StrictMode, null, h(BellcastProvider, props, h(Page)));
