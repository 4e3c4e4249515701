/** Live topics: who is on them, what is said there, what the app is asked. Fetched by who follows one or asks something. */

import { speaking } from './speaking.js';

/** @import { Refused } from './api.js' */
/** @import { Member, Presence } from './events.js' */
/** @import { Line, Speaking } from './speaking.js' */

export { speaking };

/**
 * @typedef {object} Podium  whose topics they are
 * @property {Set<string>} topics
 * @property {() => {line?: Line | null, company?: Pick<Speaking, 'ask' | 'follow'> | undefined}} tabs  where to speak
 * @property {(type: 'presence', event: Presence) => void} tell
 * @property {() => Refused} unheard
 */

export class Topics {
  #podium;
  /** @type {Map<string, Member[]>} */
  #present = new Map();

  /** @param {Podium} podium */
  constructor(podium) {
    this.#podium = podium;
  }

  get #voice() {
    const { company, line } = this.#podium.tabs();
    return line && (company ?? speaking(line));
  }

  /** @param {string[]} topics */
  async subscribe(topics) {
    try {
      return this.#meet(await this.#voice?.follow('subscribe', topics));
    } catch (error) {
      for (const topic of topics) this.#podium.topics.delete(topic);
      throw error;
    }
  }

  /** @param {string[]} topics */
  async unsubscribe(topics) {
    for (const topic of topics) this.#present.delete(topic);
    return this.#voice?.follow('unsubscribe', topics);
  }

  /** Those that are followed already; the answer tells who is there. */
  async meet() {
    const { topics, tabs } = this.#podium;
    if (tabs().line?.twoWay) this.#meet(await this.#voice?.follow('subscribe', [...topics]));
  }

  /** @param {string} topic @returns {Member[]} */
  members(topic) {
    return [...(this.#present.get(topic) ?? [])];
  }

  /** @param {Presence} event */
  hear({ topic, joined, left }) {
    const there = new Map([...this.members(topic), ...joined].map((each) => [each.recipient, each]));
    for (const { recipient } of left) there.delete(recipient);
    this.#present.set(topic, [...there.values()]);
  }

  /** @param {object} frame @returns {Promise<any>} */
  ask(frame) {
    return this.#voice?.ask(frame) ?? Promise.reject(this.#podium.unheard());
  }

  /** @param {{presence?: Record<string, Member[]>} | null} met */
  #meet(met) {
    for (const [topic, members] of Object.entries(met?.presence ?? {})) {
      this.#present.set(topic, members);
      this.#podium.tell('presence', { type: 'presence', topic, joined: members, left: [] });
    }
    return met;
  }
}
