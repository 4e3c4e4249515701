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
  today: 'Today',
  yesterday: 'Yesterday',
  /** Label of the line below the notifications that are new since the panel was opened. */
  fresh: 'New',
  /** @type {(count: number | string) => string} */
  newAbove: (count) => `${count} new`,
  /** Shown after the names of two actors. @type {(count: number | string) => string} */
  others: (count) => `${count} ${count === 1 ? 'other' : 'others'}`,
  select: 'Select',
  /** @type {(count: number | string) => string} */
  selected: (count) => `${count} selected`,
  deselect: 'Clear selection',
  options: 'More actions',
  snooze: 'Snooze',
  snoozed: 'Snoozed',
  snoozeLater: 'In 3 hours',
  snoozeEvening: 'This evening',
  snoozeTomorrow: 'Tomorrow',
  snoozeWeek: 'Next week',
  snoozeBack: 'Until I’m back',
  /** @type {(when: string) => string} */
  wasSnoozed: (when) => `Snoozed until ${when}`,
  wasSnoozedUntilBack: 'Snoozed until you’re back',
  untilBack: 'Until you’re back',
  noneSnoozed: 'Nothing snoozed',
  preferences: 'Preferences',
  /** Link to the page with the whole inbox. */
  seeAll: 'See all',
  archiveRead: 'Archive all read',
  mute: 'Mute this type',
  unmute: 'Unmute this type',
  /** @type {(name: string) => string} */
  muteType: (name) => `Mute “${name}”`,
  /** @type {(name: string) => string} */
  unmuteType: (name) => `Unmute “${name}”`,
  wasMuted: 'Muted: only shown here from now on',
  wasUnmuted: 'Unmuted',
  actions: 'Actions',
  /** @type {(count: number | string) => string} */
  wasRead: (count) => (count === 1 ? 'Marked as read' : `${count} marked as read`),
  wasUnread: 'Marked as unread',
  wasUnarchived: 'Moved to inbox',
  undone: 'Undone',
  shortcuts: 'Keyboard shortcuts',
  keysMove: 'Next, previous',
  keysControls: 'Controls of the row',
  keysOpen: 'Open',
  keysSelect: 'Select several',
  keysEnds: 'First, last',
  progress: 'Progress',
  /** @type {(count: number | string) => string} */
  folded: (count) => `${count} more`,
  fewer: 'Show less',
  now: 'now',
  urgent: 'Urgent',
  high: 'High',
  low: 'Low',
  empty: 'You’re all caught up',
  emptyMore: 'New notifications will show up here.',
  none: 'Nothing here',
  noneArchived: 'Nothing archived yet',
  failed: 'Notifications couldn’t be loaded',
  failedMore: 'We’re still trying. Check your connection.',
  ended: 'Your session has ended',
  endedMore: 'Sign in again to see your notifications.',
  retry: 'Try again',
  /** Shows the causes of a failure. */
  why: 'Why?',
  signIn: 'Sign in',
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
  blocked: 'Blocked. To allow it, open the site’s settings to the left of its address.',
  needsWorker: 'This browser shows alerts through a service worker only.',
  /** @type {(title: string) => string} */
  arrived: (title) => `New notification: ${title}`,
  /** @type {(count: number | string) => string} */
  arrivedMany: (count) => `${count} new notifications`,
  /** @type {(count: number | string) => string} */
  moreToasts: (count) => `+${count} more`,
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

/** The language under the name that `Intl` accepts: a page may have none, or write `de_DE`. @param {string} lang */
function canonical(lang) {
  try {
    return Intl.getCanonicalLocales(lang.replaceAll('_', '-'))[0] ?? 'en';
  } catch {
    return 'en';
  }
}

/** @param {string} lang */
const short = (lang) => canonical(lang).split('-')[0] ?? '';

/** Resolves when the language is loaded; null if it is loaded already. @param {string} lang @returns {Promise<void> | null} */
export function loadLanguage(lang) {
  const name = short(lang);
  const get = loaded[name] ? undefined : LANGUAGES[name];
  if (!get) return null;
  return get().then((module) => void (loaded[name] = module.default), () => {});
}

/** Texts of a language: the page's own first, English last. `lang` is the language to format times in. @param {string} lang @param {Partial<Messages>} [own] @returns {Texts} */
export function texts(lang, own) {
  const translation = loaded[short(lang)];
  const language = translation || own ? canonical(lang) : 'en';
  return { ...en, ...translation, ...own, lang: language, dir: RTL.test(language) ? 'rtl' : 'ltr' };
}
