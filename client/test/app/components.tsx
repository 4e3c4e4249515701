/** The types of the components' props; compiled only. */

import { Bell, Inbox, RealtimeNotifications, Toasts, useRealtimeNotifications, useWebSocket } from 'bellcast/react';
import { Bell as BellElement, Toasts as ToastsElement } from 'bellcast';
import { useRef } from 'react';

export function Header() {
  const bell = useRef<HTMLElement>(null);
  const { notifications, unreadCount } = useRealtimeNotifications();
  const { lastMessage } = useWebSocket({ onMessage: ({ type }) => type.trim(), onOrderUpdate: (data) => data.type });
  const [first] = notifications;
  const at: string | undefined = first?.createdAt;
  return (
    <header>
      <RealtimeNotifications tokenUrl="/bell-token" titleBadge toasts={{ position: 'top-end' }} onAction={(event) => event.detail.verb.trim()} />
      <Bell ref={bell} tabs={[{ view: 'all' }]} style={{ color: 'red' }} onOpenNotification={({ detail }) => detail.notification.action_url} />
      <Inbox className="inbox" tabs="all, unread"><p slot="empty">{unreadCount + (at ?? '') + (lastMessage?.type ?? '')}</p></Inbox>
      {/* @ts-expect-error there is no such place */}
      <Toasts position="middle" />
      {/* @ts-expect-error a misspelled handler */}
      <Bell onOpenNotifications={() => {}} />
    </header>
  );
}

export function reflected(bell: BellElement, toasts: ToastsElement): (string | null)[] {
  bell.open = true;
  bell.topics = ['orders', 'desk'];
  toasts.duration = 8_000;
  // @ts-expect-error true or false
  bell.open = 'yes';
  return [bell.server, bell.token, bell.recipient, bell.topics, bell.badge, toasts.position, toasts.duration];
}
