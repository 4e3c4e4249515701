/** An inbox panel: heading, tabs, lists, empty states and keyboard control. Used by the bell and the inbox element. */

import { EmptyState } from './empty-state.js';
import { h, icon } from './dom.js';
import { fold } from './group-rows.js';
import { List } from './list.js';
import { TabBar } from './tab-bar.js';

/** @import { Notification } from '../events.js' */
/** @import { Listing, Session, State } from '../session.js' */
/** @import { Item } from './group-rows.js' */
/** @import { RowActions } from './row.js' */
/** @import { Tab } from './tab-bar.js' */

/**
 * @typedef {Omit<RowActions, 'unfold'> & {session: Session, tabs: readonly Tab[], close: () => void, draw: () => void, now: () => void, retry: () => void,
 *   footer: Node}} Frame
 */

const LOAD_MORE_DISTANCE = 600; // px above the end at which the next page is loaded
const NOTICE_DURATION = 6_000; // ms to read a notice and to undo

export class Panel {
  element;
  tabBar;
  #context;
  #status = h('span', 'status', { role: 'status' });
  #readAll;
  #scroll;
  #unread;
  #earlier;
  #more;
  #emptyState;
  #notice = h('div', 'notice', { role: 'status' });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #noticeTimer;
  /** @type {(() => void) | undefined} */
  #onNoticeClosed;
  /** @type {{view: Listing, parts: Item[][]} | null} */
  #sections = null;
  /** @type {Set<string>} */
  #openGroups = new Set();
  #isLoading = false;
  #loadFailed = false;
  /** Rows that the arrow key is ahead of the loaded ones. */
  #pendingSteps = 0;

