/** An inbox to look at: its heading and tabs, its lists, its states and its keys. The same in a bell and on a page. */

import { Blank } from './blank.js';
import { h, icon } from './dom.js';
import { fold } from './grouping.js';
import { List } from './list.js';
import { Views } from './views.js';

/** @import { Notification } from '../events.js' */
/** @import { Listing, Session, State } from '../session.js' */
/** @import { Item } from './grouping.js' */
/** @import { Desk } from './row.js' */
/** @import { Tab } from './views.js' */

/**
 * @typedef {Omit<Desk, 'unfold'> & {session: Session, tabs: readonly Tab[], close: () => void, draw: () => void, now: () => void, retry: () => void,
 *   footer: Node}} Frame
 */

const NEAR = 600; // px above the end where the next page is asked for
const NOTICE = 6_000; // ms to read a notice and to think again

export class Panel {
  element;
  views;
  #frame;
  #status = h('span', 'status', { role: 'status' });
  #readAll;
  #scroll;
  #unread;
  #earlier;
  #more;
  #blank;
  #notice = h('div', 'notice', { role: 'status' });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #fading;
  /** @type {(() => void) | undefined} */
  #settled;
  /** @type {{view: Listing, parts: Item[][]} | null} */
  #folded = null;
  /** @type {Set<string>} */
  #open = new Set();
  #loading = false;
  #failed = false;
  /** Rows a hand on the keyboard is ahead of those that are loaded. */
  #ahead = 0;

