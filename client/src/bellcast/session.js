/** One person's inbox, live: holds the state, stays connected, does what they ask at once and takes it back if refused. */

import { Api, Credential, Refused } from './api.js';
import * as forecast from './forecast.js';
import { Queue } from './queue.js';
import { none } from './strict.js';
import { Tabs } from './tabs.js';
import { View } from './view.js';
import { browser } from './world.js';

/** @import { BellcastEvent, Member, Notification, Query, Verb } from './events.js' */
/** @import { GetToken } from './api.js' */
/** @import { Plan, Status } from './pilot.js' */
/** @import { Which } from './queue.js' */
/** @import { Topics } from './topics.js' */
/** @import { World } from './world.js' */

/**
 * @typedef {object} Options
 * @property {string} [server]  where Bellcast answers; this page's own origin by default
 * @property {string | null} [token]
 * @property {GetToken} [getToken]  asked for the first token, and for a fresh one before each ends: returns it, `{token}`, or a response with either
 * @property {string} [recipient]  who is signed in, where cookies speak: lets this person's tabs share a line
 * @property {Iterable<string>} [topics]
 * @property {Partial<World>} [world]
 *
 * @typedef {object} Listing
 * @property {readonly Notification[]} notifications  newest first
 * @property {number} unread
 * @property {number} unseen
 * @property {string | null} next  not null: there is more to load
 * @property {boolean} loaded
 *
 * @typedef {object} Standing
 * @property {Status} status
 * @property {number} queued  actions that wait for the server to be back
 * @property {Refused | null} error  why the session ended
 *
 * @typedef {Listing & Standing} State
 * @typedef {{readonly state: Listing, loadMore: () => Promise<void>}} Viewed
 */

const LIVE = ['event', 'presence', 'typing'];

/**
 * Events: `change` (read `state`), `notification` (a new one), `ring` (new ones, in the one tab that is to tell the person),
 * `event`, `presence`, `typing` (on topics), `refused` (an action was taken back, or a topic refused: its `detail` has a `topic` then).
 */
export class Session extends EventTarget {
  /** @type {Set<string>} */
  #topics;
  #world;
  #api;
  #plan;
  /** Whose line it is. @type {Tabs | null} */
  #tabs = null;
  #main;
  /** @type {Map<string, View>} */
  #shown = new Map();
  #queue;
  /** Whoever waited and finds another has been overtaken. @type {object | null} */
  #turn = null;
  /** @type {any} */
  #ringing;
  /** @type {string[]} */
  #rung = [];
  /** What is said and heard on them. @type {Topics | null} */
  #spoken = null;
  /** @type {Status} */
  #status = 'closed';
  /** What was computed since the last change. @type {Map<View | null, any>} */
  #known = new Map();

