/** The list's single tab stop: the row that has it, and how keys move it. */

/** @import { List } from './list.js' */

/**
 * @typedef {object} RovingFocusContext
 * @property {List} list
 * @property {HTMLElement} scroll
 * @property {() => void} now  render immediately
 * @property {() => boolean} loadMore  true if rows are loading or this call loads them
 */

const HEADING_HEIGHT = 34; // px that the heading of the day covers

export class RovingFocus {
  /** The row's id. @type {string} */
  current = '';
  #context;
  /** Number of rows by which the arrow keys are ahead of the loaded rows. */
  #pendingSteps = 0;
  /** The row on which they were pressed, '' for none: if the focus has moved elsewhere, it stays there. */
  #pendingFrom = '';

  /** @param {RovingFocusContext} context */
  constructor(context) {
    this.#context = context;
  }

  /** Index of the row with the focus, -1 for none. */
  get focused() {
    const { list } = this.#context;
    return list.indexOf(list.focused ?? '');
  }

  /** @param {number} step @returns {boolean} false if it waits for rows to load */
  move(step) {
    const { list, loadMore } = this.#context;
    if (this.#pendingSteps) {
      this.#pendingSteps = Math.max(0, this.#pendingSteps + step);
      return false;
    }
    const to = this.focused + step;
    if (to >= list.items.length && loadMore()) {
      this.#pendingSteps = 1;
      this.#pendingFrom = list.focused ?? '';
      return false;
    }
    this.focus(to);
    return true;
  }

  /** Continue when further rows have been loaded. @param {boolean} isWaiting  more will be loaded */
  resume(isWaiting) {
    const { list } = this.#context;
    if (!this.#pendingSteps) return;
    if ((list.focused ?? '') !== this.#pendingFrom) return this.cancel();
    const { focused } = this;
    const room = Math.min(this.#pendingSteps, list.items.length - 1 - focused);
    this.#pendingSteps = isWaiting ? this.#pendingSteps - room : 0;
    if (room <= 0) return;
    this.focus(focused + room);
    this.#pendingFrom = this.current;
  }

  cancel() {
    this.#pendingSteps = 0;
  }

  /** Focus a row, or the nearest. @param {number} index */
  focus(index) {
    const { list, now } = this.#context;
    const at = Math.max(0, Math.min(index, list.items.length - 1));
    const id = list.items[at]?.notification.id;
    if (!id) return;
    this.current = id;
    this.#reveal(at);
    now();
    list.row(id)?.title.focus({ preventScroll: true });
  }

  /** Scroll as little as possible. @param {number} index */
  #reveal(index) {
    const { list, scroll } = this.#context;
    const top = index ? list.offset(index) - HEADING_HEIGHT : 0;
    const bottom = list.offset(index + 1) + 1;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    else if (bottom > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = bottom - scroll.clientHeight;
  }
}
