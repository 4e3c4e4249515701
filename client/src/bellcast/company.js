/** Tabs in company: the one that has the line passes on what it hears and says what the others ask; it is followed in office when it goes. */

import { tab } from './transports/tab.js';

/** @import { BellcastEvent, Notification } from './events.js' */
/** @import { Connection } from './connection.js' */
/** @import { Note } from './transports/tab.js' */
/** @import { Plan } from './pilot.js' */

/**
 * @typedef {object} Own  what this tab has by itself
 * @property {string} name  whose line it is
 * @property {boolean} leads
 * @property {Connection | null} line
 * @property {(plan: Plan) => void} dial  begins another line in place of this one
 * @property {() => unknown} lead  takes office, until this tab leaves
 * @property {() => void} leave
 * @property {Plan} plan
 * @property {LockManager} locks
 * @property {BroadcastChannel} channel
 * @property {AbortSignal} signal  ends when this tab leaves
 */

/** What it takes to speak. */
const speech = () => import('./topics.js');

const TAKING = 100; // ms: the tab that asks next has heard by then what was taken
const PRIVATE = new Set(['ack', 'pong', 'error', 'close']); // what is for the leader alone
/** A tab that only listens to another shows nobody a token. */
const NOBODY = { token: async () => null, renew: async () => false, claims: () => ({}), ask: undefined };

export class Company {
  #own;
  /** What the other tabs follow. @type {Map<string, Set<string>>} */
  #others = new Map();
  /** What some tab told the person. @type {Set<string>} */
  #taken = new Set();
  /** @type {Plan['hear']} */
  #hear = () => {};
  /** Whether the others know that the line holds. */
  #greeted = false;
  /** What the others call this tab. */
  #me = Math.random().toString(36).slice(2);

  /** @param {Own} own */
  constructor(own) {
    this.#own = own;
    this.#greeted = Boolean(own.line?.greeting);
    this.#listen(own.plan);
    if (own.leads) this.#moved();
  }

