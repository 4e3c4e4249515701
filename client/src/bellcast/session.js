/** A user's live inbox: its state, its connection, and actions that show immediately and are reverted if refused. */

import { Api, Credential, Refused } from './api.js';
import { loadTopics } from './lazy.js';
import { ActionQueue, toTarget } from './action-queue.js';
import { checkFilter, rejectUnknown } from './strict.js';
import { LeaderElection } from './tab-leader.js';
import { InboxView } from './inbox-view.js';
import { placeOf } from './inbox-reducer.js';
import { browserEnvironment } from './environment.js';

/** @import { BellcastEvent, Member, Notification, Query, Verb } from './events.js' */
/** @import { GetToken } from './api.js' */
/** @import { ConnectionOptions, Status } from './reconnect.js' */
/** @import { Which } from './action-queue.js' */
/** @import { LiveTopics } from './live-topics.js' */
/** @import { Environment } from './environment.js' */

/**
 * @typedef {object} Options
 * @property {string} [server]  address of the server; by default the page's origin
 * @property {string | null} [token]
 * @property {GetToken} [getToken]  called for the first token and for a new one before each expires; returns a token, `{token}`, or a `Response` with either
 * @property {string} [tokenUrl]  instead of `getToken`: fetched with the page's cookies, responds with `{"token"}` or the token as text; 401 ends the session
 * @property {string} [recipient]  the signed-in user, with cookie authentication: lets this user's tabs share a connection
 * @property {Iterable<string>} [topics]
 * @property {Partial<Environment>} [environment]
 *
 * @typedef {object} Listing
 * @property {readonly Notification[]} notifications  newest first
 * @property {number} unread
 * @property {number} unseen
 * @property {string | null} next  null when all is loaded
 * @property {boolean} loaded
 * @property {boolean | undefined} [awaits_return]  true if notifications were snoozed until the user is back, as of the last fetch
 *
 * @typedef {object} ConnectionState
 * @property {Status} status
 * @property {number} queued  actions waiting for a connection
 * @property {Refused | null} error  why the session ended
 *
 * @typedef {Listing & ConnectionState} State  the counts are 0 once the session has ended
 * @typedef {string[] | null | undefined} ChangedIds
 * @typedef {{readonly state: Listing, loadMore: () => Promise<void>}} ViewHandle
 */

/** Maximum notifications remembered as reported, about 100 kB: far more than can arrive while the inbox is fetched. */
const MAX_REPORTED = 1_000;
const LIVE = ['event', 'presence', 'typing', 'preferences'];

/**
 * Events: `change` (read `state`), `notification` (a new one), `alert` (new ones, only in the tab that alerts the user; also dispatched as `ring`),
 * `event`, `presence`, `typing` (on topics), `preferences` (the user's preferences have changed), `refused` (a reverted action or a refused topic; the latter has a `topic` in `detail`).
 */
export class Session extends EventTarget {
  /** Topics, each with its followers: elements, components, and the session itself for those that only `unsubscribe()` ends. @type {Map<string, Set<object>>} */
  #topics = new Map();
  #environment;
  #api;
  #options;
  /** Null while closed. @type {LeaderElection | null} */
  #election = null;
  #main;
  /** @type {Map<string, InboxView>} */
  #views = new Map();
  #queue;
  /** Identifies the latest `open()`; an older one that is still waiting is ignored. @type {object | null} */
  #attempt = null;
  /** @type {any} */
  #alertTimer;
  /** @type {string[]} */
  #pendingAlerts = [];
  /** Sort keys of the notifications that were reported; a row that woke has another one. @type {Set<string>} */
  #reported = new Set();
  /** Loaded on first use. @type {LiveTopics | null} */
  #liveTopics = null;
  /** @type {Status} */
  #status = 'closed';
  /** Values computed since the last change. @type {Map<InboxView | null, any>} */
  #memo = new Map();

