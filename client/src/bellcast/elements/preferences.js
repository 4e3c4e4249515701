/** `<bellcast-preferences>`: the person's preferences within a page. */

import { loadWithRetry } from '../lazy.js';
import { browserEnvironment } from '../environment.js';
import { h } from './dom.js';
import { Element } from './element.js';
import { Notice } from './notice.js';
import { sheet } from './sheets.js';
import { clock } from './time.js';

/** @import { Session } from '../session.js' */

export class Preferences extends Element {
  /** @param {Session} session @override */
  build(session) {
    const element = h('section', 'panel page', { dir: this.texts.dir });
    void this.#load(element, session);
    return [element];
  }

  /** @param {HTMLElement} element @param {Session} session */
  async #load(element, session) {
    const { abortSignal: signal, texts } = this;
    const { createForm, PREFERENCES_CSS } = await loadWithRetry(() => import('./preferences-form.js'), browserEnvironment(), signal);
    const { PANEL_CSS } = await loadWithRetry(() => import('./panel.js'), browserEnvironment(), signal);
    if (!signal || signal.aborted) return;
    const { adoptedStyleSheets } = /** @type {ShadowRoot} */ (this.shadowRoot);
    for (const css of [sheet(PANEL_CSS), sheet(PREFERENCES_CSS)]) if (!adoptedStyleSheets.includes(css)) adoptedStyleSheets.push(css);
    const notice = new Notice(texts.undo);
    const form = createForm({ session, texts, clock: clock(texts), notice });
    element.ariaLabel = form.title;
    element.append(h('div', 'scroll', {}, form.element), notice.element);
    signal.addEventListener('abort', () => (notice.hide(), form.stop()));
  }
}
