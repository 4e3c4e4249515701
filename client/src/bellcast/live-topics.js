/** Live topics: subscriptions, members and requests. Loaded on first use. */

import { rpcFor } from './rpc.js';
import { rejectLost, rejectUnknown } from './strict.js';

/** @import { Refused } from './api.js' */
/** @import { Member, Presence, RefusedTopic } from './events.js' */
/** @import { RpcConnection, Rpc } from './rpc.js' */
/** @import { ServerContext } from './warnings.js' */

export { rpcFor };

/**
 * @typedef {object} TopicContext  the part of the session that topics use
 * @property {Pick<Map<string, unknown>, 'has' | 'delete' | 'keys'>} topics  those that the session follows
 * @property {() => {connection?: RpcConnection | null, coordinator?: Pick<Rpc, 'request' | 'changeTopics'> | undefined, options?: ServerContext}} election  the current connection
 * @property {(type: 'presence' | 'refused', detail: Presence | RefusedTopic) => void} emit
 * @property {() => Refused} notConnected
 */

/** The fields of commands, in the order of their arguments. */
const FIELDS = { publish: ['topic', 'name', 'data'], typing: ['topic', 'on'], ping: [], call: ['name', 'data'] };

/** @typedef {keyof typeof FIELDS} Command */

export class LiveTopics {
  #context;
  /** @type {Map<string, Member[]>} */
  #members = new Map();
  /** Topic and code of each reported refusal. @type {Set<string>} */
  #refused = new Set();

  /** @param {TopicContext} context */
  constructor(context) {
    this.#context = context;
  }

  get #channel() {
    const { coordinator, connection } = this.#context.election();
    return connection && (coordinator ?? rpcFor(connection));
  }

  /** @param {string[]} topics */
  async subscribe(topics) {
    try {
      const result = await this.#subscribe(topics);
      for (const { topic } of result?.refused ?? []) this.#context.topics.delete(topic);
      return result;
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

  /** Subscribe the current topics again; the response contains their members. */
  async loadPresence() {
    const { topics, election } = this.#context;
    const { connection } = election();
    this.#reportRefused(connection?.greeting?.refused ?? []);
    if (connection?.twoWay) await this.#subscribe([...topics.keys()]);
  }

  /** @param {string[]} topics @returns {Promise<any>} */
  async #subscribe(topics) {
    try {
      return this.#storePresence(await this.#channel?.changeTopics('subscribe', topics));
    } catch (error) {
      const { code, message } = /** @type {Refused} */ (error);
      if (code === 'not_connected') return null; // the next connection follows the session's topics
      this.#reportRefused(topics.map((topic) => ({ topic, code, message })));
      throw error;
    }
  }

  /** Report refused topics that this tab follows: by an event and in the console, once each. @param {readonly RefusedTopic[]} refused */
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

  /** @param {string} topic @param {unknown[]} others @returns {Member[]} */
  members(topic, ...others) {
    rejectUnknown(others, 'members');
    return [...(this.#members.get(topic) ?? [])];
  }

  /** @param {Presence} event */
  onPresence({ topic, joined, left }) {
    const members = new Map([...this.members(topic), ...joined].map((each) => [each.recipient, each]));
    for (const { recipient } of left) members.delete(recipient);
    this.#members.set(topic, [...members.values()]);
  }

  /**
   * Send a command. Throws if JSON cannot represent the data, or if there are too many arguments.
   * @param {Command} type @param {unknown[]} args @returns {Promise<any>}
   */
  request(type, args) {
    const fields = FIELDS[type];
    rejectUnknown(args.slice(fields.length), type);
    const given = fields.map((field, at) => [field, args[at]]).filter(([, value]) => value !== undefined);
    const frame = { type, ...Object.fromEntries(given) };
    JSON.stringify(frame, rejectLost);
    return this.#channel?.request(frame) ?? Promise.reject(this.#context.notConnected());
  }

  /** @param {{presence?: Record<string, Member[]>, refused?: RefusedTopic[]} | null} result */
  #storePresence(result) {
    this.#reportRefused(result?.refused ?? []);
    for (const [topic, members] of Object.entries(result?.presence ?? {})) {
      this.#members.set(topic, members);
      this.#context.emit('presence', { type: 'presence', topic, joined: members, left: [] });
    }
    return result;
  }
}
