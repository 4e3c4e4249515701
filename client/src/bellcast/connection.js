/** One connection to the server, resumed by position. `reconnect.js` decides when to reconnect, `inbox-reducer.js` holds the state. */

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
  /** The error that ended the connection permanently. @type {Refused | null} */
  error = null;
  /** The `ready` frame, while connected. @type {Ready | null} */
  greeting = null;
  /** @type {string | null} */
  token = null;
  /** Incremented per attempt; a callback of an older generation is ignored. */
  generation = 0;
  /** When the last frame arrived, in ms since the epoch. */
  lastHeardAt = 0;
  /** @type {Link | null} */
  link = null;
  /** Pending requests, once there are any. @type {Rpc | null} */
  rpc = null;
  #options;
  /** @type {Close | undefined} */
  #closeEvent;
  /** Aborted by `close()`. */
  #abort = new AbortController();
  /** Decides when and how to reconnect and when to give up. @type {ReconnectPolicy | null} */
  #policy = null;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
    this.transport = options.transport ?? websocket;
    const { page } = options.environment;
    page.addEventListener('online', () => this.open(), this.#abort);
    page.addEventListener('offline', () => this.onDisconnected(), this.#abort);
  }

  /** Connect; if a retry is scheduled, retry now. */
  open() {
    this.error = null;
    if (this.status !== 'live' && this.status !== 'connecting') this.reopen();
  }

  /** Reconnect immediately: the topics have changed or the network is back. */
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

  /** Disconnect without retrying. @param {Status} status */
  suspend(status) {
    this.#disconnect();
    this.#setStatus(status);
  }

  /** True if the transport can send as well as receive. */
  get twoWay() {
    return this.status === 'live' && Boolean(this.link?.send);
  }

  /**
   * Open a transport. Its callbacks are ignored once the generation has changed.
   * @param {Open} transport @param {ConnectionOptions['onEvent']} onEvent @param {(end?: End) => void} onClose
   */
  dial(transport, onEvent, onClose) {
    const { base, environment } = this.#options;
    const { generation } = this;
    try {
      return transport(base, this.#query(), environment, (event, since) => generation === this.generation && onEvent(event, since), (end) => generation === this.generation && onClose(end));
    } catch {
      onClose(); // a browser may forbid it, for example ws: on an https: page
      return null;
    }
  }

  /** Handle a closed or silent transport, or a browser that reports that it is offline. @param {End} [end] */
  onDisconnected(end) {
    const { status } = this;
    this.#retryLater((policy) => policy.onClose(status === 'live', end));
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
      if (generation === this.generation) this.#retryLater((policy) => policy.onError(error));
    }
  }

  #dial() {
    this.#closeEvent = undefined;
    this.lastHeardAt = this.#options.environment.now();
    this.#notifyPolicy((policy) => policy.onDial());
    this.link = this.dial(this.transport, (event, since) => this.#onEvent(event, since), (end) => this.onDisconnected(this.#closeEvent ?? end));
  }

  /** Without a policy the connection is opened again after a fixed delay: some browsers never retry a failed module import. @param {(policy: ReconnectPolicy) => void} notify */
  #retryLater(notify) {
    const { environment } = this.#options;
    // Offline is a hint: a browser whose machine has only loopback reports it too, and the server may run there.
    this.suspend(environment.online() ? 'waiting' : 'offline');
    const { generation } = this;
    if (!this.#policy) environment.setTimeout(() => generation === this.generation && !this.#policy && this.reopen(), RETRY_DELAY);
    this.#notifyPolicy(notify);
  }

  /** @param {(policy: ReconnectPolicy) => void} notify */
  #notifyPolicy(notify) {
    if (this.#policy) return notify(this.#policy);
    const { generation } = this;
    const { signal } = this.#abort;
    void loadResilience(this.#options.environment, signal).then(({ ReconnectPolicy }) => {
      if (generation === this.generation) notify((this.#policy ??= new ReconnectPolicy(this, this.#options, signal)));
    });
  }

  #query() {
    const query = new URLSearchParams(Array.from(this.#options.topics(), (topic) => ['topic', topic]));
    const position = this.#options.position() ?? '';
    const { id } = this.#options.lastEvent;
    if (this.token) query.set('token', this.token);
    if (position || id) query.set('position', id ? `${position}~${id}` : position);
    return query;
  }

  /** @param {BellcastEvent} event @param {string | null} [since] */
  #onEvent(event, since) {
    this.lastHeardAt = this.#options.environment.now();
    if (event.type === 'close') this.#closeEvent = event;
    if (event.type === 'event' || event.type === 'ready' || event.type === 'ack' || event.type === 'close') this.#options.lastEvent.id = event.id ?? this.#options.lastEvent.id;
    if (event.type === 'ready') this.#onReady(event);
    this.rpc?.onEvent(event);
    this.#options.onEvent(event, since);
  }

  /** @param {Ready} greeting */
  #onReady(greeting) {
    this.greeting = greeting;
    this.#notifyPolicy((policy) => policy.onReady());
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
