/** The notifications of one view: fetched by pages, kept by events, with what is done to them shown at once. */

import * as inbox from './inbox-reducer.js';

/** @import { BellcastEvent, Notification, Page, Query } from './events.js' */
/** @import { Action } from './inbox-reducer.js' */

const PAGE_SIZE = 20;
const MAX_PAGE_SIZE = 100; // the server's limit of a page

export class InboxView {
  confirmed = inbox.EMPTY;
  /** Whether its state was read since the inbox was last fetched anew. */
  isInUse = false;
  #fetch;
  /** What was heard while a page is on its way. @type {Set<BellcastEvent[]>} */
  #eventBuffers = new Set();
  /** @type {Promise<void> | null} */
  #refreshing = null;
  /** @type {Promise<void> | null} */
  #loadingMore = null;

  /** @param {Query} query @param {(query: Query & {limit: number, before?: string}) => Promise<Page>} fetch */
  constructor(query, fetch) {
    this.query = query;
    this.#fetch = fetch;
  }

  get loaded() {
    return this.confirmed !== inbox.EMPTY;
  }

  /** @param {BellcastEvent} event */
  apply(event) {
    for (const heard of this.#eventBuffers) heard.push(event);
    if (this.loaded) this.confirmed = inbox.apply(this.confirmed, event);
  }

  /** Nobody told us all that happened. */
  markStale() {
    if (this.loaded) this.confirmed = { ...this.confirmed, stale: true };
  }

  /** Anew, as much as there was. Called again meanwhile it is the same one. */
  refresh() {
    this.#refreshing ??= this.#fetchUntilFresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** The next older page. */
  loadMore() {
    const { next: before } = this.confirmed;
    if (!before) return Promise.resolve();
    const limit = this.confirmed.rows.length < MAX_PAGE_SIZE ? PAGE_SIZE : MAX_PAGE_SIZE;
    this.#loadingMore ??= this.#load({ limit, before }, inbox.extend).finally(() => (this.#loadingMore = null));
    return this.#loadingMore;
  }

  async #fetchUntilFresh() {
    do {
      const limit = Math.min(MAX_PAGE_SIZE, this.confirmed.rows.length + PAGE_SIZE); // new ones must not push out what was loaded
      await this.#load({ limit }, (_, page) => inbox.snapshot(page, this.query));
    } while (this.confirmed.stale);
  }

  /** @param {{limit: number, before?: string}} part @param {(truth: inbox.Inbox, page: Page) => inbox.Inbox} merge */
  async #load(part, merge) {
    /** @type {BellcastEvent[]} */
    const heard = [];
    this.#eventBuffers.add(heard);
    try {
      const page = await this.#fetch({ ...this.query, ...part });
      // The page may be older or newer than any of these; applied in order, they end at the same truth either way.
      this.confirmed = heard.reduce(inbox.apply, merge(this.confirmed, page));
    } finally {
      this.#eventBuffers.delete(heard);
    }
  }

  /** With what is under way done already. @param {readonly Action[]} actions */
  withPending(actions) {
    const now = actions.reduce(inbox.applyOptimistic, this.confirmed);
    const { next, unread, unseen } = now;
    return { notifications: inbox.visible(now), next, unread, unseen, loaded: this.loaded };
  }
}
