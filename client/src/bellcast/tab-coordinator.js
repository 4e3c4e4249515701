/** Coordination of tabs that share a connection: the leader forwards events and relays requests; a follower takes over when the leader closes. */

import { leaderTab } from './transports/leader-tab.js';

/** @import { BellcastEvent, Notification } from './events.js' */
/** @import { Connection } from './connection.js' */
/** @import { TabMessage } from './transports/leader-tab.js' */
/** @import { ConnectionOptions } from './reconnect.js' */

/**
 * @typedef {object} TabContext  the part of `LeaderElection` that the coordinator uses
 * @property {string} name  of the lock and the channel
 * @property {boolean} isLeader
 * @property {Connection | null} connection
 * @property {(options: ConnectionOptions) => void} connect  replaces the current connection
 * @property {() => unknown} becomeLeader  lasts until this tab stops
 * @property {() => void} stop
 * @property {ConnectionOptions} options
 * @property {LockManager} locks
 * @property {BroadcastChannel} channel
 * @property {AbortSignal} signal  aborted when this tab stops
 */

/** Loads the code for requests and topics. */
const loadTopics = () => import('./live-topics.js');

const CLAIM_LOCK_TIME = 100; // ms until the lock is released, so that the claim reaches the next tab before it gets the lock
const LEADER_ONLY = new Set(['ack', 'pong', 'error']); // frames that are not forwarded
/** A follower never sends its token to another tab. */
const NO_CREDENTIAL = { token: async () => null, renew: async () => false, claims: () => ({}), getToken: undefined };

export class TabCoordinator {
  #tab;
  /**
   * Topics by follower, maintained even while another tab leads: a tab that takes over resumes the topics of all tabs.
   * @type {Map<string, Set<string>>}
   */
  #followers = new Map();
  /** Ids of notifications for which a tab has already alerted the user. @type {Set<string>} */
  #claimed = new Set();
  /** @type {ConnectionOptions['onEvent']} */
  #deliver = () => {};
  /** Whether a `ready` was sent to the followers. */
  #hasSentReady = false;
  /** This tab's address among the tabs. */
  #id = Math.random().toString(36).slice(2);

  /** @param {TabContext} tab */
  constructor(tab) {
    this.#tab = tab;
    this.#hasSentReady = Boolean(tab.connection?.greeting);
    this.#wrapOptions(tab.options);
    if (tab.isLeader) this.#onStatusChange();
  }

