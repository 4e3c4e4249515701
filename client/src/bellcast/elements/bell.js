/** `<bellcast-bell>`: a button with a counter, and the panel that it opens. */

import { addBell, announcingBell } from './announcer.js';
import { countText } from './count-text.js';
import { h, icon, setParts } from './dom.js';
import * as icons from './icons.js';
import { Element, reflect } from './element.js';
import { isStill } from './motion.js';
import { fullTitle } from './notification-title.js';
import { isPageRefused } from './page-refused.js';
import { setTitleCount } from './page-title.js';
import * as popover from './popover.js';

/** @import { Notification } from '../events.js' */
/** @import { Session, State } from '../session.js' */
/** @import { Panel } from './panel.js' */

/**
 * A button with a counter, and the panel that it opens.
 * @attr {'unread' | 'unseen'} badge  what the counter counts; by default `unread`
 * @attr open  the panel is open
 * @attr {string} tabs  views, types and tags, each with an optional label: `all, unread, type:booking=Bookings, tag:vip`; as a property also `Tab[]`
 * @attr {string} sign-in-url  a link in the panel of an ended session
 * @attr {string} inbox-url  your page with `<bellcast-inbox>`: a link "See all" in the panel's footer
 * @attr title-badge  also shows the count in the page's title
 * @fires {null} bellcast:open  the user opens the panel
 * @fires {null} bellcast:close  the user closes the panel
 * @slot icon  instead of the bell
 * @slot header  next to the heading
 * @slot empty  instead of the text of an empty inbox
 * @slot none  instead of the text of another empty view
 * @slot failed  instead of the text while the server cannot be reached
 * @slot ended  instead of the text of an ended session
 */
export class Bell extends /** @type {{new (): Element & {badge: string | null, open: boolean}, observedAttributes: string[]}} */ (Element) {
  static observedAttributes = [...Element.observedAttributes, 'badge', 'open', 'tabs', 'title-badge'];

  #badge = h('span', 'badge', { ariaHidden: 'true' });
  #button = h('button', 'button', { ariaExpanded: 'false', onclick: () => this.#toggle() });
  #live = h('div', 'live', { role: 'status' });
  #dialog = h('dialog', 'panel');
  /** Loaded when the user is about to open the panel, so that pages on which it stays closed download less. @type {Panel | null} */
  #panel = null;
  /** @type {Promise<void> | null} */
  #loading = null;
  /** Whether the panel takes the focus when it is shown. */
  #takesFocus = false;

  constructor() {
    super();
    this.#button.setAttribute('aria-haspopup', 'dialog');
    this.#button.append(h('span', 'icon', {}, h('slot', '', { name: 'icon' }, icon(icons.bell))), this.#badge);
    // The pointer or the focus reaches the button about 100 ms before the click.
    for (const intent of ['pointerenter', 'pointerdown', 'focus']) this.#button.addEventListener(intent, () => void this.loadPanel().catch(() => {}));
  }

  /** @param {string} name @param {string | null} before @param {string | null} after @override */
  attributeChangedCallback(name, before, after) {
    if (name === 'title-badge' && !this.hasAttribute(name)) setTitleCount('');
    if (name === 'open') this.onMoved();
    else if (name === 'badge' || name === 'title-badge') this.draw();
    else super.attributeChangedCallback(name, before, after);
  }

