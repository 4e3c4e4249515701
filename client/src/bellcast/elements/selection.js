/** Selected rows, and the bar with their common actions. */

import { h, icon } from './dom.js';
import * as icons from './icons.js';

/** @import { TriageVerb } from './triage.js' */
/** @import { Messages } from './messages.js' */

export class Selection {
  /** @type {Set<string>} */
  ids = new Set();
  element;
  #count = h('span', 'selection-count');
  #texts;
  #onChange;
  /** The start of the range that Shift extends. @type {string | null} */
  #anchor = null;

  /** @param {Messages} texts @param {(verb: TriageVerb) => void} act @param {(hadFocus: boolean) => void} onChange  `hadFocus`: the bar had the focus and disappears */
  constructor(texts, act, onChange) {
    this.#texts = texts;
    this.#onChange = onChange;
    /** @param {string} sign @param {string} label @param {() => void} onclick */
    const button = (sign, label, onclick) => h('button', 'tool', { onclick, ariaLabel: label, title: label }, icon(sign));
    this.element = h('div', 'selection', { role: 'toolbar', hidden: true, ariaLabel: texts.select }, this.#count,
      button(icons.check, texts.read, () => act('read')), button(icons.archive, texts.archive, () => act('archive')), button(icons.trash, texts.delete, () => act('delete')),
      button(icons.close, texts.deselect, () => this.clear()));
  }

  /** @param {string} id */
  toggle(id) {
    this.#anchor = id;
    if (!this.ids.delete(id)) this.ids.add(id);
    this.#render();
  }

  /** Select from the start of the selection to a row. @param {readonly string[]} all @param {string} from @param {string} to */
  extend(all, from, to) {
    this.#anchor ??= from;
    const [first = 0, last = 0] = [all.indexOf(this.#anchor), all.indexOf(to)].sort((a, b) => a - b);
    this.ids = new Set(all.slice(Math.max(0, first), last + 1));
    this.#render();
  }

  /** @param {readonly string[]} all */
  selectAll(all) {
    this.ids = new Set(all);
    this.#render();
  }

  clear() {
    this.#anchor = null;
    if (!this.ids.size) return;
    this.ids = new Set();
    this.#render();
  }

  /** Deselect rows that are no longer in the list. @param {(id: string) => boolean} isThere */
  retain(isThere) {
    if ([...this.ids].every(isThere)) return;
    this.ids = new Set([...this.ids].filter(isThere));
    this.#render();
  }

  #render() {
    const hadFocus = this.element.matches(':focus-within');
    this.element.hidden = !this.ids.size;
    this.#count.textContent = this.#texts.selected(this.ids.size);
    this.#onChange(hadFocus && this.element.hidden);
  }
}
