/** `<bellcast-bell>`: a button that counts, and the panel it opens. Thin: what is true is the session's business. */

import { Session } from '../session.js';
import { h, icon, link } from './dom.js';
import { texts } from './messages.js';
import { NOTICE, Panel } from './panel.js';
import * as popover from './popover.js';
import { sheet } from './styles.js';
import { clock } from './time.js';

/** @import { Notification, Verb } from '../events.js' */

const MOST = 99;
const TICK = 30_000; // ms: the times are in minutes
const PROPERTIES = ['server', 'token', 'topics', 'badge', 'lang', 'open'];

/** Where there is no DOM (server rendering) the class still loads. @type {typeof HTMLElement} */
const Base = globalThis.HTMLElement ?? class {};

export class Bell extends Base {
  static observedAttributes = PROPERTIES;

  /** @type {import('../session.js').Options['getToken']} */
  #getToken;
  /** @type {Session | null} */
  #session = null;
  /** @type {Session | null} */
  #given = null;
  /** @type {AbortController | null} */
  #while = null;
  #texts = texts('en');
  #badge = h('span', 'badge', { ariaHidden: 'true' });
  #button = h('button', 'button', { type: 'button', ariaExpanded: 'false', onclick: () => this.#toggle() });
  #live = h('div', 'live', { role: 'status' });
  /** @type {Panel | null} */
  #panel = null;
  #frame = 0;
  /** @type {string[]} */
  #arrived = [];
  /** Told to be seen since it opened; a refusal is not asked again. @type {Set<string>} */
  #seen = new Set();

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet()];
    const slot = h('slot', '', { name: 'icon' }, icon('bell'));
    this.#button.setAttribute('aria-haspopup', 'dialog');
    this.#button.append(h('span', 'icon', {}, slot), this.#badge);
  }

  /** The headless session. Give one to share it; a given one is left open. */
  get session() {
    return this.#session ?? this.#given;
  }

  set session(session) {
    this.#given = session;
    this.#restart();
  }

  /** Asked for a token at first and whenever one is refused. */
  get getToken() {
    return this.#getToken;
  }

  set getToken(getToken) {
    this.#getToken = getToken;
    this.#restart();
  }

  connectedCallback() {
    for (const name of ['getToken', 'session', ...PROPERTIES]) adopt(this, name);
    if (this.#while) this.#sync(); // moved; the panel closed on the way
    else this.#start();
  }

  disconnectedCallback() {
    queueMicrotask(() => this.isConnected || this.#stop());
  }

  /** @param {string} name */
  attributeChangedCallback(name) {
    if (name === 'open') this.#sync();
    else if (name === 'badge') this.#draw();
    else this.#restart();
  }

  #restart() {
    if (!this.#while) return;
    this.#stop();
    queueMicrotask(() => this.isConnected && !this.#while && this.#start());
  }

  #start() {
    this.#while = new AbortController();
    const { signal } = this.#while;
    this.#texts = texts(this.lang || document.documentElement.lang);
    const panel = this.#build();
    const session = this.#given ?? this.#own();
    this.#session = session;
    session.addEventListener('change', () => this.#draw(), { signal });
    session.addEventListener('notification', (event) => this.#arrived.push(/** @type {CustomEvent} */ (event).detail.title), { signal });
    this.#listen(panel, signal);
    if (!this.#given) session.open();
    const ticking = setInterval(() => this.#draw(), TICK);
    signal.addEventListener('abort', () => clearInterval(ticking));
    this.#sync();
    this.#draw();
  }

  #stop() {
    this.#while?.abort();
    this.#while = null;
    if (this.#panel) popover.hide(this.#panel.element);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (!this.#given) this.#session?.close();
    this.#session = null;
  }

  #own() {
    const topics = this.getAttribute('topics')?.split(',').map((topic) => topic.trim()).filter(Boolean);
    const { getToken } = this;
    return new Session({
      server: this.getAttribute('server') ?? '',
      token: this.getAttribute('token'),
      ...(getToken && { getToken }),
      ...(topics && { topics }),
    });
  }

  #build() {
    const panel = new Panel({
      texts: this.#texts,
      clock: clock(this.#texts.lang, this.#texts.now),
      act: (verb, which) => this.#act(verb, which),
      follow: (notification, event) => this.#follow(notification, event),
      close: () => this.#toggle(false),
      more: () => void this.#more(),
      retry: () => void this.#session?.open(),
    });
    this.#panel = panel;
    this.shadowRoot?.replaceChildren(this.#button, panel.element, this.#live);
    return panel;
  }

  async #more() {
    await this.#session?.loadMore().catch(this.#refused);
    this.#draw();
  }

  /** What a person asked for and did not get is said; what we asked for by ourselves is not. */
  #refused = () => {
    this.#panel?.refuse(Date.now());
    this.#draw();
    setTimeout(() => this.#draw(), NOTICE);
  };

  /** @param {Panel} panel @param {AbortSignal} signal */
  #listen({ element }, signal) {
    const place = () => this.hasAttribute('open') && popover.place(element, this.#button);
    addEventListener('resize', place, { signal });
    addEventListener('scroll', place, { signal, capture: true, passive: true });
    document.addEventListener('visibilitychange', () => this.#draw(), { signal });
    document.addEventListener('pointerdown', (event) => event.composedPath().includes(this) || this.#toggle(false, false), { signal });
    document.addEventListener('keydown', (event) => event.key === 'Escape' && this.#escape(event), { signal });
    this.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !this.contains(relatedTarget)) this.#toggle(false, false);
    }, { signal });
    element.addEventListener('click', ({ target }) => target === element && this.#toggle(false), { signal }); // a sheet's backdrop
    element.addEventListener('cancel', (event) => (event.preventDefault(), this.#toggle(false)), { signal });
  }

  /** @param {KeyboardEvent} event */
  #escape(event) {
    if (event.defaultPrevented || !this.hasAttribute('open')) return;
    event.preventDefault();
    this.#toggle(false);
  }

  /** @param {boolean} [open] @param {boolean} [focus]  back to the button */
  #toggle(open = !this.hasAttribute('open'), focus = true) {
    if (open === this.hasAttribute('open') || !this.#ask(open ? 'open' : 'close', null)) return;
    this.toggleAttribute('open', open);
    if (!open && focus) this.#button.focus();
    if (open) this.#panel?.element.focus();
  }

  /** The panel as the attribute says. */
  #sync() {
    if (!this.#while || !this.#panel) return;
    const open = this.hasAttribute('open');
    this.#button.ariaExpanded = String(open);
    this.#seen.clear();
    popover.hide(this.#panel.element);
    this.#render();
    if (open) popover.show(this.#panel.element, this.#button);
  }

  /** However many changes, one picture. */
  #draw() {
    if (this.#while) this.#frame ||= requestAnimationFrame(() => this.#render());
  }

  #render() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { session } = this;
    if (!session || !this.#panel) return;
    const { state } = session;
    this.#count(state[this.getAttribute('badge') === 'unseen' ? 'unseen' : 'unread']);
    this.#ring();
    if (!this.hasAttribute('open')) return;
    const shown = this.#panel.render(state, Date.now());
    if (!document.hidden) this.#see(shown);
  }

  /** @param {number} count */
  #count(count) {
    const text = count > MOST ? `${MOST}+` : String(count);
    this.#badge.hidden = !count;
    this.#badge.textContent = text;
    this.#button.ariaLabel = count ? this.#texts.label(text) : this.#texts.title;
  }

  /** What an open panel shows is seen. @param {readonly Notification[]} notifications */
  #see(notifications) {
    const ids = notifications.filter(({ id, seen_at }) => !seen_at && !this.#seen.has(id)).map(({ id }) => id);
    if (!ids.length) return;
    for (const id of ids) this.#seen.add(id);
    this.#session?.seen(ids).catch(() => {});
  }

  /** However many came, it rings once. */
  #ring() {
    const [title, ...others] = this.#arrived.splice(0);
    if (!title) return;
    this.#live.textContent = others.length ? this.#texts.arrivedMany(others.length + 1) : this.#texts.arrived(title);
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const rotate = ['0deg', '14deg', '-11deg', '7deg', '-4deg', '0deg'];
    if (!still) this.#button.querySelector('.icon')?.animate({ rotate }, { duration: 700, easing: 'ease-out' });
  }

  /** A page may do it otherwise: every step is asked for by an event it can cancel. @param {string} step @param {object | null} detail */
  #ask(step, detail) {
    return this.dispatchEvent(new CustomEvent(`bellcast:${step}`, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  /** @param {Verb} verb @param {string | 'all'} which */
  #act(verb, which) {
    if (this.#ask('action', { verb, which })) this.#session?.[verb](which).catch(this.#refused);
  }

  /** A page that cancels goes there its own way; another tab is the browser's. @param {Notification} notification @param {MouseEvent} event */
  #follow(notification, event) {
    const elsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey;
    if (!elsewhere && !this.#ask('open-notification', { notification })) event.preventDefault();
    if (!notification.read_at) this.#act('read', notification.id);
    if (!elsewhere && (event.defaultPrevented || link(notification.action_url))) this.#toggle(false);
  }
}

/** A property set before the element was defined hides its accessor until it is set again. @param {any} element @param {string} name */
function adopt(element, name) {
  if (!Object.hasOwn(element, name) || element[name] === undefined) return;
  const value = element[name];
  delete element[name];
  element[name] = value;
}

for (const name of PROPERTIES) {
  const flag = name === 'open';
  if (name === 'lang') continue; // every element has it
  Object.defineProperty(Bell.prototype, name, {
    configurable: true,
    get() {
      return flag ? this.hasAttribute(name) : this.getAttribute(name);
    },
    /** @param {any} value */
    set(value) {
      if (value === null || value === undefined || value === false) this.removeAttribute(name);
      else this.setAttribute(name, flag ? '' : String(value));
    },
  });
}
