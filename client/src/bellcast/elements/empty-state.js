/** Shown instead of a list: loading, empty, failed, ended. */

import { h, icon } from './dom.js';

/** @import { Texts } from './messages.js' */

/** @typedef {'' | 'loading' | 'empty' | 'none' | 'failed' | 'ended'} EmptyStateKind */

export class EmptyState {
  element = h('div', 'blank');
  shown = /** @type {EmptyStateKind} */ ('');
  #texts;
  #retry;

  /** @param {Texts} texts @param {() => void} retry */
  constructor(texts, retry) {
    this.#texts = texts;
    this.#retry = retry;
  }

  /** @param {EmptyStateKind} which */
  show(which) {
    this.element.hidden = !which;
    if (which === this.shown) return;
    this.shown = which;
    this.element.dataset.state = which;
    this.element.replaceChildren(...(which === 'loading' ? Array.from({ length: 5 }, skeleton) : which ? this.#page(which) : []));
  }

  /** @param {'empty' | 'none' | 'failed' | 'ended'} which */
  #page(which) {
    const sign = h('span', 'sign', {}, icon(which === 'empty' ? 'checks' : which === 'none' ? 'inbox' : 'alert'));
    const hint = which === 'none' ? [] : [h('p', 'hint', {}, this.#texts[`${which}More`])];
    const again = which === 'failed' ? [h('button', 'retry', { onclick: this.#retry }, this.#texts.retry)] : [];
    return [h('slot', '', { name: which }, sign, h('b', 'headline', {}, this.#texts[which]), ...hint, ...again)];
  }
}

const skeleton = () => h('div', 'skeleton', { ariaHidden: 'true' }, h('i', ''), h('b', ''), h('b', ''));
