/** An inbox panel: heading, tabs, list and empty states. Used by the bell and the inbox element, and loaded with their first panel. */

import { divide } from './day-sections.js';
import { EmptyState } from './empty-state.js';
import { h, icon, link } from './dom.js';
import * as icons from './icons.js';
import { fold } from './group-rows.js';
import { keyHandler } from './keyboard.js';
import { placeOf } from '../inbox-reducer.js';
import { List } from './list.js';
import { Notice } from './notice.js';
import { isPageRefused } from './page-refused.js';
import { Overlays } from './overlays.js';
import { RovingFocus } from './roving-focus.js';
import { Selection } from './selection.js';
import { TabBar, validTabs } from './tab-bar.js';
import { startOfDay } from './time.js';
import { Triage } from './triage.js';

/** @import { ActionButton, Notification, Query, Verb } from '../events.js' */
/** @import { Which } from '../action-queue.js' */
/** @import { Listing, Session, State } from '../session.js' */
/** @import { Section } from './day-sections.js' */
/** @import { Item } from './group-rows.js' */
/** @import { RowActions } from './row.js' */
/** @import { Tab } from './tab-bar.js' */
/** @import { TriageVerb } from './triage.js' */

export { PANEL_CSS } from './panel-styles.js';
export { typeIcon } from './type-icons.js'; // loads it before the first row needs it

/**
 * @typedef {object} PanelContext
 * @property {Session} session
 * @property {RowActions['texts']} texts
 * @property {RowActions['clock']} clock
 * @property {readonly Tab[]} tabs
 * @property {Query | undefined} shown  of the initial tab; by default the first
 * @property {() => void} close
 * @property {(verb: Verb | 'snooze', which: Which) => boolean} allows  false if the page handles the action itself
 * @property {(notification: Notification, event: MouseEvent, unread: Notification[]) => void} follow
 * @property {() => void} draw  render in the next frame
 * @property {() => void} now  render immediately
 * @property {() => void} retry
 * @property {() => string | null} signInUrl
 * @property {() => string | null} inboxUrl
 */

const LOAD_MORE_DISTANCE = 600; // px above the end at which the next page is loaded
const TOP = 8; // px from the top within which new rows push the others down instead of being announced by the pill
const MAX_ANCHORS = 60; // rows that may be removed together without moving those below them; more than a screen and its overscan hold

export class Panel {
  element;
  tabBar;
  triage;
  #context;
  #list;
  #focus;
  #selection;
  #notice;
  #status = h('span', 'status', { role: 'status' });
  #readAll;
  #archiveRead;
  #scroll;
  #pill;
  #more;
  #emptyState;
  /** Cached sections of these rows: scrolling does not change them, and there may be ten thousand rows. @type {{rows: readonly Notification[], day: number, boundary: string, sections: Section[]} | null} */
  #divided = null;
  /** @type {Set<string>} */
  #openGroups = new Set();
  /** Rows of the unread tab: they stay when they are read there. @type {Map<string, Notification>} */
  #stay = new Map();
  /** Sort key of the newest row that existed when the panel was opened. @type {string | null} */
  #boundary = null;
  /** Sort key of the newest row when the list was last scrolled to the top. */
  #topId = '';
  #tallest = 0;
  #isLoading = false;
  #loadFailed = false;
  #overlays;

