/** `<bellcast-toasts>`: new notifications, shown briefly in the tab that alerts the user. */

import { announcingBell } from './announcer.js';
import { avatar, renderText } from './content.js';
import { h, icon, link, setParts } from './dom.js';
import * as icons from './icons.js';
import { Element, reflect } from './element.js';
import { leave } from './motion.js';

/** @import { Notification } from '../events.js' */
/** @import { Session } from '../session.js' */

/** @typedef {{notification: Notification, element: HTMLElement}} Toast */

const MAX_TOASTS = 3;
const MAX_DELAY = 1e9; // ms: a timer beyond 2^31, such as one of `Infinity`, ends at once
const DEFAULT_DURATION = 6_000; // ms; urgent ones stay until closed

/** @param {Notification} notification */
const isUrgent = ({ priority }) => priority === 'urgent';

/**
 * New notifications, shown briefly in the tab that alerts the user.
 * @attr {'bottom-end' | 'bottom-start' | 'top-end' | 'top-start'} position  by default `bottom-end`
 * @attr {number} duration  ms; by default 6,000; with `Infinity` they stay. Urgent ones stay until they are closed
 * @fires {{notification: Notification}} bellcast:toast  a toast appears
 */
export class Toasts extends /** @type {{new (): Element & {position: string | null, get duration(): string | null, set duration(ms: string | number | null)}, observedAttributes: string[]}} */ (Element) {
  static observedAttributes = [...Element.observedAttributes, 'position', 'duration'];

  #list = h('div', 'toasts');
  #more = h('p', 'toast-more');
  /** Unread notifications for which there was no room since the first visible toast. @type {Set<string>} */
  #hidden = new Set();
  /** @type {Map<string, Toast>} */
  #shown = new Map();

  /** @param {string} name @param {string | null} before @param {string | null} after @override */
  attributeChangedCallback(name, before, after) {
    if (name !== 'position' && name !== 'duration') super.attributeChangedCallback(name, before, after);
  }

  /** @param {Session} session @override */
  build(session) {
    this.#list = h('div', 'toasts', { role: 'log', ariaLabel: this.texts.title, dir: this.texts.dir, lang: this.texts.lang }, this.#more);
    this.#shown.clear();
    this.#hide([]);
    const { signal } = /** @type {{signal: AbortSignal}} */ ({ signal: this.abortSignal });
    session.addEventListener('alert', (event) => this.#showAll(session, /** @type {CustomEvent<Notification[]>} */ (event).detail), { signal });
    return [this.#list];
  }

  /** Close toasts of notifications that were seen or read in the list, here or elsewhere. @param {Session} session @override */
  render({ state }) {
    const open = new Set(state.notifications.flatMap(({ id, seen_at, read_at }) => (seen_at || read_at ? [] : [id])));
    for (const id of this.#shown.keys()) if (!open.has(id)) this.#close(id);
    const hidden = [...this.#hidden].filter((id) => open.has(id));
    if (hidden.length < this.#hidden.size) this.#hide(hidden); // otherwise the same text would be announced again
  }

  /** Urgent ones first, then the newest. @param {Session} session @param {Notification[]} notifications */
  #showAll(session, notifications) {
    if (document.hidden) return;
    this.#list.ariaLive = announcingBell(session) ? 'off' : 'polite';
    const all = [...Array.from(this.#shown.values(), ({ notification }) => notification), ...notifications];
    const newest = all.toReversed();
    const ranked = [...newest.filter(isUrgent), ...newest.filter((each) => !isUrgent(each))];
    const chosen = new Set(ranked.slice(0, MAX_TOASTS));
    const hidden = all.filter((notification) => !chosen.has(notification));
    for (const notification of all) {
      if (!chosen.has(notification)) this.#close(notification.id, false);
      else if (!this.#shown.has(notification.id)) this.#show(notification);
    }
    this.#hide(this.#shown.size ? [...this.#hidden, ...hidden.map(({ id }) => id)] : []); // pages may show their own
  }

  /** @param {string[]} ids */
  #hide(ids) {
    this.#hidden = new Set(ids);
    this.#more.hidden = !ids.length;
    this.#more.textContent = this.texts.moreToasts(ids.length);
  }

  /** @param {Notification} notification */
  #show(notification) {
    const { id, priority, type } = notification;
    if (!this.emitCancelable('toast', { notification })) return;
    const lines = renderText(notification, this.texts, (event) => {
      this.follow(notification, event);
      if (event.defaultPrevented || !link(notification.action_url)) this.#close(id);
    });
    const close = h('button', 'toast-close', { ariaLabel: this.texts.close, onclick: () => this.#close(id) }, icon(icons.close));
    const element = h('div', 'toast', {}, avatar(notification), lines, close);
    Object.assign(element.dataset, { priority, type });
    setParts(element, 'toast', { [priority]: true });
    this.#shown.set(id, { notification, element });
    this.#list.insertBefore(element, this.#more);
    if (!isUrgent(notification)) this.#fade(element, id);
  }

  /** Close after a delay, unless the pointer or the focus is inside. @param {HTMLElement} toast @param {string} id */
  #fade(toast, id) {
    const stays = Math.min(Number(this.getAttribute('duration')) || DEFAULT_DURATION, MAX_DELAY);
    const { abortSignal } = this;
    const again = () => void setTimeout(fade, stays);
    const fade = () => abortSignal?.aborted || (toast.matches(':hover, :focus-within') ? again() : this.#close(id));
    again();
  }

  /** Close a toast; the focus moves to the next one. @param {string} id @param {boolean} [last]  the last toast also removes the count of the others */
  #close(id, last = true) {
    const toast = this.#shown.get(id);
    if (!toast) return;
    const hadFocus = toast.element.matches(':focus-within');
    leave(toast.element);
    this.#shown.delete(id);
    if (hadFocus) /** @type {HTMLElement | null} */ (this.#list.querySelector('.toast-close'))?.focus();
    if (last && !this.#shown.size) this.#hide([]);
  }
}

reflect(Toasts, ['position', 'duration']);
