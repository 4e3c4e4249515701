/** The notifications of one view: fetched by pages, kept by events, with what is done to them shown at once. */

import * as inbox from './inbox.js';

/** @import { BellcastEvent, Notification, Page, Query } from './events.js' */
/** @import { Action } from './inbox.js' */

const FIRST = 20;
const MOST = 100; // the server's limit of a page

export class View {
  truth = inbox.EMPTY;
  /** Whether its state was read since the inbox was last fetched anew. */
  wanted = false;
  #fetch;
  /** What was heard while a page is on its way. @type {Set<BellcastEvent[]>} */
  #heard = new Set();
  /** @type {Promise<void> | null} */
  #fresh = null;
  /** @type {Promise<void> | null} */
  #more = null;

  /** @param {Query} query @param {(query: Query & {limit: number, before?: string}) => Promise<Page>} fetch */
  constructor(query, fetch) {
    this.query = query;
    this.#fetch = fetch;
  }

  get loaded() {
    return this.truth !== inbox.EMPTY;
  }

  /** @param {BellcastEvent} event */
  hear(event) {
    for (const heard of this.#heard) heard.push(event);
    if (this.loaded) this.truth = inbox.apply(this.truth, event);
  }

  /** Nobody told us all that happened. */
  doubt() {
    if (this.loaded) this.truth = { ...this.truth, stale: true };
  }

  /** Anew, as much as there was. Called again meanwhile it is the same one. */
  refresh() {
    this.#fresh ??= this.#again().finally(() => (this.#fresh = null));
    return this.#fresh;
  }

  /** The next older page. */
  more() {
    const { next: before } = this.truth;
    if (!before) return Promise.resolve();
    const limit = this.truth.rows.length < MOST ? FIRST : MOST;
    this.#more ??= this.#load({ limit, before }, inbox.extend).finally(() => (this.#more = null));
    return this.#more;
  }

  async #again() {
    do {
      const limit = Math.min(MOST, this.truth.rows.length + FIRST); // new ones must not push out what was loaded
      await this.#load({ limit }, (_, page) => inbox.snapshot(page, this.query));
    } while (this.truth.stale);
  }

  /** @param {{limit: number, before?: string}} part @param {(truth: inbox.Inbox, page: Page) => inbox.Inbox} merge */
  async #load(part, merge) {
    /** @type {BellcastEvent[]} */
    const heard = [];
    this.#heard.add(heard);
    try {
      const page = await this.#fetch({ ...this.query, ...part });
      // The page may be older or newer than any of these; applied in order, they end at the same truth either way.
      this.truth = heard.reduce(inbox.apply, merge(this.truth, page));
    } finally {
      this.#heard.delete(heard);
    }
  }

  /** With what is under way done already. @param {readonly Action[]} actions */
  after(actions) {
    const now = actions.reduce(inbox.act, this.truth);
    const { next, unread, unseen } = now;
    return { notifications: inbox.shown(now), next, unread, unseen, loaded: this.loaded };
  }
}
