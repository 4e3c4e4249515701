/** Live topics: who is on them, what is said there, what the app is asked. Fetched by who follows one or asks something. */

import { rpcFor } from './rpc.js';

/** @import { Refused } from './api.js' */
/** @import { Member, Presence, RefusedTopic } from './events.js' */
/** @import { RpcConnection, Rpc } from './rpc.js' */
/** @import { Place } from './warnings.js' */

export { rpcFor };

/**
 * @typedef {object} TopicContext  whose topics they are
 * @property {Set<string>} topics
 * @property {() => {connection?: RpcConnection | null, coordinator?: Pick<Rpc, 'request' | 'changeTopics'> | undefined, options?: Place}} election  where to speak
 * @property {(type: 'presence' | 'refused', detail: Presence | RefusedTopic) => void} emit
 * @property {() => Refused} notConnected
 */

export class LiveTopics {
  #context;
  /** @type {Map<string, Member[]>} */
  #members = new Map();
  /** Each topic and code that was told. @type {Set<string>} */
  #refused = new Set();

  /** @param {TopicContext} podium */
  constructor(podium) {
    this.#context = podium;
  }

  get #channel() {
    const { coordinator, connection } = this.#context.election();
    return connection && (coordinator ?? rpcFor(connection));
  }

  /** @param {string[]} topics */
  async subscribe(topics) {
    try {
      const met = await this.#subscribe(topics);
      for (const { topic } of met?.refused ?? []) this.#context.topics.delete(topic);
      return met;
    } catch (error) {
      for (const topic of topics) this.#context.topics.delete(topic);
      throw error;
    }
  }

  /** @param {string[]} topics */
  async unsubscribe(topics) {
    for (const topic of topics) this.#members.delete(topic);
    return this.#channel?.changeTopics('unsubscribe', topics);
  }

  /** Those that are followed already; the answer tells who is there. */
  async loadPresence() {
    const { topics, election } = this.#context;
    const { connection } = election();
    this.#reportRefused(connection?.greeting?.refused ?? []);
    if (connection?.twoWay) await this.#subscribe([...topics]);
  }

  /** @param {string[]} topics @returns {Promise<any>} */
  async #subscribe(topics) {
    try {
      return this.#storePresence(await this.#channel?.changeTopics('subscribe', topics));
    } catch (error) {
      const { code, message } = /** @type {Refused} */ (error);
      if (code !== 'not_connected') this.#reportRefused(topics.map((topic) => ({ topic, code, message })));
      throw error;
    }
  }

  /** Tells the page and its developer, once, of topics that this tab follows. @param {readonly RefusedTopic[]} refused */
  #reportRefused(refused) {
    const { topics, election, emit } = this.#context;
    for (const each of refused) {
      const key = `${each.topic} ${each.code}`;
      if (!topics.has(each.topic) || this.#refused.has(key)) continue;
      this.#refused.add(key);
      emit('refused', each);
      const { options } = election();
      if (options) void import('./warnings.js').then(({ warn }) => warn(options, each), () => {});
    }
  }

  /** @param {string} topic @returns {Member[]} */
  members(topic) {
    return [...(this.#members.get(topic) ?? [])];
  }

  /** @param {Presence} event */
  onPresence({ topic, joined, left }) {
    const there = new Map([...this.members(topic), ...joined].map((each) => [each.recipient, each]));
    for (const { recipient } of left) there.delete(recipient);
    this.#members.set(topic, [...there.values()]);
  }

  /** @param {object} frame @returns {Promise<any>} */
  request(frame) {
    return this.#channel?.request(frame) ?? Promise.reject(this.#context.notConnected());
  }

  /** @param {{presence?: Record<string, Member[]>, refused?: RefusedTopic[]} | null} met */
  #storePresence(met) {
    this.#reportRefused(met?.refused ?? []);
    for (const [topic, members] of Object.entries(met?.presence ?? {})) {
      this.#members.set(topic, members);
      this.#context.emit('presence', { type: 'presence', topic, joined: members, left: [] });
    }
    return met;
  }
}
