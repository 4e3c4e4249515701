/**
 * What the person did: shown at once, told to the server one after the other, kept while nobody can be told, taken back if refused. One
 * after the other, since read, then unread, must not arrive the other way round.
 */

import * as forecast from './forecast.js';
import { none } from './strict.js';

/** @import { Target, Verb } from './events.js' */
/** @import { Desk, Pending, Place, Shelf } from './shelf.js' */

/** @typedef {string | Iterable<string> | 'all' | {all: true, of?: {type?: string}}} Which */

const AWAY = [undefined, 429, 502, 503, 504]; // no answer, or one in which nobody decided anything: ask again
/** @type {Place} */
const NOWHERE = { name: '', signal: AbortSignal.abort() };

export class Queue {
  /** What is laid over what the server said. @type {Pending[]} */
  actions = [];
  #desk;
  #place = NOWHERE;
  /** Where they are kept. @type {Shelf | null} */
  #shelf = null;
  #busy = false;

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
    const pending = { id: `${now} ${world.random()}`, verb, target: aim(verb, which), at: new Date(now).toISOString(), ...more };
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
    for (const each of this.actions) {
      if (!each.held) continue;
      each.held = false;
      void this.deliver();
    }
  }

  async deliver() {
    if (this.#busy) return;
    this.#busy = true;
    let next;
    do next = this.actions.find(({ done, held }) => !done && !held);
    while (next && (await this.#sent(next)));
    this.#busy = false;
  }

  /** Another page, or another person. @param {Place} place */
  enter(place) {
    this.#place = place;
    this.#shelf = null;
  }

  /** What was kept: before a reload, or by another tab. */
  async recall() {
    (await this.#fetch()).recall();
  }

  /** The server has spoken since: what it confirmed needs no covering any more. */
  forget() {
    this.actions = this.actions.filter(({ done }) => !done);
  }

  /** Whether the next may follow. @param {Pending} pending */
  async #sent(pending) {
    const send = () => this.#desk.api.act(pending.verb, pending.target);
    try {
      const changed = await (this.#shelf ? this.#shelf.alone(pending, send) : send());
      // It stays on top until the next event, so that nothing flickers; none comes if nothing changed.
      pending.done = true;
      if (changed === 0) this.#withdraw(pending);
      else this.#desk.changed();
      pending.resolve?.();
    } catch (/** @type {any} */ error) {
      if (AWAY.includes(error.status)) {
        void this.#fetch().then((shelf) => shelf.keep());
        return false;
      }
      this.#withdraw(pending);
      this.#desk.refused(error);
      pending.reject?.(error);
    }
    this.#shelf?.drop(pending.id);
    return true;
  }

  async #fetch() {
    const { Shelf } = await forecast.weather(this.#desk.world, this.#place.signal);
    this.#shelf ??= new Shelf(this, this.#desk, this.#place);
    return this.#shelf;
  }

  /** @param {Pending} pending */
  #withdraw(pending) {
    this.set(this.actions.filter((other) => other !== pending));
  }

  /** @param {Pending[]} actions */
  set(actions) {
    this.actions = actions;
    this.#desk.changed();
  }
}

/** What a call means. A filter that it cannot express is an error before anything is done, never left out. @param {Verb} verb @param {Which} which @returns {Target} */
function aim(verb, which) {
  if (which === 'all') return { all: true };
  if (typeof which === 'string') return { ids: [which] };
  if (Symbol.iterator in which) return { ids: [...which] };
  const { all, of, ...others } = which;
  const { type, ...more } = { ...of };
  none({ ...others, ...more, ...(all !== true && { all }), ...(of && !type && { of }) }, verb);
  return which;
}
