/** Staying connected: which transport, when to try again, when to give up. Resumes by position; never decides what is true. */

import { Refused } from './api.js';
import { sse } from './transports/sse.js';
import { websocket } from './transports/websocket.js';

/** @import { Credential } from './api.js' */
/** @import { BellcastEvent, Close } from './events.js' */
/** @import { Link, World } from './transports/sse.js' */

/**
 * @typedef {'closed' | 'connecting' | 'live' | 'waiting' | 'offline'} Status
 *
 * @typedef {object} Plan
 * @property {string} base
 * @property {World} world
 * @property {Credential} credential
 * @property {() => Iterable<string>} topics
 * @property {() => string | null} position
 * @property {(again: boolean) => Promise<void>} prepare  asked over HTTP before each round, knowing whether the last was barren: EventSource cannot see a 401
 * @property {(event: BellcastEvent) => void} hear
 * @property {() => void} moved
 */

const TRANSPORTS = [websocket, sse];
const PATIENCE = 10_000; // ms until `ready`: some proxies swallow an upgrade without a word
const SILENCE = 2.5; // heartbeats
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 30_000;

export class Connection {
  /** @type {Status} */
  status = 'closed';
  /** Why it was given up. @type {Refused | null} */
  error = null;
  #plan;
  /** @type {Link | null} */
  #link = null;
  #turn = 0; // whoever waited and finds another turn has been overtaken
  #failures = 0;
  #barren = false; // the last round brought no line, nor a reason
  #way = 0;
  #best = TRANSPORTS.length; // the first transport that ever went live
  #silence = PATIENCE;
  #since = 0;
  #renewed = false;
  /** @type {string | null} */
  #token = null;
  /** @type {Close | undefined} */
  #farewell;
  /** @type {any} */
  #timer;
  #asked = 0;
  /** @type {Map<string, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();

  /** @param {Plan} plan */
  constructor(plan) {
    this.#plan = plan;
  }

  /** Start; or, while waiting, wait no longer. */
  open() {
    if (this.status !== 'closed') return this.#online();
    this.error = null;
    this.#failures = 0;
    this.#plan.world.page.addEventListener('online', this.#online);
    this.#plan.world.page.addEventListener('offline', this.#offline);
    this.reopen();
  }

  /** Anew, at once: with other topics, or because the network is back. */
  reopen() {
    this.#drop();
    void this.#try();
  }

  close() {
    this.#drop();
    this.#plan.world.page.removeEventListener('online', this.#online);
    this.#plan.world.page.removeEventListener('offline', this.#offline);
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

  #online = () => {
    if (this.status === 'offline' || this.status === 'waiting') this.reopen();
  };

  #offline = () => {
    this.#drop();
    this.#move('offline');
  };

  async #try() {
    const turn = this.#turn;
    const { credential, prepare } = this.#plan;
    this.#move('connecting');
    try {
      if (this.#way === 0 || this.#way === this.#best) await prepare(this.#barren);
      this.#token = await credential.token();
      if (turn === this.#turn) this.#open(turn);
    } catch (error) {
      if (turn === this.#turn) this.#failed(error);
    }
  }

  /** @param {number} turn */
  #open(turn) {
    const { base, world } = this.#plan;
    const open = TRANSPORTS[this.#way] ?? websocket;
    this.#farewell = undefined;
    this.#watch(PATIENCE);
    /** @param {Close} [close] */
    const end = (close) => turn === this.#turn && void this.#ended(this.#farewell ?? close);
    try {
      this.#link = open(base, this.#query(), world, (event) => turn === this.#turn && this.#hear(event), end);
    } catch {
      end(); // a browser may forbid it, as ws: on a page of https:
    }
  }

  #query() {
    const query = new URLSearchParams(Array.from(this.#plan.topics(), (topic) => ['topic', topic]));
    const position = this.#plan.position();
    if (this.#token) query.set('token', this.#token);
    if (position) query.set('position', position);
    return query;
  }

  /** @param {BellcastEvent} event */
  #hear(event) {
    this.#watch(this.status === 'live' ? this.#silence : PATIENCE);
    if (event.type === 'close') this.#farewell = event;
    if (event.type === 'ready') this.#ready(event.heartbeat);
    if (event.type === 'ack' || event.type === 'pong' || event.type === 'error') this.#answer(event);
    this.#plan.hear(event);
  }

  /** @param {number} heartbeat */
  #ready(heartbeat) {
    this.#silence = (heartbeat || 25) * 1000 * SILENCE;
    this.#watch(this.#silence);
    this.#best = Math.min(this.#best, this.#way);
    this.#since = this.#plan.world.now();
    this.#renewed = false;
    this.#move('live');
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
    if (!wasLive && !close && ++this.#way < TRANSPORTS.length) return this.#try();
    this.#way = wasLive ? this.#best : 0;
    this.#barren = !wasLive && !close;
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
    const refused = error instanceof Refused ? error : null;
    if (refused && (refused.status === 401 || refused.status === 403)) return this.#giveUp(refused);
    this.#way = 0;
    this.#barren = true;
    this.#wait(refused?.after);
  }

  /** @param {number} [after] */
  #wait(after) {
    const { world } = this.#plan;
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
    if (!world.online()) return this.#move('offline');
    this.#timer = world.setTimeout(() => void this.#try(), after ?? world.random() * most);
    this.#move('waiting');
  }

  /** @param {Refused} error */
  #giveUp(error) {
    this.error = error;
    this.close();
  }

  /** @param {number} patience */
  #watch(patience) {
    this.#plan.world.clearTimeout(this.#timer);
    this.#timer = this.#plan.world.setTimeout(() => {
      this.#link?.close();
      void this.#ended();
    }, patience);
  }

  #drop() {
    this.#turn++;
    this.#plan.world.clearTimeout(this.#timer);
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
