/** Unsent encrypted messages, stored until the site has accepted them, in order, despite disconnections, reloads and closed tabs. */

import { Refused } from './site.js';

const RETRY_DELAY = 4_000; // ms
const RETRYABLE_STATUSES = [429, 502, 503, 504];

export class Outbox {
  #name;
  #deliver;
  #timer;
  #notBefore = 0; // ms since 1970, as the site said when it refused a message with 429

  /** @param {string} name @param {(message: object) => Promise<object>} deliver  may be called twice for a message */
  constructor(name, deliver) {
    this.#name = name;
    this.#deliver = deliver;
    addEventListener('online', () => this.flush());
  }

  /** Unsent messages, oldest first. */
  get waiting() {
    return this.#keys().map((key) => JSON.parse(localStorage.getItem(key)));
  }

  put(message) {
    localStorage.setItem(`${this.#name} ${Date.now()} ${message.id}`, JSON.stringify(message));
    return this.flush();
  }

  /** Send in one tab at a time, to keep the order. */
  flush() {
    clearTimeout(this.#timer);
    const wait = this.#notBefore - Date.now();
    if (wait > 0) {
      this.#retry(wait);
      return Promise.resolve();
    }
    return navigator.locks.request(this.#name, async () => {
      for (const key of this.#keys()) if (!(await this.#sent(key))) return;
    });
  }

  #retry(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), delay);
  }

  #keys() {
    return Object.keys(localStorage).filter((key) => key.startsWith(`${this.#name} `)).sort();
  }

  /** Returns whether the next message may be sent. */
  async #sent(key) {
    try {
      await this.#deliver(JSON.parse(localStorage.getItem(key)));
    } catch (error) {
      if (!(error instanceof Refused) || RETRYABLE_STATUSES.includes(error.status)) {
        if (error.after) this.#notBefore = Date.now() + error.after * 1000;
        this.#retry(error.after * 1000 || RETRY_DELAY);
        return false;
      }
    }
    localStorage.removeItem(key);
    return true;
  }
}
