/**
 * One line a browser: the tab that holds the lock has it. What it takes to share it (`company.js`) is fetched when there is another tab,
 * since most pages have none.
 */

import { Connection } from './connection.js';

/** @import { Company, Own, SharedPlan } from './company.js' */

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
    channel.onmessage = ({ data }) => void this.#meet().then((company) => company.noted(data), () => {});
    signal.addEventListener('abort', () => channel.close());
    this.#own = { name, plan, locks, channel, use, signal, line: null, leads: false, me: Math.random().toString(36).slice(2) };
    void this.#enter();
  }

  /** Another may have the line. */
  leave() {
    this.#while.abort();
  }

  async #enter() {
    const { signal, locks, name, plan } = this.#own;
    const lead = () => (this.#lead(), new Promise((done) => signal.addEventListener('abort', done)));
    let free = false;
    await locks.request(name, { ifAvailable: true }, (lock) => (free = Boolean(lock)) && !signal.aborted && lead());
    if (free || signal.aborted) return;
    const company = await this.#meet().catch(() => null);
    if (signal.aborted) return;
    if (!company) return this.#use(plan); // what cannot be shared is had alone
    this.#use(...company.join());
    await locks.request(name, { signal }, lead).catch(() => {});
  }

  #meet() {
    this.#meeting ??= import('./company.js').then(({ Company }) => (this.company = new Company(this.#own)));
    this.#meeting.catch(() => (this.#meeting = undefined));
    return this.#meeting;
  }

  #lead() {
    const { plan } = this.#own;
    this.#own.leads = true;
    this.company?.post({ word: 'led' });
    this.#use({
      ...plan,
      topics: () => this.company?.topics() ?? plan.topics(),
      hear: (event) => {
        const since = plan.position();
        plan.hear(event);
        this.company?.pass(event, since);
      },
      moved: () => {
        this.company?.moved();
        if (this.#own.line?.error) this.leave(); // another tab may have a better token
        plan.moved();
      },
    });
  }

  /** @param {ConstructorParameters<typeof Connection>} how */
  #use(...how) {
    this.#own.use((this.#own.line = new Connection(...how)));
  }
}
