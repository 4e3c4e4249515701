/**
 * What the person did: shown at once, told to the server one after the other, kept while nobody can be told, taken back if refused. One
 * after the other, since read, then unread, must not arrive the other way round.
 */

import { Refused } from './api.js';

/** @import { Api } from './api.js' */
/** @import { Target, Verb } from './events.js' */
/** @import { Action } from './inbox.js' */
/** @import { World } from './world.js' */

/**
 * @typedef {string | readonly string[] | 'all' | {all: true, of?: {type?: string}}} Which
 *
 * @typedef {{resolve: () => void, reject: (error: unknown) => void}} Asker
 * @typedef {Action & Partial<Asker> & {id: string, done?: boolean, kept?: boolean, held?: boolean}} Pending
 *
 * @typedef {object} Shelf  where actions are kept over a reload
 * @property {(action: Pending) => void} keep
 * @property {(id: string) => void} drop
 * @property {{kept: () => (Action & {id: string})[], alone: <T>(id: string, send: () => Promise<T>) => Promise<T | 0>} | undefined} [company]  the others who see to it
 *
 * @typedef {object} Desk  whose queue it is
 * @property {Api} api
 * @property {World} world
 * @property {() => void} changed
 * @property {(error: unknown) => void} refused
 * @property {() => string[] | null} all  the ids that "all" means now, where they are all known
 */

const AWAY = [429, 502, 503, 504]; // nobody decided anything: ask again
const AGAIN = 5_000; // ms

export class Queue {
  /** What is laid over what the server said. @type {Pending[]} */
  actions = [];
  /** @type {Shelf | null} */
  shelf = null;
  #desk;
  #busy = false;
  #resting = false;
  /** @type {any} */
  #again;

  /** @param {Desk} desk */
  constructor(desk) {
    this.#desk = desk;
  }

  /** How many wait for the server to be back. */
  get waiting() {
    return this.actions.filter(({ kept, done }) => kept && !done).length;
  }

  /** @param {Verb} verb @param {Which} which @param {Partial<Pending>} more */
  #add(verb, which, more) {
    const { world } = this.#desk;
    const now = world.now();
    /** @type {Pending} */
    const pending = { id: `${now} ${world.random()}`, verb, target: aim(which), at: new Date(now).toISOString(), ...more };
    this.#set([...this.actions, pending]);
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
  hold(verb, which) {
    const pending = this.#add(verb, which, { held: true });
    return {
      undo: () => this.#withdraw(pending),
      commit: () => {
        pending.held = false;
        void this.deliver();
      },
    };
  }

  /** The last moment to tell the server. */
  settle() {
    const held = this.actions.filter((each) => each.held);
    for (const each of held) each.held = false;
    if (held.length) void this.deliver();
  }

  async deliver() {
    if (this.#busy) return;
    this.#busy = true;
    let next;
    do next = this.actions.find(({ done, held }) => !done && !held);
    while (next && (await this.#sent(next)));
    this.#busy = false;
  }

  /** What was kept: before a reload, or by another tab. */
  recall() {
    this.#resting = false;
    const { company } = this.shelf ?? {};
    if (!company) return;
    const kept = new Map(company.kept().map((each) => [each.id, each]));
    const ours = this.actions.filter(({ id, kept: was, done }) => !was || done || kept.has(id));
    for (const { id } of ours) kept.delete(id);
    this.#set([...Array.from(kept.values(), (each) => ({ ...each, kept: true })), ...ours]);
  }

  /** The server has spoken since: what it confirmed needs no covering any more. */
  forget() {
    this.actions = this.actions.filter(({ done }) => !done);
  }

  /** Until it is recalled. */
  rest() {
    this.#resting = true;
    this.#desk.world.clearTimeout(this.#again);
  }

  /** Whether the next may follow. @param {Pending} pending */
  async #sent(pending) {
    const send = () => this.#desk.api.act(pending.verb, pending.target);
    const { id, kept, resolve } = pending;
    try {
      const changed = await (kept && this.shelf?.company ? this.shelf.company.alone(id, send) : send());
      this.shelf?.drop(id);
      // It stays on top until the next event, so that nothing flickers; none comes if nothing changed.
      pending.done = true;
      if (changed === 0) this.#withdraw(pending);
      else this.#desk.changed();
      resolve?.();
    } catch (error) {
      if (!(error instanceof Refused) || AWAY.includes(error.status)) return this.#keep();
      this.shelf?.drop(id);
      this.#withdraw(pending);
      this.#desk.refused(error);
      pending.reject?.(error);
    }
    return true;
  }

  #keep() {
    const { world, all, changed } = this.#desk;
    for (const each of this.actions) {
      if (each.done || each.held) continue;
      // "All" said now must not mean what comes before it is told.
      const ids = !each.kept && 'all' in each.target && !each.target.of && each.verb !== 'unarchive' && all();
      if (ids) each.target = { ids };
      each.kept = true;
      this.shelf?.keep(each);
    }
    world.clearTimeout(this.#again);
    if (!this.#resting) this.#again = world.setTimeout(() => void this.deliver(), AGAIN);
    changed();
    return false;
  }

  /** @param {Pending} pending */
  #withdraw(pending) {
    this.#set(this.actions.filter((other) => other !== pending));
  }

  /** @param {Pending[]} actions */
  #set(actions) {
    this.actions = actions;
    this.#desk.changed();
  }
}

/** @param {Which} which @returns {Target} */
function aim(which) {
  if (which === 'all') return { all: true };
  if (typeof which === 'string') return { ids: [which] };
  return 'all' in which ? which : { ids: [...which] };
}
