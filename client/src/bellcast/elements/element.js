/** Base class of the elements: attributes, the session while connected to a page, texts in its language, one render per frame. */

import { browserEnvironment } from '../environment.js';
import { loadWithRetry } from '../lazy.js';
import { link } from './dom.js';
import { startAlerts } from './alerts.js';
import { loadLanguage, texts } from './messages.js';
import { fullTitle } from './notification-title.js';
import { isPageRefused } from './page-refused.js';
import { acquire } from './shared-sessions.js';
import { sheet } from './style-sheets.js';
import { CSS } from './styles.js';
import { clock } from './time.js';
import { parse } from './tab-bar.js';
import { parseTopics } from './topic-names.js';

/** @import { Notification, Query } from '../events.js' */
/** @import { Options, Session } from '../session.js' */
/** @import { Messages } from './messages.js' */
/** @import { Refused } from '../api.js' */
/** @import { Panel } from './panel.js' */
/** @import { Tab } from './tab-bar.js' */

const TIME_REFRESH_INTERVAL = 20_000; // ms: times are shown in minutes
const SEEN_REPORT_INTERVAL = 300; // ms
const COMMON_ATTRIBUTES = ['server', 'token', 'token-url', 'recipient', 'topics', 'lang', 'debug'];
const PROPERTIES = ['getToken', 'session', 'source', 'messages', 'tabs'];

/** @typedef {{server: string | null, token: string | null, recipient: string | null, get topics(): string | null, set topics(topics: string | string[] | null)}} Reflected  the properties that `reflect` defines */

/** Without a DOM (server rendering) the class must still load. @type {new () => HTMLElement & Reflected} */
const BaseElement = /** @type {any} */ (globalThis.HTMLElement) ?? class {};

/**
 * @attr {string} server  address of the server; by default the page's origin
 * @attr {string} token  a session token; a page that stays open needs `token-url` or `getToken`
 * @attr {string} token-url  fetched with the page's cookies for each session token: responds with `{"token": "…"}` or the token as text; 401 ends the session
 * @attr {string} recipient  the signed-in user, with cookie authentication: lets the user's tabs share a connection
 * @attr {string} topics  topics to follow, separated by commas; as a JSON array if a name contains a comma: `["orders,eu", "desk"]`. The property takes an array too
 * @attr {string} lang  `en`, `de`, `es`, `fr` or `ar`; by default the page's
 * @attr debug  log in the browser's console when the session connects (`[bellcast] connected`) and every event that it receives
 * @attr session  wait for the property `session`
 * @prop {GetToken} getToken  called for the first token and for a new one before each expires; returns a token, `{token}`, or a `Response` with either
 * @prop {Session} session  a session to share; the element neither opens nor closes it
 * @prop {Partial<Messages>} messages  your own texts, by the names in `messages.js`
 * @fires {{code: string, message: string}} bellcast:sign-in  the server no longer accepts the session
 * @fires {{code: string, message: string, topic?: string}} bellcast:refused  the server refused an action, which was reverted, or a topic
 * @fires {{verb: string, which: unknown}} bellcast:action  the user marks, archives or deletes notifications
 * @fires {{notification: Notification}} bellcast:open-notification  the user follows the link of a notification or of one of its buttons
 */
export class Element extends BaseElement {
  static observedAttributes = COMMON_ATTRIBUTES;

  /** @type {Options['getToken']} */
  #getToken;
  /** @type {Session | null} */
  #session = null;
  /** @type {Session | null} */
  #providedSession = null;
  /** @type {Partial<Messages> | undefined} */
  #messages;
  /** @type {Tab[] | undefined} */
  #tabs;
  /** The query of the panel's tab. It is preserved across a restart, such as the one after a language was loaded. @type {Query | undefined} */
  #shown;
  /** @type {AbortController | null} */
  #abort = null;
  #frameRequest = 0;
  /** Reported as seen; not reported again if refused. @type {Set<string>} */
  #reportedSeen = new Set();
  /** Seen but not yet reported. @type {string[]} */
  #unreportedSeen = [];
  /** @type {any} */
  #seenTimer = 0;
  /** Why the session ended, as of the last render. @type {Refused | null} */
  #reportedEnd = null;
  texts = texts('en');

