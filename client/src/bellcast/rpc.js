/** Saying something on a line and hearing the answer, by `ref`. */

/** @import { Refused } from './api.js' */
/** @import { BellcastEvent, Ready } from './events.js' */
/** @import { Link } from './transports/sse.js' */

/**
 * @typedef {object} RpcConnection  the connection, as it is seen from here
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
  /** @type {Map<string, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
  #pending = new Map();

  /** @param {RpcConnection} line */
  constructor(line) {
    this.#connection = line;
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
    if (this.#connection.status === 'live') this.#connection.reopen(); // SSE learns its topics from the address
    return null;
  }

  /** @param {BellcastEvent & {ref?: string}} answer */
  onEvent({ ref = '', ...answer }) {
    const asker = this.#pending.get(ref);
    this.#pending.delete(ref);
    if (answer.type === 'error') asker?.reject(this.#connection.createError(0, { code: answer.code, detail: answer.message }));
    else asker?.resolve(answer);
  }

  /** The line broke: nobody will answer. */
  rejectAll() {
    for (const { reject } of this.#pending.values()) reject(this.#notConnected());
    this.#pending.clear();
  }

  #notConnected() {
    return this.#connection.createError(0, { code: 'not_connected' });
  }
}

/** Who speaks on a line. @param {RpcConnection} line @returns {Rpc} */
export const rpcFor = (line) => (line.rpc ??= new Rpc(line));
