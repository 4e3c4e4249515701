/** Requests over the connection; a response is matched by `ref`. */

/** @import { Refused } from './api.js' */
/** @import { BellcastEvent, Ready } from './events.js' */
/** @import { Link } from './transports/sse.js' */

/**
 * @typedef {object} RpcConnection  the part of `Connection` that requests use
 * @property {string} status
 * @property {Ready | null} [greeting]
 * @property {Link | null} link
 * @property {boolean} twoWay
 * @property {Rpc | null} rpc
 * @property {() => void} reopen
 * @property {(status: number, problem: {code?: string, detail?: string}) => Refused} createError
 */

export class Rpc {
  #connection;
  #lastRef = 0;
  /** @type {Map<string, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
  #pending = new Map();

  /** @param {RpcConnection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /** @param {object} frame @returns {Promise<any>} */
  request(frame) {
    const { link, twoWay } = this.#connection;
    if (!twoWay || !link?.send) return Promise.reject(this.#notConnected());
    const ref = String(++this.#lastRef);
    const { send } = link;
    return new Promise((resolve, reject) => {
      this.#pending.set(ref, { resolve, reject });
      send({ ...frame, ref });
    });
  }

  /** @param {'subscribe' | 'unsubscribe'} type @param {string[]} topics @returns {Promise<any>} */
  async changeTopics(type, topics) {
    if (this.#connection.twoWay) return this.request({ type, topics });
    if (this.#connection.status === 'live') this.#connection.reopen(); // SSE topics are part of the address
    return null;
  }

  /** @param {BellcastEvent & {ref?: string}} frame */
  onEvent({ ref = '', ...frame }) {
    const pending = this.#pending.get(ref);
    this.#pending.delete(ref);
    if (frame.type === 'error') pending?.reject(this.#connection.createError(0, { code: frame.code, detail: frame.message }));
    else pending?.resolve(frame);
  }

  /** Reject all pending requests: the connection is lost. */
  rejectAll() {
    for (const { reject } of this.#pending.values()) reject(this.#notConnected());
    this.#pending.clear();
  }

  #notConnected() {
    return this.#connection.createError(0, { code: 'not_connected' });
  }
}

/** Requests of a connection, created on first use. @param {RpcConnection} connection @returns {Rpc} */
export const rpcFor = (connection) => (connection.rpc ??= new Rpc(connection));
