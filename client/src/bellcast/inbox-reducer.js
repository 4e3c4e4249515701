/** Inbox reducer: pure functions, the only code that changes the inbox state. Invariant: snapshot + events == fresh snapshot. */

import { assertNever } from './events.js';

/** @import { BellcastEvent, Change, Counts, Notification, Page, Query, Target, Verb, View } from './events.js' */

/**
 * @typedef {object} Inbox
 * @property {readonly Notification[]} rows  newest first; includes rows that left the view, so that undo needs no fetch
 * @property {Query} query
 * @property {string} floor  sort key of the oldest loaded row, '' if all are loaded; rows below it are not shown
 * @property {string | null} next
 * @property {number} unread
 * @property {number} unseen
 * @property {string | null} position
 * @property {boolean} [awaits_return]
 * @property {boolean} stale  events do not determine the state: fetch again
 *
 * @typedef {{verb: Verb, target: Target, at: string}} Action
 */

/** Fields that a change sets. @type {Record<Exclude<Change, 'deleted'>, (row: Notification, at: string) => Partial<Notification>>} */
const EFFECTS = {
  seen: ({ seen_at }, at) => ({ seen_at: seen_at ?? at }),
  read: ({ seen_at, read_at }, at) => ({ seen_at: seen_at ?? at, read_at: read_at ?? at }),
  unread: () => ({ read_at: null }),
  archived: ({ archived_at }, at) => ({ archived_at: archived_at ?? at, snoozed_until: null, awaits_return: undefined }),
  unarchived: () => ({ archived_at: null, snoozed_until: null, awaits_return: undefined }),
};

/** @type {Inbox} */
export const EMPTY = { rows: [], query: {}, floor: '', next: null, unread: 0, unseen: 0, position: null, stale: true };

/** @param {Page} page @param {Query} [query] @returns {Inbox} */
export function snapshot(page, query = {}) {
  const { notifications: rows, ...counts } = page;
  return { ...counts, rows, query, floor: floorOf(page), stale: false };
}

/** Append an older page. @param {Inbox} inbox @param {Page} page @returns {Inbox} */
export function extend(inbox, page) {
  return page.notifications.reduce(upsert, { ...inbox, floor: floorOf(page), next: page.next });
}

/** @param {Page} page */
const floorOf = ({ notifications, next }) => (next && notifications.length && placeOf(/** @type {Notification} */ (notifications.at(-1)))) || '';

