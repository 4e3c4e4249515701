/** The notifications of one view: fetched page by page, updated by events, with pending actions applied. */

import * as inbox from './inbox-reducer.js';

/** @import { BellcastEvent, Notification, Page, Query } from './events.js' */
/** @import { Action } from './inbox-reducer.js' */
/** @import { Api } from './api.js' */

const PAGE_SIZE = 20;
const MAX_PAGE_SIZE = 100; // the server's limit

export class InboxView {
  confirmed = inbox.EMPTY;
  /** Whether the state was read since the last reset. */
  isInUse = false;
  #api;
  /** Events that arrived during a page request. @type {Set<BellcastEvent[]>} */
  #eventBuffers = new Set();
  /** @type {Promise<void> | null} */
  #refreshing = null;
  /** @type {Promise<void> | null} */
  #loadingMore = null;

  /** @param {Query} query @param {Pick<Api, 'inbox'>} api */
  constructor(query, api) {
    this.query = query;
    this.#api = api;
  }

  get loaded() {
    return this.confirmed !== inbox.EMPTY;
  }

  /** @param {BellcastEvent} event */
  apply(event) {
    for (const events of this.#eventBuffers) events.push(event);
    if (this.loaded) this.confirmed = inbox.apply(this.confirmed, event);
  }

  /** Reload after missed events. */
  markStale() {
    if (this.loaded) this.confirmed = { ...this.confirmed, stale: true };
  }

  /** Fetch as many rows as were loaded. Concurrent calls share one request. */
  refresh() {
    this.#refreshing ??= this.#fetchUntilFresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** Load the next older page. */
  loadMore() {
    const { next: before } = this.confirmed;
    if (!before) return Promise.resolve();
    const limit = this.confirmed.rows.length < MAX_PAGE_SIZE ? PAGE_SIZE : MAX_PAGE_SIZE;
    this.#loadingMore ??= this.#load({ limit, before }, inbox.extend).finally(() => (this.#loadingMore = null));
    return this.#loadingMore;
  }

  async #fetchUntilFresh() {
    do {
      const limit = Math.min(MAX_PAGE_SIZE, this.confirmed.rows.length + PAGE_SIZE); // new rows must not push out loaded ones
      await this.#load({ limit }, (_, page) => inbox.snapshot(page, this.query));
    } while (this.confirmed.stale);
  }

  /** @param {{limit: number, before?: string}} part @param {(confirmed: inbox.Inbox, page: Page) => inbox.Inbox} merge */
  async #load(part, merge) {
    /** @type {BellcastEvent[]} */
    const events = [];
    this.#eventBuffers.add(events);
    try {
      const page = await this.#api.inbox({ ...this.query, ...part });
      // The page may be older or newer than any of these events; applied in order, they lead to the same state either way.
      this.confirmed = events.reduce(inbox.apply, merge(this.confirmed, page));
    } finally {
      this.#eventBuffers.delete(events);
    }
  }

  /** The confirmed state with pending actions applied. @param {readonly Action[]} actions */
  withPending(actions) {
    const state = actions.reduce(inbox.applyOptimistic, this.confirmed);
    const { next, unread, unseen, awaits_return } = state;
    return { notifications: inbox.visible(state), next, unread, unseen, awaits_return, loaded: this.loaded };
  }
}
