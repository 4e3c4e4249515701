/** One line a browser: the tab that holds the lock has it. What it takes to share it (`company.js`) is fetched when there is another tab. */

import { Connection } from './connection.js';

/** @import { Company, Own } from './company.js' */
/** @import { Plan } from './pilot.js' */

export class Tabs {
  /** @type {Connection | null} */
  line = null;
  leads = false;
  #while = new AbortController();
  /** @type {Promise<Company> | undefined} */
  #meeting;

  /** @param {Plan} plan @param {string} whose */
  constructor(plan, whose) {
    const { locks, Channel } = plan.world;
    this.plan = plan;
    /** Whose line it is; nobody's is not shared. */
    this.name = `bellcast ${plan.base} ${whose}`;
    this.signal = this.#while.signal;
    /** Where there are others. @type {Company | undefined} */
    this.company = undefined;
    if (!whose || !locks || !Channel) return;
    this.locks = locks;
    this.channel = new Channel(this.name);
    this.channel.onmessage = ({ data }) => this.#meet().then((company) => company.noted(data), () => {});
  }

  enter() {
    if (!this.locks) return this.dial(this.plan);
    // What cannot be shared is had alone.
    const follow = () => void this.#meet().then((company) => company.join(), () => this.dial(this.plan));
    void this.locks.request(this.name, { ifAvailable: true }, (lock) => (lock ? this.lead() : follow()));
  }

  /** Takes office, until this tab leaves. */
  lead() {
    this.leads = true;
    this.dial(this.plan);
    return this.signal.aborted || new Promise((done) => this.signal.addEventListener('abort', done));
  }

  /** Another line in place of this one. @param {Plan} plan */
  dial(plan) {
    if (this.signal.aborted) return;
    const before = this.line;
    this.line = new Connection(plan);
    before?.close();
    this.line.open();
  }

  /** Another may have the line. */
  leave() {
    this.#while.abort();
    this.channel?.close();
  }

  #meet() {
    this.#meeting ??= import('./company.js').then(({ Company }) => (this.company = new Company(/** @type {Own} */ (this))));
    this.#meeting.catch(() => (this.#meeting = undefined));
    return this.#meeting;
  }
}