  /** @param {Options} [options] */
  constructor({ server = '', token, getToken, recipient, topics = [], world, ...others } = {}) {
    super();
    none(others, 'Session');
    const here = globalThis.document?.baseURI;
    const base = new URL(server.replace(/\/*$/, '/'), server ? here : globalThis.location?.origin).href;
    const credential = new Credential(token, getToken, recipient);
    this.#topics = new Set(topics);
    this.#world = { ...browser(), ...world };
    this.#api = new Api(base, credential, this.#world);
    this.#main = this.#view({});
    this.#queue = new Queue({
      api: this.#api,
      world: this.#world,
      view: this.#main,
      live: () => this.#status === 'live',
      changed: () => this.#changed(),
      refused: (error) => this.#tell('refused', error),
    });
    /** @type {Plan & {credential: Credential}} */
    this.#plan = {
      base,
      credential,
      world: this.#world,
      topics: () => this.#topics,
      position: () => this.#main.truth.position,
      prepare: async () => void (this.#main.truth.stale && (await this.#refresh(this.#main))),
      hear: (event, since) => this.#hear(event, since),
      moved: () => this.#moved(),
      recalled: () => void this.#queue.recall(),
    };
  }

  /** Load the inbox and stay connected until `close()`. Asked again, it tries again at once. */
  open() {
    const { company, line } = this.#tabs ?? {};
    if (line && !line.error) {
      company?.post({ word: 'retry' });
      line.open();
    } else if (line || !this.#turn) void this.#enter((this.#turn = {}));
    return this;
  }

  close() {
    this.#queue.settle();
    this.#world.clearTimeout(this.#ringing);
    this.#turn = null;
    this.#hangUp();
    this.#moved();
  }

  /** @returns {State} */
  get state() {
    return this.#once(null, () => ({ ...this.#listing(this.#main), status: this.#status, queued: this.#queue.waiting, error: this.#tabs?.line?.error ?? null }));
  }

  /** Another view of the inbox, kept as live as the first. @param {Query} query @returns {Viewed} */
  view(query) {
    const look = () => {
      const view = this.#view(query);
      view.wanted = true;
      if (view.truth.stale) void this.#refresh(view).catch(() => {});
      return view;
    };
    const listing = () => this.#listing(look());
    listing();
    return { get state() { return listing(); }, loadMore: () => this.#more(look()) };
  }

  /** @param {Which} which */
  seen(which) { return this.#queue.act('seen', which); }

  /** @param {Which} which */
  read(which) { return this.#queue.act('read', which); }

  /** @param {Which} which */
  unread(which) { return this.#queue.act('unread', which); }

  /** @param {Which} which */
  archive(which) { return this.#queue.act('archive', which); }

  /** @param {Which} which */
  unarchive(which) { return this.#queue.act('unarchive', which); }

  /** @param {Which} which */
  delete(which) { return this.#queue.act('delete', which); }

  /** Shown as done, told to the server when the person can no longer change their mind. @param {Verb} verb @param {Which} which */
  hold(verb, which) {
    return this.#queue.hold(verb, which);
  }

  /** The next older page. Called again meanwhile it is the same one. */
  loadMore() {
    return this.#more(this.#main);
  }

  /** Follow live topics. @param {...string} topics */
  subscribe(...topics) {
    for (const topic of topics) this.#topics.add(topic);
    return this.#speak((spoken) => spoken.subscribe(topics));
  }

  /** @param {...string} topics */
  unsubscribe(...topics) {
    for (const topic of topics) this.#topics.delete(topic);
    return this.#speak((spoken) => spoken.unsubscribe(topics));
  }

  /** Who is on a topic that presence is kept on. @param {string} topic @returns {Member[]} */
  members(topic) {
    return this.#spoken?.members(topic) ?? [];
  }

  /** To the others on a topic. Needs a WebSocket, as all that follows. @param {string} topic @param {string} name @param {unknown} data */
  publish(topic, name, data) {
    return this.#ask({ type: 'publish', topic, name, data });
  }

  /** @param {string} topic @param {boolean} on */
  typing(topic, on) {
    return this.#ask({ type: 'typing', topic, on });
  }

  /** Whether the line answers; resolves when it does. */
  ping() {
    return this.#ask({ type: 'ping' });
  }

  /** Ask the app; resolves with its handler's reply. @param {string} name @param {unknown} [data] @returns {Promise<unknown>} */
  async call(name, data) {
    return (await this.#ask({ type: 'call', name, data })).data;
  }

  /** All that is told from now on, until the session closes: `for await (const event of session)`. @returns {AsyncGenerator<CustomEvent, void>} */
  async *[Symbol.asyncIterator]() {
    /** @type {CustomEvent[]} */
    const heard = [];
    const end = new AbortController();
    /** @type {((value?: unknown) => void) | undefined} */
    let wake;
    /** @param {any} event */
    const hear = (event) => (heard.push(event), wake?.());
    for (const type of ['change', 'notification', 'refused', ...LIVE]) this.addEventListener(type, hear, end);
    try {
      while (heard.length || this.#status !== 'closed') {
        const event = heard.shift();
        if (!event) await new Promise((resolve) => (wake = resolve));
        else if (event.type !== 'change') yield event;
      }
    } finally {
      end.abort();
    }
  }

  /** As one of this browser's tabs, where they can share a line; else alone. @param {object} turn */
  async #enter(turn) {
    this.#hangUp();
    this.#moved();
    if (this.#main.truth.stale) this.#refresh(this.#main).catch(() => {}); // nobody waits for a line to see the badge
    const whose = await this.#plan.credential.whose().catch(() => '');
    if (turn !== this.#turn) return;
    this.#tabs = new Tabs({ ...this.#plan }, whose);
    this.#world.page.addEventListener('pagehide', () => this.#queue.settle(), this.#tabs);
    this.#queue.enter(this.#tabs);
    this.#tabs.enter();
  }

  #hangUp() {
    const tabs = this.#tabs;
    this.#tabs = null;
    tabs?.leave();
    tabs?.line?.close();
  }

  /** What it takes is fetched by who speaks first, or follows. @template T @param {(spoken: Topics) => T | Promise<T>} run */
  async #speak(run) {
    const { Topics } = await forecast.topics(this.#world, this.#tabs?.signal);
    this.#spoken ??= new Topics({ topics: this.#topics, tabs: () => this.#tabs ?? {}, tell: (...event) => this.#tell(...event), unheard });
    return run(this.#spoken);
  }

  /** @param {object} frame @returns {Promise<any>} */
  #ask(frame) {
    return this.#tabs?.line?.twoWay ? this.#speak((spoken) => spoken.ask(frame)) : Promise.reject(unheard());
  }

  /** @param {Query} query */
  #view({ view: part, type, tag, ...others }) {
    none(others, 'view');
    const key = JSON.stringify({ view: part === 'all' ? undefined : part, type: type || undefined, tag: tag || undefined });
    const view = this.#shown.get(key) ?? new View(JSON.parse(key), (part) => this.#api.inbox(part));
    this.#shown.set(key, view);
    return view;
  }

  /** @template T @param {View | null} key @param {() => T} compute @returns {T} */
  #once(key, compute) {
    if (!this.#known.has(key)) this.#known.set(key, compute());
    return this.#known.get(key);
  }

  /** @param {View} view @returns {Listing} */
  #listing(view) {
    return this.#once(view, () => view.after(this.#queue.actions));
  }

  /** @param {View} view */
  async #more(view) {
    await view.more();
    this.#changed();
  }

  /** Where nobody says what is new, looking finds it. @param {View} view */
  async #refresh(view) {
    const { loaded, truth } = view;
    await view.refresh();
    this.#queue.forget();
    this.#changed();
    if (view !== this.#main || !loaded) return;
    const newest = truth.rows[0]?.id ?? '';
    const found = view.truth.rows.filter(({ id, read_at }) => id > newest && !read_at);
    for (const row of found.reverse()) this.#arrived(row);
  }

  #moved() {
    const status = this.#tabs?.line?.status ?? (this.#turn ? 'connecting' : 'closed');
    if (status === this.#status) return this.#changed();
    this.#status = status;
    this.#changed();
    if (status === 'live') this.#live();
  }

  #live() {
    void this.#queue.recall();
    void this.#queue.deliver();
    if (this.#topics.size) this.#speak((spoken) => spoken.meet()).catch(() => {});
  }

  /** @param {BellcastEvent} event @param {string | null} [since] */
  #hear(event, since) {
    if (LIVE.includes(event.type)) this.#heardLive(/** @type {any} */ (event));
    else this.#heardInbox(event, since);
  }

  /** What other tabs follow is heard as well. @param {Extract<BellcastEvent, {type: 'event' | 'presence' | 'typing'}>} event */
  #heardLive(event) {
    if (event.topic && !this.#topics.has(event.topic)) return;
    if (event.type === 'presence') this.#spoken?.hear(event);
    this.#tell(event.type, event);
  }

  /** @param {BellcastEvent} event @param {string | null} [since] */
  #heardInbox(event, since) {
    const { truth: before, loaded } = this.#main;
    if (since !== undefined && since !== before.position) for (const view of this.#shown.values()) view.doubt();
    for (const view of this.#shown.values()) view.hear(event);
    if (this.#main.truth === before) return;
    if (event.type !== 'ready') this.#queue.forget();
    this.#changed();
    if (loaded && event.type === 'notification' && !before.rows.some(({ id }) => id === event.notification.id)) this.#arrived(event.notification);
    if (!loaded || !this.#main.truth.stale) return;
    this.#refresh(this.#main).catch(() => this.#tabs?.line?.reopen());
    if (!before.stale) this.#release();
  }

  /** Views are fetched anew when they are read; one that nobody has read since the last time is let go. */
  #release() {
    for (const [key, view] of this.#shown) {
      if (view !== this.#main && !view.wanted) this.#shown.delete(key);
      view.wanted = false;
    }
  }

  /** @param {Notification} notification */
  #arrived(notification) {
    this.#tell('notification', notification);
    this.#rung.push(notification.id);
    this.#ringing ??= this.#world.setTimeout(() => void this.#ring(), this.#world.attention());
  }

  async #ring() {
    this.#ringing = undefined;
    const ids = new Set(this.#rung.splice(0));
    const rung = this.state.notifications.filter(({ id, seen_at }) => ids.has(id) && !seen_at).reverse();
    const told = (await this.#tabs?.company?.first(rung)) ?? rung;
    if (told.length) this.#tell('ring', told);
  }

  #changed() {
    this.#known.clear();
    this.#tell('change', null);
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const unheard = () => new Refused(0, { code: 'not_connected' });
