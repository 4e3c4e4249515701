/** One line to the server: opened, heard, asked. Resumes by position; never decides what is true, nor what to do when it breaks. */

import { Refused } from './api.js';
import { websocket } from './transports/websocket.js';

/** @import { BellcastEvent, Close, Ready } from './events.js' */
/** @import { Link, Open } from './transports/sse.js' */
/** @import { Plan, Status, Weather } from './weather.js' */

const AGAIN = 5_000; // ms until what could not be fetched is asked for again

export class Connection {
  /** @type {Status} */
  status = 'closed';
  /** Why it was given up. @type {Refused | null} */
  error = null;
  /** What the server greeted with, while the line holds. @type {Ready | null} */
  greeting = null;
  /** @type {string | null} */
  token = null;
  /** Whoever waited and finds another turn has been overtaken. */
  turn = 0;
  /** When it was heard last. */
  heard = 0;
  transport;
  #plan;
  /** @type {Link | null} */
  #link = null;
  /** @type {Close | undefined} */
  #farewell;
  /** From being opened to being closed. */
  #while = new AbortController();
  /** Decides when to try again, how, and when to give up. @type {Weather | null} */
  #weather = null;
  #asked = 0;
  /** @type {Map<string, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();

  /** @param {Plan} plan */
  constructor(plan) {
    this.#plan = plan;
    this.transport = plan.transport ?? websocket;
  }

  /** Start; or, while waiting, wait no longer. */
  open() {
    if (this.status !== 'live' && this.status !== 'connecting') this.reopen();
  }

  /** Anew, at once: with other topics, or because the network is back. */
  reopen() {
    this.#drop();
    void this.#try();
  }

  /** @param {Refused | null} [error] */
  close(error = null) {
    this.error = error;
    this.#while.abort();
    this.#while = new AbortController();
    this.rest('closed');
    this.#weather = null;
  }

  /** Nothing is tried. @param {Status} status */
  rest(status) {
    this.#drop();
    this.#move(status);
  }

  /** Whether it can speak, or only listen. */
  get twoWay() {
    return this.status === 'live' && Boolean(this.#link?.send);
  }

  /** Say something and hear the answer. @param {object} frame @returns {Promise<any>} */
  ask(frame) {
    const send = this.#link?.send;
    if (!this.twoWay || !send) return Promise.reject(unheard());
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

  /** What comes after the turn is over is not heard. @param {Open} transport @param {Plan['hear']} hear @param {(close?: Close) => void} end */
  dial(transport, hear, end) {
    const { base, world } = this.#plan;
    const { turn } = this;
    try {
      return transport(base, this.#query(), world, (event, since) => turn === this.turn && hear(event, since), (close) => turn === this.turn && end(close));
    } catch {
      end(); // a browser may forbid it, as ws: on a page of https:
      return null;
    }
  }

  /** It broke, or is as good as broken. @param {Close} [close] */
  lost(close) {
    const { status } = this;
    this.rest('waiting');
    this.#tell((weather) => weather.broken(status === 'live', close));
  }

  /** Told not to come back. @param {Close} close */
  refuse({ code, reason }) {
    this.close(new Refused(code, { code: reason }));
  }

  async #try() {
    const { turn } = this;
    const { credential, prepare } = this.#plan;
    this.#move('connecting');
    try {
      await prepare();
      this.token = await credential.token();
      if (turn === this.turn) this.#open();
    } catch (error) {
      if (turn !== this.turn) return;
      this.#move('waiting');
      this.#tell((weather) => weather.failed(error));
    }
  }

  #open() {
    this.#farewell = undefined;
    this.heard = this.#plan.world.now();
    this.#tell((weather) => weather.dialled());
    this.#link = this.dial(this.transport, (event, since) => this.#hear(event, since), (close) => this.lost(this.#farewell ?? close));
  }

  /** Fetched with the first line; where it cannot be had it is asked for until it can. @param {(weather: Weather) => void} tell */
  #tell(tell) {
    if (this.#weather) return tell(this.#weather);
    const { turn } = this;
    import('./weather.js').then(
      ({ Weather }) => turn === this.turn && tell((this.#weather ??= new Weather(this, this.#plan, this.#while.signal))),
      () => this.#plan.world.setTimeout(() => turn === this.turn && this.#tell(tell), AGAIN),
    );
  }

  #query() {
    const query = new URLSearchParams(Array.from(this.#plan.topics(), (topic) => ['topic', topic]));
    const position = this.#plan.position();
    if (this.token) query.set('token', this.token);
    if (position) query.set('position', position);
    return query;
  }

  /** @param {BellcastEvent} event @param {string | null} [since] */
  #hear(event, since) {
    this.heard = this.#plan.world.now();
    if (event.type === 'close') this.#farewell = event;
    if (event.type === 'ready') this.#ready(event);
    if (event.type === 'ack' || event.type === 'pong' || event.type === 'error') this.#answer(event);
    this.#plan.hear(event, since);
  }

  /** @param {Ready} greeting */
  #ready(greeting) {
    this.greeting = greeting;
    this.#tell((weather) => weather.ready(greeting));
    this.#move('live');
  }

  /** @param {BellcastEvent & {ref?: string}} answer */
  #answer({ ref = '', ...answer }) {
    const asker = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    if (answer.type === 'error') asker?.reject(new Refused(0, { code: answer.code, detail: answer.message }));
    else asker?.resolve(answer);
  }

  #drop() {
    this.turn++;
    this.greeting = null;
    this.#weather?.rest();
    this.#link?.close();
    this.#link = null;
    for (const { reject } of this.#waiting.values()) reject(unheard());
    this.#waiting.clear();
  }

  /** @param {Status} status */
  #move(status) {
    if (status === this.status) return;
    this.status = status;
    this.#plan.moved();
  }
}

const unheard = () => new Refused(0, { code: 'not_connected' });
