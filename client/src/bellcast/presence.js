/** Who is there, by topic: from the answer to following it, kept by what is heard since. */

/** @import { Member, Presence as Moved } from './events.js' */

export class Presence {
  /** @type {Map<string, Map<string, Member>>} */
  #present = new Map();

  /** @param {string} topic @returns {Member[]} */
  members(topic) {
    return [...(this.#present.get(topic)?.values() ?? [])];
  }

  /** @param {Moved} event */
  hear({ topic, joined, left }) {
    const present = this.#present.get(topic) ?? new Map();
    for (const each of joined) present.set(each.recipient, each);
    for (const each of left) present.delete(each.recipient);
    this.#present.set(topic, present);
  }

  /** @param {string} topic @param {Member[]} members @returns {Moved} */
  meet(topic, members) {
    this.#present.delete(topic);
    /** @type {Moved} */
    const met = { type: 'presence', topic, joined: members, left: [] };
    this.hear(met);
    return met;
  }

  /** @param {string} topic */
  forget(topic) {
    this.#present.delete(topic);
  }
}
