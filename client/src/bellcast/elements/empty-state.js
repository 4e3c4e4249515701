/** Shown instead of a list: loading, empty, failed, ended, unavailable. */

import { h, icon, link } from './dom.js';
import * as icons from './icons.js';

/** @import { Texts } from './messages.js' */

/** @typedef {'' | 'loading' | 'empty' | 'caughtUp' | 'none' | 'noneArchived' | 'noneSnoozed' | 'failed' | 'ended' | 'unavailable'} EmptyStateKind  `empty` is for the first tab; `unavailable` is a failure that a retry would not fix */

/** Slot in which a page can put its own content; the first tab is the inbox itself. */
const SLOTS = { empty: 'empty', caughtUp: 'none', none: 'none', noneArchived: 'none', noneSnoozed: 'none', failed: 'failed', ended: 'ended', unavailable: 'failed' };
const { checks, inbox, archive, clock, alert } = icons;
const ICONS = { empty: checks, caughtUp: checks, none: inbox, noneArchived: archive, noneSnoozed: clock, failed: alert, ended: alert, unavailable: alert };

export class EmptyState {
  element = h('div', 'blank');
  shown = /** @type {EmptyStateKind} */ ('');
  #texts;
  #retry;
  #signInUrl;
  #check;

  /** @param {Texts} texts @param {() => void} retry @param {() => string | null} signInUrl @param {() => Promise<unknown>} check */
  constructor(texts, retry, signInUrl, check) {
    this.#texts = texts;
    this.#retry = retry;
    this.#signInUrl = signInUrl;
    this.#check = check;
  }

  /** @param {EmptyStateKind} which */
  show(which) {
    this.element.hidden = !which;
    if (which === this.shown) return;
    this.shown = which;
    this.element.dataset.state = which && SLOTS[/** @type {'none'} */ (which)] === 'none' ? 'none' : which;
    this.element.replaceChildren(...(which === 'loading' ? Array.from({ length: 4 }, skeleton) : which ? this.#page(which) : []));
  }

  /** @param {Exclude<EmptyStateKind, '' | 'loading'>} which */
  #page(which) {
    const texts = this.#texts;
    const sign = h('span', 'sign', {}, icon(ICONS[which]));
    const headline = h('b', 'headline', {}, texts[which === 'caughtUp' ? 'empty' : which === 'unavailable' ? 'failed' : which]);
    const hint = which === 'empty' || which === 'failed' || which === 'ended' ? [h('p', 'hint', {}, texts[`${which}More`])] : [];
    const why = ICONS[which] === alert ? [this.#why()] : [];
    return [h('slot', '', { name: SLOTS[which] }, sign, headline, ...hint, ...this.#way(which), ...why)];
  }

  /** A button that shows possible causes. Without the server's check, the browser's error has the address that does not respond. */
  #why() {
    const why = h('button', 'why', {}, this.#texts.why);
    why.onclick = async () => {
      why.disabled = true;
      await this.#check().catch((error) => {
        const reason = h('p', 'hint', { tabIndex: -1 }, error.message);
        why.replaceWith(reason);
        reason.focus();
      });
      why.disabled = false;
    };
    return why;
  }

  /** The action offered in this state. @param {EmptyStateKind} which */
  #way(which) {
    if (which === 'failed') return [h('button', 'retry', { onclick: this.#retry }, this.#texts.retry)];
    const href = which === 'ended' && link(this.#signInUrl());
    return href ? [h('a', 'retry sign-in', { href }, this.#texts.signIn)] : [];
  }
}

const skeleton = () => h('div', 'skeleton', { ariaHidden: 'true' }, h('i', ''), h('b', ''), h('b', ''));