  /** What the line asks and tells concerns the others too, where this tab leads. @param {Plan} plan */
  #listen(plan) {
    const { hear, topics, moved } = plan;
    this.#hear = hear;
    plan.topics = () => (this.#own.leads ? new Set([topics(), ...this.#others.values()].flatMap((each) => [...each])) : topics());
    plan.hear = (event, since) => {
      const before = plan.position();
      hear(event, since);
      if (this.#own.leads) this.#pass(event, before);
    };
    plan.moved = () => {
      if (this.#own.leads) this.#moved();
      moved();
    };
  }

  /** As one who is led, until it is this tab's turn. */
  join() {
    const own = this.#own;
    const { channel, locks, name, plan, signal } = own;
    void this.#hold(this.#me, () => new Promise((done) => signal.addEventListener('abort', done)));
    own.dial({ ...plan, credential: NOBODY, transport: tab(channel, this.#me) });
    locks.request(name, { signal }, () => (this.post({ word: 'led' }), own.lead())).catch(() => {});
  }

  /** @param {object} frame @returns {Promise<any>} */
  async ask(frame) {
    const answer = await (await this.#speaking())?.ask(frame);
    if (this.#own.leads) this.#echo(frame, this.#me);
    return answer;
  }

  /** @param {'subscribe' | 'unsubscribe'} type @param {string[]} topics @returns {Promise<any>} */
  async follow(type, topics) {
    const { leads, plan } = this.#own;
    const wanted = new Set(leads && type === 'unsubscribe' ? plan.topics() : []);
    const told = topics.filter((topic) => !wanted.has(topic));
    return told.length ? (await this.#speaking())?.follow(type, told) : null;
  }

  async #speaking() {
    const { speaking } = await speech();
    const { line } = this.#own;
    return line && speaking(line);
  }

  /** Of these, those no other tab told the person. @param {Notification[]} rung @returns {Promise<Notification[]>} */
  first(rung) {
    const { setTimeout } = this.#own.plan.world;
    return new Promise((resolve) => {
      void this.#hold('ring', () => {
        const mine = rung.filter(({ id }) => !this.#taken.has(id));
        const took = mine.map(({ id }) => id);
        for (const id of took) this.#taken.add(id);
        if (took.length) this.post({ took });
        resolve(mine);
        return took.length && new Promise((done) => setTimeout(() => done(null), TAKING));
      }).then(() => resolve([]));
    });
  }

  /** As leader. @param {BellcastEvent} event @param {string | null} since */
  #pass(event, since) {
    if (event.type === 'ready') this.#greet();
    else if (!PRIVATE.has(event.type)) this.post({ event, ...('position' in event && { since }) });
  }

  /** As leader: the line is another than it was. */
  #moved() {
    const { line } = this.#own;
    if (this.#greeted && !line?.greeting) {
      this.#greeted = false;
      this.post({ word: 'lost' });
    }
    if (line?.error) this.#own.leave(); // another tab may have a better token
  }

  /** @param {Omit<Note, 'from'>} note */
  post(note) {
    const { channel, signal } = this.#own;
    if (!signal.aborted) channel.postMessage({ from: this.#me, ...note });
  }

  /** @param {Note} note */
  noted({ from, to, not, event, word, took, topics, ask }) {
    const { line, leads } = this.#own;
    const me = this.#me;
    for (const id of took ?? []) this.#taken.add(id);
    if ((to ?? me) !== me || not === me) return;
    if (leads) {
      if (word === 'retry') line?.open();
      if (topics) this.#welcome(from, topics);
      if (ask) void this.#askFor(from, ask);
    } else if (word === 'led') line?.reopen();
    else if (event?.type === 'ready' && line?.status === 'waiting') line.open();
  }

  /** A lock of its own tells when a tab is gone, however it went. @param {string} who @param {() => unknown} run */
  #hold(who, run) {
    const { name, locks, signal } = this.#own;
    return locks.request(`${name} ${who}`, { signal }, run).catch(() => {});
  }

  /** Where the leader stands; who stands elsewhere fetches. @param {{to?: string}} [to] */
  #greet(to) {
    const { line, plan } = this.#own;
    if (!line?.greeting) return;
    const { unread, unseen, ...greeting } = line.greeting;
    this.#greeted = true;
    this.post({ ...to, event: /** @type {any} */ ({ ...greeting, resumed: false, position: plan.position() }) });
  }

  /** @param {string} who @param {string[]} topics */
  #welcome(who, topics) {
    const before = new Set(this.#own.plan.topics());
    if (!this.#others.has(who)) void this.#mind(who);
    this.#others.set(who, new Set(topics));
    const more = topics.filter((topic) => !before.has(topic));
    if (more.length) this.follow('subscribe', more).catch(() => {});
    this.#greet({ to: who });
  }

  /** Follows a tab's topics for as long as it is there. @param {string} who */
  async #mind(who) {
    await this.#hold(who, () => {});
    if (this.#own.signal.aborted) return;
    const topics = [...(this.#others.get(who) ?? [])];
    this.#others.delete(who);
    this.follow('unsubscribe', topics).catch(() => {});
  }

  /** @param {string} who @param {Record<string, any>} frame */
  async #askFor(who, { ref, ...frame }) {
    const { type, topics = [] } = frame;
    const theirs = this.#others.get(who);
    if (type === 'subscribe') for (const topic of topics) theirs?.add(topic);
    if (type === 'unsubscribe') for (const topic of topics) theirs?.delete(topic);
    const asked = /subscribe$/.test(type) ? this.follow(type, topics) : this.#speaking().then((line) => line?.ask(frame));
    const event = await Promise.resolve(asked).then(
      (answer) => (this.#echo(frame, who), { ...answer, type: 'ack', ref }),
      ({ code, message }) => ({ type: 'error', ref, code, message }),
    );
    this.post({ to: who, event });
  }

  /** The server keeps from a connection what the connection said; the other tabs on it hear it all the same. @param {any} frame @param {string} who */
  #echo({ type, topic, name, data = null, on }, who) {
    const { line } = this.#own;
    if (type !== 'publish' && type !== 'typing') return;
    const recipient = line?.greeting?.recipient ?? '';
    /** @type {BellcastEvent} */
    const event = JSON.parse(JSON.stringify(type === 'publish' ? { type: 'event', topic, name, data } : { type, topic, recipient, on }));
    this.post({ event, not: who });
    if (who !== this.#me) this.#hear(event);
  }
}
