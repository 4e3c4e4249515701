/** One line to the server: opened, heard, asked. Resumes by position; never decides what is true, nor what to do when it breaks. */

import { Refused } from './api.js';
import * as forecast from './forecast.js';
import { websocket } from './transports/websocket.js';

/** @import { BellcastEvent, Close, Ready } from './events.js' */
/** @import { Speaking } from './speaking.js' */
/** @import { End, Link, Open } from './transports/sse.js' */
/** @import { Pilot, Plan, Status } from './pilot.js' */

const AGAIN = 5_000; // ms

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
  /** @type {Link | null} */
  link = null;
  /** Who waits for answers, once somebody does. @type {Speaking | null} */
  speaking = null;
  #plan;
  /** @type {Close | undefined} */
  #farewell;
  /** From being opened to being closed. */
  #while = new AbortController();
  /** Decides when to try again, how, and when to give up. @type {Pilot | null} */
  #pilot = null;

  /** @param {Plan} plan */
  constructor(plan) {
    this.#plan = plan;
    this.transport = plan.transport ?? websocket;
    const { page } = plan.world;
    page.addEventListener('online', () => this.open(), this.#while);
    page.addEventListener('offline', () => this.rest('offline'), this.#while);
  }

  /** Start; or, while waiting, wait no longer. */
  open() {
    this.error = null;
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
    this.#pilot = null;
  }

  /** Nothing is tried. @param {Status} status */
  rest(status) {
    this.#drop();
    this.#move(status);
  }

  /** Whether it can speak, or only listen. */
  get twoWay() {
    return this.status === 'live' && Boolean(this.link?.send);
  }

  /** What comes after the turn is over is not heard. @param {Open} transport @param {Plan['hear']} hear @param {(end?: End) => void} end */
  dial(transport, hear, end) {
    const { base, world } = this.#plan;
    const { turn } = this;
    try {
      return transport(base, this.#query(), world, (event, since) => turn === this.turn && hear(event, since), (how) => turn === this.turn && end(how));
    } catch {
      end(); // a browser may forbid it, as ws: on a page of https:
      return null;
    }
  }

  /** It broke, or is as good as broken. @param {End} [end] */
  lost(end) {
    const { status } = this;
    this.#adrift((pilot) => pilot.broken(status === 'live', end));
  }

  /** @param {number} status @param {{code?: string, detail?: string}} problem */
  refusal(status, problem) {
    return new Refused(status, problem);
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
      if (turn === this.turn) this.#adrift((pilot) => pilot.failed(error));
    }
  }

  #open() {
    this.#farewell = undefined;
    this.heard = this.#plan.world.now();
    this.#tell((pilot) => pilot.dialled());
    this.link = this.dial(this.transport, (event, since) => this.#hear(event, since), (end) => this.lost(this.#farewell ?? end));
  }

  /** A browser may never fetch again what it could not fetch once: without a pilot the line is simply opened again. @param {(pilot: Pilot) => void} tell */
  #adrift(tell) {
    this.rest('waiting');
    const { turn } = this;
    if (!this.#pilot) this.#plan.world.setTimeout(() => turn === this.turn && !this.#pilot && this.reopen(), AGAIN);
    this.#tell(tell);
  }

  /** @param {(pilot: Pilot) => void} tell */
  #tell(tell) {
    if (this.#pilot) return tell(this.#pilot);
    const { turn } = this;
    const { signal } = this.#while;
    void forecast.weather(this.#plan.world, signal).then(({ Pilot }) => {
      if (turn === this.turn) tell((this.#pilot ??= new Pilot(this, this.#plan, signal)));
    });
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
    this.speaking?.hear(event);
    this.#plan.hear(event, since);
  }

  /** @param {Ready} greeting */
  #ready(greeting) {
    this.greeting = greeting;
    this.#tell((pilot) => pilot.ready());
    this.#move('live');
  }

  #drop() {
    this.turn++;
    this.greeting = null;
    this.#pilot?.rest();
    this.link?.close();
    this.link = null;
    this.speaking?.drop();
  }

  /** @param {Status} status */
  #move(status) {
    if (status === this.status) return;
    this.status = status;
    this.#plan.moved();
  }
}
