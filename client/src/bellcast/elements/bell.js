/** `<bellcast-bell>`: a button with a counter, and the panel that it opens. */

import { h, icon } from './dom.js';
import { Element, reflect } from './element.js';
import * as popover from './popover.js';

/** @import { Notification } from '../events.js' */
/** @import { Session } from '../session.js' */
/** @import { Panel } from './panel.js' */

const MAX_COUNT = 99;
const TITLE_COUNT = /^\(\d+\+?\) /;

export class Bell extends Element {
  static observedAttributes = [...Element.observedAttributes, 'badge', 'open', 'tabs', 'title-badge'];

  #badge = h('span', 'badge', { ariaHidden: 'true' });
  #button = h('button', 'button', { ariaExpanded: 'false', onclick: () => this.#toggle() });
  #live = h('div', 'live', { role: 'status' });
  #dialog = h('dialog', 'panel');
  /** Created when first opened, so that the badge does not wait for it. @type {Panel | null} */
  #panel = null;

  constructor() {
    super();
    this.#button.setAttribute('aria-haspopup', 'dialog');
    this.#button.append(h('span', 'icon', {}, h('slot', '', { name: 'icon' }, icon('bell'))), this.#badge);
  }

  /** @param {string} name @override */
  attributeChangedCallback(name) {
    if (name === 'open') this.onMoved();
    else if (name === 'badge' || name === 'title-badge') this.draw();
    else this.restart();
  }

  /** @param {Session} session @override */
  build(session) {
    popover.hide(this.#dialog);
    this.#dialog = h('dialog', 'panel');
    this.#panel = null;
    const { signal } = /** @type {{signal: AbortSignal}} */ ({ signal: this.abortSignal });
    session.addEventListener('alert', (event) => this.#announce(/** @type {CustomEvent<Notification[]>} */ (event).detail), { signal });
    signal.addEventListener('abort', () => (popover.hide(this.#dialog), this.#setTitleCount(0)));
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
    if (open === this.hasAttribute('open') || !this.emitCancelable(open ? 'open' : 'close', null)) return;
    this.toggleAttribute('open', open);
    if (!open && focus) this.#button.focus();
    if (open) this.#dialog.focus();
  }

  /** Show or hide the panel as the attribute says. @override */
  onMoved() {
    const { session } = this;
    if (!this.abortSignal || !session) return;
    const open = this.hasAttribute('open');
    this.#button.ariaExpanded = String(open);
    popover.hide(this.#dialog);
    if (open) {
      this.#panel ??= this.panel(this.#dialog, session, () => this.#toggle(false));
      popover.show(this.#dialog, this.#button);
    }
    this.renderNow();
  }

  /** @param {Session} session @override */
  render({ state }) {
    this.#renderCount(state[this.getAttribute('badge') === 'unseen' ? 'unseen' : 'unread']);
    if (this.hasAttribute('open') && this.#panel) this.markSeen(this.#panel.render(Date.now()));
  }

  /** @param {number} count */
  #renderCount(count) {
    const text = count > MAX_COUNT ? `${MAX_COUNT}+` : String(count);
    this.#badge.hidden = !count;
    this.#badge.textContent = text;
    this.#button.ariaLabel = count ? this.texts.label(text) : this.texts.title;
    this.#setTitleCount(this.hasAttribute('title-badge') ? count : 0);
  }

  /** @param {number} count */
  #setTitleCount(count) {
    if (!count && !TITLE_COUNT.test(document.title)) return;
    const title = document.title.replace(TITLE_COUNT, '');
    const next = count ? `(${count > MAX_COUNT ? `${MAX_COUNT}+` : count}) ${title}` : title;
    if (next !== document.title) document.title = next;
  }

  /** Announce new notifications once, however many there are. @param {Notification[]} told */
  #announce([first, ...others]) {
    if (!first) return;
    this.#live.textContent = others.length ? this.texts.arrivedMany(others.length + 1) : this.texts.arrived(first.title);
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const rotate = ['0deg', '14deg', '-11deg', '7deg', '0deg'];
    if (!still) this.#button.querySelector('.icon')?.animate({ rotate }, { duration: 700, easing: 'ease-out' });
  }

  /** @param {Notification} notification @param {MouseEvent} event @param {Panel} [panel] @override */
  follow(notification, event, panel) {
    const left = super.follow(notification, event, panel);
    if (left) this.#toggle(false);
    return left;
  }
}

reflect(Bell, ['badge'], ['open']);
