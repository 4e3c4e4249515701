/**
 * What the person did: shown at once, told to the server one after the other, kept while nobody can be told, taken back if refused. One
 * after the other, since read, then unread, must not arrive the other way round.
 */

import { loadResilience } from './lazy.js';
import { rejectUnknown } from './strict.js';

/** @import { Target, Verb } from './events.js' */
/** @import { QueueContext, Pending, StorageScope, OfflineStore } from './offline-store.js' */

/** @typedef {string | Iterable<string> | 'all' | {all: true, of?: {type?: string}}} Which */

const RETRYABLE_STATUSES = [undefined, 429, 502, 503, 504]; // no answer, or one in which nobody decided anything: ask again
/** @type {StorageScope} */
const NO_SCOPE = { name: '', signal: AbortSignal.abort() };

export class ActionQueue {
  /** What is laid over what the server said. @type {Pending[]} */
  actions = [];
  #context;
  #scope = NO_SCOPE;
  /** Where they are kept. @type {OfflineStore | null} */
  #store = null;
  #isDelivering = false;

  /** @param {QueueContext} desk */
  constructor(desk) {
    this.#context = desk;
  }

  /** How many wait for the server to be back. */
  get queuedCount() {
    return this.actions.filter(({ isQueued, isConfirmed }) => isQueued && !isConfirmed).length;
  }

  /** @param {Verb} verb @param {Which} which @param {Partial<Pending>} more */
  #add(verb, which, more) {
    const { environment } = this.#context;
    const now = environment.now();
    /** @type {Pending} */
    const pending = { id: `${now} ${environment.random()}`, verb, target: toTarget(verb, which), at: new Date(now).toISOString(), ...more };
    this.set([...this.actions, pending]);
    return pending;
  }

  /** @param {Verb} verb @param {Which} which @returns {Promise<void>} */
  act(verb, which) {
    return new Promise((resolve, reject) => {
      this.#add(verb, which, { resolve, reject });
      void this.deliver();
    });
  }

  /** Done to be seen, and told when it no longer may be undone. @param {Verb} verb @param {Which} which */
  defer(verb, which) {
    const pending = this.#add(verb, which, { isDeferred: true });
    return {
      undo: () => this.#remove(pending),
      commit: () => {
        pending.isDeferred = false;
        void this.deliver();
      },
    };
  }

  /** The last moment to tell the server. */
  flushDeferred() {
    for (const each of this.actions) {
      if (!each.isDeferred) continue;
      each.isDeferred = false;
      void this.deliver();
    }
  }

  async deliver() {
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    let next;
    do next = this.actions.find(({ isConfirmed, isDeferred }) => !isConfirmed && !isDeferred);
    while (next && (await this.#send(next)));
    this.#isDelivering = false;
  }

  /** Another page, or another person. @param {StorageScope} place */
  setScope(place) {
    this.#scope = place;
    this.#store = null;
  }

  /** What was kept: before a reload, or by another tab. */
  async restore() {
    (await this.#loadStore()).restore();
  }

  /** The server has spoken since: what it confirmed needs no covering any more. */
  dropConfirmed() {
    this.actions = this.actions.filter(({ isConfirmed }) => !isConfirmed);
  }

  /** Whether the next may follow. @param {Pending} pending */
  async #send(pending) {
    const send = () => this.#context.api.act(pending.verb, pending.target);
    try {
      const changed = await (this.#store ? this.#store.runExclusively(pending, send) : send());
      // It stays on top until the next event, so that nothing flickers; none comes if nothing changed.
      pending.isConfirmed = true;
      if (changed === 0) this.#remove(pending);
      else this.#context.onChange();
      pending.resolve?.();
    } catch (/** @type {any} */ error) {
      if (RETRYABLE_STATUSES.includes(error.status)) {
        void this.#loadStore().then((shelf) => shelf.saveAll());
        return false;
      }
      this.#remove(pending);
      this.#context.onRefused(error);
      pending.reject?.(error);
    }
    this.#store?.remove(pending.id);
    return true;
  }

  async #loadStore() {
    const { OfflineStore } = await loadResilience(this.#context.environment, this.#scope.signal);
    this.#store ??= new OfflineStore(this, this.#context, this.#scope);
    return this.#store;
  }

  /** @param {Pending} pending */
  #remove(pending) {
    this.set(this.actions.filter((other) => other !== pending));
  }

  /** @param {Pending[]} actions */
  set(actions) {
    this.actions = actions;
    this.#context.onChange();
  }
}

/** What a call means. A filter that it cannot express is an error before anything is done, never left out. @param {Verb} verb @param {Which} which @returns {Target} */
function toTarget(verb, which) {
  if (which === 'all') return { all: true };
  if (typeof which === 'string') return { ids: [which] };
  if (Symbol.iterator in which) return { ids: [...which] };
  const { all, of, ...others } = which;
  const { type, ...more } = { ...of };
  rejectUnknown({ ...others, ...more, ...(all !== true && { all }), ...(of && !type && { of }) }, verb);
  return which;
}
