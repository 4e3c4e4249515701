/** A virtualized list in sections: ten thousand rows cost as much as fifteen. */

import { h, icon } from './dom.js';
import * as icons from './icons.js';
import { leave } from './motion.js';
import { row } from './row.js';

/** @import { Section } from './day-sections.js' */
/** @import { Item } from './group-rows.js' */
/** @import { RowActions, Row } from './row.js' */

/** @typedef {{element: HTMLElement, divider: HTMLElement, heading: HTMLElement, list: HTMLElement}} SectionElement */

const ESTIMATED_ROW_HEIGHT = 72; // px: estimated height of a row that has not been measured
const ESTIMATED_HEAD_HEIGHT = 33;
const OVERSCAN = 400; // px rendered above and below the viewport, so that rows are ready when the user scrolls

export class List {
  element = h('div', 'lists');
  /** All rows, rendered or not. @type {readonly Item[]} */
  items = [];
  #actions;
  /** @type {readonly Section[]} */
  #sections = [];
  /** Section of each row. @type {Section[]} */
  #sectionOf = [];
  /** Top of each row, and the end of the last. @type {number[]} */
  #offsets = [0];
  /** @type {Map<string, number>} */
  #indexes = new Map();
  /** @type {Map<string, number>} */
  #heights = new Map();
  /** Rendered rows. @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {Map<string, SectionElement>} */
  #elements = new Map();
  #width = 0;