  /** @param {HTMLElement} element @param {Frame} frame */
  constructor(element, frame) {
    const { texts, act, close } = frame;
    this.element = element;
    this.#context = frame;
    const desk = { ...frame, unfold: (/** @type {string} */ group) => this.#unfold(group) };
    this.#readAll = button('read-all', texts.readAll, () => (act('read', 'all'), element.focus())); // the button disappears, the focus must not
    this.#readAll.prepend(icon('checks'));
    const leave = button('close', '', close);
    leave.ariaLabel = texts.close;
    leave.append(icon('close'));
    this.tabBar = new TabBar(frame.tabs, texts, () => this.#onTabChange());
    this.#unread = section(texts.unread, desk);
    this.#earlier = section(texts.earlier, desk);
    this.#emptyState = new EmptyState(texts, frame.retry);
    this.#more = button('more', texts.more, () => void this.loadMore());
    this.#scroll = h('div', 'scroll', { ...(frame.tabs.length > 1 && { role: 'tabpanel', ariaLabel: texts.title }), onscroll: frame.draw },
      this.#unread.element, this.#earlier.element, this.#emptyState.element, this.#more);
    element.append(
      h('div', 'header', {}, h('h2', 'heading', { id: 'heading' }, texts.title), this.#status, this.#readAll, h('slot', '', { name: 'header' }), leave),
      this.tabBar.element, this.#scroll, this.#notice, frame.footer);
    this.#notice.hidden = true;
    element.tabIndex = -1;
    element.dir = texts.dir;
    element.lang = texts.lang;
    element.setAttribute('aria-labelledby', 'heading');
    element.addEventListener('keydown', (event) => this.#key(/** @type {KeyboardEvent} */ (event)));
  }

  get #view() {
    return this.#context.session.view(this.tabBar.query);
  }

  /** Return the rendered notifications. @param {number} now */
  render(now) {
    const { session } = this.#context;
    const { state } = session;
    const view = this.#view.state;
    const focused = this.#focused();
    this.#renderStatus(state);
    this.tabBar.render(session);
    const shown = this.#renderSections(view, now);
    this.#readAll.hidden = !state.unread || state.error !== null;
    this.#more.hidden = !view.next || !view.loaded;
    this.#emptyState.show(view.notifications.length || (view.loaded && view.next) ? '' : this.#emptyStateKind(state, view.loaded));
    if (focused >= 0 && this.#focused() < 0) this.#focus(focused);
    while (this.#pendingSteps && this.#moveFocus(1)) this.#pendingSteps--;
    if (!view.next || this.#loadFailed || focused < 0) this.#pendingSteps = 0;
    this.#loadMoreIfNear();
    return shown;
  }

  /** Load the next older page. */
  async loadMore() {
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.#loadFailed = await this.#view.loadMore().then(() => false, (error) => (this.fail(error), true));
    this.#isLoading = false;
    this.#context.draw();
  }

  /** Show a notice for a while, with "Undo" if `undo` is given; `onClosed` runs if it was not used. @param {string} text @param {() => void} [undo] @param {() => void} [onClosed] */
  showNotice(text, undo, onClosed) {
    this.hideNotice();
    const { texts } = this.#context;
    const back = button('undo', texts.undo, () => {
      this.#onNoticeClosed = undefined;
      undo?.();
      this.hideNotice();
      this.element.focus();
    });
    this.#onNoticeClosed = onClosed;
    this.#notice.replaceChildren(h('span', 'said', {}, text), ...(undo ? [back] : []));
    this.#notice.hidden = false;
    this.#noticeTimer = setTimeout(() => this.hideNotice(), NOTICE_DURATION);
  }

  /** Report a failed action. @param {{status?: number}} error */
  fail({ status }) {
    this.showNotice(this.#context.texts[status === 401 ? 'ended' : 'refused']);
  }

  hideNotice() {
    clearTimeout(this.#noticeTimer);
    this.#notice.hidden = true;
    this.#onNoticeClosed?.();
    this.#onNoticeClosed = undefined;
  }

  /** @param {State} state */
  #renderStatus({ status, loaded, error, queued }) {
    const { texts } = this.#context;
    const word = loaded && status === 'connecting' ? 'waiting' : status;
    const text = error ? texts.ended : queued && status !== 'live' ? texts.queued(queued) : texts[word];
    if (this.#status.textContent !== text) this.#status.textContent = text;
    this.#status.dataset.status = word;
  }

  /** @param {Listing} view @param {number} now @returns {Notification[]} */
  #renderSections(view, now) {
    const { view: chosen = 'all' } = this.tabBar.query;
    const apart = chosen === 'all';
    const [fresh = [], old = []] = this.#sectionsOf(view, apart);
    this.#unread.count.textContent = String((this.tabBar.selected ? fresh.length : view.unread) || '');
    this.#unread.heading.hidden = !apart;
    return [this.#renderSection(this.#unread, fresh, now), this.#renderSection(this.#earlier, old, now)].flat();
  }

  /** Cached: scrolling does not change it, and there may be ten thousand rows. @param {Listing} view @param {boolean} apart */
  #sectionsOf(view, apart) {
    if (this.#sections?.view !== view) {
      const { notifications } = view;
      const parts = apart ? [notifications.filter((each) => !each.read_at), notifications.filter((each) => each.read_at)] : [notifications, []];
      this.#sections = { view, parts: parts.map((part) => fold(part, this.#openGroups)) };
    }
    return this.#sections.parts;
  }

  /** @param {ReturnType<typeof section>} part @param {readonly Item[] | undefined} items @param {number} now */
  #renderSection({ element, list, heading }, items = [], now) {
    element.hidden = !items.length;
    const { scrollTop, clientHeight } = this.#scroll;
    const top = scrollTop - element.offsetTop - heading.offsetHeight;
    return list.render(items, top, clientHeight, now).map(({ notification }) => notification);
  }

  /** @param {string} group */
  #unfold(group) {
    if (!this.#openGroups.delete(group)) this.#openGroups.add(group);
    this.#sections = null;
    this.#context.draw();
  }

  /** Show another tab; at once, since the next key may go into its list. */
  #onTabChange() {
    this.#scroll.scrollTop = 0;
    this.#loadFailed = false;
    this.#context.now();
  }

  /** Load more near the end of the list. After a failure the person does it with the button. */
  #loadMoreIfNear() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroll;
    const near = clientHeight > 0 && scrollHeight - scrollTop - clientHeight < LOAD_MORE_DISTANCE;
    if (near && !this.#more.hidden && !this.#loadFailed) void this.loadMore();
  }

  /** Why there is no list; a retry keeps showing the failure. @param {State} state @param {boolean} loaded */
  #emptyStateKind({ status, error }, loaded) {
    if (error) return 'ended';
    if (loaded) return this.tabBar.selected ? 'none' : 'empty';
    return status === 'waiting' || status === 'offline' || this.#emptyState.shown === 'failed' ? 'failed' : 'loading';
  }

  get #titles() {
    return [...this.element.querySelectorAll('.title')].filter((each) => each instanceof HTMLElement);
  }

  /** Index of the focused row, -1 for none. */
  #focused() {
    const root = this.element.getRootNode();
    const active = root instanceof ShadowRoot && root.activeElement?.closest('.row')?.querySelector('.title');
    return active instanceof HTMLElement ? this.#titles.indexOf(active) : -1;
  }

  /** Focus the row, or the nearest remaining one. @param {number} at */
  #focus(at) {
    const titles = this.#titles;
    (titles[Math.max(0, Math.min(at, titles.length - 1))] ?? this.element).focus();
  }

  /** Focus the next or previous row; false at the end of the loaded rows. @param {number} step */
  #moveFocus(step) {
    this.#titles[this.#focused()]?.scrollIntoView({ block: 'nearest' });
    this.#renderSections(this.#view.state, Date.now()); // renders the rows around it
    const to = this.#titles[this.#focused() + step];
    to?.focus();
    return Boolean(to);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (!Number.isFinite(step)) this.#jump(step > 0);
    else if (this.#pendingSteps) this.#pendingSteps += step;
    else if (!this.#moveFocus(step) && step > 0 && this.#view.state.next) {
      this.#pendingSteps = 1; // continues when the next page is loaded
      void this.loadMore();
    }
  }

  /** Focus the first row, or the last loaded one. @param {boolean} down */
  #jump(down) {
    this.#pendingSteps = 0;
    this.#scroll.scrollTop = down ? this.#scroll.scrollHeight : 0;
    this.#context.now();
    this.#focus(down ? Infinity : 0);
  }
}

/** @param {string} name @param {string} text @param {() => void} onclick */
export const button = (name, text, onclick) => h('button', name, { onclick }, text);

/** @param {string} text @param {RowActions} desk */
function section(text, desk) {
  const count = h('span', 'count');
  const list = new List(desk, text);
  const heading = h('h3', 'subheading', {}, text, count);
  return { element: h('section', 'section', {}, heading, list.element), list, count, heading };
}
