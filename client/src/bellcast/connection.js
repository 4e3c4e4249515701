/** Staying connected: which transport, when to try again, when to give up. Resumes by position; never decides what is true. */

import { Refused } from './api.js';
import { websocket } from './transports/websocket.js';

/** @import { Credential } from './api.js' */
/** @import { BellcastEvent, Close, Ready } from './events.js' */
/** @import { Link, Open } from './transports/sse.js' */
/** @import { World } from './world.js' */

/**
 * @typedef {'closed' | 'connecting' | 'live' | 'waiting' | 'offline'} Status
 *
 * @typedef {object} Plan
 * @property {string} base
 * @property {World} world
 * @property {Pick<Credential, 'token' | 'renew' | 'patience'>} credential
 * @property {() => Iterable<string>} topics
 * @property {() => string | null} position
 * @property {() => Promise<void>} prepare  what must be there before the line is opened
 * @property {(event: BellcastEvent, since?: string | null) => void} hear  `since` is the position of who passed it on
 * @property {() => void} moved
 */

/** Fetched when a WebSocket could not pass. */
const fallbacks = () => import('./transports/fallbacks.js');

/** @param {'sse' | 'polling'} name @returns {Open} */
const fallback = (name) => (base, query, world, hear, end) => {
  /** @type {Link | null} */
  let link = null;
  let over = false;
  fallbacks().then((all) => over || (link = all[name](base, query, world, hear, end)), () => end());
  return { close: () => ((over = true), link?.close()) };
};

const TRANSPORTS = [websocket, fallback('sse'), fallback('polling')]; // the best first
const PATIENCE = 10_000; // ms until `ready`: some proxies swallow an upgrade without a word
const SILENCE = 2_500; // ms of silence for each second of the heartbeat: two and a half of them
const LOOK = 10_000; // ms between looks at the clock: a machine that slept must not wait out a timer that slept too
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;
const LONGEST_TIMER = 2 ** 31 - 1;
const WAKING = ['visibilitychange', 'pageshow', 'resume', 'focus'];

export class Connection {
  /** @type {Status} */
  status = 'closed';
  /** Why it was given up. @type {Refused | null} */
  error = null;
  /** What the server greeted with, while the line holds. @type {Ready | null} */
  greeting = null;
  #plan;
  #transports;
  /** @type {Link | null} */
  #link = null;
  #turn = 0; // whoever waited and finds another turn has been overtaken
  #failures = 0;
  #way = 0;
  #best; // the first transport that ever went live
  #patience = PATIENCE;
  #heard = 0;
  #since = 0;
  #renewed = false;
  /** @type {string | null} */
  #token = null;
  /** @type {Close | undefined} */
  #farewell;
  /** What is to be done while this turn lasts. @type {Set<any>} */
  #timers = new Set();
  #asked = 0;
  /** @type {Map<string, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();

  /** @param {Plan} plan @param {Open[]} [transports] */
  constructor(plan, transports = TRANSPORTS) {
    this.#plan = plan;
    this.#transports = transports;
    this.#best = transports.length;
  }

  /** Start; or, while waiting, wait no longer. */
  open() {
    if (this.status !== 'closed') return this.#online();
    this.error = null;
    this.#failures = 0;
    this.#listen('addEventListener');
    this.reopen();
  }

  /** Anew, at once: with other topics, or because the network is back. */
  reopen() {
    this.#drop();
    void this.#try();
  }

  close() {
    this.#drop();
    this.#listen('removeEventListener');
    this.#move('closed');
  }

  /** Whether it can speak, or only listen. */
  get twoWay() {
    return this.status === 'live' && Boolean(this.#link?.send);
  }

  /** Say something and hear the answer. @param {object} frame @returns {Promise<any>} */
  ask(frame) {
    const send = this.#link?.send;
    if (!this.twoWay || !send) return Promise.reject(new Refused(0, { code: 'not_connected' }));
    const ref = String(++this.#asked);
    return new Promise((resolve, reject) => {
      this.#waiting.set(ref, { resolve, reject });
      send({ ...frame, ref });
    });
  }

  /** @param {'subscribe' | 'unsubscribe'} type @param {string[]} topics @returns {Promise<any>} */
  async follow(type, topics) {
    if (this.twoWay) return this.ask({ type, topics });
    if (this.status === 'live') this.reopen(); // SSE learns its topics from the address
    return null;
  }

  /** @param {'addEventListener' | 'removeEventListener'} how */
  #listen(how) {
    const { page } = this.#plan.world;
    page[how]('online', this.#online);
    page[how]('offline', this.#offline);
    for (const type of WAKING) page[how](type, this.#wake);
  }

  #online = () => {
    if (this.status === 'offline' || this.status === 'waiting') this.reopen();
  };

  #offline = () => {
    this.#drop();
    this.#move('offline');
  };

  /** Somebody looks: a line silent for longer than its heartbeat may have died in a sleep, and nobody waits for a timer. */
  #wake = () => {
    const silent = this.#plan.world.now() - this.#heard > this.#patience / 2;
    if (this.status === 'waiting' || (this.status === 'live' && silent)) this.reopen();
  };

  async #try() {
    const turn = this.#turn;
    const { credential, prepare } = this.#plan;
    this.#move('connecting');
    try {
      if (this.#way === 0 || this.#way === this.#best) await prepare();
      this.#token = await credential.token();
      if (turn === this.#turn) this.#open();
    } catch (error) {
      if (turn === this.#turn) this.#failed(error);
    }
  }

  #open() {
    this.#farewell = undefined;
    this.#heard = this.#plan.world.now();
    this.#patience = PATIENCE;
    this.#watch();
    this.#link = this.#dial(this.#way, (event, since) => this.#hear(event, since), (close) => void this.#ended(this.#farewell ?? close));
  }

  /** What comes after the turn is over is not heard. @param {number} way @param {Plan['hear']} hear @param {(close?: Close) => void} end */
  #dial(way, hear, end) {
    const { base, world } = this.#plan;
    const turn = this.#turn;
    const transport = this.#transports[way] ?? websocket;
    try {
      return transport(base, this.#query(), world, (event, since) => turn === this.#turn && hear(event, since), (close) => turn === this.#turn && end(close));
    } catch {
      end(); // a browser may forbid it, as ws: on a page of https:
      return null;
    }
  }

  #query() {
    const query = new URLSearchParams(Array.from(this.#plan.topics(), (topic) => ['topic', topic]));
    const position = this.#plan.position();
    if (this.#token) query.set('token', this.#token);
    if (position) query.set('position', position);
    return query;
  }

  /** @param {BellcastEvent} event @param {string | null} [since] */
  #hear(event, since) {
    this.#heard = this.#plan.world.now();
    if (event.type === 'close') this.#farewell = event;
    if (event.type === 'ready') this.#ready(event);
    if (event.type === 'ack' || event.type === 'pong' || event.type === 'error') this.#answer(event);
    this.#plan.hear(event, since);
  }

  /** @param {Ready} greeting */
  #ready(greeting) {
    const { world, credential } = this.#plan;
    this.greeting = greeting;
    this.#patience = (greeting.heartbeat || 25) * SILENCE;
    this.#best = Math.min(this.#best, this.#way);
    this.#since = world.now();
    this.#renewed = false;
    this.#later(credential.patience(this.#token, this.#since), () => this.#refresh());
    if (this.#way) void this.#climb(this.#turn);
    this.#move('live');
  }

  /** @param {number | undefined} after @param {() => unknown} run */
  #later(after, run) {
    if (after === undefined) return;
    const timer = this.#plan.world.setTimeout(() => {
      this.#timers.delete(timer);
      void run();
    }, Math.min(after, LONGEST_TIMER));
    this.#timers.add(timer);
  }