  /** @param {RowActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /**
   * Replace the rows without rendering them.
   * @param {readonly Section[]} sections
   */
  assign(sections) {
    if (sections === this.#sections) return;
    this.#sections = sections;
    this.items = sections.flatMap(({ items }) => items);
    this.#sectionOf = sections.flatMap((section) => section.items.map(() => section));
    this.#indexes = new Map(this.items.map(({ notification: { id } }, index) => [id, index]));
    this.#layOut();
  }

  /** Remove all rows without animation, because another tab is shown. */
  clear() {
    for (const { element } of this.#elements.values()) element.remove();
    this.#elements.clear();
    this.#rows.clear();
  }

  /** Index of a row, or -1. @param {string} id */
  indexOf(id) {
    return this.#indexes.get(id) ?? -1;
  }

  get ids() {
    return this.items.map(({ notification: { id } }) => id);
  }

  /** Top of a row in the list. @param {number} index */
  offset(index) {
    return this.#offsets[index] ?? 0;
  }

  /** The first row whose bottom is below this offset. @param {number} top */
  indexAt(top) {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#bottom(middle) <= top) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The rendered row. @param {string} id */
  row(id) {
    return this.#rows.get(id);
  }

  /** The row that contains a node. @param {EventTarget | undefined} node */
  itemAt(node) {
    for (const [id, { element }] of this.#rows) if (node instanceof Node && element.contains(node)) return this.items[this.indexOf(id)];
    return undefined;
  }

  /**
   * Make one row the list's only tab stop: the given one if it is rendered.
   * @param {string} id @param {number} index  otherwise the first from here on
   */
  setTabStop(id, index) {
    const stop = this.#rows.get(id) ?? this.#rows.get(this.items[index]?.notification.id ?? '') ?? this.#rows.values().next().value;
    for (const each of this.#rows.values()) each.title.tabIndex = each === stop ? 0 : -1;
  }

  /** Id of the row that contains the focus. */
  get focused() {
    const root = this.element.getRootNode();
    const active = root instanceof ShadowRoot ? root.activeElement : null;
    for (const [id, { element }] of this.#rows) if (active && element.contains(active)) return id;
    return null;
  }

  /**
   * Render the rows around the viewport; a row with the focus stays rendered.
   * @param {number} top  of the viewport @param {number} height  of the viewport @param {number} now @param {ReadonlySet<string>} selected
   */
  render(top, height, now, selected) {
    this.#resized();
    const first = this.indexAt(top - OVERSCAN);
    const last = Math.max(first, this.indexAt(top + height + OVERSCAN) + 1);
    const held = this.indexOf(this.focused ?? '');
    const indexes = this.items.slice(first, last).map((_, at) => first + at);
    const isAway = held >= 0 && (held < first || held >= last);
    if (isAway) indexes.splice(held < first ? 0 : indexes.length, 0, held);
    this.#arrange(indexes, now, selected);
    this.#pad(first, Math.min(last, this.items.length), isAway ? held : -1);
    this.#measure();
  }

  /** @param {number} index */
  #bottom(index) {
    return this.offset(index) + this.#height(this.items[index]?.notification.id ?? '', ESTIMATED_ROW_HEIGHT);
  }

  /** @param {string} id @param {number} estimate */
  #height(id, estimate) {
    return this.#heights.get(id) ?? estimate;
  }

  /** @param {Section} section */
  #headHeight({ key, isTitled, isDivided }) {
    return isTitled || isDivided ? this.#height(key, ESTIMATED_HEAD_HEIGHT) : 0;
  }

  #layOut() {
    let at = 0;
    const offsets = [];
    for (const section of this.#sections) {
      at += this.#headHeight(section);
      for (const { notification: { id } } of section.items) {
        offsets.push(at);
        at += this.#height(id, ESTIMATED_ROW_HEIGHT);
      }
    }
    this.#offsets = [...offsets, at];
  }

  /**
   * The rows that are not rendered become padding of their section, so that each section begins where it always does: browsers count one that moves
   * as a layout shift of the page. A row that is far away but has the focus is taken out of the flow.
   * @param {number} first @param {number} last @param {number} held
   */
  #pad(first, last, held) {
    const away = this.items[held]?.notification.id;
    for (const [id, { element }] of this.#rows) {
      element.classList.toggle('away', id === away);
      element.style.top = id === away ? `${this.offset(held)}px` : '';
    }
    const shown = new Set(this.#sectionOf.slice(first, last));
    let start = 0; // index of the section's first row
    let [begin, finish] = [Infinity, 0]; // of all shown sections
    for (const section of this.#sections) {
      const end = start + section.items.length;
      const isShown = shown.has(section);
      const [top, bottom] = [this.offset(start), this.#bottom(end - 1)];
      if (isShown) {
        begin = Math.min(begin, top - this.#headHeight(section));
        finish = bottom;
      }
      const element = this.#elements.get(section.key);
      if (element) {
        element.divider.hidden = !section.isDivided || !isShown;
        element.heading.hidden = !section.isTitled || !isShown;
        element.list.style.paddingBlock = isShown ? `${this.offset(Math.max(first, start)) - top}px ${bottom - this.#bottom(Math.min(last, end) - 1)}px` : '';
      }
      start = end;
    }
    this.element.style.paddingBlock = shown.size ? `${begin}px ${this.offset(this.items.length) - finish}px` : '';
  }

  /** @param {number[]} indexes @param {number} now @param {ReadonlySet<string>} selected */
  #arrange(indexes, now, selected) {
    /** @type {Map<string, Row>} */
    const rows = new Map();
    for (const item of indexes.flatMap((index) => this.items[index] ?? [])) rows.set(item.notification.id, this.#row(item, selected));
    for (const [id, { element }] of this.#rows) {
      if (rows.get(id)?.element === element) continue;
      // Rows that left the list are animated; rows that were scrolled away or redrawn are not.
      if (this.indexOf(id) < 0) leave(element);
      else element.remove();
    }
    this.#rows = rows;
    const shown = [...new Set(indexes.flatMap((index) => this.#sectionOf[index] ?? []))];
    this.#dropSections(shown);
    put(this.element, shown.map((section) => this.#section(section, now).element));
    for (const section of shown) {
      const ids = indexes.filter((index) => this.#sectionOf[index] === section).map((index) => this.items[index]?.notification.id ?? '');
      put(this.#section(section, now).list, ids.flatMap((id) => this.#rows.get(id)?.element ?? []));
      ids.forEach((id) => this.#place(id, section));
    }
    for (const { tick } of rows.values()) tick(now);
  }

  /** @param {Section[]} shown */
  #dropSections(shown) {
    const keys = new Set(shown.map(({ key }) => key));
    for (const [key, { element, list }] of this.#elements) {
      if (keys.has(key)) continue;
      this.#elements.delete(key);
      if (list.querySelector(':scope > [inert]')) leave(element);
      else element.remove();
    }
  }

  /** @param {Item} item @param {ReadonlySet<string>} selected */
  #row(item, selected) {
    const current = this.#rows.get(item.notification.id);
    const isSelected = selected.has(item.notification.id);
    if (current?.update(item, isSelected)) return current;
    const made = row(item, this.#actions);
    made.update(item, isSelected);
    return made;
  }

  /** @param {Section} section @param {number} now */
  #section(section, now) {
    const { key, day } = section;
    const made = this.#elements.get(key) ?? this.#createSection(key);
    const title = this.#actions.clock.day(day, now);
    if (made.heading.textContent !== title) made.heading.textContent = made.list.ariaLabel = title;
    return made;
  }

  /** @param {string} key */
  #createSection(key) {
    const heading = h('h3', 'subheading');
    const divider = h('div', 'divider', { role: 'separator' }, h('span', 'divider-text', {}, icon(icons.up), this.#actions.texts.fresh));
    divider.ariaLabel = this.#actions.texts.fresh;
    const list = h('ul', 'list', { role: 'list' });
    const made = { element: h('section', 'section', {}, divider, heading, list), divider, heading, list };
    this.#elements.set(key, made);
    return made;
  }

  /** Report the position in the section to screen readers, since only a part of it is rendered. @param {string} id @param {Section} section */
  #place(id, { items }) {
    const first = this.indexOf(items[0]?.notification.id ?? '');
    const element = this.#rows.get(id)?.element;
    element?.setAttribute('aria-posinset', String(this.indexOf(id) - first + 1));
    element?.setAttribute('aria-setsize', String(items.length));
  }

  /** Read all heights before any write, so that the browser computes the layout only once. */
  #measure() {
    let isChanged = false;
    /** @param {string} key @param {number} height */
    const note = (key, height) => {
      if (!height || this.#heights.get(key) === height) return;
      this.#heights.set(key, height);
      isChanged = true;
    };
    for (const [id, { element }] of this.#rows) note(id, element.getBoundingClientRect().height); // with its fraction
    for (const [key, { element, list }] of this.#elements) note(key, list.getBoundingClientRect().top - element.getBoundingClientRect().top);
    if (isChanged) this.#layOut();
  }

  /** A different width wraps lines differently. */
  #resized() {
    const { offsetWidth } = this.element;
    if (offsetWidth !== this.#width) this.#heights.clear();
    this.#width = offsetWidth;
  }
}

/** Give an element these children in this order; inert children stay. Only misplaced ones move: a moved element loses the focus. @param {HTMLElement} parent @param {HTMLElement[]} children */
function put(parent, children) {
  let at = parent.firstElementChild;
  for (const child of children) {
    while (at instanceof HTMLElement && at.inert) at = at.nextElementSibling;
    if (child === at) at = child.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}
