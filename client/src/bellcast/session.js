/** One person's inbox, live: holds the state, stays connected, does what they ask at once and takes it back if refused. */

import { Api, Credential } from './api.js';
import { Connection } from './connection.js';
import * as inbox from './inbox.js';

/** @import { BellcastEvent, Notification, Page, Query, Target, Verb } from './events.js' */
/** @import { Refused } from './api.js' */
/** @import { Status } from './connection.js' */
/** @import { Action } from './inbox.js' */
/** @import { World } from './transports/sse.js' */

/**
 * @typedef {object} Options
 * @property {string} [server]  where Bellcast answers; this page's own origin by default
 * @property {string | null} [token]
 * @property {() => string | null | Promise<string | null>} [getToken]  asked for the first token and when one is refused
 * @property {Iterable<string>} [topics]
 * @property {Partial<World>} [world]
 *
 * @typedef {object} State
 * @property {readonly Notification[]} notifications  newest first
 * @property {number} unread
 * @property {number} unseen
 * @property {string | null} next  not null: there is more to load
 * @property {Status} status
 * @property {boolean} loaded
 * @property {Refused | null} error  why the session ended
 *
 * @typedef {string | readonly string[] | 'all' | {all: true, of?: {type?: string}}} Which
 * @typedef {Action & {done: boolean}} Pending
 */

const PAGE = 20;
const MOST = 100; // the server's limit of a page

/** @returns {World} */
const browser = () => ({
  WebSocket: globalThis.WebSocket,
  EventSource: globalThis.EventSource,
  fetch: globalThis.fetch.bind(globalThis),
  setTimeout: (run, after) => setTimeout(run, after),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => Date.now(),
  random: Math.random,
  online: () => globalThis.navigator?.onLine ?? true,
  page: 'addEventListener' in globalThis ? globalThis : new EventTarget(),
});

/**
 * Events: `change` (read `state`), `notification` (a new one), `event`, `presence`, `typing` (on topics), `refused` (an action was taken back).
 */
export class Session extends EventTarget {
  /** @type {Set<string>} */
  #topics;
  #world;
  #api;
  #connection;
  #truth = inbox.EMPTY;
  /** @type {Pending[]} */
  #pending = [];
  /** What was heard while a page is on its way. @type {Set<BellcastEvent[]>} */
  #heard = new Set();
  /** @type {State | null} */
  #state = null;
  /** @type {Promise<void> | null} */
  #more = null;
  #lineless = false; // the server answered since a line last held

