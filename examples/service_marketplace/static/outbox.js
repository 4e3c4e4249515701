/** Messages on their way: kept, sealed, until the site has them; in order, over a lost line, a reload or a closed tab. */

import { Refused } from './site.js';

const AGAIN = 4_000; // ms
const AWAY = [429, 502, 503, 504];

export class Outbox {
  #name;
  #deliver;
  #timer;

  /** @param {string} name @param {(message: object) => Promise<object>} deliver  it may be asked twice for the same message */
  constructor(name, deliver) {
    this.#name = name;
    this.#deliver = deliver;
    addEventListener('online', () => this.flush());
  }

  /** What waits, oldest first. */
  get waiting() {
    return this.#keys().map((key) => JSON.parse(localStorage.getItem(key)));
  }

  put(message) {
    localStorage.setItem(`${this.#name} ${Date.now()} ${message.id}`, JSON.stringify(message));
    return this.flush();
  }

  /** One tab at a time: two would send in disorder. */
  flush() {
    clearTimeout(this.#timer);
    return navigator.locks.request(this.#name, async () => {
      for (const key of this.#keys()) if (!(await this.#sent(key))) return;
    });
  }

  #keys() {
    return Object.keys(localStorage).filter((key) => key.startsWith(`${this.#name} `)).sort();
  }

  /** Whether the next may follow. */
  async #sent(key) {
    try {
      await this.#deliver(JSON.parse(localStorage.getItem(key)));
    } catch (error) {
      if (!(error instanceof Refused) || AWAY.includes(error.status)) {
        this.#timer = setTimeout(() => this.flush(), error.after * 1000 || AGAIN);
        return false;
      }
    }
    localStorage.removeItem(key);
    return true;
  }
}
