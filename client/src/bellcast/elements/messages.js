/** All texts of the elements, by language. English is included; the others are loaded on use. */

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

/** Resolves when the language is loaded; null if there is nothing to load. @param {string} lang @returns {Promise<void> | null} */
export function loadLanguage(lang) {
  const name = short(lang);
  const get = loaded[name] ? undefined : LANGUAGES[name];
  if (!get) return null;
  return get().then((module) => void (loaded[name] = module.default), () => {});
}

/** Texts of a language: the page's own first, English last. `lang` is the language to format times in. @param {string} lang @param {Partial<Messages>} [own] @returns {Texts} */
export function texts(lang, own) {
  const translation = loaded[short(lang)];
  const language = translation || own ? lang : 'en';
  return { ...en, ...translation, ...own, lang: language, dir: RTL.test(language) ? 'rtl' : 'ltr' };
}
