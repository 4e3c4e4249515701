/**
 * What the tabs of a browser share. One line: the tab that holds the lock has it, the others hear and speak through that tab, and
 * follow it in office. What was done while nobody could be told. Who tells the person.
 */

import { Connection } from './connection.js';
import { tab } from './transports/tab.js';

/** @import { BellcastEvent } from './events.js' */
/** @import { Plan } from './connection.js' */
/** @import { Action } from './inbox.js' */
/** @import { Note } from './transports/tab.js' */

const TAKING = 100; // ms: the tab that asks next has heard by then what was taken
const PRIVATE = new Set(['ack', 'pong', 'error', 'close']); // what is for the leader alone
/** A tab that only listens to another shows nobody a token. */
const NOBODY = { token: async () => null, renew: async () => false, patience: () => undefined };

/** @typedef {Action & {id: string}} Kept */
/** @typedef {Plan & {recalled: () => void}} SharedPlan */

export class Tabs {
  #name;
  #plan;
  #locks;
  #channel;
  /** @type {Connection | null} */
  #line = null;
  #me = Math.random().toString(36).slice(2);
  #while = new AbortController();
  #entered = false;
  #leads = false;
  /** The greeting, while the line holds. @type {BellcastEvent | null} */
  #ready = null;
  /** What the other tabs follow. @type {Map<string, Set<string>>} */
  #others = new Map();
  /** What some tab told the person. @type {Set<string>} */
  #taken = new Set();

  /** @param {string} name  whose line it is @param {SharedPlan} plan */
  constructor(name, plan) {
    const { locks, Channel } = plan.world;
    if (!locks || !Channel) throw new Error('This browser’s tabs cannot share.');
    this.#name = name;
    this.#plan = plan;
    this.#locks = locks;
    this.#channel = new Channel(name);
    this.#channel.onmessage = ({ data }) => this.#noted(data);
    const { signal } = this.#while;
    plan.world.page.addEventListener('storage', this.#stored);
    signal.addEventListener('abort', () => plan.world.page.removeEventListener('storage', this.#stored));
  }

  get status() {
    return this.#line?.status ?? 'connecting';
  }

  get error() {
    return this.#line?.error ?? null;
  }

  get twoWay() {
    return Boolean(this.#line?.twoWay);
  }

  /** Start; or, while waiting, wait no longer. */
  open() {
    if (!this.#entered) return void this.#enter(this.#while.signal);
    this.#post({ word: 'retry' });
    this.#line?.open();
  }

  close() {
    this.#leave();
    this.#line?.close();
  }

  reopen() {
    this.#line?.reopen();
  }

  /** @param {object} frame @returns {Promise<any>} */
  ask(frame) {
    return this.#line?.ask(frame) ?? Promise.reject(new Error('not connected'));
  }

  /** @param {'subscribe' | 'unsubscribe'} type @param {string[]} topics @returns {Promise<any>} */
  async follow(type, topics) {
    const wanted = new Set(this.#leads ? this.#topics() : []);
    const told = type === 'subscribe' ? topics : topics.filter((topic) => !wanted.has(topic));
    return told.length ? this.#line?.follow(type, told) : null;
  }

  /** Which of these it is for this tab to tell the person: those no other took. @param {string[]} ids @returns {Promise<string[]>} */
  first(ids) {
    const { setTimeout } = this.#plan.world;
    const { signal } = this.#while;
    return new Promise((resolve) => {
      this.#locks.request(this.#lockOf('ring'), { signal }, () => {
        const mine = ids.filter((id) => !this.#taken.has(id));
        for (const id of mine) this.#taken.add(id);
        if (mine.length) this.#post({ took: mine });
        resolve(mine);
        return mine.length ? new Promise((done) => setTimeout(() => done(null), TAKING)) : null;
      }).catch(() => resolve([]));
    });
  }

  /** Until the server knows. @param {Kept} action */
  keep({ id, verb, target, at }) {
    try {
      this.#storage()?.setItem(this.#keyOf(id), JSON.stringify({ id, verb, target, at }));
    } catch {
      // Full: it is lost with this page, not before.
    }
  }

  /** @param {string} id */
  drop(id) {
    this.#storage()?.removeItem(this.#keyOf(id));
  }

  /** What is kept, oldest first. @returns {Kept[]} */
  kept() {
    const storage = this.#storage();
    const keys = Object.keys(storage ?? {}).filter((key) => key.startsWith(this.#keyOf('')));
    return keys.sort().map((key) => JSON.parse(storage?.getItem(key) ?? ''));
  }

  /** For one tab at a time; for none if another has done it. @template T @param {string} id @param {() => Promise<T>} send @returns {Promise<T | 0>} */
  alone(id, send) {
    return this.#locks.request(this.#keyOf(''), async () => (this.#storage()?.getItem(this.#keyOf(id)) === null ? 0 : send()));
  }

  /** @param {string} id */
  #keyOf(id) {
    return `${this.#name} kept ${id}`;
  }

  /** A page may be forbidden to keep anything. */
  #storage() {
    try {
      return this.#plan.world.storage();
    } catch {
      return undefined;
    }
  }

  /** @param {AbortSignal} signal */
  async #enter(signal) {
    this.#entered = true;
    const held = () => new Promise((done) => signal.addEventListener('abort', () => done(null)));
    const lead = () => (this.#lead(), held());
    const locks = this.#locks;
    // A lock of its own tells the leader when this tab is gone, however it went.
    locks.request(this.#lockOf(this.#me), { signal }, held).catch(() => {});
    let led = false;
    await locks.request(this.#name, { ifAvailable: true }, (lock) => {
      led = Boolean(lock);
      return lock && !signal.aborted ? lead() : null;
    });
    if (led || signal.aborted) return;
    this.#use(new Connection({ ...this.#plan, credential: NOBODY }, [tab(this.#channel, this.#me)]));
    await locks.request(this.#name, { signal }, lead).catch(() => {});
  }

  /** @param {Event & {key?: string | null}} event */
  #stored = ({ key }) => {
    if (key?.startsWith(this.#keyOf(''))) this.#plan.recalled();
  };

  /** @param {string} who */
  #lockOf(who) {
    return `${this.#name} ${who}`;
  }

  #lead() {
    this.#leads = true;
    this.#post({ word: 'led' });
    this.#use(new Connection({
      ...this.#plan,
      topics: () => this.#topics(),
      hear: (event) => this.#hear(event),
      moved: () => this.#moved(),
    }));
  }

  /** @param {Connection} line */
  #use(line) {
    const before = this.#line;
    this.#line = line;
    before?.close();
    line.open();
  }

  #leave() {
    this.#while.abort();
    this.#channel.close();
  }