  constructor() {
    super();
    this.attachShadow({ mode: 'open' }).adoptedStyleSheets = [sheet(CSS)];
  }

  /** The headless session. Set one to share it; it is then neither opened nor closed by the element. */
  get session() {
    return this.#session ?? this.#providedSession;
  }

  set session(session) {
    this.#providedSession = session;
    this.restart();
  }

  /** Called for the first token and for a new one before each expires. */
  get getToken() {
    return this.#getToken;
  }

  set getToken(getToken) {
    this.#getToken = getToken;
    this.restart();
  }

  /** The page's own texts, by the names in `messages.js`. */
  get messages() {
    return this.#messages;
  }

  set messages(messages) {
    if (!messages && !this.#messages) return;
    this.#messages = messages;
    this.restart();
  }

  /** The tabs, as objects; the attribute contains them as text. @returns {Tab[]} */
  get tabs() {
    return this.#tabs ?? parse(this.getAttribute('tabs') ?? 'all,unread,snoozed,archived');
  }

  set tabs(tabs) {
    const given = tabs ?? undefined;
    if (!given && !this.#tabs) return;
    this.#tabs = Array.isArray(given) ? given : given && parse(String(given));
    this.restart();
  }

  /** Aborted when the element leaves the page or restarts. */
  get abortSignal() {
    return this.#abort?.signal;
  }

  connectedCallback() {
    const { observedAttributes } = /** @type {typeof Element} */ (this.constructor);
    for (const name of [...PROPERTIES, ...observedAttributes]) upgradeProperty(this, name);
    if (this.#abort) this.onMoved();
    else void this.#startWhenReady();
  }

  disconnectedCallback() {
    queueMicrotask(() => this.isConnected || this.#stop());
  }

  /** @param {string} _name @param {string | null} before @param {string | null} after */
  attributeChangedCallback(_name, before, after) {
    if (before !== after) this.restart();
  }

  /** The element was moved within the page. */
  onMoved() {}

  /** Create the content, which lasts until `abortSignal` is aborted. @param {Session} _session @returns {Node[]} */
  build(_session) {
    return [];
  }

  /** @param {Session} _session */
  render(_session) {}

  restart() {
    if (!this.isConnected) return;
    this.#stop();
    void this.#startWhenReady();
  }

  /** Restart without closing the session meanwhile, which would fetch the inbox again. */
  #restartWithSession() {
    const release = this.#providedSession ? () => {} : this.#acquireSession().release;
    this.restart();
    setTimeout(release);
  }

  /** Wait for attributes and properties that scripts may still set; with the attribute `session`, until a session is set. */
  async #startWhenReady() {
    const isConfigured = this.#providedSession || this.#getToken || this.hasAttribute('token') || this.hasAttribute('token-url') || this.hasAttribute('recipient');
    await (isConfigured || scriptsRun());
    if (!this.#providedSession && this.hasAttribute('session')) return;
    if (this.isConnected && !this.#abort) this.#start();
  }

  #start() {
    const end = (this.#abort = new AbortController());
    const { signal } = end;
    const lang = this.lang || document.documentElement.lang;
    loadLanguage(lang)?.then(() => signal.aborted || this.#restartWithSession());
    this.texts = texts(lang, this.#messages);
    const { session, release } = this.#providedSession ? { session: this.#providedSession, release() {} } : this.#acquireSession();
    this.#session = session;
    this.#reportedSeen.clear();
    this.#unreportedSeen = [];
    const topics = parseTopics(this.getAttribute('topics') ?? '');
    if (topics.length) signal.addEventListener('abort', session.followTopics(topics));
    if (this.hasAttribute('debug')) import('../debug.js').then(({ logSession }) => logSession(session), () => {});
    session.addEventListener('refused', (event) => this.emitCancelable('refused', /** @type {CustomEvent} */ (event).detail), { signal });
    signal.addEventListener('abort', release);
    signal.addEventListener('abort', startAlerts(session, { many: this.texts.arrivedMany, titleOf: fullTitle, open: (notification) => this.openNotification(notification) }));
    this.shadowRoot?.replaceChildren(...this.build(session));
    let { loaded } = session.state;
    // The first count must not wait for a frame.
    session.addEventListener('change', () => (loaded ? this.draw() : ((loaded = session.state.loaded), this.renderNow())), { signal });
    document.addEventListener('visibilitychange', () => this.draw(), { signal });
    const ticking = setInterval(() => this.draw(), TIME_REFRESH_INTERVAL);
    signal.addEventListener('abort', () => clearInterval(ticking));
    this.onMoved();
    this.renderNow();
  }

  #stop() {
    this.#abort?.abort();
    this.#abort = null;
    clearTimeout(this.#seenTimer);
    this.#seenTimer = cancelAnimationFrame(this.#frameRequest);
    this.#frameRequest = 0;
    this.#session = null;
  }

  #acquireSession() {
    const { getToken } = this;
    const recipient = this.getAttribute('recipient');
    const tokenUrl = this.getAttribute('token-url');
    return acquire({
      server: this.getAttribute('server') ?? '',
      token: this.getAttribute('token'),
      ...(getToken && { getToken }),
      ...(tokenUrl && { tokenUrl }),
      ...(recipient && { recipient }),
    });
  }

  /** Render once per frame, however many changes there are. */
  draw() {
    if (this.#abort) this.#frameRequest ||= requestAnimationFrame(() => this.renderNow());
  }

  renderNow() {
    cancelAnimationFrame(this.#frameRequest);
    this.#frameRequest = 0;
    if (!this.session) return;
    this.#reportEnd(this.session.state.error);
    this.render(this.session);
  }

  /** @param {Refused | null} error */
  #reportEnd(error) {
    const isNew = error && error !== this.#reportedEnd;
    this.#reportedEnd = error;
    if (isNew && !isPageRefused(error)) this.emitCancelable('sign-in', { code: error.code, message: error.message });
  }

  /** Dispatch an event that a page can cancel to handle the step itself. @param {string} step @param {object | null} detail */
  emitCancelable(step, detail) {
    return this.dispatchEvent(new CustomEvent(`bellcast:${step}`, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  /** Preload the panel's code. */
  loadPanel() {
    return import('./panel.js');
  }

  /** Resolves when the panel's code is loaded; null if the element has restarted. @param {HTMLElement} element @param {Session} session @param {() => void} close @returns {Promise<Panel | null>} */
  async createPanel(element, session, close) {
    const { abortSignal: signal } = this;
    const replayKeys = recordKeys(element);
    const { Panel, PANEL_CSS } = await loadWithRetry(() => this.loadPanel(), browserEnvironment(), signal);
    if (!signal || signal.aborted) return null;
    const { adoptedStyleSheets } = /** @type {ShadowRoot} */ (this.shadowRoot);
    const styles = sheet(PANEL_CSS);
    if (!adoptedStyleSheets.includes(styles)) adoptedStyleSheets.push(styles);
    /** @type {Panel} */
    const panel = new Panel(element, {
      session,
      close,
      texts: this.texts,
      tabs: this.tabs,
      shown: this.#shown,
      clock: clock(this.texts),
      allows: (verb, which) => this.emitCancelable('action', { verb, which }),
      follow: (notification, event, unread) => this.follow(notification, event, () => unread.length && panel.triage.act('read', unread, { isQuiet: true })),
      draw: () => this.draw(),
      now: () => this.renderNow(),
      retry: () => void session.open(),
      signInUrl: () => this.getAttribute('sign-in-url'),
      inboxUrl: () => this.getAttribute('inbox-url'),
    });
    signal.addEventListener('abort', () => {
      this.#shown = panel.tabBar.query;
      panel.stop();
    });
    document.addEventListener('visibilitychange', () => document.hidden && panel.forgetNew(), { signal });
    addEventListener('pagehide', () => panel.stop(), { signal }); // the session sends its actions, and the browser may restore the page
    setTimeout(() => (this.renderNow(), replayKeys())); // for callers that run after the panel has loaded
    return panel;
  }

  /**
   * Follow a link; a page can cancel it and handle the navigation itself. Clicks that open another tab are left to the
   * browser.
   * @param {Notification} notification @param {MouseEvent} event @param {() => void} [markRead]
   */
  follow(notification, event, markRead = () => this.#markRead(notification)) {
    const elsewhere = Boolean(event.button || event.ctrlKey || event.metaKey || event.shiftKey);
    if (!elsewhere && !this.emitCancelable('open-notification', { notification })) event.preventDefault();
    markRead();
    return !elsewhere && (event.defaultPrevented || Boolean(link(notification.action_url)));
  }

  /** @param {Notification} notification */
  #markRead({ id, read_at }) {
    if (!read_at && this.emitCancelable('action', { verb: 'read', which: id })) this.session?.read(id).catch(() => {});
  }

  /** Open a notification that was clicked outside of the elements. @param {Notification} notification */
  openNotification(notification) {
    const href = link(notification.action_url);
    const free = this.emitCancelable('open-notification', { notification });
    this.#markRead(notification);
    if (free && href) location.href = href;
  }

  /** Report visible notifications as seen: each once, batched into one request. @param {readonly Notification[]} notifications */
  markSeen(notifications) {
    const ids = document.hidden ? [] : notifications.filter(({ id, seen_at }) => !seen_at && !this.#reportedSeen.has(id)).map(({ id }) => id);
    for (const id of ids) this.#reportedSeen.add(id);
    if (!ids.length || this.#unreportedSeen.push(...ids) > ids.length || this.#seenTimer) return;
    const report = () => {
      const seen = this.#unreportedSeen.splice(0);
      if (seen.length) this.session?.seen(seen).catch(() => {});
      return seen.length;
    };
    const next = () => (this.#seenTimer = report() ? setTimeout(next, SEEN_REPORT_INTERVAL) : 0);
    next();
  }
}

/** Resolves when all scripts in the page's markup and those that loaded this module have run. */
async function scriptsRun() {
  const [page] = performance.getEntriesByType('navigation');
  // A page whose clock a test replaces has no entry.
  const early = page ? /** @type {PerformanceNavigationTiming} */ (page).domContentLoadedEventStart === 0 : document.readyState !== 'complete';
  if (early) await new Promise((done) => ['DOMContentLoaded', 'load'].forEach((type) => addEventListener(type, done, { once: true })));
  await new Promise((done) => setTimeout(done));
}

/** A property that was set before the element was defined hides its accessor until it is set again. @param {any} element @param {string} name */
function upgradeProperty(element, name) {
  if (!Object.hasOwn(element, name) || element[name] === undefined) return;
  const value = element[name];
  delete element[name];
  element[name] = value;
}

/** Attributes that are also properties; lists are written as JSON. @param {typeof Element} Kind @param {string[]} names @param {string[]} [flags] */
export function reflect(Kind, names, flags = []) {
  for (const name of [...names, ...flags]) {
    const flag = flags.includes(name);
    Object.defineProperty(Kind.prototype, name, {
      configurable: true,
      /** @this {HTMLElement} */
      get() {
        return flag ? this.hasAttribute(name) : this.getAttribute(name);
      },
      /** @this {HTMLElement} @param {any} value */
      set(value) {
        if (value === null || value === undefined || value === false) this.removeAttribute(name);
        else this.setAttribute(name, flag ? '' : Array.isArray(value) ? JSON.stringify(value) : String(value));
      },
    });
  }
}

reflect(Element, ['server', 'token', 'recipient', 'topics']);

/** Queue key presses while the panel's code is loading. @param {HTMLElement} element @returns {() => void} dispatches them again */
function recordKeys(element) {
  /** @type {KeyboardEvent[]} */
  const keys = [];
  const record = (/** @type {KeyboardEvent} */ event) => void keys.push(event);
  element.addEventListener('keydown', record);
  return () => {
    element.removeEventListener('keydown', record);
    for (const { key, shiftKey } of keys) element.dispatchEvent(new KeyboardEvent('keydown', { key, shiftKey, cancelable: true }));
  };
}
