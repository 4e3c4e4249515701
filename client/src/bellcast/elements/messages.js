/** Every text a person reads, by language. */

const en = {
  title: 'Notifications',
  /** @param {string} count */
  label: (count) => `Notifications, ${count} unread`,
  unread: 'Unread',
  earlier: 'Earlier',
  read: 'Mark as read',
  unreadAgain: 'Mark as unread',
  readAll: 'Mark all as read',
  delete: 'Delete',
  close: 'Close',
  more: 'Load more',
  now: 'now',
  urgent: 'Urgent',
  high: 'High',
  empty: 'You’re all caught up',
  emptyMore: 'New notifications will show up here.',
  failed: 'Notifications couldn’t be loaded',
  failedMore: 'We keep trying. Check your connection.',
  ended: 'Your session has ended',
  endedMore: 'Sign in again to see your notifications.',
  retry: 'Try again',
  refused: 'That didn’t work. Please try again.',
  connecting: 'Connecting…',
  live: 'Live',
  waiting: 'Reconnecting…',
  offline: 'Offline',
  closed: 'Disconnected',
  /** @param {string} title */
  arrived: (title) => `New notification: ${title}`,
  /** @param {number} count */
  arrivedMany: (count) => `${count} new notifications`,
};

/** @typedef {typeof en & {lang: string}} Texts */

/** @type {Record<string, typeof en>} */
const messages = { en };

/** The texts of a language, or English; `lang` is the one to write times in. @param {string} lang @returns {Texts} */
export function texts(lang) {
  const found = messages[lang] ?? messages[lang.split('-')[0] ?? ''];
  return { ...(found ?? en), lang: found ? lang : 'en' };
}
