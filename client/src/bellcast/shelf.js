/** What was done while nobody could be told: kept over a reload, seen by all tabs of a person, sent by one. */

/** @import { Action } from './inbox.js' */

/** @typedef {Action & {id: string}} Kept */

export class Shelf {
  #name;
  #locks;
  #storage;

  /** @param {string} name  whose it is @param {LockManager} locks @param {() => Storage | undefined} storage  a page may be forbidden to keep anything */
  constructor(name, locks, storage) {
    this.#name = `${name} kept `;
    this.#locks = locks;
    try {
      this.#storage = storage();
    } catch {
      // Then nothing outlives the page.
    }
  }

  /** Until the server knows. @param {Kept} action */
  keep({ id, verb, target, at }) {
    try {
      this.#storage?.setItem(this.#name + id, JSON.stringify({ id, verb, target, at }));
    } catch {
      // Full: it is lost with this page, not before.
    }
  }

  /** @param {string} id */
  drop(id) {
    this.#storage?.removeItem(this.#name + id);
  }

  /** What is kept, oldest first. @returns {Kept[]} */
  kept() {
    const keys = Object.keys(this.#storage ?? {}).filter((key) => key.startsWith(this.#name));
    return keys.sort().map((key) => JSON.parse(this.#storage?.getItem(key) ?? ''));
  }

  /** For one tab at a time; for none if another has done it. @template T @param {string} id @param {() => Promise<T>} send @returns {Promise<T | 0>} */
  alone(id, send) {
    return this.#locks.request(this.#name, async () => (this.#storage?.getItem(this.#name + id) === null ? 0 : send()));
  }
}