  /** Wrap the callbacks: while this tab leads, its connection follows the followers' topics too, and its events are forwarded. @param {ConnectionOptions} options */
  #wrapOptions(options) {
    const { onEvent, topics, onStatusChange } = options;
    this.#deliver = onEvent;
    options.topics = () => (this.#tab.isLeader ? new Set([topics(), ...this.#followers.values()].flatMap((each) => [...each])) : topics());
    options.onEvent = (event, leaderSince) => {
      const since = options.position();
      onEvent(event, leaderSince);
      if (this.#tab.isLeader) this.#forward(event, since);
    };
    options.onStatusChange = () => {
      if (this.#tab.isLeader) this.#onStatusChange();
      onStatusChange();
    };
  }

  /** Receive through the leader until this tab becomes the leader. */
  becomeFollower() {
    const tab = this.#tab;
    const { channel, locks, name, options, signal } = tab;
    void this.#withLock(this.#id, () => new Promise((done) => signal.addEventListener('abort', done)));
    tab.connect({ ...options, credential: NO_CREDENTIAL, transport: leaderTab(channel, this.#id) });
    locks.request(name, { signal }, () => (this.post({ type: 'elected' }), tab.becomeLeader())).catch(() => {});
  }

  /** @param {object} frame @returns {Promise<any>} */
  async request(frame) {
    const result = await (await this.#loadRpc())?.request(frame);
    if (this.#tab.isLeader) this.#echo(frame, this.#id, result);
    return result;
  }

  /** @param {'subscribe' | 'unsubscribe'} type @param {string[]} topics @returns {Promise<any>} */
  async changeTopics(type, topics) {
    const { isLeader, options } = this.#tab;
    const needed = new Set(isLeader && type === 'unsubscribe' ? options.topics() : []);
    const remaining = topics.filter((topic) => !needed.has(topic));
    return remaining.length ? (await this.#loadRpc())?.changeTopics(type, remaining) : null;
  }

  async #loadRpc() {
    const { rpcFor } = await loadTopics();
    const { connection } = this.#tab;
    return connection && rpcFor(connection);
  }

  /** Return the notifications that no other tab has claimed. @param {Notification[]} notifications @returns {Promise<Notification[]>} */
  claimAlerts(notifications) {
    const { setTimeout } = this.#tab.options.environment;
    return new Promise((resolve) => {
      void this.#withLock('alert', () => {
        const unclaimed = notifications.filter(({ id }) => !this.#claimed.has(id));
        const claimed = unclaimed.map(({ id }) => id);
        for (const id of claimed) this.#claimed.add(id);
        if (claimed.length) this.post({ claimed });
        resolve(unclaimed);
        return claimed.length && new Promise((done) => setTimeout(() => done(null), CLAIM_LOCK_TIME));
      }).then(() => resolve([]));
    });
  }

  /** Leader: forward an event; of `close` only one with the id from which a tab that takes over must resume. @param {BellcastEvent} event @param {string | null} since */
  #forward(event, since) {
    if (event.type === 'ready') this.#sendReady();
    else if (event.type === 'close' ? 'id' in event : !LEADER_ONLY.has(event.type)) this.post({ event, ...('position' in event && { since }) });
  }

  /** Leader: report a lost connection to the followers. */
  #onStatusChange() {
    const { connection } = this.#tab;
    if (this.#hasSentReady && !connection?.greeting) {
      this.#hasSentReady = false;
      this.post({ type: 'disconnected' });
    }
    if (connection?.error) this.#tab.stop(); // another tab may have a better token
  }

  /** @param {Omit<TabMessage, 'from'>} note */
  post(note) {
    const { channel, signal } = this.#tab;
    if (!signal.aborted) channel.postMessage({ from: this.#id, ...note });
  }

  /** @param {TabMessage} note */
  onMessage({ from, to, except, event, type, claimed, topics, request }) {
    const { connection, isLeader } = this.#tab;
    const me = this.#id;
    for (const id of claimed ?? []) this.#claimed.add(id);
    if ((to ?? me) !== me || except === me) return;
    if (topics) this.#addFollower(from, topics);
    if (request) this.#recordTopics(from, request);
    if (type === 'elected') this.#followers.delete(from);
    if (isLeader) {
      if (type === 'retry') connection?.open();
      if (request) void this.#relayRequest(from, request);
    } else if (type === 'elected') connection?.reopen();
    else if (event?.type === 'ready' && connection?.status === 'waiting') connection.open();
  }

  /** Each tab holds its own lock; the browser releases it when the tab closes, crashes or is discarded. @param {string} suffix @param {() => unknown} run */
  #withLock(suffix, run) {
    const { name, locks, signal } = this.#tab;
    return locks.request(`${name} ${suffix}`, { signal }, run).catch(() => {});
  }

  /** Leader: send a `ready` without counters; a follower at another position fetches its page again. @param {{to?: string}} [to] */
  #sendReady(to) {
    const { connection, options } = this.#tab;
    if (!connection?.greeting) return;
    const { unread, unseen, ...greeting } = connection.greeting;
    this.#hasSentReady = true;
    this.post({ ...to, event: /** @type {any} */ ({ ...greeting, resumed: false, position: options.position(), id: options.lastEvent.id }) });
  }

  /** @param {string} tabId @param {string[]} topics */
  #addFollower(tabId, topics) {
    const current = new Set(this.#tab.options.topics());
    if (!this.#followers.has(tabId)) void this.#watchFollower(tabId);
    this.#followers.set(tabId, new Set(topics));
    if (!this.#tab.isLeader) return;
    const added = topics.filter((topic) => !current.has(topic));
    if (added.length) this.changeTopics('subscribe', added).catch(() => {});
    this.#sendReady({ to: tabId });
  }

  /** @param {string} tabId @param {Record<string, any>} request */
  #recordTopics(tabId, { type, topics = [] }) {
    const theirs = this.#followers.get(tabId);
    if (type === 'subscribe') for (const topic of topics) theirs?.add(topic);
    if (type === 'unsubscribe') for (const topic of topics) theirs?.delete(topic);
  }

  /** Wait until the follower closes; the leader then unsubscribes its topics. @param {string} tabId */
  async #watchFollower(tabId) {
    await this.#withLock(tabId, () => {});
    if (this.#tab.signal.aborted) return;
    const topics = [...(this.#followers.get(tabId) ?? [])];
    this.#followers.delete(tabId);
    if (this.#tab.isLeader) this.changeTopics('unsubscribe', topics).catch(() => {});
  }

  /** @param {string} tabId @param {Record<string, any>} frame */
  async #relayRequest(tabId, { ref, ...frame }) {
    const { type, topics = [] } = frame;
    const response = /subscribe$/.test(type) ? this.changeTopics(type, topics) : this.#loadRpc().then((rpc) => rpc?.request(frame));
    const event = await Promise.resolve(response).then(
      (result) => (this.#echo(frame, tabId, result), { ...result, type: 'ack', ref }),
      ({ code, message }) => ({ type: 'error', ref, code, message }),
    );
    this.post({ to: tabId, event });
  }

  /** The server does not echo to the publishing connection, so the other tabs that share it get the event from the leader, with the id from which they resume. @param {any} frame @param {string} tabId @param {{id?: string}} [ack] */
  #echo({ type, topic, name, data = null, on }, tabId, ack) {
    const { connection } = this.#tab;
    if (type !== 'publish' && type !== 'typing') return;
    const recipient = connection?.greeting?.recipient ?? '';
    /** @type {BellcastEvent} */
    const event = JSON.parse(JSON.stringify(type === 'publish' ? { type: 'event', topic, name, data, id: ack?.id } : { type, topic, recipient, on }));
    this.post({ event, except: tabId });
    if (tabId !== this.#id) this.#deliver(event);
  }
}
