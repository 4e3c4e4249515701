/** Tabs in coordinator: the one that has the line passes on what it hears and says what the others ask; it is followed in office when it goes. */

import { leaderTab } from './transports/leader-tab.js';

/** @import { BellcastEvent, Notification } from './events.js' */
/** @import { Connection } from './connection.js' */
/** @import { TabMessage } from './transports/leader-tab.js' */
/** @import { ConnectionOptions } from './reconnect.js' */

/**
 * @typedef {object} TabContext  what this tab has by itself
 * @property {string} name  whose line it is
 * @property {boolean} isLeader
 * @property {Connection | null} connection
 * @property {(options: ConnectionOptions) => void} connect  begins another line in place of this one
 * @property {() => unknown} becomeLeader  takes office, until this tab leaves
 * @property {() => void} stop
 * @property {ConnectionOptions} options
 * @property {LockManager} locks
 * @property {BroadcastChannel} channel
 * @property {AbortSignal} signal  ends when this tab leaves
 */

/** What it takes to speak. */
const loadTopics = () => import('./live-topics.js');

const CLAIM_LOCK_TIME = 100; // ms: the tab that asks next has heard by then what was taken
const LEADER_ONLY = new Set(['ack', 'pong', 'error', 'close']); // what is for the leader alone
/** A tab that only listens to another shows nobody a token. */
const NO_CREDENTIAL = { token: async () => null, renew: async () => false, claims: () => ({}), getToken: undefined };

export class TabCoordinator {
  #tab;
  /** What the other tabs follow. @type {Map<string, Set<string>>} */
  #followers = new Map();
  /** What some tab told the person. @type {Set<string>} */
  #claimed = new Set();
  /** @type {ConnectionOptions['onEvent']} */
  #deliver = () => {};
  /** Whether the others know that the line holds. */
  #hasSentReady = false;
  /** What the others call this tab. */
  #id = Math.random().toString(36).slice(2);

  /** @param {TabContext} own */
  constructor(own) {
    this.#tab = own;
    this.#hasSentReady = Boolean(own.connection?.greeting);
    this.#wrapOptions(own.options);
    if (own.isLeader) this.#onStatusChange();
  }

