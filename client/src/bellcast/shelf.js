/** What was done while nobody could be told: kept in this browser over a reload, shown by all of its tabs, told by one of them. */

/** @import { Api } from './api.js' */
/** @import { Notification } from './events.js' */
/** @import { Action } from './inbox.js' */
/** @import { World } from './world.js' */

/**
 * @typedef {{resolve: () => void, reject: (error: unknown) => void}} Asker
 * @typedef {Action & {id: string}} Kept
 * @typedef {Kept & Partial<Asker> & {done?: boolean, held?: boolean, kept?: boolean, shelved?: boolean}} Pending  `kept`: till the server
 *   is back; `shelved`: over a reload too
 *
 * @typedef {object} Desk  whose queue it is
 * @property {Api} api
 * @property {World} world
 * @property {() => boolean} live  whether the server is there
 * @property {() => void} changed
 * @property {(error: unknown) => void} refused
 * @property {{after: (actions: readonly Action[]) => {notifications: readonly Notification[], next: string | null}}} view  of the whole inbox
 *
 * @typedef {object} Place  the tabs that keep it; without locks they share nothing, and it is kept in mind only
 * @property {LockManager | undefined} [locks]
 * @property {string} name
 * @property {AbortSignal} signal
 *
 * @typedef {{actions: Pending[], deliver: () => Promise<void>, set: (actions: Pending[]) => void}} Queue
 */

const MOST = 1_000; // ids in one request, the server's limit
const AGAIN = 5_000; // ms

export class Shelf {
  #queue;
  #desk;
  #place;
  /** How the keys begin. */
  #name;
  /** @type {any} */
  #again;

  /** @param {Queue} queue @param {Desk} desk @param {Place} place */
  constructor(queue, desk, place) {
    const { clearTimeout, page } = desk.world;
    this.#queue = queue;
    this.#desk = desk;
    this.#place = place;
    this.#name = `${place.name} kept `;
    /** @param {Event & {key?: string | null}} event */
    const stored = ({ key }) => key?.startsWith(this.#name) && this.recall();
    page.addEventListener('storage', stored, { signal: place.signal });
    place.signal.addEventListener('abort', () => clearTimeout(this.#again));
  }

  /** All that wait, until the server is back. */
  keep() {
    const { changed, world } = this.#desk;
    for (const each of this.#queue.actions) if (!each.done && !each.held) this.#keep(each);
    world.clearTimeout(this.#again);
    if (!this.#place.signal.aborted) this.#again = world.setTimeout(() => void this.#queue.deliver(), AGAIN);
    changed();
  }

  /** @param {Pending} action */
  #keep(action) {
    const { id, verb, at, kept } = action;
    // "All" said now must not mean what comes before it is told.
    const ids = !kept && 'all' in action.target && verb !== 'unarchive' && this.#all(action.target.of?.type);
    if (ids) action.target = { ids };
    action.kept = true;
    action.shelved = this.#store((storage) => (storage.setItem(this.#name + id, JSON.stringify({ id, verb, target: action.target, at })), true)) ?? false;
  }

  /** What "all" means now, where we know all of it. @param {string} [only] */
  #all(only) {
    const { notifications, next } = this.#desk.view.after([]);
    const ids = notifications.flatMap(({ id, type }) => (only && type !== only ? [] : [id]));
    return next || ids.length > MOST ? null : ids;
  }

  /** What was kept: before a reload, or by another tab. What was shelved and is no longer has been told. */
  recall() {
    const { actions } = this.#queue;
    const kept = this.#store((storage) => new Map(this.#keys(storage).map((key) => [key, JSON.parse(storage.getItem(key) ?? '')])));
    if (kept && (kept.size || actions.some(({ shelved }) => shelved))) {
      const ours = actions.filter(({ id, shelved, done }) => !shelved || done || kept.has(this.#name + id));
      for (const { id } of ours) kept.delete(this.#name + id);
      this.#queue.set([...Array.from(kept.values(), (each) => ({ ...each, kept: true, shelved: true })), ...ours]);
    }
    if (this.#desk.live()) void this.#queue.deliver();
  }

  /** Oldest first. @param {Storage} storage */
  #keys(storage) {
    return Object.keys(storage).filter((key) => key.startsWith(this.#name)).sort();
  }

  /** For one tab at a time; for none if another has done it. @template T @param {Pending} action @param {() => Promise<T>} send @returns {Promise<T | 0>} */
  alone({ id, shelved }, send) {
    const { locks } = this.#place;
    if (!locks || !shelved) return send();
    return locks.request(this.#name, async () => (this.#store((storage) => storage.getItem(this.#name + id) === null) ? 0 : send()));
  }

  /** @param {string} id */
  drop(id) {
    this.#store((storage) => storage.removeItem(this.#name + id));
  }

  /** A page may be forbidden to keep anything, or have no room: then nothing outlives it. @template T @param {(storage: Storage) => T} run */
  #store(run) {
    try {
      const storage = this.#place.locks && (this.#desk.world.storage ?? (() => localStorage))();
      return storage && run(storage);
    } catch {
      return undefined;
    }
  }
}