  /** @param {Options} [options] */
  constructor({ server = '', token, getToken, topics = [], world } = {}) {
    super();
    const here = globalThis.document?.baseURI;
    const base = new URL(server.replace(/\/*$/, '/'), server ? here : globalThis.location?.origin).href;
    const credential = new Credential(token, getToken);
    this.#topics = new Set(topics);
    this.#world = { ...browser(), ...world };
    this.#api = new Api(base, credential, this.#world.fetch);
    this.#connection = new Connection({
      base,
      credential,
      world: this.#world,
      topics: () => this.#topics,
      position: () => this.#truth.position,
      prepare: (barren) => this.#prepare(barren),
      hear: (event) => this.#hear(event),
      moved: () => this.#changed(),
    });
  }

  /** Load the inbox and stay connected until `close()`. Asked again, it tries again at once. */
  open() {
    this.#connection.open();
    return this;
  }

  close() {
    this.#connection.close();
  }

  /** @returns {State} */
  get state() {
    this.#state ??= this.#view();
    return this.#state;
  }

  /** @param {Which} which */
  seen(which) { return this.#act('seen', which); }

  /** @param {Which} which */
  read(which) { return this.#act('read', which); }

  /** @param {Which} which */
  unread(which) { return this.#act('unread', which); }

  /** @param {Which} which */
  archive(which) { return this.#act('archive', which); }

  /** @param {Which} which */
  unarchive(which) { return this.#act('unarchive', which); }

  /** @param {Which} which */
  delete(which) { return this.#act('delete', which); }

  /** The next older page. Called again meanwhile it is the same one. */
  loadMore() {
    const before = this.#truth.next;
    if (!before) return Promise.resolve();
    this.#more ??= this.#load({ limit: PAGE, before }, inbox.extend).finally(() => (this.#more = null));
    return this.#more;
  }

  /** Follow live topics. @param {...string} topics */
  async subscribe(...topics) {
    for (const topic of topics) this.#topics.add(topic);
    try {
      return await this.#follow('subscribe', topics);
    } catch (error) {
      for (const topic of topics) this.#topics.delete(topic);
      throw error;
    }
  }

  /** @param {...string} topics */
  async unsubscribe(...topics) {
    for (const topic of topics) this.#topics.delete(topic);
    return this.#follow('unsubscribe', topics);
  }

  /** To the others on a topic. Needs a WebSocket, as all that follows. @param {string} topic @param {string} name @param {unknown} data */
  publish(topic, name, data) {
    return this.#connection.ask({ type: 'publish', topic, name, data });
  }

  /** @param {string} topic @param {boolean} on */
  typing(topic, on) {
    return this.#connection.ask({ type: 'typing', topic, on });
  }

  /** Ask the app; resolves with its handler's reply. @param {string} name @param {unknown} [data] @returns {Promise<unknown>} */
  async call(name, data) {
    return (await this.#connection.ask({ type: 'call', name, data })).data;
  }

  /** @param {'subscribe' | 'unsubscribe'} type @param {string[]} topics */
  #follow(type, topics) {
    if (this.#connection.twoWay) return this.#connection.ask({ type, topics });
    if (this.#connection.status === 'live') this.#connection.reopen(); // SSE learns its topics from the address
    return null;
  }

  /**
   * After a barren round: is it the token? And if the server answers but no line holds, asking is how the inbox stays new.
   * @param {boolean} barren
   */
  async #prepare(barren) {
    if (barren) {
      const { position } = await this.#api.counts();
      if (this.#lineless && position !== this.#truth.position) return this.#refresh();
      this.#lineless = true;
    }
    if (this.#truth.stale) await this.#refresh();
  }

  async #refresh() {
    const { query, rows } = this.#truth;
    const limit = Math.min(MOST, rows.length + PAGE); // new ones must not push out what was loaded
    do await this.#load({ ...query, limit }, (_, page) => inbox.snapshot(page, query));
    while (this.#truth.stale);
  }

  /**
   * @param {Query & {limit: number, before?: string}} query
   * @param {(truth: inbox.Inbox, page: Page) => inbox.Inbox} merge
   */
  async #load(query, merge) {
    /** @type {BellcastEvent[]} */
    const heard = [];
    this.#heard.add(heard);
    try {
      const page = await this.#api.inbox(query);
      // The page may be older or newer than any of these; applied in order, they end at the same truth either way.
      this.#truth = heard.reduce(inbox.apply, merge(this.#truth, page));
      this.#forget();
      this.#changed();
    } finally {
      this.#heard.delete(heard);
    }
  }

  /** @param {BellcastEvent} event */
  #hear(event) {
    const before = this.#truth;
    if (event.type === 'ready') this.#lineless = false;
    this.#truth = inbox.apply(before, event);
    if (this.#truth !== before) this.#heardOfInbox(event, before);
    if (event.type === 'event' || event.type === 'presence' || event.type === 'typing') this.#tell(event.type, event);
  }

  /** @param {BellcastEvent} event @param {inbox.Inbox} before */
  #heardOfInbox(event, before) {
    for (const heard of this.#heard) heard.push(event);
    if (event.type !== 'ready') this.#forget();
    this.#changed();
    if (event.type === 'notification' && !before.rows.some(({ id }) => id === event.notification.id)) {
      this.#tell('notification', event.notification);
    }
    if (this.#truth.stale && !before.stale) this.#refresh().catch(() => this.#connection.reopen());
  }

  /** @param {Verb} verb @param {Which} which */
  async #act(verb, which) {
    const target = aim(which);
    const pending = { verb, target, at: new Date(this.#world.now()).toISOString(), done: false };
    this.#pending.push(pending);
    this.#changed();
    try {
      const changed = await this.#api.act(verb, target);
      // It stays on top until the next event, so that nothing flickers; none comes if nothing changed.
      pending.done = true;
      if (changed === 0) this.#withdraw(pending);
    } catch (error) {
      this.#withdraw(pending);
      this.#tell('refused', error);
      throw error;
    }
  }

  /** @param {Pending} pending */
  #withdraw(pending) {
    this.#pending = this.#pending.filter((other) => other !== pending);
    this.#changed();
  }

  /** The server has spoken since: what it confirmed needs no covering any more. */
  #forget() {
    this.#pending = this.#pending.filter(({ done }) => !done);
  }

  #changed() {
    this.#state = null;
    this.#tell('change', null);
  }

  /** @returns {State} */
  #view() {
    const now = this.#pending.reduce(inbox.act, this.#truth);
    const { status, error } = this.#connection;
    const { next, unread, unseen } = now;
    return { notifications: inbox.shown(now), unread, unseen, next, status, loaded: this.#truth !== inbox.EMPTY, error };
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {Which} which @returns {Target} */
function aim(which) {
  if (which === 'all') return { all: true };
  if (typeof which === 'string') return { ids: [which] };
  return 'all' in which ? which : { ids: [...which] };
}