  /** @param {Options} [options] */
  constructor({ server = '', token, getToken, tokenUrl, recipient, topics = [], environment, ...others } = {}) {
    super();
    rejectUnknown({ ...others, ...(typeof topics === 'string' && { topics }) }, 'Session'); // each character would become a topic
    const page = globalThis.document?.baseURI;
    const base = new URL(server.replace(/\/*$/, '/'), server ? page : globalThis.location?.origin).href;
    this.#addFollower(this, topics);
    this.#environment = { ...browserEnvironment(), ...environment };
    const credential = new Credential(token, getToken ?? (tokenUrl ? () => this.#environment.fetch(tokenUrl, { credentials: 'include' }) : undefined), recipient, this.#environment.timeout);
    this.#api = new Api(base, credential, this.#environment);
    this.#main = this.#view({});
    this.#queue = new ActionQueue({
      api: this.#api,
      environment: this.#environment,
      view: this.#main,
      isLive: () => this.#status === 'live',
      onChange: () => this.#changed(),
      onRefused: (error) => this.#emit('refused', error),
    });
    /** @type {ConnectionOptions & {credential: Credential}} */
    this.#options = {
      base,
      credential,
      environment: this.#environment,
      topics: () => this.#topics.keys(),
      position: () => this.#main.confirmed.position,
      lastEvent: {},
      prepare: async () => void (this.#main.confirmed.stale && (await this.#refresh(this.#main))),
      onEvent: (event, since) => this.#onEvent(event, since),
      onStatusChange: () => this.#onStatusChange(),
      restoreActions: () => void this.#queue.restore(),
    };
  }

  /** Load the inbox and stay connected until `close()`. Called again, it retries immediately. */
  open() {
    const { coordinator, connection } = this.#election ?? {};
    if (connection && !connection.error) {
      coordinator?.post({ type: 'retry' });
      connection.open();
    } else if (connection || !this.#attempt) void this.#connect((this.#attempt = {}));
    return this;
  }

  close() {
    this.#queue.flush();
    this.#environment.clearTimeout(this.#alertTimer);
    this.#pendingAlerts = [];
    this.#alertTimer = undefined;
    this.#attempt = null;
    this.#disconnect();
    this.#onStatusChange();
  }

  /** @returns {State} */
  get state() {
    return this.#memoize(null, () => {
      const error = this.#election?.connection?.error ?? null;
      return { ...this.#listing(this.#main), ...(error && { unread: 0, unseen: 0 }), status: this.#status, queued: this.#queue.queuedCount, error };
    });
  }

  /** Another view of the inbox. It is updated as long as its `state` is read on `change`. @param {Query} query @returns {ViewHandle} */
  view(query) {
    const current = () => {
      const view = this.#view(query);
      view.isInUse = true;
      if (view.confirmed.stale) void this.#refresh(view).catch(() => {});
      return view;
    };
    const listing = () => this.#listing(current());
    listing();
    return { get state() { return listing(); }, loadMore: () => this.#loadMore(current()) };
  }

  /** Like the other actions, resolves with the ids of the changed notifications; null if there are more than 1,000. @param {[which: Which]} args @returns {Promise<ChangedIds>} */
  seen(...args) { return this.#queue.act('seen', ...args); }

  /** @param {[which: Which]} args @returns {Promise<ChangedIds>} */
  read(...args) { return this.#queue.act('read', ...args); }

  /** @param {[which: Which]} args @returns {Promise<ChangedIds>} */
  unread(...args) { return this.#queue.act('unread', ...args); }

  /** @param {[which: Which]} args @returns {Promise<ChangedIds>} */
  archive(...args) { return this.#queue.act('archive', ...args); }

  /** @param {[which: Which]} args @returns {Promise<ChangedIds>} */
  unarchive(...args) { return this.#queue.act('unarchive', ...args); }

  /** @param {[which: Which]} args @returns {Promise<ChangedIds>} */
  delete(...args) { return this.#queue.act('delete', ...args); }

  /**
   * Hide notifications until a time, for a duration such as `'3h'`, or until `'back'`; then they return as new.
   * `unarchive` brings them back immediately.
   * @param {string | Iterable<string>} ids @param {{until: string} | {for: string | number}} end
   */
  async snooze(ids, end) {
    // 'all' has no ids: the request throws.
    await this.#api.act('snooze', { ...end, ids: /** @type {{ids?: string[]}} */ (toTarget('snooze', ids)).ids });
  }

  /** The user is back: return the notifications snoozed until then. */
  async back() {
    await this.#api.act('back');
  }

  /**
   * Take an action of a notification; only the first call has an effect. Resolves with the notification.
   * @param {string} id @param {string} key @returns {Promise<Notification>}
   */
  takeAction(id, key) {
    return this.#api.call('POST', `v1/inbox/${encodeURIComponent(id)}/actions/${encodeURIComponent(key)}`);
  }

  /** Read the user's preferences, or change them: null removes a setting. @param {object} [changes] @returns {Promise<any>} */
  preferences(changes) {
    return this.#api.call(changes ? 'PATCH' : 'GET', 'v1/preferences', changes);
  }

  /** Show an action as done and send it on `commit()`, or when the page or the session closes; `undo()` reverts it. @param {[verb: Verb, which: Which]} args @returns {{undo: () => void, commit: () => void}} */
  hold(...args) {
    return this.#queue.defer(...args);
  }

  /** Load the next older page. Concurrent calls share one request. @returns {Promise<void>} */
  loadMore() {
    return this.#loadMore(this.#main);
  }

  /** Follow live topics. @param {...string} topics */
  subscribe(...topics) {
    this.#addFollower(this, topics);
    return this.#withTopics((liveTopics) => liveTopics.subscribe(topics));
  }

  /** @param {...string} topics */
  unsubscribe(...topics) {
    for (const topic of topics) this.#topics.delete(topic);
    return this.#withTopics((liveTopics) => liveTopics.unsubscribe(topics));
  }

  /** Follow topics for a part of the page, until the returned function is called; others may follow them too. @internal @param {string[]} topics @returns {() => void} */
  followTopics(topics) {
    const follower = {};
    const added = topics.filter((topic) => !this.#topics.has(topic));
    this.#addFollower(follower, topics);
    if (added.length) this.#withTopics((liveTopics) => liveTopics.subscribe(added)).catch(() => {});
    const end = () => {
      const unused = topics.filter((topic) => this.#topics.get(topic)?.delete(follower) && !this.#topics.get(topic)?.size);
      if (unused.length) this.unsubscribe(...unused).catch(() => {});
    };
    return () => void this.#environment.setTimeout(end, 0); // a part that restarts follows them again immediately, and must miss no event
  }

  /** Members of a presence topic. @param {[topic: string]} topic @returns {Member[]} */
  members(...topic) {
    return this.#liveTopics?.members(...topic) ?? [];
  }

  /** Send an event to the others on a topic. Needs a WebSocket, like all methods below; without one, or if the server refuses, the returned promise is rejected. @param {[topic: string, name: string, data?: unknown]} args */
  publish(...args) {
    return this.#request('publish', args);
  }

  /** @param {[topic: string, on: boolean]} args */
  typing(...args) {
    return this.#request('typing', args);
  }

  /** Resolve when the server responds. @param {[]} args */
  ping(...args) {
    return this.#request('ping', args);
  }

  /** Call the app; resolves with its handler's result. @param {[name: string, data?: unknown]} args @returns {Promise<unknown>} */
  async call(...args) {
    return (await this.#request('call', args)).data;
  }

  /** Send push messages to this browser, even while no page is open. Call it in a click: the browser then asks the user. Resolves with the endpoint's id. @param {import('./push.js').PushOptions} [options] @returns {Promise<string>} */
  async enablePush(options) {
    const permission = globalThis.Notification?.requestPermission();
    return (await import('./push.js')).enablePush(this.#api, this.#options.base, options, permission);
  }

  /** Whether push messages reach this browser. @param {import('./push.js').PushOptions} [options] @returns {Promise<import('./push.js').PushState>} */
  async pushState(options) {
    return (await import('./push.js')).pushState(this.#api, this.#options.base, options);
  }

  /** Stop push messages to this browser. @param {import('./push.js').PushOptions} [options] */
  async disablePush(options) {
    return (await import('./push.js')).disablePush(this.#api, this.#options.base, options);
  }

  /** Test the connection of this page with `/bellcast/check.js` of the server, and show the report. Rejects if the module cannot be loaded. @returns {Promise<unknown>} */
  async check() {
    return (await import('./debug.js')).check(this.#options);
  }

  /** Iterate over new events until the session closes: `for await (const event of session)`. @returns {AsyncGenerator<CustomEvent, void>} */
  async *[Symbol.asyncIterator]() {
    /** @type {CustomEvent[]} */
    const events = [];
    const listeners = new AbortController();
    /** @type {((value?: unknown) => void) | undefined} */
    let wake;
    /** @param {any} event */
    const listen = (event) => (events.push(event), wake?.());
    for (const type of ['change', 'notification', 'refused', ...LIVE]) this.addEventListener(type, listen, listeners);
    try {
      while (events.length || this.#status !== 'closed') {
        const event = events.shift();
        if (!event) await new Promise((resolve) => (wake = resolve));
        else if (event.type !== 'change') yield event;
      }
    } finally {
      listeners.abort();
    }
  }

  /** Connect, sharing the connection with other tabs where possible. @param {object} attempt */
  async #connect(attempt) {
    this.#disconnect();
    this.#onStatusChange();
    if (this.#main.confirmed.stale) this.#refresh(this.#main).catch(() => {}); // the badge must not wait for the connection
    const sharingKey = await this.#options.credential.sharingKey().catch(() => '');
    if (attempt !== this.#attempt) return;
    this.#election = new LeaderElection({ ...this.#options }, sharingKey);
    this.#environment.page.addEventListener('pagehide', () => this.#queue.flush(), this.#election);
    this.#queue.setScope(this.#election);
    this.#election.start();
  }

  #disconnect() {
    const tabs = this.#election;
    this.#election = null;
    tabs?.stop();
    tabs?.connection?.close();
  }

  /** @param {object} follower @param {Iterable<string>} topics */
  #addFollower(follower, topics) {
    for (const topic of topics) this.#topics.set(topic, (this.#topics.get(topic) ?? new Set()).add(follower));
  }

  /** Load the code for topics and requests on first use. @template T @param {(liveTopics: LiveTopics) => T | Promise<T>} run */
  async #withTopics(run) {
    const { LiveTopics } = await loadTopics(this.#environment, this.#election?.signal);
    this.#liveTopics ??= new LiveTopics({ topics: this.#topics, election: () => this.#election ?? {}, emit: (...event) => this.#emit(...event), notConnected });
    return run(this.#liveTopics);
  }

  /** @param {import('./live-topics.js').Command} type @param {unknown[]} args @returns {Promise<any>} */
  #request(type, args) {
    return this.#election?.connection?.twoWay ? this.#withTopics((liveTopics) => liveTopics.request(type, args)) : Promise.reject(notConnected());
  }

  /** @param {Query} query */
  #view(query) {
    const { view: part, type, tag } = query;
    checkFilter(query, 'view');
    const key = JSON.stringify({ view: part === 'all' ? undefined : part, type, tag });
    const view = this.#views.get(key) ?? new InboxView(JSON.parse(key), this.#api);
    this.#views.set(key, view);
    return view;
  }

  /** @template T @param {InboxView | null} key @param {() => T} compute @returns {T} */
  #memoize(key, compute) {
    if (!this.#memo.has(key)) this.#memo.set(key, compute());
    return this.#memo.get(key);
  }

  /** @param {InboxView} view @returns {Listing} */
  #listing(view) {
    return this.#memoize(view, () => view.withPending(this.#queue.actions));
  }

  /** @param {InboxView} view */
  async #loadMore(view) {
    await view.loadMore();
    this.#changed();
  }

  /** Fetch the view again; for the inbox, report notifications that no event announced. @param {InboxView} view */
  async #refresh(view) {
    const { loaded, confirmed } = view;
    await view.refresh();
    this.#queue.dropConfirmed();
    this.#changed();
    if (view !== this.#main || !loaded) return;
    const [newest] = confirmed.rows;
    const added = view.confirmed.rows.filter((row) => (!newest || placeOf(row) > placeOf(newest)) && !row.read_at);
    for (const row of added.reverse()) this.#onNew(row);
  }

  #onStatusChange() {
    const status = this.#election?.connection?.status ?? (this.#attempt ? 'connecting' : 'closed');
    if (status === this.#status) return this.#changed();
    this.#status = status;
    this.#changed();
    if (status === 'live') this.#onLive();
  }

  #onLive() {
    void this.#queue.restore();
    void this.#queue.deliver();
    if (this.#topics.size) this.#withTopics((liveTopics) => liveTopics.loadPresence()).catch(() => {});
  }

  /** @param {BellcastEvent} event @param {string | null} [since] */
  #onEvent(event, since) {
    if (LIVE.includes(event.type)) this.#onLiveEvent(/** @type {any} */ (event));
    else this.#onInboxEvent(event, since);
  }

  /** Ignore events of topics that only other tabs follow. @param {Extract<BellcastEvent, {type: 'event' | 'presence' | 'typing' | 'preferences'}>} event */
  #onLiveEvent(event) {
    if ('topic' in event && event.topic && !this.#topics.has(event.topic)) return;
    if (event.type === 'presence') this.#liveTopics?.onPresence(event);
    this.#emit(event.type, event);
  }

  /** @param {BellcastEvent} event @param {string | null} [since] */
  #onInboxEvent(event, since) {
    const { confirmed: before, loaded } = this.#main;
    if (since !== undefined && since !== before.position) for (const view of this.#views.values()) view.markStale();
    for (const view of this.#views.values()) view.apply(event);
    if (this.#main.confirmed === before) return;
    if (event.type !== 'ready') this.#queue.dropConfirmed();
    this.#changed();
    if (loaded && event.type === 'notification' && !before.rows.some(({ id, snoozed_until }) => id === event.notification.id && !snoozed_until)) this.#onNew(event.notification);
    if (!loaded || !this.#main.confirmed.stale) return;
    this.#refresh(this.#main).catch(() => this.#election?.connection?.reopen());
    if (!before.stale) this.#releaseUnused();
  }

  /** Drop views whose state was not read since the last release; the others are fetched again when they are read. */
  #releaseUnused() {
    for (const [key, view] of this.#views) {
      if (view !== this.#main && !view.isInUse) this.#views.delete(key);
      view.isInUse = false;
    }
  }

  /**
   * Report a notification only once: it may arrive while the inbox is fetched, and several calls share that request.
   * @param {Notification} notification
   */
  #onNew(notification) {
    const place = placeOf(notification);
    if (this.#reported.has(place)) return;
    if (this.#reported.add(place).size > MAX_REPORTED) this.#reported.clear();
    this.#emit('notification', notification);
    this.#pendingAlerts.push(notification.id);
    this.#alertTimer ??= this.#environment.setTimeout(() => void this.#alert(), this.#environment.alertDelay());
  }

  async #alert() {
    this.#alertTimer = undefined;
    const ids = new Set(this.#pendingAlerts.splice(0));
    const unseen = this.state.notifications.filter(({ id, seen_at }) => ids.has(id) && !seen_at).reverse();
    const alerts = (await this.#election?.coordinator?.claimAlerts(unseen)) ?? unseen;
    if (!alerts.length) return;
    this.#emit('alert', alerts);
    this.#emit('ring', alerts); // alias
  }

  #changed() {
    this.#memo.clear();
    this.#emit('change', null);
  }

  /** @param {string} type @param {unknown} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const notConnected = () => new Refused(0, { code: 'not_connected' });
