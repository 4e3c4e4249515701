/** What was done while nobody could be told: kept in this browser over a reload, shown by all of its tabs, told by one of them. */

/** @import { Api } from './api.js' */
/** @import { Notification } from './events.js' */
/** @import { Action } from './inbox-reducer.js' */
/** @import { Environment } from './environment.js' */

/**
 * @typedef {{resolve: () => void, reject: (error: unknown) => void}} PromiseCallbacks
 * @typedef {Action & {id: string}} StoredAction
 * @typedef {StoredAction & Partial<PromiseCallbacks> & {isConfirmed?: boolean, isDeferred?: boolean, isQueued?: boolean, isStored?: boolean}} Pending  `kept`: till the server
 *   is back; `shelved`: over a reload too
 *
 * @typedef {object} QueueContext  whose queue it is
 * @property {Api} api
 * @property {Environment} environment
 * @property {() => boolean} isLive  whether the server is there
 * @property {() => void} onChange
 * @property {(error: unknown) => void} onRefused
 * @property {{withPending: (actions: readonly Action[]) => {notifications: readonly Notification[], next: string | null}}} view  of the whole inbox
 *
 * @typedef {object} StorageScope  the tabs that keep it; without locks they share nothing, and it is kept in mind only
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
  /** How the keys begin. */
  #prefix;
  /** @type {any} */
  #retryTimer;

  /** @param {Queue} queue @param {QueueContext} desk @param {StorageScope} place */
  constructor(queue, desk, place) {
    const { clearTimeout, page } = desk.environment;
    this.#queue = queue;
    this.#context = desk;
    this.#scope = place;
    this.#prefix = `${place.name} kept `;
    /** @param {Event & {key?: string | null}} event */
    const stored = ({ key }) => key?.startsWith(this.#prefix) && this.restore();
    page.addEventListener('storage', stored, { signal: place.signal });
    place.signal.addEventListener('abort', () => clearTimeout(this.#retryTimer));
  }

  /** All that wait, until the server is back. */
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
    // "All" said now must not mean what comes before it is told.
    const ids = !isQueued && 'all' in action.target && verb !== 'unarchive' && this.#idsOfAll(action.target.of?.type);
    if (ids) action.target = { ids };
    action.isQueued = true;
    action.isStored = this.#withStorage((storage) => (storage.setItem(this.#prefix + id, JSON.stringify({ id, verb, target: action.target, at })), true)) ?? false;
  }

  /** What "all" means now, where we know all of it. @param {string} [only] */
  #idsOfAll(only) {
    const { notifications, next } = this.#context.view.withPending([]);
    const ids = notifications.flatMap(({ id, type }) => (only && type !== only ? [] : [id]));
    return next || ids.length > MAX_IDS ? null : ids;
  }

  /** What was kept: before a reload, or by another tab. What was shelved and is no longer has been told. */
  restore() {
    const { actions } = this.#queue;
    const kept = this.#withStorage((storage) => new Map(this.#keys(storage).map((key) => [key, JSON.parse(storage.getItem(key) ?? '')])));
    if (kept && (kept.size || actions.some(({ isStored }) => isStored))) {
      const ours = actions.filter(({ id, isStored, isConfirmed }) => !isStored || isConfirmed || kept.has(this.#prefix + id));
      for (const { id } of ours) kept.delete(this.#prefix + id);
      this.#queue.set([...Array.from(kept.values(), (each) => ({ ...each, isQueued: true, isStored: true })), ...ours]);
    }
    if (this.#context.isLive()) void this.#queue.deliver();
  }

  /** Oldest first. @param {Storage} storage */
  #keys(storage) {
    return Object.keys(storage).filter((key) => key.startsWith(this.#prefix)).sort();
  }

  /** For one tab at a time; for none if another has done it. @template T @param {Pending} action @param {() => Promise<T>} send @returns {Promise<T | 0>} */
  runExclusively({ id, isStored }, send) {
    const { locks } = this.#scope;
    if (!locks || !isStored) return send();
    return locks.request(this.#prefix, async () => (this.#withStorage((storage) => storage.getItem(this.#prefix + id) === null) ? 0 : send()));
  }

  /** @param {string} id */
  remove(id) {
    this.#withStorage((storage) => storage.removeItem(this.#prefix + id));
  }

  /** A page may be forbidden to keep anything, or have no room: then nothing outlives it. @template T @param {(storage: Storage) => T} run */
  #withStorage(run) {
    try {
      const storage = this.#scope.locks && (this.#context.environment.storage ?? (() => localStorage))();
      return storage && run(storage);
    } catch {
      return undefined;
    }
  }
}
