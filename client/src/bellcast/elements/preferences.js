/** `<bellcast-preferences>`: the user's preferences within a page. */

import { Refused } from '../api.js';
import { loadWithRetry } from '../lazy.js';
import { browserEnvironment } from '../environment.js';
import { h } from './dom.js';
import { Element } from './element.js';
import { Notice } from './notice.js';
import { sheet } from './style-sheets.js';
import { clock } from './time.js';

/** @import { Session } from '../session.js' */

/** @typedef {(changes?: object) => unknown} PreferencesSource  merges the changes and returns the preferences, or a `Response` with them */

/**
 * The preferences of the user: types by channel, digests, quiet hours, and a pause.
 * @prop {(changes?: object) => unknown} source  instead of the user's, for example a tenant's defaults: returns preferences or a `Response` with them, after applying the changes (a merge patch) if it is called with any. Preferences with `muted` can be paused
 */
export class Preferences extends Element {
  /** @type {PreferencesSource | null} */
  #source = null;

  /** Source of preferences other than the user's, for example a tenant's defaults. No session is opened then. */
  get source() {
    return this.#source;
  }

  set source(source) {
    this.#source = source;
    this.session = source && sessionOf(source);
  }

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
    const form = createForm({ session, texts, clock: clock(texts), notice, isPersonal: !this.#source });
    element.ariaLabel = form.title;
    element.append(h('div', 'scroll', {}, form.element), notice.element);
    signal.addEventListener('abort', () => (notice.hide(), form.stop()));
  }
}

/** The parts of a session that elements need, without a connection. @param {PreferencesSource} source @returns {any} */
function sessionOf(source) {
  /** @param {object} [changes] */
  const preferences = async (changes) => {
    const response = /** @type {any} */ (await source(changes));
    if (response?.ok === false) throw new Refused(response.status, {});
    return response?.json ? response.json() : response;
  };
  return Object.assign(new EventTarget(), { preferences, state: { error: null, loaded: true, status: 'live', notifications: [], unread: 0, unseen: 0 } });
}
