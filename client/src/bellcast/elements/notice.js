/** A short message over the list, which can offer to undo. */

import { h } from './dom.js';

export const NOTICE_DURATION = 6_000; // ms to read it and to undo

export class Notice {
  /** Empty but not hidden without a notice: screen readers announce changes of a status that they know. */
  element = h('div', 'notices', { role: 'status' });
  #undoText;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** The action that it offers to undo. @type {unknown} */
  #subject = null;

  /** @param {string} undoText */
  constructor(undoText) {
    this.#undoText = undoText;
  }

  /** @param {string} text @param {unknown} [subject]  what `undo` is about @param {() => void} [undo] */
  show(text, subject = null, undo) {
    this.#subject = subject;
    const button = undo ? [h('button', 'undo', { onclick: undo }, this.#undoText)] : [];
    this.element.replaceChildren(h('div', 'notice', {}, h('span', 'said', {}, text), ...button));
    this.#hideLater();
  }

  hide() {
    clearTimeout(this.#timer);
    this.element.replaceChildren();
    this.#subject = null;
  }

  /** Hide it if it offers to undo something, which is impossible once the session has ended. */
  withdraw() {
    if (this.#subject !== null) this.hide();
  }

  /** Whether the pointer or the focus is on the notice. */
  get isHeld() {
    return this.element.matches(':hover, :focus-within');
  }

  /** @param {unknown} subject */
  holds(subject) {
    return this.#subject === subject && this.isHeld;
  }

  #hideLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.isHeld ? this.#hideLater() : this.hide()), NOTICE_DURATION);
  }
}
