/** Actions done while the server was unavailable: stored across reloads, shown in all of the user's tabs, sent by one of them. */

/** @import { Api, Outcome } from './api.js' */
/** @import { Notification, View } from './events.js' */
/** @import { Action } from './inbox-reducer.js' */
/** @import { Environment } from './environment.js' */

/**
 * @typedef {{resolve: (ids?: string[] | null) => void, reject: (error: unknown) => void}} PromiseCallbacks
 * @typedef {Action & {id: string}} StoredAction
 * @typedef {StoredAction & Partial<PromiseCallbacks> & {isConfirmed?: boolean, isDeferred?: boolean, isQueued?: boolean, isSent?: boolean, isStored?: boolean | undefined}} Pending  `isQueued`: waiting for
 *   the server; `isSent`: sent, with or without a response; `isStored`: in `localStorage` too
 *
 * @typedef {object} QueueContext  the session, as the queue uses it
 * @property {Api} api
 * @property {Environment} environment
 * @property {() => boolean} isLive  whether the connection is live
 * @property {() => void} onChange
 * @property {(error: unknown) => void} onRefused
 * @property {{withPending: (actions: readonly Action[]) => {notifications: readonly Notification[], next: string | null}}} view  the whole inbox
 *
 * @typedef {object} StorageScope  lock and storage names shared by the user's tabs; without locks, actions stay in memory
 * @property {LockManager | undefined} [locks]
 * @property {string} name
 * @property {AbortSignal} signal
 *
 * @typedef {{actions: Pending[], deliver: () => Promise<void>, set: (actions: Pending[]) => void}} Queue
 */

const MAX_IDS = 1_000; // ids in one request, the server's limit
const RETRY_DELAY = 5_000; // ms

export class OfflineStore {
  #queue;
  #context;
  #scope;
  /** Prefix of the storage keys. */
  #prefix;
  /** @type {any} */
  #retryTimer;

  /** @param {Queue} queue @param {QueueContext} context @param {StorageScope} scope */
  constructor(queue, context, scope) {
    const { clearTimeout, page } = context.environment;
    this.#queue = queue;
    this.#context = context;
    this.#scope = scope;
    this.#prefix = `${scope.name} kept `;
    /** @param {Event & {key?: string | null}} event */
    const listen = ({ key }) => key?.startsWith(this.#prefix) && this.restore();
    page.addEventListener('storage', listen, scope);
    scope.signal.addEventListener('abort', () => clearTimeout(this.#retryTimer));
  }

  /** Store all pending actions and schedule a retry. */
  saveAll() {
    const { onChange, environment } = this.#context;
    for (const each of this.#queue.actions) if (!each.isConfirmed && !each.isDeferred) this.#save(each);
    environment.clearTimeout(this.#retryTimer);
    if (!this.#scope.signal.aborted) this.#retryTimer = environment.setTimeout(() => void this.#queue.deliver(), RETRY_DELAY);
    onChange();
  }

  /** @param {Pending} action */
  #save(action) {
    const { id, verb, at, isQueued } = action;
    // "All" means the current notifications, not those that arrive before the action is sent.
    const ids = !isQueued && 'all' in action.target && verb !== 'unarchive' && this.#idsOfAll(action.target.of);
    if (ids) action.target = { ids };
    action.isQueued = true;
    action.isStored = this.#withStorage((storage) => (storage.setItem(this.#prefix + id, JSON.stringify({ id, verb, target: action.target, at })), true));
  }

  /** The ids that "all" stands for now, or null if not all are loaded. @param {{type?: string, view?: View, tag?: string}} [of] */
  #idsOfAll({ type, view, tag } = {}) {
    if (view === 'archived' || view === 'snoozed') return null; // these are not in the inbox's rows
    const { notifications, next } = this.#context.view.withPending([]);
    const isMeant = (/** @type {Notification} */ row) =>
      (!type || row.type === type) && (!tag || row.tags.includes(tag)) && (view === 'read' ? row.read_at : view !== 'unread' || !row.read_at);
    const ids = notifications.flatMap((row) => (isMeant(row) ? [row.id] : []));
    return next || ids.length > MAX_IDS ? null : ids;
  }

  /** Load stored actions. If the entry of a stored action is missing, another tab has sent it. */
  restore() {
    const { actions } = this.#queue;
    const stored = this.#withStorage((storage) => new Map(this.#keys(storage).map((key) => [key, JSON.parse(storage.getItem(key) ?? '')])));
    if (stored && (stored.size || actions.some(({ isStored }) => isStored))) {
      const ours = actions.filter(({ id, isStored, isConfirmed }) => !isStored || isConfirmed || stored.has(this.#prefix + id));
      for (const { id } of ours) stored.delete(this.#prefix + id);
      this.#queue.set([...Array.from(stored.values(), (each) => ({ ...each, isQueued: true, isStored: true })), ...ours]);
    }
    if (this.#context.isLive()) void this.#queue.deliver();
  }

  /** Oldest first. @param {Storage} storage */
  #keys(storage) {
    return Object.keys(storage).filter((key) => key.startsWith(this.#prefix)).sort();
  }

  /** Send in one tab at a time; skipped if another tab has sent the action. @param {Pending} action @param {() => Promise<Outcome>} send @returns {Promise<Outcome>} */
  runExclusively({ id, isStored }, send) {
    const { locks } = this.#scope;
    if (!locks || !isStored) return send();
    return locks.request(this.#prefix, async () => (this.#withStorage((storage) => storage.getItem(this.#prefix + id) === null) ? { changed: 0 } : send()));
  }

  /** @param {string} id */
  remove(id) {
    this.#withStorage((storage) => storage.removeItem(this.#prefix + id));
  }

  /** Storage may be forbidden or full: then actions stay in memory. @template T @param {(storage: Storage) => T} run */
  #withStorage(run) {
    try {
      const storage = this.#scope.locks && (this.#context.environment.storage ?? (() => localStorage))();
      return storage && run(storage);
    } catch {
      return undefined;
    }
  }
}