/** The sort key of a row: the id, with the time of waking if the row was snoozed. @param {Notification} row */
export function placeOf({ id, woken_at }) {
  if (!woken_at) return id;
  const time = Date.parse(woken_at).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}${id.slice(13)}`;
}

/** Changes that may add rows to a view that have not been loaded. @type {Record<View, Change[]>} */
const REFETCH_TRIGGERS = { all: ['unarchived'], unread: ['unarchived', 'unread'], read: ['unarchived', 'read'], archived: ['archived'], snoozed: [] };

/** Rows that belong to the view. @param {Inbox} inbox */
export const visible = ({ rows, query }) => rows.filter((row) => matches(row, query));

/** @param {Notification} row @param {Query} query */
function matches(row, { view = 'all', type, tag }) {
  if (type && row.type !== type) return false;
  if (tag && !row.tags.includes(tag)) return false;
  if (row.snoozed_until) return view === 'snoozed';
  if (row.archived_at) return view === 'archived';
  if (view === 'unread') return !row.read_at;
  return view === 'read' ? Boolean(row.read_at) : view === 'all';
}

/**
 * Apply a server event. Applying one twice changes nothing.
 * @param {Inbox} inbox @param {BellcastEvent} event @returns {Inbox}
 */
export function apply(inbox, event) {
  switch (event.type) {
    case 'notification':
    case 'notification-update':
      return withCounts(upsert(inbox, event.notification), event);
    case 'notification-delete':
      return withCounts(change(inbox, 'deleted', { ids: [event.id] }, ''), event);
    case 'counts': {
      const { changed, ids = [], of, at = '' } = event;
      const target = ids === 'all' ? { all: /** @type {const} */ (true), of } : { ids };
      return withCounts(changed ? change(inbox, changed, target, at) : inbox, event);
    }
    case 'ready': {
      // Adopting the position before the replay arrives would skip the replay after a disconnect.
      const { unread = inbox.unread, unseen = inbox.unseen, position, resumed } = event;
      return { ...inbox, unread, unseen, stale: inbox.stale || !(resumed || position === inbox.position) };
    }
    case 'reset':
      return { ...withCounts(inbox, event), stale: true };
    case 'event': case 'presence': case 'typing': case 'preferences': case 'heartbeat': case 'close': case 'ack': case 'pong': case 'error':
      return inbox;
    default:
      assertNever(event);
      return inbox;
  }
}

/**
 * Apply an action before the server confirms it; the counters change by the loaded rows only.
 * @param {Inbox} inbox @param {Action} action @returns {Inbox}
 */
export function applyOptimistic(inbox, { verb, target, at }) {
  const after = change(inbox, changeOf(verb), target, at);
  const whole = 'all' in target && !target.of && verb !== 'unread' && verb !== 'unarchive';
  /** @param {'unread' | 'unseen'} counter @param {'read_at' | 'seen_at'} mark */
  const left = (counter, mark) =>
    whole ? 0 : Math.max(0, inbox[counter] + countOpen(after.rows, mark) - countOpen(inbox.rows, mark));
  return {
    ...after,
    unread: whole && verb === 'seen' ? inbox.unread : left('unread', 'read_at'),
    unseen: left('unseen', 'seen_at'),
  };
}

/** The change that an action causes, for example archive: archived. @param {Verb} verb */
const changeOf = (verb) => /** @type {Change} */ (verb.replace(/e$/, 'ed'));

/** @param {readonly Notification[]} rows @param {'read_at' | 'seen_at'} mark */
const countOpen = (rows, mark) => rows.filter((row) => !row[mark] && !row.archived_at && !row.snoozed_until).length;

/** @param {Inbox} inbox @param {Counts} counts @returns {Inbox} */
const withCounts = (inbox, { unread, unseen, position }) => ({ ...inbox, unread, unseen, position });

/** Insert or replace a row at its sorted position. @param {Inbox} inbox @param {Notification} row @returns {Inbox} */
function upsert(inbox, row) {
  const place = placeOf(row);
  if (place < inbox.floor) return inbox;
  const rows = inbox.rows.filter(({ id }) => id !== row.id); // a row that woke has another sort key
  const at = rows.findIndex((other) => placeOf(other) < place);
  return { ...inbox, rows: rows.toSpliced(at < 0 ? rows.length : at, 0, row) };
}

/** @param {Inbox} inbox @param {Change} changed @param {Target} target @param {string} at @returns {Inbox} */
function change(inbox, changed, target, at) {
  const isTarget = matcher(target, changed);
  const rows = inbox.rows.flatMap((row) => (!isTarget(row) ? row : changed === 'deleted' ? [] : { ...row, ...EFFECTS[changed](row, at) }));
  return { ...inbox, rows, stale: inbox.stale || (REFETCH_TRIGGERS[inbox.query.view ?? 'all'].includes(changed) && hasMissingRows(inbox, target)) };
}

/** @param {Target} target @param {Change} changed @returns {(row: Notification) => boolean} */
function matcher(target, changed) {
  if ('ids' in target) {
    const ids = new Set(target.ids);
    return ({ id }) => ids.has(id);
  }
  const of = { view: changed === 'unarchived' ? /** @type {const} */ ('archived') : /** @type {const} */ ('all'), ...target.of };
  return (row) => matches(row, of);
}

/** True if the target contains rows that are not loaded. Their ids do not show whether they are below the floor: a row that woke sorts higher. @param {Inbox} inbox @param {Target} target */
function hasMissingRows({ rows }, target) {
  return !('ids' in target) || target.ids.some((id) => !rows.some((row) => row.id === id));
}
