/**
 * One line a browser: the tab that holds the lock has it. What it takes to share it (`company.js`) is fetched when there is another tab, or
 * when an earlier page left something behind; most pages need none of it.
 */

import { Connection } from './connection.js';

/** @import { Company, Kept, Own, SharedPlan } from './company.js' */

export class Tabs {
  /** Where there are others. @type {Company | undefined} */
  company;
  /** @type {Own} */
  #own;
  #while = new AbortController();
  /** @type {Promise<Company> | undefined} */
  #meeting;

  /** @param {string} name  whose line it is @param {SharedPlan} plan @param {LockManager} locks @param {new (name: string) => BroadcastChannel} Channel @param {(line: Connection) => void} use */
  constructor(name, plan, locks, Channel, use) {
    const { signal } = this.#while;
    const channel = new Channel(name);
    channel.onmessage = ({ data }) => this.#meet().then((company) => company.noted(data), () => {});
    signal.addEventListener('abort', () => channel.close());
    this.#own = {
      name, plan, locks, channel, signal, line: null, leads: false, me: Math.random().toString(36).slice(2),
      shelf: `${name} kept `,
      leave: () => this.leave(),
      dial: (how) => use((this.#own.line = new Connection(how))),
      lead: () => {
        this.#own.leads = true;
        this.#own.dial(plan);
        return new Promise((done) => signal.addEventListener('abort', done));
      },
    };
    void this.#enter();
  }

  /** Another may have the line. */
  leave() {
    this.#while.abort();
  }

  /** An action, until the server knows of it. @param {Kept} action */
  keep({ id, verb, target, at }) {
    this.#store((storage) => storage.setItem(this.#own.shelf + id, JSON.stringify({ id, verb, target, at })));
  }

  /** @param {string} id */
  drop(id) {
    this.#store((storage) => storage.removeItem(this.#own.shelf + id));
  }

  /** A page may be forbidden to keep anything, or have no room: then nothing outlives it. @param {(storage: Storage) => unknown} run */
  #store(run) {
    try {
      const storage = this.#own.plan.world.storage();
      return storage && run(storage);
    } catch {
      return null;
    }
  }

  async #enter() {
    const { signal, locks, name, plan, lead, dial, shelf } = this.#own;
    if (this.#store((storage) => Object.keys(storage).some((key) => key.startsWith(shelf)))) this.#meet().catch(() => {});
    let free = false;
    await locks.request(name, { ifAvailable: true }, (lock) => (free = Boolean(lock)) && !signal.aborted && lead());
    if (free || signal.aborted) return;
    const company = await this.#meet().catch(() => null);
    if (signal.aborted) return;
    if (company) company.join();
    else dial(plan); // what cannot be shared is had alone
  }

  #meet() {
    this.#meeting ??= import('./company.js').then(({ Company }) => {
      this.company = new Company(this.#own);
      this.#own.plan.recalled();
      return this.company;
    });
    this.#meeting.catch(() => (this.#meeting = undefined));
    return this.#meeting;
  }
}
