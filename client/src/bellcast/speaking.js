/** Saying something on a line and hearing the answer, by `ref`. */

/** @import { Refused } from './api.js' */
/** @import { BellcastEvent, Ready } from './events.js' */
/** @import { Link } from './transports/sse.js' */

/**
 * @typedef {object} Line  the connection, as it is seen from here
 * @property {string} status
 * @property {Ready | null} [greeting]
 * @property {Link | null} link
 * @property {boolean} twoWay
 * @property {Speaking | null} speaking
 * @property {() => void} reopen
 * @property {(status: number, problem: {code?: string, detail?: string}) => Refused} refusal
 */

export class Speaking {
  #line;
  #asked = 0;
  /** @type {Map<string, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();

  /** @param {Line} line */
  constructor(line) {
    this.#line = line;
  }

  /** @param {object} frame @returns {Promise<any>} */
  ask(frame) {
    const { link, twoWay } = this.#line;
    if (!twoWay || !link?.send) return Promise.reject(this.#unheard());
    const ref = String(++this.#asked);
    const { send } = link;
    return new Promise((resolve, reject) => {
      this.#waiting.set(ref, { resolve, reject });
      send({ ...frame, ref });
    });
  }

  /** @param {'subscribe' | 'unsubscribe'} type @param {string[]} topics @returns {Promise<any>} */
  async follow(type, topics) {
    if (this.#line.twoWay) return this.ask({ type, topics });
    if (this.#line.status === 'live') this.#line.reopen(); // SSE learns its topics from the address
    return null;
  }

  /** @param {BellcastEvent & {ref?: string}} answer */
  hear({ ref = '', ...answer }) {
    const asker = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    if (answer.type === 'error') asker?.reject(this.#line.refusal(0, { code: answer.code, detail: answer.message }));
    else asker?.resolve(answer);
  }

  /** The line broke: nobody will answer. */
  drop() {
    for (const { reject } of this.#waiting.values()) reject(this.#unheard());
    this.#waiting.clear();
  }

  #unheard() {
    return this.#line.refusal(0, { code: 'not_connected' });
  }
}

/** Who speaks on a line. @param {Line} line @returns {Speaking} */
export const speaking = (line) => (line.speaking ??= new Speaking(line));
