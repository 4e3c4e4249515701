/** Live topics: who is on them, what is said there, what the app is asked. Fetched by who follows one or asks something. */

import { speaking } from './speaking.js';

/** @import { Refused } from './api.js' */
/** @import { Member, Presence, RefusedTopic } from './events.js' */
/** @import { Line, Speaking } from './speaking.js' */
/** @import { Place } from './warnings.js' */

export { speaking };

/**
 * @typedef {object} Podium  whose topics they are
 * @property {Set<string>} topics
 * @property {() => {line?: Line | null, company?: Pick<Speaking, 'ask' | 'follow'> | undefined, plan?: Place}} tabs  where to speak
 * @property {(type: 'presence' | 'refused', detail: Presence | RefusedTopic) => void} tell
 * @property {() => Refused} unheard
 */

export class Topics {
  #podium;
  /** @type {Map<string, Member[]>} */
  #present = new Map();
  /** Each topic and code that was told. @type {Set<string>} */
  #refused = new Set();

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
      const met = await this.#follow(topics);
      for (const { topic } of met?.refused ?? []) this.#podium.topics.delete(topic);
      return met;
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
    const { line } = tabs();
    this.#refuse(line?.greeting?.refused ?? []);
    if (line?.twoWay) await this.#follow([...topics]);
  }

  /** @param {string[]} topics @returns {Promise<any>} */
  async #follow(topics) {
    try {
      return this.#meet(await this.#voice?.follow('subscribe', topics));
    } catch (error) {
      const { code, message } = /** @type {Refused} */ (error);
      if (code !== 'not_connected') this.#refuse(topics.map((topic) => ({ topic, code, message })));
      throw error;
    }
  }

  /** Tells the page and its developer, once, of topics that this tab follows. @param {readonly RefusedTopic[]} refused */
  #refuse(refused) {
    const { topics, tabs, tell } = this.#podium;
    for (const each of refused) {
      const key = `${each.topic} ${each.code}`;
      if (!topics.has(each.topic) || this.#refused.has(key)) continue;
      this.#refused.add(key);
      tell('refused', each);
      const { plan } = tabs();
      if (plan) void import('./warnings.js').then(({ warn }) => warn(plan, each), () => {});
    }
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

  /** @param {{presence?: Record<string, Member[]>, refused?: RefusedTopic[]} | null} met */
  #meet(met) {
    this.#refuse(met?.refused ?? []);
    for (const [topic, members] of Object.entries(met?.presence ?? {})) {
      this.#present.set(topic, members);
      this.#podium.tell('presence', { type: 'presence', topic, joined: members, left: [] });
    }
    return met;
  }
}
