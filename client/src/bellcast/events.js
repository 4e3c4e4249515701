/** The frames that the server sends, as a closed union, and the types of requests. Unknown frames are ignored. */

/**
 * @typedef {{id?: string, name?: string, avatar?: string}} Actor
 * @typedef {{key: string, label: string, url: string | null, call: string | null, style: 'primary' | 'default' | 'danger'}} ActionButton
 *
 * @typedef {object} Notification
 * @property {string} id  UUIDv7: sorts by time
 * @property {string} type
 * @property {string} title
 * @property {string | null} body
 * @property {'plain' | 'markdown'} [body_format]
 * @property {'low' | 'normal' | 'high' | 'urgent'} priority
 * @property {string | null} action_url
 * @property {string | null} action_text
 * @property {string | null} icon
 * @property {Actor | null} actor
 * @property {Record<string, unknown>} data
 * @property {string[]} tags
 * @property {string | null} group
 * @property {string} created_at
 * @property {string | null} expires_at
 * @property {string | null} seen_at
 * @property {string | null} read_at
 * @property {string | null} archived_at
 * @property {ActionButton[]} [actions]
 * @property {{key: string, at: string} | null} [acted]
 * @property {string | null} [snoozed_until]
 * @property {boolean | undefined} [awaits_return]  snoozed until the user is back, but at most until `snoozed_until`
 * @property {string | null} [woken_at]  the row was snoozed until this time, and is sorted by it
 *
 * @typedef {'all' | 'unread' | 'read' | 'archived' | 'snoozed'} View
 * @typedef {'seen' | 'read' | 'unread' | 'archived' | 'unarchived' | 'deleted'} Change
 * @typedef {{unread: number, unseen: number, position: string}} Counts
 * @typedef {{topic: string, code: string, message: string}} RefusedTopic
 * @typedef {{recipient: string, name?: string}} Member
 *
 * @typedef {'seen' | 'read' | 'unread' | 'archive' | 'unarchive' | 'delete'} Verb
 * @typedef {{ids: string[]} | {all: true, of?: {type?: string, view?: View, tag?: string} | undefined}} Target
 * @typedef {{view?: View, type?: string, tag?: string}} Query
 * @typedef {Counts & {notifications: Notification[], next: string | null, awaits_return?: boolean}} Page  the body of GET /v1/inbox
 *
 * @typedef {Counts & {type: 'ready', connection: string, recipient: string | null, heartbeat: number, resumed: boolean,
 *   id?: string | null, topics: string[], refused: RefusedTopic[]}} Ready
 * @typedef {Counts & {type: 'notification' | 'notification-update', notification: Notification}} NotificationEvent
 * @typedef {Counts & {type: 'notification-delete', id: string}} DeletedEvent
 * @typedef {Counts & {type: 'counts', changed?: Change, ids?: string[] | 'all', of?: {type?: string, view?: View, tag?: string},
 *   at?: string}} CountsEvent  `at` is the time of the change
 * @typedef {Counts & {type: 'reset'}} Reset
 * @typedef {{type: 'event', topic?: string, name: string, data: unknown, id?: string}} LiveEvent  `id` if the event is kept in the topic's history
 * @typedef {{type: 'presence', topic: string, joined: Member[], left: Member[]}} Presence
 * @typedef {{type: 'typing', topic: string, recipient: string, on: boolean}} Typing
 * @typedef {{type: 'preferences', preferences: object}} PreferencesEvent
 * @typedef {{type: 'heartbeat', time: string}} Heartbeat
 * @typedef {{type: 'close', code: number, reason: string, reconnect: boolean, after?: number, id?: string}} Close
 * @typedef {{type: 'ack', ref: string, id?: string, [field: string]: unknown}} Ack
 * @typedef {{type: 'pong', ref?: string}} Pong
 * @typedef {{type: 'error', ref?: string, code: string, message: string}} ErrorFrame
 *
 * @typedef {Ready | NotificationEvent | DeletedEvent | CountsEvent | Reset | LiveEvent | Presence | Typing | PreferencesEvent | Heartbeat | Close | Ack | Pong | ErrorFrame} BellcastEvent
 */

/** Required fields of each frame type. @type {Record<BellcastEvent['type'], string>} */
const REQUIRED_FIELD = {
  ready: 'heartbeat',
  notification: 'notification',
  'notification-update': 'notification',
  'notification-delete': 'id',
  counts: 'unread',
  reset: 'unread',
  event: 'name',
  presence: 'joined',
  typing: 'recipient',
  preferences: 'preferences',
  heartbeat: 'type',
  close: 'reconnect',
  ack: 'ref',
  pong: 'type',
  error: 'code',
};

/**
 * Parse one frame; null if it is invalid or has an unknown type, which a newer server may send.
 * @param {string} text
 * @param {string} [type]  SSE sends the type outside the data
 * @returns {BellcastEvent | null}
 */
export function parse(text, type) {
  try {
    const frame = { ...JSON.parse(text), ...(type && { type }) };
    return Object.hasOwn(REQUIRED_FIELD, frame.type) && frame[REQUIRED_FIELD[/** @type {'ready'} */ (frame.type)]] != null ? frame : null;
  } catch {
    return null;
  }
}

/** Exhaustiveness check for a switch over the types. @param {never} event */
export const assertNever = (event) => void event;
