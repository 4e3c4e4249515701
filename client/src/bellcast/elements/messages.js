/** Every text a person reads, by language. English is here; the others are fetched when a page speaks them. */

export const en = {
  title: 'Notifications',
  /** @type {(count: number | string) => string} */
  label: (count) => `Notifications, ${count} unread`,
  all: 'All',
  unread: 'Unread',
  earlier: 'Earlier',
  archived: 'Archive',
  read: 'Mark as read',
  unreadAgain: 'Mark as unread',
  readAll: 'Mark all as read',
  archive: 'Archive',
  unarchive: 'Move to inbox',
  delete: 'Delete',
  undo: 'Undo',
  close: 'Close',
  more: 'Load more',
  /** @type {(count: number | string) => string} */
  folded: (count) => `${count} more`,
  fewer: 'Show less',
  now: 'now',
  urgent: 'Urgent',
  high: 'High',
  empty: 'You’re all caught up',
  emptyMore: 'New notifications will show up here.',
  none: 'Nothing here',
  failed: 'Notifications couldn’t be loaded',
  failedMore: 'We keep trying. Check your connection.',
  ended: 'Your session has ended',
  endedMore: 'Sign in again to see your notifications.',
  retry: 'Try again',
  refused: 'That didn’t work. Please try again.',
  wasArchived: 'Archived',
  wasDeleted: 'Deleted',
  /** @type {(count: number | string) => string} */
  queued: (count) => `Offline · ${count} to send`,
  connecting: 'Connecting…',
  live: 'Live',
  waiting: 'Reconnecting…',
  offline: 'Offline',
  closed: 'Disconnected',
  sound: 'Sound',
  desktop: 'Desktop alerts',
  /** @type {(title: string) => string} */
  arrived: (title) => `New notification: ${title}`,
  /** @type {(count: number | string) => string} */
  arrivedMany: (count) => `${count} new notifications`,
};

/** @typedef {typeof en} Messages */
/** @typedef {Messages & {lang: string, dir: 'ltr' | 'rtl'}} Texts */

/** @type {Record<string, Partial<Messages>>} */
const loaded = { en };

/** @type {Record<string, () => Promise<{default: Partial<Messages>}>>} */
const LANGUAGES = {
  ar: () => import('./lang/ar.js'),
  de: () => import('./lang/de.js'),
  es: () => import('./lang/es.js'),
  fr: () => import('./lang/fr.js'),
};

const RTL = /^(ar|dv|fa|he|ku|ps|sd|ug|ur|yi)\b/;

/** @param {string} lang */
const short = (lang) => lang.split('-')[0] ?? '';

/** Resolves when a language that can be fetched is here; null if there is nothing to wait for. @param {string} lang @returns {Promise<void> | null} */
export function loadLanguage(lang) {
  const name = short(lang);
  const get = loaded[name] ? undefined : LANGUAGES[name];
  if (!get) return null;
  return get().then((found) => void (loaded[name] = found.default), () => {});
}

/** The texts of a language, a page's own first, English last; `lang` is the one to write times in. @param {string} lang @param {Partial<Messages>} [own] @returns {Texts} */
export function texts(lang, own) {
  const found = loaded[short(lang)];
  const spoken = found || own ? lang : 'en';
  return { ...en, ...found, ...own, lang: spoken, dir: RTL.test(spoken) ? 'rtl' : 'ltr' };
}