  /** @param {Session} session @override */
  build(session) {
    popover.hide(this.#dialog);
    this.#dialog = h('dialog', 'panel', { tabIndex: -1, ariaLabel: this.texts.title, ariaBusy: 'true', dir: this.texts.dir });
    this.#panel = this.#loading = null;
    const { signal } = /** @type {{signal: AbortSignal}} */ ({ signal: this.abortSignal });
    addBell(session, this, signal);
    // A hidden tab draws no frames, but its title is visible.
    session.addEventListener('change', () => document.hidden && this.#renderCount(session.state), { signal });
    session.addEventListener('alert', (event) => this.hasAttribute('open') || this.#announce(/** @type {CustomEvent<Notification[]>} */ (event).detail), { signal });
    // A visible row causes no alert, so screen readers need the announcement.
    session.addEventListener('notification', (event) => this.hasAttribute('open') && this.#announce([/** @type {CustomEvent<Notification>} */ (event).detail]), { signal });
    signal.addEventListener('abort', () => {
      popover.hide(this.#dialog);
      if (this.hasAttribute('title-badge')) setTitleCount('');
    });
    this.#listen(this.#dialog, signal);
    return [this.#button, this.#dialog, this.#live];
  }

  /** @param {HTMLDialogElement} element @param {AbortSignal} signal */
  #listen(element, signal) {
    const place = () => this.hasAttribute('open') && popover.place(element, this.#button);
    addEventListener('resize', () => (place(), this.draw()), { signal });
    addEventListener('scroll', place, { signal, capture: true, passive: true });
    document.addEventListener('pointerdown', (event) => event.composedPath().includes(this) || this.#toggle(false, false), { signal });
    document.addEventListener('keydown', (event) => event.key === 'Escape' && this.#escape(event), { signal });
    this.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !this.contains(relatedTarget)) this.#toggle(false, false);
    }, { signal });
    element.addEventListener('click', ({ target }) => target === element && this.#toggle(false), { signal }); // a sheet's backdrop
    element.addEventListener('cancel', (event) => (event.preventDefault(), this.#panel?.escape() || this.#toggle(false)), { signal });
  }

  /** @param {KeyboardEvent} event */
  #escape(event) {
    if (event.defaultPrevented || !this.hasAttribute('open')) return;
    event.preventDefault();
    this.#toggle(false);
  }

  /** @param {boolean} [open] @param {boolean} [focus]  back to the button */
  #toggle(open = !this.hasAttribute('open'), focus = true) {
    if (open === this.hasAttribute('open') || !this.emitCancelable(open ? 'open' : 'close', null)) return;
    this.#takesFocus = open;
    this.toggleAttribute('open', open);
    if (!open && focus) this.#button.focus();
  }

  /** Show or hide the panel according to the attribute. @override */
  onMoved() {
    const { session } = this;
    if (!this.abortSignal || !session) return;
    const open = this.hasAttribute('open');
    this.#button.ariaExpanded = String(open);
    popover.hide(this.#dialog);
    if (open) this.#show(session);
    else this.#panel?.close();
    const place = this.#dialog.open ? this.#dialog : this.shadowRoot; // a modal dialog makes everything outside of it inert
    if (this.#live.parentNode !== place) place?.append(this.#live);
    this.renderNow();
  }

  /** @param {Session} session */
  async #load(session) {
    const panel = await this.createPanel(this.#dialog, session, () => this.#toggle(false));
    if (!panel) return;
    this.#panel = panel;
    this.#dialog.ariaBusy = null;
    panel.open();
    this.renderNow();
  }

  /** Show the panel, empty until its code is loaded. @param {Session} session */
  #show(session) {
    popover.show(this.#dialog, this.#button);
    if (this.#panel) this.#panel.open();
    else this.#loading ??= this.#load(session);
    if (this.#takesFocus || this.#dialog.open) this.#dialog.focus(); // a modal dialog would focus its first button
    this.#takesFocus = false;
  }

  /** @param {Session} session @override */
  render({ state }) {
    this.#renderCount(state);
    this.#renderConnection(state);
    if (this.hasAttribute('open') && this.#panel) this.markSeen(this.#panel.render(Date.now()));
  }

  /** @param {State} state */
  #renderCount(state) {
    const count = state[this.getAttribute('badge') === 'unseen' ? 'unseen' : 'unread'];
    const text = countText(count);
    this.#badge.hidden = !count;
    this.#badge.textContent = text;
    this.#button.ariaLabel = count ? this.texts.label(text) : this.texts.title;
    if (this.hasAttribute('title-badge')) setTitleCount(count ? text : '');
  }

  /** Mark a bell without a connection: its count may be stale. @param {State} state */
  #renderConnection({ status, error }) {
    const isOffline = status !== 'live' && status !== 'connecting';
    const text = this.texts[error ? (isPageRefused(error) ? 'failed' : 'ended') : status];
    this.#button.classList.toggle('offline', isOffline);
    setParts(this.#button, 'button', { offline: isOffline });
    this.#button.ariaDescription = this.#button.title = isOffline ? text : '';
  }

  /** Announce new notifications once, however many there are. @param {Notification[]} notifications */
  #announce([first, ...others]) {
    if (!first) return;
    if (announcingBell(/** @type {Session} */ (this.session)) === this) this.#live.textContent = others.length ? this.texts.arrivedMany(others.length + 1) : this.texts.arrived(fullTitle(first));
    const rotate = ['0deg', '14deg', '-11deg', '7deg', '0deg'];
    if (!isStill()) this.#button.querySelector('.icon')?.animate({ rotate }, { duration: 700, easing: 'ease-out' });
  }

  /** @param {Notification} notification @param {MouseEvent} event @param {() => void} [markRead] @override */
  follow(notification, event, markRead) {
    const left = super.follow(notification, event, markRead);
    if (left) this.#toggle(false);
    return left;
  }
}

reflect(Bell, ['badge'], ['open']);
