/** What opens under the bell: the list with its heading, its states and its keys. */

import { h, icon } from './dom.js';
import { row } from './row.js';

/** @import { Notification } from '../events.js' */
/** @import { State } from '../session.js' */
/** @import { Desk, Row } from './row.js' */

export const NOTICE = 5_000; // ms a refusal stays to be read
const PAGE = 40; // rows shown, and added by "load more": a flood must not become a thousand elements

export class Panel {
  #desk;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  #status;
  #readAll;
  #unread;
  #earlier;
  #more;
  #blank = h('div', 'blank');
  #shown = ''; // which blank page that is
  #noticed = 0;
  #most = PAGE;

  /** @param {Desk & {close: () => void, more: () => void, retry: () => void}} desk */
  constructor(desk) {
    const { texts, act, close, more } = desk;
    this.#desk = desk;
    const heading = h('h2', 'heading', { id: 'heading' }, texts.title);
    this.#status = h('span', 'status', { role: 'status' });
    this.#readAll = button('read-all', texts.readAll, () => (act('read', 'all'), this.element.focus())); // the button goes, the focus must not
    this.#readAll.prepend(icon('checks'));
    const leave = button('close', '', close);
    leave.ariaLabel = texts.close;
    leave.append(icon('close'));
    this.#unread = section(texts.unread);
    this.#earlier = section(texts.earlier);
    this.#more = button('more', texts.more, () => {
      this.#most += PAGE;
      more();
    });
    const scroll = h('div', 'scroll', {}, this.#unread.element, this.#earlier.element, this.#blank, this.#more);
    this.element = h('dialog', 'panel', { tabIndex: -1, onkeydown: (event) => this.#key(event) },
      h('div', 'header', {}, heading, this.#status, this.#readAll, leave), scroll);
    this.element.setAttribute('aria-labelledby', 'heading');
  }

  /** Returns what it shows. @param {State} state @param {number} now */
  render(state, now) {
    const { unread, next, loaded, error } = state;
    const shown = state.notifications.slice(0, this.#most);
    const focused = this.#focused();
    this.#say(state, now);
    this.#list(shown, now);
    this.#readAll.hidden = !unread || error !== null;
    this.#unread.count.textContent = String(unread || '');
    this.#more.hidden = !next && shown.length === state.notifications.length;
    this.#fill(loaded ? (shown.length || next ? '' : 'empty') : this.#why(state));
    if (focused >= 0 && this.#focused() < 0) this.#focus(focused);
    return shown;
  }

  /** Said in place of the connection for a moment. @param {number} now */
  refuse(now) {
    this.#noticed = now + NOTICE;
  }

  /** @param {State} state @param {number} now */
  #say({ status, loaded, error }, now) {
    const { texts } = this.#desk;
    const noticed = now < this.#noticed;
    const text = noticed ? texts.refused : error ? texts.ended : texts[loaded && status === 'connecting' ? 'waiting' : status];
    if (this.#status.textContent !== text) this.#status.textContent = text;
    this.#status.dataset.status = noticed ? 'refused' : status;
  }

  /** @param {readonly Notification[]} notifications @param {number} now */
  #list(notifications, now) {
    const rows = new Map(notifications.map((each) => [each.id, this.#row(each)]));
    for (const [id, { element }] of this.#rows) if (rows.get(id)?.element !== element) element.remove();
    this.#rows = rows;
    for (const { tick } of rows.values()) tick(now);
    /** @param {boolean} read */
    const elements = (read) =>
      notifications.flatMap((each) => (Boolean(each.read_at) === read ? rows.get(each.id)?.element ?? [] : []));
    arrange(this.#unread, elements(false));
    arrange(this.#earlier, elements(true));
  }

  /** @param {Notification} notification */
  #row(notification) {
    const known = this.#rows.get(notification.id);
    return known?.update(notification) ? known : row(notification, this.#desk);
  }

  /** Why there is no list; trying again does not look like starting anew. @param {State} state */
  #why({ status, error }) {
    if (error) return 'ended';
    return status === 'waiting' || status === 'offline' || this.#shown === 'failed' ? 'failed' : 'loading';
  }

  /** The page in place of a list. @param {'' | 'loading' | 'empty' | 'failed' | 'ended'} which */
  #fill(which) {
    this.#blank.hidden = !which;
    if (which === this.#shown) return;
    this.#shown = which;
    this.#blank.dataset.state = which;
    this.#blank.replaceChildren(...(which === 'loading' ? Array.from({ length: 4 }, skeleton) : which ? this.#page(which) : []));
  }

  /** @param {'empty' | 'failed' | 'ended'} which */
  #page(which) {
    const { texts, retry } = this.#desk;
    const sign = h('span', 'sign', {}, icon(which === 'empty' ? 'bell' : 'cloud'));
    const words = [h('b', 'headline', {}, texts[which]), h('p', 'hint', {}, texts[`${which}More`])];
    return [sign, ...words, ...(which === 'empty' ? [] : [button('retry', texts.retry, retry)])];
  }

  get #titles() {
    return [...this.element.querySelectorAll('.title')].filter((each) => each instanceof HTMLElement);
  }

  /** Which row has the focus, -1 for none. */
  #focused() {
    const root = this.element.getRootNode();
    const active = root instanceof ShadowRoot && root.activeElement?.closest('.row')?.querySelector('.title');
    return active instanceof HTMLElement ? this.#titles.indexOf(active) : -1;
  }

  /** The row there, or what is left. @param {number} at */
  #focus(at) {
    const titles = this.#titles;
    (titles[Math.max(0, Math.min(at, titles.length - 1))] ?? this.element).focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const at = this.#focused();
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: Infinity }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#focus(to);
  }
}

/** @param {string} name @param {string} text @param {() => void} onclick */
const button = (name, text, onclick) => h('button', name, { type: 'button', onclick }, text);

/** @param {string} text */
function section(text) {
  const count = h('span', 'count');
  const list = h('ul', 'list', { role: 'list', ariaLabel: text });
  const element = h('section', 'section', {}, h('h3', 'subheading', {}, text, count), list);
  return { element, list, count };
}

const skeleton = () => h('div', 'skeleton', { ariaHidden: 'true' }, h('i', ''), h('b', ''), h('b', ''));

/** Moves only what is out of place: a moved element loses its focus. @param {ReturnType<typeof section>} into @param {HTMLElement[]} elements */
function arrange({ element, list }, elements) {
  element.hidden = !elements.length;
  let at = list.firstChild;
  for (const each of elements) {
    if (each === at) at = at.nextSibling;
    else list.insertBefore(each, at);
  }
}
