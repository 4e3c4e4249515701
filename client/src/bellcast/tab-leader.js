/** One line a browser: the tab that holds the lock has it. What it takes to share it (`coordinator.js`) is fetched when there is another tab. */

import { Connection } from './connection.js';

/** @import { TabCoordinator, TabContext } from './tab-coordinator.js' */
/** @import { ConnectionOptions } from './reconnect.js' */

export class LeaderElection {
  /** @type {Connection | null} */
  connection = null;
  isLeader = false;
  #abort = new AbortController();
  /** @type {Promise<TabCoordinator> | undefined} */
  #loading;

  /** @param {ConnectionOptions} options @param {string} whose */
  constructor(options, whose) {
    const { locks, Channel } = options.environment;
    this.options = options;
    /** Whose line it is; nobody's is not shared. */
    this.name = `bellcast ${options.base} ${whose}`;
    this.signal = this.#abort.signal;
    /** Where there are others. @type {TabCoordinator | undefined} */
    this.coordinator = undefined;
    if (!whose || !locks || !Channel) return;
    this.locks = locks;
    this.channel = new Channel(this.name);
    this.channel.onmessage = ({ data }) => this.#loadCoordinator().then((coordinator) => coordinator.onMessage(data), () => {});
  }

  start() {
    if (!this.locks) return this.connect(this.options);
    // What cannot be shared is had alone.
    const follow = () => void this.#loadCoordinator().then((coordinator) => coordinator.becomeFollower(), () => this.connect(this.options));
    void this.locks.request(this.name, { ifAvailable: true }, (lock) => (lock ? this.becomeLeader() : follow()));
  }

  /** Takes office, until this tab leaves. */
  becomeLeader() {
    this.isLeader = true;
    this.connect(this.options);
    return this.signal.aborted || new Promise((done) => this.signal.addEventListener('abort', done));
  }

  /** Another line in place of this one. @param {ConnectionOptions} options */
  connect(options) {
    if (this.signal.aborted) return;
    const before = this.connection;
    this.connection = new Connection(options);
    before?.close();
    this.connection.open();
  }

  /** Another may have the line. */
  stop() {
    this.#abort.abort();
    this.channel?.close();
  }

  #loadCoordinator() {
    this.#loading ??= import('./tab-coordinator.js').then(({ TabCoordinator }) => (this.coordinator = new TabCoordinator(/** @type {TabContext} */ (this))));
    this.#loading.catch(() => (this.#loading = undefined));
    return this.#loading;
  }
}
