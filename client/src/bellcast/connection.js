/** One line to the server: opened, heard, asked. Resumes by position; never decides what is true, nor what to do when it breaks. */

import { Refused } from './api.js';
import { loadResilience } from './lazy.js';
import { websocket } from './transports/websocket.js';

/** @import { BellcastEvent, Close, Ready } from './events.js' */
/** @import { Rpc } from './rpc.js' */
/** @import { End, Link, Open } from './transports/sse.js' */
/** @import { ReconnectPolicy, ConnectionOptions, Status } from './reconnect.js' */

const RETRY_DELAY = 5_000; // ms

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
  generation = 0;
  /** When it was heard last. */
  lastHeardAt = 0;
  /** @type {Link | null} */
  link = null;
  /** Who waits for answers, once somebody does. @type {Rpc | null} */
  rpc = null;
  #options;
  /** @type {Close | undefined} */
  #closeEvent;
  /** From being opened to being closed. */
  #abort = new AbortController();
  /** Decides when to try again, how, and when to give up. @type {ReconnectPolicy | null} */
  #policy = null;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
    this.transport = options.transport ?? websocket;
    const { page } = options.environment;
    page.addEventListener('online', () => this.open(), this.#abort);
    page.addEventListener('offline', () => this.suspend('offline'), this.#abort);
  }

  /** Start; or, while waiting, wait no longer. */
  open() {
    this.error = null;
    if (this.status !== 'live' && this.status !== 'connecting') this.reopen();
  }

  /** Anew, at once: with other topics, or because the network is back. */
  reopen() {
    this.#disconnect();
    void this.#connect();
  }

  /** @param {Refused | null} [error] */
  close(error = null) {
    this.error = error;
    this.#abort.abort();
    this.#abort = new AbortController();
    this.suspend('closed');
    this.#policy = null;
  }

  /** Nothing is tried. @param {Status} status */
  suspend(status) {
    this.#disconnect();
    this.#setStatus(status);
  }

  /** Whether it can speak, or only listen. */
  get twoWay() {
    return this.status === 'live' && Boolean(this.link?.send);
  }

  /** What comes after the turn is over is not heard. @param {Open} transport @param {ConnectionOptions['onEvent']} hear @param {(end?: End) => void} end */
  dial(transport, hear, end) {
    const { base, environment } = this.#options;
    const { generation } = this;
    try {
      return transport(base, this.#query(), environment, (event, since) => generation === this.generation && hear(event, since), (how) => generation === this.generation && end(how));
    } catch {
      end(); // a browser may forbid it, as ws: on a page of https:
      return null;
    }
  }

  /** It broke, or is as good as broken. @param {End} [end] */
  onDisconnected(end) {
    const { status } = this;
    this.#retryLater((pilot) => pilot.onClose(status === 'live', end));
  }

  /** @param {number} status @param {{code?: string, detail?: string}} problem */
  createError(status, problem) {
    return new Refused(status, problem);
  }

  async #connect() {
    const { generation } = this;
    const { credential, prepare } = this.#options;
    this.#setStatus('connecting');
    try {
      await prepare();
      this.token = await credential.token();
      if (generation === this.generation) this.#dial();
    } catch (error) {
      if (generation === this.generation) this.#retryLater((pilot) => pilot.onError(error));
    }
  }

  #dial() {
    this.#closeEvent = undefined;
    this.lastHeardAt = this.#options.environment.now();
    this.#notifyPolicy((pilot) => pilot.onDial());
    this.link = this.dial(this.transport, (event, since) => this.#onEvent(event, since), (end) => this.onDisconnected(this.#closeEvent ?? end));
  }

  /** A browser may never fetch again what it could not fetch once: without a pilot the line is simply opened again. @param {(pilot: ReconnectPolicy) => void} tell */
  #retryLater(tell) {
    this.suspend('waiting');
    const { generation } = this;
    if (!this.#policy) this.#options.environment.setTimeout(() => generation === this.generation && !this.#policy && this.reopen(), RETRY_DELAY);
    this.#notifyPolicy(tell);
  }

  /** @param {(pilot: ReconnectPolicy) => void} tell */
  #notifyPolicy(tell) {
    if (this.#policy) return tell(this.#policy);
    const { generation } = this;
    const { signal } = this.#abort;
    void loadResilience(this.#options.environment, signal).then(({ ReconnectPolicy }) => {
      if (generation === this.generation) tell((this.#policy ??= new ReconnectPolicy(this, this.#options, signal)));
    });
  }

  #query() {
    const query = new URLSearchParams(Array.from(this.#options.topics(), (topic) => ['topic', topic]));
    const position = this.#options.position();
    if (this.token) query.set('token', this.token);
    if (position) query.set('position', position);
    return query;
  }

  /** @param {BellcastEvent} event @param {string | null} [since] */
  #onEvent(event, since) {
    this.lastHeardAt = this.#options.environment.now();
    if (event.type === 'close') this.#closeEvent = event;
    if (event.type === 'ready') this.#onReady(event);
    this.rpc?.onEvent(event);
    this.#options.onEvent(event, since);
  }

  /** @param {Ready} greeting */
  #onReady(greeting) {
    this.greeting = greeting;
    this.#notifyPolicy((pilot) => pilot.onReady());
    this.#setStatus('live');
  }

  #disconnect() {
    this.generation++;
    this.greeting = null;
    this.#policy?.cancelTimers();
    this.link?.close();
    this.link = null;
    this.rpc?.rejectAll();
  }

  /** @param {Status} status */
  #setStatus(status) {
    if (status === this.status) return;
    this.status = status;
    this.#options.onStatusChange();
  }
}