  /** @param {HTMLElement} element @param {Frame} frame */
  constructor(element, frame) {
    const { texts, act, close } = frame;
    this.element = element;
    this.#frame = frame;
    const desk = { ...frame, unfold: (/** @type {string} */ group) => this.#unfold(group) };
    this.#readAll = button('read-all', texts.readAll, () => (act('read', 'all'), element.focus())); // the button goes, the focus must not
    this.#readAll.prepend(icon('checks'));
    const leave = button('close', '', close);
    leave.ariaLabel = texts.close;
    leave.append(icon('close'));
    this.views = new Views(frame.tabs, texts, () => this.#turn());
    this.#unread = section(texts.unread, desk);
    this.#earlier = section(texts.earlier, desk);
    this.#blank = new Blank(texts, frame.retry);
    this.#more = button('more', texts.more, () => void this.more());
    this.#scroll = h('div', 'scroll', { ...(frame.tabs.length > 1 && { role: 'tabpanel', ariaLabel: texts.title }), onscroll: frame.draw },
      this.#unread.element, this.#earlier.element, this.#blank.element, this.#more);
    element.append(
      h('div', 'header', {}, h('h2', 'heading', { id: 'heading' }, texts.title), this.#status, this.#readAll, h('slot', '', { name: 'header' }), leave),
      this.views.element, this.#scroll, this.#notice, frame.footer);
    this.#notice.hidden = true;
    element.tabIndex = -1;
    element.dir = texts.dir;
    element.lang = texts.lang;
    element.setAttribute('aria-labelledby', 'heading');
    element.addEventListener('keydown', (event) => this.#key(/** @type {KeyboardEvent} */ (event)));
  }

  get #view() {
    return this.#frame.session.view(this.views.query);
  }

  /** Returns what it shows. @param {number} now */
  render(now) {
    const { session } = this.#frame;
    const { state } = session;
    const view = this.#view.state;
    const focused = this.#focused();
    this.#say(state);
    this.views.render(session);
    const shown = this.#list(view, now);
    this.#readAll.hidden = !state.unread || state.error !== null;
    this.#more.hidden = !view.next || !view.loaded;
    this.#blank.show(view.notifications.length || (view.loaded && view.next) ? '' : this.#why(state, view.loaded));
    if (focused >= 0 && this.#focused() < 0) this.#focus(focused);
    while (this.#ahead && this.#go(1)) this.#ahead--;
    if (!view.next || this.#failed || focused < 0) this.#ahead = 0;
    this.#fill();
    return shown;
  }

  /** The next older page. */
  async more() {
    if (this.#loading) return;
    this.#loading = true;
    this.#failed = await this.#view.loadMore().then(() => false, (error) => (this.fail(error), true));
    this.#loading = false;
    this.#frame.draw();
  }

  /** For a moment, with a way back where there is one; without it taken, it is settled. @param {string} text @param {() => void} [undo] @param {() => void} [settled] */
  say(text, undo, settled) {
    this.hush();
    const { texts } = this.#frame;
    const back = button('undo', texts.undo, () => {
      this.#settled = undefined;
      undo?.();
      this.hush();
      this.element.focus();
    });
    this.#settled = settled;
    this.#notice.replaceChildren(h('span', 'said', {}, text), ...(undo ? [back] : []));
    this.#notice.hidden = false;
    this.#fading = setTimeout(() => this.hush(), NOTICE);
  }

  /** What a person asked for and did not get is said. @param {{status?: number}} error */
  fail({ status }) {
    this.say(this.#frame.texts[status === 401 ? 'ended' : 'refused']);
  }

  hush() {
    clearTimeout(this.#fading);
    this.#notice.hidden = true;
    this.#settled?.();
    this.#settled = undefined;
  }

  /** @param {State} state */
  #say({ status, loaded, error, queued }) {
    const { texts } = this.#frame;
    const word = loaded && status === 'connecting' ? 'waiting' : status;
    const text = error ? texts.ended : queued && status !== 'live' ? texts.queued(queued) : texts[word];
    if (this.#status.textContent !== text) this.#status.textContent = text;
    this.#status.dataset.status = word;
  }

  /** @param {Listing} view @param {number} now @returns {Notification[]} */
  #list(view, now) {
    const { view: chosen = 'all' } = this.views.query;
    const apart = chosen === 'all';
    const [fresh = [], old = []] = this.#divided(view, apart);
    this.#unread.count.textContent = String((this.views.chosen ? fresh.length : view.unread) || '');
    this.#unread.heading.hidden = !apart;
    return [this.#part(this.#unread, fresh, now), this.#part(this.#earlier, old, now)].flat();
  }

  /** Scrolling changes nothing of this, and there may be ten thousand. @param {Listing} view @param {boolean} apart */
  #divided(view, apart) {
    if (this.#folded?.view !== view) {
      const { notifications } = view;
      const parts = apart ? [notifications.filter((each) => !each.read_at), notifications.filter((each) => each.read_at)] : [notifications, []];
      this.#folded = { view, parts: parts.map((part) => fold(part, this.#open)) };
    }
    return this.#folded.parts;
  }

  /** @param {ReturnType<typeof section>} part @param {readonly Item[] | undefined} items @param {number} now */
  #part({ element, list, heading }, items = [], now) {
    element.hidden = !items.length;
    const { scrollTop, clientHeight } = this.#scroll;
    const top = scrollTop - element.offsetTop - heading.offsetHeight;
    return list.render(items, top, clientHeight, now).map(({ notification }) => notification);
  }

  /** @param {string} group */
  #unfold(group) {
    if (!this.#open.delete(group)) this.#open.add(group);
    this.#folded = null;
    this.#frame.draw();
  }

  /** To another tab; at once, since the next key may go into its list. */
  #turn() {
    this.#scroll.scrollTop = 0;
    this.#failed = false;
    this.#frame.now();
  }

  /** Endless: who nears the end finds more. After a failure they say when. */
  #fill() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroll;
    const near = clientHeight > 0 && scrollHeight - scrollTop - clientHeight < NEAR;
    if (near && !this.#more.hidden && !this.#failed) void this.more();
  }

  /** Why there is no list; trying again does not look like starting anew. @param {State} state @param {boolean} loaded */
  #why({ status, error }, loaded) {
    if (error) return 'ended';
    if (loaded) return this.views.chosen ? 'none' : 'empty';
    return status === 'waiting' || status === 'offline' || this.#blank.shown === 'failed' ? 'failed' : 'loading';
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

  /** To the next row, or the one before; false at the end of those that are loaded. @param {number} step */
  #go(step) {
    this.#titles[this.#focused()]?.scrollIntoView({ block: 'nearest' });
    this.#list(this.#view.state, Date.now()); // those around it are there now
    const to = this.#titles[this.#focused() + step];
    to?.focus();
    return Boolean(to);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (!Number.isFinite(step)) this.#leap(step > 0);
    else if (this.#ahead) this.#ahead += step;
    else if (!this.#go(step) && step > 0 && this.#view.state.next) {
      this.#ahead = 1; // it goes on when the next page is there
      void this.more();
    }
  }

  /** To the first row, or the last that is loaded. @param {boolean} down */
  #leap(down) {
    this.#ahead = 0;
    this.#scroll.scrollTop = down ? this.#scroll.scrollHeight : 0;
    this.#frame.now();
    this.#focus(down ? Infinity : 0);
  }
}

/** @param {string} name @param {string} text @param {() => void} onclick */
export const button = (name, text, onclick) => h('button', name, { onclick }, text);

/** @param {string} text @param {Desk} desk */
function section(text, desk) {
  const count = h('span', 'count');
  const list = new List(desk, text);
  const heading = h('h3', 'subheading', {}, text, count);
  return { element: h('section', 'section', {}, heading, list.element), list, count, heading };
}
