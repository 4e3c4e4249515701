/** `<bellcast-toasts>`: new notifications, for a moment, in the tab that alerts the person. */

import { h, icon, link } from './dom.js';
import { Element, reflect } from './element.js';
import { avatar, renderText } from './row.js';

/** @import { Notification } from '../events.js' */
/** @import { Session } from '../session.js' */

const MAX_TOASTS = 3;
const DEFAULT_DURATION = 6_000; // ms; urgent ones stay until closed

export class Toasts extends Element {
  static observedAttributes = [...Element.observedAttributes, 'position', 'duration'];

  #list = h('div', 'toasts');
  /** @type {Map<string, HTMLElement>} */
  #shown = new Map();

  /** @param {string} name @override */
  attributeChangedCallback(name) {
    if (name !== 'position' && name !== 'duration') this.restart();
  }

  /** @param {Session} session @override */
  build(session) {
    this.#list = h('div', 'toasts', { role: 'log', ariaLive: 'polite', ariaLabel: this.texts.title, dir: this.texts.dir });
    this.#shown.clear();
    const { signal } = /** @type {{signal: AbortSignal}} */ ({ signal: this.abortSignal });
    session.addEventListener('alert', (event) => this.#showAll(/** @type {CustomEvent<Notification[]>} */ (event).detail), { signal });
    return [this.#list];
  }

  /** Close toasts of notifications that were read elsewhere. @param {Session} session @override */
  render({ state }) {
    const open = new Set(state.notifications.flatMap(({ id, read_at }) => (read_at ? [] : [id])));
    for (const id of this.#shown.keys()) if (!open.has(id)) this.#close(id);
  }

  /** @param {Notification[]} notifications */
  #showAll(notifications) {
    if (document.hidden) return;
    for (const notification of notifications.slice(-MAX_TOASTS)) this.#show(notification);
    for (const id of [...this.#shown.keys()].slice(0, -MAX_TOASTS)) this.#close(id);
  }

  /** @param {Notification} notification */
  #show(notification) {
    const { id, priority, type } = notification;
    if (!this.emitCancelable('toast', { notification })) return;
    const lines = renderText(notification, this.texts, (event) => {
      this.follow(notification, event);
      if (event.defaultPrevented || !link(notification.action_url)) this.#close(id);
    });
    const leave = h('button', 'toast-close', { ariaLabel: this.texts.close, onclick: () => this.#close(id) }, icon('close'));
    const toast = h('div', 'toast', {}, avatar(notification), lines, leave);
    Object.assign(toast.dataset, { priority, type });
    this.#shown.set(id, toast);
    this.#list.append(toast);
    if (priority !== 'urgent') this.#fade(toast, id);
  }

  /** Close after a while, but not under the pointer or with the focus. @param {HTMLElement} toast @param {string} id */
  #fade(toast, id) {
    const stays = Number(this.getAttribute('duration')) || DEFAULT_DURATION;
    const fade = () => (toast.matches(':hover, :focus-within') ? again() : this.#close(id));
    const again = () => {
      const timer = setTimeout(fade, stays);
      this.abortSignal?.addEventListener('abort', () => clearTimeout(timer), { once: true });
    };
    again();
  }

  /** @param {string} id */
  #close(id) {
    this.#shown.get(id)?.remove();
    this.#shown.delete(id);
  }
}

reflect(Toasts, ['position', 'duration']);
