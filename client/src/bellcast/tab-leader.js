/**
 * Leader election: among a user's tabs in one browser, the tab that holds the lock has the connection.
 * `tab-coordinator.js` is loaded when there is another tab.
 */

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

  /** @param {ConnectionOptions} options @param {string} sharingKey */
  constructor(options, sharingKey) {
    const { locks, Channel } = options.environment;
    this.options = options;
    /** Name of the lock and the channel. Without a sharing key the connection is not shared. */
    this.name = `bellcast ${options.base} ${sharingKey}`;
    this.signal = this.#abort.signal;
    /** Set once another tab has been detected. @type {TabCoordinator | undefined} */
    this.coordinator = undefined;
    if (!sharingKey || !locks || !Channel) return;
    this.locks = locks;
    this.channel = new Channel(this.name);
    this.channel.onmessage = ({ data }) => this.#loadCoordinator().then((coordinator) => coordinator.onMessage(data), () => {});
  }

  start() {
    if (!this.locks) return this.connect(this.options);
    // If the coordinator cannot be loaded, this tab opens its own connection.
    const follow = () => void this.#loadCoordinator().then((coordinator) => coordinator.becomeFollower(), () => this.connect(this.options));
    void this.locks.request(this.name, { ifAvailable: true }, (lock) => (lock ? this.becomeLeader() : follow()));
  }

  /** Hold the connection; the returned promise, and with it the lock, lasts until `stop()`. */
  becomeLeader() {
    this.isLeader = true;
    this.connect(this.options);
    return this.signal.aborted || new Promise((done) => this.signal.addEventListener('abort', done));
  }

  /** Replace the current connection. @param {ConnectionOptions} options */
  connect(options) {
    if (this.signal.aborted) return;
    const previous = this.connection;
    this.connection = new Connection(options);
    previous?.close();
    this.connection.open();
  }

  /** Release the lock. */
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