  /** What the line asks and tells concerns the others too, where this tab leads. @param {ConnectionOptions} options */
  #wrapOptions(options) {
    const { onEvent, topics, onStatusChange } = options;
    this.#deliver = onEvent;
    options.topics = () => (this.#tab.isLeader ? new Set([topics(), ...this.#followers.values()].flatMap((each) => [...each])) : topics());
    options.onEvent = (event, since) => {
      const before = options.position();
      onEvent(event, since);
      if (this.#tab.isLeader) this.#forward(event, before);
    };
    options.onStatusChange = () => {
      if (this.#tab.isLeader) this.#onStatusChange();
      onStatusChange();
    };
  }

  /** As one who is led, until it is this tab's turn. */
  becomeFollower() {
    const own = this.#tab;
    const { channel, locks, name, options, signal } = own;
    void this.#withLock(this.#id, () => new Promise((done) => signal.addEventListener('abort', done)));
    own.connect({ ...options, credential: NO_CREDENTIAL, transport: leaderTab(channel, this.#id) });
    locks.request(name, { signal }, () => (this.post({ type: 'elected' }), own.becomeLeader())).catch(() => {});
  }

  /** @param {object} frame @returns {Promise<any>} */
  async request(frame) {
    const answer = await (await this.#loadRpc())?.request(frame);
    if (this.#tab.isLeader) this.#echo(frame, this.#id);
    return answer;
  }

  /** @param {'subscribe' | 'unsubscribe'} type @param {string[]} topics @returns {Promise<any>} */
  async changeTopics(type, topics) {
    const { isLeader, options } = this.#tab;
    const wanted = new Set(isLeader && type === 'unsubscribe' ? options.topics() : []);
    const told = topics.filter((topic) => !wanted.has(topic));
    return told.length ? (await this.#loadRpc())?.changeTopics(type, told) : null;
  }

  async #loadRpc() {
    const { rpcFor } = await loadTopics();
    const { connection } = this.#tab;
    return connection && rpcFor(connection);
  }

  /** Of these, those no other tab told the person. @param {Notification[]} rung @returns {Promise<Notification[]>} */
  claimAlerts(rung) {
    const { setTimeout } = this.#tab.options.environment;
    return new Promise((resolve) => {
      void this.#withLock('alert', () => {
        const mine = rung.filter(({ id }) => !this.#claimed.has(id));
        const claimed = mine.map(({ id }) => id);
        for (const id of claimed) this.#claimed.add(id);
        if (claimed.length) this.post({ claimed });
        resolve(mine);
        return claimed.length && new Promise((done) => setTimeout(() => done(null), CLAIM_LOCK_TIME));
      }).then(() => resolve([]));
    });
  }

  /** As leader. @param {BellcastEvent} event @param {string | null} since */
  #forward(event, since) {
    if (event.type === 'ready') this.#sendReady();
    else if (!LEADER_ONLY.has(event.type)) this.post({ event, ...('position' in event && { since }) });
  }

  /** As leader: the line is another than it was. */
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
    if (isLeader) {
      if (type === 'retry') connection?.open();
      if (topics) this.#addFollower(from, topics);
      if (request) void this.#relayRequest(from, request);
    } else if (type === 'elected') connection?.reopen();
    else if (event?.type === 'ready' && connection?.status === 'waiting') connection.open();
  }

  /** A lock of its own tells when a tab is gone, however it went. @param {string} who @param {() => unknown} run */
  #withLock(who, run) {
    const { name, locks, signal } = this.#tab;
    return locks.request(`${name} ${who}`, { signal }, run).catch(() => {});
  }

  /** Where the leader stands; who stands elsewhere fetches. @param {{to?: string}} [to] */
  #sendReady(to) {
    const { connection, options } = this.#tab;
    if (!connection?.greeting) return;
    const { unread, unseen, ...greeting } = connection.greeting;
    this.#hasSentReady = true;
    this.post({ ...to, event: /** @type {any} */ ({ ...greeting, resumed: false, position: options.position() }) });
  }

  /** @param {string} who @param {string[]} topics */
  #addFollower(who, topics) {
    const before = new Set(this.#tab.options.topics());
    if (!this.#followers.has(who)) void this.#watchFollower(who);
    this.#followers.set(who, new Set(topics));
    const more = topics.filter((topic) => !before.has(topic));
    if (more.length) this.changeTopics('subscribe', more).catch(() => {});
    this.#sendReady({ to: who });
  }

  /** Follows a tab's topics for as long as it is there. @param {string} who */
  async #watchFollower(who) {
    await this.#withLock(who, () => {});
    if (this.#tab.signal.aborted) return;
    const topics = [...(this.#followers.get(who) ?? [])];
    this.#followers.delete(who);
    this.changeTopics('unsubscribe', topics).catch(() => {});
  }

  /** @param {string} who @param {Record<string, any>} frame */
  async #relayRequest(who, { ref, ...frame }) {
    const { type, topics = [] } = frame;
    const theirs = this.#followers.get(who);
    if (type === 'subscribe') for (const topic of topics) theirs?.add(topic);
    if (type === 'unsubscribe') for (const topic of topics) theirs?.delete(topic);
    const asked = /subscribe$/.test(type) ? this.changeTopics(type, topics) : this.#loadRpc().then((line) => line?.request(frame));
    const event = await Promise.resolve(asked).then(
      (answer) => (this.#echo(frame, who), { ...answer, type: 'ack', ref }),
      ({ code, message }) => ({ type: 'error', ref, code, message }),
    );
    this.post({ to: who, event });
  }

  /** The server keeps from a connection what the connection said; the other tabs on it hear it all the same. @param {any} frame @param {string} who */
  #echo({ type, topic, name, data = null, on }, who) {
    const { connection } = this.#tab;
    if (type !== 'publish' && type !== 'typing') return;
    const recipient = connection?.greeting?.recipient ?? '';
    /** @type {BellcastEvent} */
    const event = JSON.parse(JSON.stringify(type === 'publish' ? { type: 'event', topic, name, data } : { type, topic, recipient, on }));
    this.post({ event, except: who });
    if (who !== this.#id) this.#deliver(event);
  }
}
