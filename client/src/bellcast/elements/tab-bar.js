/** The tabs above a list: each shows a view of the inbox and its number of unread notifications. */

import { countText } from './count-text.js';
import { h, setParts } from './dom.js';

/** @import { Query, View } from '../events.js' */
/** @import { Session } from '../session.js' */
/** @import { Texts } from './messages.js' */

/** @typedef {Query & {label?: string}} Tab  a view of the inbox; `label` names it if the built-in texts do not */

const VIEWS = new Set(['all', 'unread', 'read', 'archived', 'snoozed']);
const KEYS = { ArrowRight: 1, ArrowLeft: -1 };

/** `all, unread, type:booking=Bookings, tag:vip`. @param {string} text @returns {Tab[]} */
export function parse(text) {
  return text.split(',').map((each) => each.trim()).filter(Boolean).map((each) => {
    const [what = '', label] = each.split('=');
    const [kind, value] = what.includes(':') ? what.split(/:(.*)/) : ['view', what];
    return { [kind ?? '']: VIEWS.has(what) ? what : value, ...(label && { label }) };
  });
}

/** @param {Tab} tab @returns {Query} */
export const query = ({ label, ...query }) => query;

/** The tabs that show something; others are reported. @param {readonly Tab[]} tabs */
export const validTabs = (tabs) => tabs.filter((tab) => isValid(tab) || console.warn(`Bellcast: there is no tab ${JSON.stringify(tab)}. A tab is ${[...VIEWS].join(', ')}, type:… or tag:….`));

/** @param {Tab} tab */
const isValid = ({ label, view = 'all', ...others }) => VIEWS.has(view) && Object.entries(others).every(([kind, value]) => (kind === 'type' || kind === 'tag') && value && typeof value === 'string');

export class TabBar {
  element = h('div', 'tabs', { role: 'tablist', onkeydown: (event) => this.#key(event) });
  selected;
  tabs;
  #buttons;
  #choose;

  /** @param {readonly Tab[]} tabs @param {Texts} texts @param {Query | undefined} shown  selects its tab, else the first one @param {() => void} choose */
  constructor(tabs, texts, shown, choose) {
    this.tabs = tabs;
    this.selected = Math.max(0, tabs.findIndex((tab) => JSON.stringify(query(tab)) === JSON.stringify(shown)));
    this.#choose = choose;
    this.#buttons = tabs.map((tab, at) => button(name(tab, texts), () => this.#to(at)));
    this.element.append(...this.#buttons.map(({ element }) => element));
    this.element.ariaLabel = texts.title;
    this.element.hidden = tabs.length < 2;
    this.#mark();
  }

  /** @returns {Query} */
  get query() {
    return query(this.tabs[this.selected] ?? {});
  }

  /** @param {Session} session */
  render(session) {
    this.tabs.forEach((tab, at) => {
      const count = this.#buttons[at]?.count;
      if (count) count.textContent = unread(tab, session);
    });
  }

  /** @param {number} at */
  #to(at) {
    this.selected = (at + this.tabs.length) % this.tabs.length;
    this.#mark();
    this.#buttons[this.selected]?.element.focus();
    this.#choose();
  }

  #mark() {
    this.#buttons.forEach(({ element }, at) => {
      element.ariaSelected = String(at === this.selected);
      element.tabIndex = at === this.selected ? 0 : -1;
      setParts(element, 'tab', { selected: at === this.selected });
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = KEYS[/** @type {keyof typeof KEYS} */ (event.key)];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    this.#to(this.selected + (getComputedStyle(this.element).direction === 'rtl' ? -step : step));
  }
}

/** The number of unread notifications; the bell already shows the number of the whole inbox. @param {Tab} tab @param {Session} session */
function unread(tab, session) {
  const { view = 'all', type, tag } = tab;
  if (!type && !tag) return view === 'unread' && session.state.unread ? countText(session.state.unread) : '';
  if (view !== 'all' && view !== 'unread') return '';
  if (session.state.error) return '';
  const { notifications, next } = session.view({ ...query(tab), view: 'unread' }).state;
  return notifications.length ? (next ? `${notifications.length}+` : countText(notifications.length)) : '';
}

/** @param {Tab} tab @param {Texts} texts */
function name({ label, view, type, tag }, texts) {
  if (label) return label;
  if (view === 'read') return texts.earlier;
  const own = type ?? tag;
  return own ? own.charAt(0).toUpperCase() + own.slice(1) : texts[/** @type {'all'} */ (view)];
}

/** @param {string} text @param {() => void} onclick */
function button(text, onclick) {
  const count = h('span', 'tab-count');
  return { element: h('button', 'tab', { role: 'tab', onclick }, text, count), count };
}