  /** @param {Omit<Note, 'from'>} note */
  #post(note) {
    if (!this.#while.signal.aborted) this.#channel.postMessage({ from: this.#me, ...note });
  }

  /** What all tabs follow together. */
  #topics() {
    return new Set([this.#plan.topics(), ...this.#others.values()].flatMap((topics) => [...topics]));
  }

  /** @param {BellcastEvent} event */
  #hear(event) {
    const since = this.#plan.position();
    this.#plan.hear(event);
    if (event.type === 'ready') this.#greet({ event: (this.#ready = event) });
    else if (!PRIVATE.has(event.type)) this.#post({ event, ...('position' in event && { since }) });
  }

  #moved() {
    if (this.status !== 'live' && this.#ready) {
      this.#ready = null;
      this.#post({ word: 'lost' });
    }
    if (this.error) this.#leave(); // another tab may have a better token
    this.#plan.moved();
  }

  /** Where the leader stands; who stands elsewhere fetches. @param {{to?: string, event: BellcastEvent}} note */
  #greet({ event, ...to }) {
    const { unread, unseen, ...greeting } = /** @type {import('./events.js').Ready} */ (event);
    this.#post({ ...to, event: /** @type {any} */ ({ ...greeting, resumed: false, position: this.#plan.position() }) });
  }

  /** @param {Note} note */
  #noted({ from, to = this.#me, event, word, took, topics, ask }) {
    for (const id of took ?? []) this.#taken.add(id);
    if (to !== this.#me) return;
    if (!this.#leads) return this.#led(event, word);
    if (word === 'retry') this.#line?.open();
    if (topics) this.#welcome(from, topics);
    if (ask) void this.#askFor(from, ask);
  }

  /** As one who is led. @param {BellcastEvent | undefined} event @param {Note['word']} word */
  #led(event, word) {
    if (word === 'led') this.#line?.reopen();
    else if (event?.type === 'ready' && this.#line?.status === 'waiting') this.#line?.open();
  }

  /** @param {string} who @param {string[]} topics */
  #welcome(who, topics) {
    const before = this.#topics();
    if (!this.#others.has(who)) void this.#mind(who);
    this.#others.set(who, new Set(topics));
    const more = topics.filter((topic) => !before.has(topic));
    if (more.length) this.#line?.follow('subscribe', more).catch(() => {});
    if (this.#ready) this.#greet({ to: who, event: this.#ready });
  }

  /** Follows a tab's topics for as long as it is there. @param {string} who */
  async #mind(who) {
    const { signal } = this.#while;
    await this.#locks.request(this.#lockOf(who), { signal }, () => {}).catch(() => {});
    if (signal.aborted) return;
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
    const asked = /subscribe$/.test(type) ? this.follow(type, topics) : this.ask(frame);
    const event = await asked.then(
      (answer) => ({ ...answer, type: 'ack', ref }),
      ({ code, message }) => ({ type: 'error', ref, code, message }),
    );
    this.#post({ to: who, event });
  }
}
