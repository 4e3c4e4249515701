/** A virtualized list: ten thousand rows cost as much as forty. */

import { h } from './dom.js';
import { row } from './row.js';

/** @import { Item } from './group-rows.js' */
/** @import { RowActions, Row } from './row.js' */

const ESTIMATED_ROW_HEIGHT = 84; // px of a row that was not measured yet
const OVERSCAN = 500; // px rendered above and below the viewport, so that scrolling finds rows ready

export class List {
  element;
  #actions;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {Map<string, number>} */
  #heights = new Map();
  #width = 0;

  /** @param {RowActions} desk @param {string} label */
  constructor(desk, label) {
    this.#actions = desk;
    this.element = h('ul', 'list', { role: 'list', ariaLabel: label });
  }

  /**
   * @param {readonly Item[]} items @param {number} top  of the viewport, relative to the list
   * @param {number} height  of the viewport @param {number} now @returns {Item[]} the rendered items
   */
  render(items, top, height, now) {
    this.#resized();
    const [first, last, before, after] = this.#window(items, top - OVERSCAN, top + height + OVERSCAN);
    const focused = this.#focused();
    const held = focused ? items.findIndex(({ notification: { id } }) => id === focused) : -1; // the focus must not lose its row
    const there = Array.from({ length: last - first }, (_, at) => first + at);
    if (held >= 0 && held < first) there.unshift(held);
    if (held >= last) there.push(held);
    const shown = there.flatMap((at) => items[at] ?? []);
    const size = held < first || held >= last ? this.#heights.get(focused ?? '') ?? 0 : 0;
    this.element.style.paddingBlock = `${held < first ? before - size : before}px ${held >= last ? after - size : after}px`;
    this.#arrange(shown, now);
    shown.forEach(({ notification: { id } }, index) => this.#place(id, there[index] ?? 0, items.length));
    this.#measure();
    return shown;
  }

  /** Range of rendered rows, and the height of those before and after it. @param {readonly Item[]} items @param {number} from @param {number} to */
  #window(items, from, to) {
    let [first, last, before, after, at] = [-1, items.length, 0, 0, 0];
    items.forEach(({ notification: { id } }, index) => {
      const size = this.#heights.get(id) ?? ESTIMATED_ROW_HEIGHT;
      if (at + size <= from) before += size;
      else if (first < 0) first = index;
      if (at >= to && first >= 0) {
        last = Math.min(last, index);
        after += size;
      }
      at += size;
    });
    return /** @type {const} */ ([first < 0 ? items.length : first, last, before, after]);
  }

  /** @param {Item[]} items @param {number} now */
  #arrange(items, now) {
    const rows = new Map(items.map((item) => [item.notification.id, this.#row(item)]));
    for (const [id, { element }] of this.#rows) if (rows.get(id)?.element !== element) element.remove();
    this.#rows = rows;
    let at = this.element.firstChild;
    for (const { element, tick } of rows.values()) {
      tick(now);
      // Move only misplaced rows: a moved element loses the focus.
      if (element === at) at = at.nextSibling;
      else this.element.insertBefore(element, at);
    }
  }

  /** @param {Item} item */
  #row(item) {
    const current = this.#rows.get(item.notification.id);
    return current?.update(item) ? current : row(item, this.#actions);
  }

  /** Tell screen readers the position among all rows. @param {string} id @param {number} at @param {number} of */
  #place(id, at, of) {
    const element = this.#rows.get(id)?.element;
    element?.setAttribute('aria-posinset', String(at + 1));
    element?.setAttribute('aria-setsize', String(of));
  }

  #focused() {
    const root = this.element.getRootNode();
    const active = root instanceof ShadowRoot ? root.activeElement : null;
    for (const [id, { element }] of this.#rows) if (active && element.contains(active)) return id;
    return null;
  }

  /** Read all heights before any write: one layout for all. */
  #measure() {
    for (const [id, { element }] of this.#rows) this.#heights.set(id, element.offsetHeight || ESTIMATED_ROW_HEIGHT);
  }

  /** A different width wraps lines differently. */
  #resized() {
    const { offsetWidth } = this.element;
    if (offsetWidth !== this.#width) this.#heights.clear();
    this.#width = offsetWidth;
  }
}