  /** @param {HTMLElement} element @param {PanelContext} context */
  constructor(element, context) {
    const { session, texts, clock, close, draw } = context;
    const tabs = validTabs(context.tabs);
    this.element = element;
    this.#context = context;
    this.#notice = new Notice(texts.undo);
    this.triage = new Triage({ session, texts, notice: this.#notice, allows: context.allows, onUndone: () => (this.#focus.focused < 0 && element.focus(), draw()) });
    this.#list = new List({ texts, clock, act: (verb, { members }) => this.triage.act(/** @type {TriageVerb} */ (verb), members), follow: (item, event) => this.#follow(item, event), unfold: (group) => this.#unfold(group), take: (item, action, event) => this.#take(item, action, event), openMenu: (item) => void this.#overlays.openMenu(item), select: (item, event) => this.#selectByMouse(item, event) });
    this.#selection = new Selection(texts, (verb) => this.#actOnSelection(verb), (hadFocus) => (hadFocus && (this.#list.row(this.#focus.current)?.title ?? element).focus(), draw()));
    this.#readAll = button('read-all', '', () => this.#markAllAsRead());
    this.#readAll.title = texts.readAll;
    this.#readAll.append(icon(icons.checks), h('span', 'read-all-text', {}, texts.readAll));
    this.#archiveRead = button('archive-read tool', '', () => this.#archiveAllRead());
    this.#archiveRead.ariaLabel = this.#archiveRead.title = texts.archiveRead;
    this.#archiveRead.append(icon(icons.archive));
    const leave = button('close', '', close);
    leave.ariaLabel = texts.close;
    leave.append(icon(icons.close));
    this.tabBar = new TabBar(tabs, texts, context.shown, () => this.#onTabChange());
    this.#emptyState = new EmptyState(texts, context.retry, context.signInUrl, () => session.check());
    this.#more = button('more', texts.more, () => void this.loadMore());
    this.#scroll = h('div', 'scroll', { ...(tabs.length > 1 && { role: 'tabpanel', ariaLabel: texts.title }), onscroll: draw },
      this.#list.element, this.#emptyState.element, this.#more);
    this.#focus = new RovingFocus({ list: this.#list, scroll: this.#scroll, now: context.now, loadMore: () => this.#loadMoreIfAny() });
    const parts = { ...context, list: this.#list, focus: this.#focus, selection: this.#selection, notice: this.#notice, triage: this.triage, targets: () => this.#targets(), escape: () => this.escape() };
    this.#overlays = new Overlays(element, parts);
    this.#pill = button('pill', '', () => this.#toTop());
    this.#pill.hidden = true;
    const settings = button('choice settings', '', () => void this.#overlays.openPreferences());
    settings.append(icon(icons.settings), texts.preferences);
    const inboxUrl = link(context.inboxUrl());
    const keys = button('choice keys', '?', () => void this.#overlays.openHelp());
    keys.ariaLabel = keys.title = texts.shortcuts;
    element.append(
      h('div', 'header', {}, h('h2', 'heading', { id: 'heading' }, texts.title), this.#status, this.#readAll, this.#archiveRead, h('slot', '', { name: 'header' }), leave),
      this.tabBar.element, h('div', 'stage', {}, this.#pill, this.#scroll), this.#notice.element, this.#selection.element,
      h('div', 'footer', {}, settings, keys, ...(inboxUrl ? [h('a', 'choice all', { href: inboxUrl }, texts.seeAll)] : [])));
    element.tabIndex = -1;
    element.dir = texts.dir;
    element.lang = texts.lang;
    element.setAttribute('aria-labelledby', 'heading');
    element.addEventListener('keydown', keyHandler(this.#overlays, parts));
    element.addEventListener('focusin', () => (this.#focus.current = this.#list.focused ?? this.#focus.current));
    element.addEventListener('pointerdown', (event) => void this.#onPointerDown(/** @type {PointerEvent} */ (event)));
  }

  get #view() {
    return this.#context.session.view(this.tabBar.query);
  }

  /** Whether the tab shows rows that are not in the inbox. */
  get #isAside() {
    return this.tabBar.query.view === 'archived' || this.tabBar.query.view === 'snoozed';
  }

  /** The panel is shown: rows that were added since it was last visible are new. */
  open() {
    this.#boundary = null;
    this.#scroll.scrollTop = 0;
    if (navigator.maxTouchPoints) void loadTouch().catch(() => {}); // preload for the first swipe, which retries a failed import
  }

  /** The page is hidden: rows added from now on are new. */
  forgetNew() {
    this.#boundary = null;
  }

  /** The panel is hidden. */
  close() {
    this.#overlays.close();
    this.#selection.clear();
    this.#stay.clear();
    this.#tallest = 0;
    this.element.style.removeProperty('--tallest');
  }

  /** The element leaves the page, or the user does. */
  stop() {
    this.close();
    this.triage.commit();
    this.#notice.hide();
  }

  /** Return the notifications that the user can see. @param {number} now */
  render(now) {
    const { session } = this.#context;
    const { state } = session;
    const view = this.#view.state;
    const { focused } = this.#focus;
    const rows = state.error ? [] : this.#withStaying(view.notifications, state);
    this.#renderStatus(state);
    if (state.error) this.#notice.withdraw();
    this.tabBar.render(session);
    this.#readAll.hidden = !state.unread || state.error !== null;
    this.#archiveRead.hidden = state.error !== null || this.#isAside || !state.notifications.some(({ read_at }) => read_at);
    // Browsers count an element that new rows push down as a layout shift of the page, but not one that is inserted.
    if (!this.#more.matches(':focus')) this.#more.parentElement?.append(this.#more);
    this.#more.hidden = !view.next || !view.loaded || state.error !== null;
    this.#more.tabIndex = this.#loadFailed ? 0 : -1; // otherwise scrolling and keys load more
    this.#emptyState.show(rows.length || (view.loaded && view.next && !state.error) ? '' : this.#emptyStateKind(state, view.loaded));
    this.#renderList(rows, view.loaded ? state : null, now);
    if (focused >= 0 && this.#focus.focused < 0) this.#restoreFocus(focused);
    this.#focus.resume(!state.error && (!view.loaded || (view.next !== null && !this.#loadFailed)));
    this.#keepHeight();
    this.#loadMoreIfNear();
    return this.#visible();
  }

  /** Load the next older page. */
  async loadMore() {
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.#loadFailed = await this.#view.loadMore().then(() => false, (error) => (this.triage.fail(error), true));
    this.#isLoading = false;
    this.#context.draw();
  }

  #loadMoreIfAny() {
    const { loaded, next } = this.#view.state;
    if (loaded && next === null) return false;
    if (loaded) void this.loadMore();
    return true;
  }

  /** @param {State} state */
  #renderStatus({ status, loaded, error, queued }) {
    const { texts } = this.#context;
    const word = loaded && status === 'connecting' ? 'waiting' : status;
    const text = error ? texts[isPageRefused(error) ? 'failed' : 'ended'] : queued && status !== 'live' ? texts.queued(queued) : texts[word];
    if (this.#status.textContent !== text) this.#status.textContent = text;
    this.#status.dataset.status = word;
  }

  /**
   * Render the list without moving the rows that the user is looking at.
   * @param {readonly Notification[]} rows @param {State | null} inbox  null until it is loaded @param {number} now
   */
  #renderList(rows, inbox, now) {
    const scroll = this.#scroll;
    const anchors = this.#anchors();
    this.#list.assign(this.#divide(rows, inbox, now));
    const { items } = this.#list;
    const top = () => {
      const anchor = anchors.find(({ id }) => this.#list.indexOf(id) >= 0);
      return anchor ? Math.max(0, this.#list.offset(this.#list.indexOf(anchor.id)) - anchor.below) : scroll.scrollTop;
    };
    this.#selection.retain((id) => this.#list.indexOf(id) >= 0);
    this.#list.render(top(), scroll.clientHeight, now, this.#selection.ids);
    const held = top();
    if (Math.abs(held - scroll.scrollTop) > 0.5) scroll.scrollTop = held;
    this.#list.setTabStop(this.#focus.current, this.#list.indexAt(scroll.scrollTop));
    this.#renderPill(items);
  }

  /**
   * The rows from the viewport's top on, and how far below it each is; first those that are rendered, because rows above them may have another height
   * than estimated. They include rows that a jump has moved below the viewport: browsers count a row that was visible as shifted if it then moves
   * otherwise than the list was scrolled. None at the top of the list: new rows may push the others down there.
   */
  #anchors() {
    const { scrollTop } = this.#scroll;
    if (scrollTop <= TOP) return [];
    const first = this.#list.indexAt(scrollTop);
    const anchors = this.#list.items.slice(first, first + MAX_ANCHORS).map(({ notification: { id } }, at) => ({ id, below: this.#list.offset(first + at) - scrollTop }));
    return [...anchors.filter(({ id }) => this.#list.row(id)), ...anchors];
  }

  /** @param {readonly Notification[]} rows @param {State | null} inbox @param {number} now */
  #divide(rows, inbox, now) {
    const day = startOfDay(now);
    const newestSeen = inbox?.notifications.find(({ seen_at }) => seen_at);
    this.#boundary ??= inbox && (newestSeen ? placeOf(newestSeen) : '');
    const boundary = this.#isAside ? '' : this.#boundary ?? '';
    if (this.#divided?.rows !== rows || this.#divided.day !== day || this.#divided.boundary !== boundary) {
      this.#divided = { rows, day, boundary, sections: divide(fold(rows, this.#openGroups), boundary) };
    }
    return this.#divided.sections;
  }

  /** Rows of the unread tab that were read there stay until the user leaves it: reading must not move the rows below. @param {readonly Notification[]} rows @param {State} inbox */
  #withStaying(rows, inbox) {
    if (this.tabBar.query.view !== 'unread') return rows;
    for (const row of rows) this.#stay.set(row.id, row);
    if (this.#stay.size === rows.length) return rows;
    const unread = new Set(rows.map(({ id }) => id));
    const current = new Map(inbox.notifications.map((row) => [row.id, row]));
    for (const id of this.#stay.keys()) {
      const row = current.get(id);
      if (unread.has(id)) continue;
      if (row?.read_at && !row.archived_at) this.#stay.set(id, row);
      else this.#stay.delete(id);
    }
    const merged = [...this.#stay.values()].sort((a, b) => (placeOf(a) < placeOf(b) ? 1 : -1));
    const before = this.#divided?.rows;
    return before?.length === merged.length && merged.every((row, at) => row === before[at]) ? before : merged;
  }

  /** "2 new": the number of rows added above while the user reads further down. @param {readonly Item[]} items */
  #renderPill(items) {
    const newest = items[0] ? placeOf(items[0].notification) : '';
    if (this.#scroll.scrollTop <= TOP || !this.#topId) this.#topId = newest;
    const older = items.findIndex(({ notification }) => placeOf(notification) <= this.#topId);
    const count = newest > this.#topId ? (older < 0 ? items.length : older) : 0;
    this.#pill.hidden = !count;
    const text = count ? this.#context.texts.newAbove(count) : '';
    if (this.#pill.textContent !== text) this.#pill.replaceChildren(text, icon(icons.up));
  }

  #toTop() {
    if (this.#pill.matches(':focus')) this.element.focus(); // the pill disappears, but the focus must stay in the panel
    this.#scroll.scrollTop = 0; // not smoothly: measuring a row would stop the scrolling
  }

  /** Notifications of the rows in the viewport. */
  #visible() {
    const { scrollTop, clientHeight } = this.#scroll;
    if (!clientHeight) return [];
    return this.#list.items.slice(this.#list.indexAt(scrollTop), this.#list.indexAt(scrollTop + clientHeight) + 1).flatMap(({ members }) => members);
  }

  /** Keeps the panel from shrinking while it is open. */
  #keepHeight() {
    const { offsetHeight } = this.element;
    if (offsetHeight <= this.#tallest) return;
    this.#tallest = offsetHeight;
    this.element.style.setProperty('--tallest', `${offsetHeight}px`);
  }

  /** @param {string} group */
  #unfold(group) {
    if (!this.#openGroups.delete(group)) this.#openGroups.add(group);
    this.#divided = null;
    this.#context.draw();
  }

  /** Show another tab, synchronously: the next key press may move the focus in its list. */
  #onTabChange() {
    this.#scroll.scrollTop = 0;
    this.#loadFailed = false;
    this.#topId = '';
    this.#stay.clear();
    this.#selection.clear();
    this.#list.clear();
    this.#context.now();
  }

  /** Load more near the end of the list. After a failure, the user presses the button instead. */
  #loadMoreIfNear() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroll;
    const near = clientHeight > 0 && scrollHeight - scrollTop - clientHeight < LOAD_MORE_DISTANCE;
    if (near && !this.#more.hidden && !this.#loadFailed) void this.loadMore();
  }

  /** Why the list is empty; the failure stays visible during a retry. @param {State} state @param {boolean} loaded */
  #emptyStateKind({ status, error }, loaded) {
    if (error) return isPageRefused(error) ? 'unavailable' : 'ended';
    if (!loaded) return status === 'waiting' || status === 'offline' || this.#emptyState.shown === 'failed' ? 'failed' : 'loading';
    if (!this.tabBar.selected) return 'empty';
    const { view, type, tag } = this.tabBar.query;
    if (view === 'archived') return 'noneArchived';
    if (view === 'snoozed') return 'noneSnoozed';
    return view === 'unread' && !type && !tag ? 'caughtUp' : 'none';
  }

  /** @param {Item} item @param {MouseEvent} event */
  #follow({ notification, members }, event) {
    this.#context.follow(notification, event, members.filter(({ read_at }) => !read_at));
  }

  #markAllAsRead() {
    this.#stay.clear();
    this.triage.readAll();
    this.element.focus(); // the button disappears, the focus must not
  }

  #archiveAllRead() {
    this.#stay.clear();
    this.triage.archiveRead();
    this.element.focus(); // the button disappears, the focus must not
  }

  /** Take the action of a row; if it is a link, also follow it. @param {Item} item @param {ActionButton} action @param {MouseEvent} event */
  async #take({ notification }, action, event) {
    const { session, follow } = this.#context;
    if (action.url) follow({ ...notification, action_url: action.url }, event, []);
    try {
      await session.takeAction(notification.id, action.key);
    } catch (/** @type {any} */ error) {
      this.#notice.show(error.code === 'forbidden' ? error.message : this.#context.texts.refused);
      throw error;
    }
  }

  /** The selected rows, else the one with the focus. */
  #targets() {
    const { items } = this.#list;
    if (this.#selection.ids.size) return items.filter(({ notification: { id } }) => this.#selection.ids.has(id));
    return items.filter((_, index) => index === this.#focus.focused);
  }

  /**
   * A click on the avatar selects the row; with Shift, it selects all rows from the start of the selection.
   * @param {Item} item @param {MouseEvent} event
   */
  #selectByMouse({ notification: { id } }, { shiftKey }) {
    if (shiftKey) this.#selection.extend(this.#list.ids, id, id);
    else this.#selection.toggle(id);
    this.#list.row(id)?.title.focus({ preventScroll: true });
  }

  /** @param {TriageVerb} verb */
  #actOnSelection(verb) {
    const members = this.#targets().flatMap(({ members }) => members);
    this.triage.act(verb === 'archive' && members.every(({ archived_at }) => archived_at) ? 'unarchive' : verb, members);
    this.#selection.clear();
  }

  /** If the row was removed or redrawn, focus the row at its position. @param {number} index */
  #restoreFocus(index) {
    if (!this.#list.items.length) return this.element.focus();
    const same = this.#list.indexOf(this.#focus.current);
    this.#focus.focus(same >= 0 ? same : index);
  }

  /** Close the innermost thing that is open, or drop the selection; false if neither exists. */
  escape() {
    if (this.#overlays.isOpen) this.#overlays.close();
    else if (this.#selection.ids.size) this.#selection.clear();
    else return false;
    return true;
  }

  /** Handles swipes, long presses and drags; loaded at the first touch. @param {PointerEvent} event */
  async #onPointerDown(event) {
    const { pointerType, pointerId, clientX, clientY } = event;
    const [target] = event.composedPath();
    if (pointerType !== 'touch' || !(target instanceof Element)) return;
    const item = this.#list.itemAt(target);
    const element = item && this.#list.row(item.notification.id)?.element;
    const isHandle = target === this.element || target.closest('.header');
    if (!element && !(isHandle && this.element.matches('dialog:modal'))) return;
    const lifted = new AbortController();
    const { signal } = lifted;
    for (const type of ['pointerup', 'pointercancel']) addEventListener(type, () => lifted.abort(), { signal });
    const { watchGesture, watchSheet } = await loadTouch();
    if (signal.aborted) return; // the gesture ended before the module was loaded
    lifted.abort();
    if (!element) return watchSheet(this.element, { pointerId, clientY }, this.#context.close);
    watchGesture(element, { pointerId, clientX, clientY }, item, this.#context.texts, (verb) => this.triage.act(verb, item.members), () => void this.#overlays.openMenu(item));
  }
}

const loadTouch = () => import('./touch.js');

/** @param {string} name @param {string} text @param {() => void} onclick */
const button = (name, text, onclick) => h('button', name, { onclick }, text);