  /** A fresh token before the old one ends. */
  async #refresh() {
    const { credential, world } = this.#plan;
    const turn = this.#turn;
    const renewed = await credential.renew(this.#token).catch(() => false);
    if (turn !== this.#turn) return;
    const token = renewed ? await credential.token() : this.#token;
    if (renewed && !this.twoWay) return this.reopen();
    if (renewed) await this.ask({ type: 'auth', token }).catch(() => {}); // a bad one is refused and the old one goes on
    this.#token = token;
    if (turn === this.#turn) this.#later(credential.patience(token, world.now()), () => this.#refresh());
  }

  /** Back to a better transport when that can be had. @param {number} turn */
  async #climb(turn) {
    const { climb } = await fallbacks();
    if (turn !== this.#turn) return;
    climb(this.#way, (way, hear, end) => this.#dial(way, hear, end), (after, run) => this.#later(after, run), (way) => {
      this.#way = way;
      this.reopen();
    });
  }

  /** @param {BellcastEvent & {ref?: string}} answer */
  #answer({ ref = '', ...answer }) {
    const asker = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    if (answer.type === 'error') asker?.reject(new Refused(0, { code: answer.code, detail: answer.message }));
    else asker?.resolve(answer);
  }

  /** @param {Close} [close] */
  async #ended(close) {
    const wasLive = this.status === 'live';
    const steady = wasLive && this.#plan.world.now() - this.#since > PATIENCE;
    this.#drop();
    if (close && (close.code === 4401 || close.code === 4402) && close.reason !== 'revoked') return this.#renew(close);
    if (close && !close.reconnect) return this.#giveUp(new Refused(close.code, { code: close.reason }));
    // A server that greets and hangs up is waited for as one that does not greet.
    if (steady) this.#failures = 0;
    if (!wasLive && !close && ++this.#way < this.#transports.length) return this.#try();
    this.#way = wasLive ? this.#best : 0;
    this.#wait(close?.after);
  }

  /** @param {Close} close */
  async #renew({ code, reason }) {
    const turn = this.#turn;
    const renewed = !this.#renewed && (await this.#plan.credential.renew(this.#token).catch(() => false));
    if (turn !== this.#turn) return;
    this.#renewed = true;
    if (renewed) return this.#try();
    this.#giveUp(new Refused(code, { code: reason }));
  }

  /** @param {unknown} error */
  #failed(error) {
    const { status, after } = /** @type {Partial<Refused>} */ (error);
    if (status === 401 || status === 403) return this.#giveUp(/** @type {Refused} */ (error));
    this.#way = 0;
    this.#wait(after);
  }

  /** @param {number} [after] */
  #wait(after) {
    const { world } = this.#plan;
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
    if (!world.online()) return this.#move('offline');
    this.#later(after ?? world.random() * most, () => this.#try());
    this.#move('waiting');
  }

  /** @param {Refused} error */
  #giveUp(error) {
    this.error = error;
    this.close();
  }

  /** Has it been silent for too long? Asked of the clock. */
  #watch() {
    const left = this.#heard + this.#patience - this.#plan.world.now();
    if (left > 0) this.#later(Math.min(left, LOOK), () => this.#watch());
    else void this.#ended();
  }

  #drop() {
    this.#turn++;
    this.greeting = null;
    for (const timer of this.#timers) this.#plan.world.clearTimeout(timer);
    this.#timers.clear();
    this.#link?.close();
    this.#link = null;
    for (const { reject } of this.#waiting.values()) reject(new Refused(0, { code: 'not_connected' }));
    this.#waiting.clear();
  }

  /** @param {Status} status */
  #move(status) {
    if (status === this.status) return;
    this.status = status;
    this.#plan.moved();
  }
}
