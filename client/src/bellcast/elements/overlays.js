/** Overlays of the panel's list, one at a time: preferences, keyboard help, the menu of a row and the snooze menu. Each is loaded when it is first used. */

import { sheet } from './style-sheets.js';

/** @import { List } from './list.js' */
/** @import { Item } from './group-rows.js' */
/** @import { Notice } from './notice.js' */
/** @import { PanelContext } from './panel.js' */
/** @import { RovingFocus } from './roving-focus.js' */
/** @import { Selection } from './selection.js' */
/** @import { Triage } from './triage.js' */

/**
 * @typedef {object} OverlayParts
 * @property {List} list
 * @property {RovingFocus} focus
 * @property {Selection} selection
 * @property {Notice} notice
 * @property {Triage} triage
 */

export class Overlays {
  #panel;
  #context;
  /** @type {{close: () => void} | null} */
  #open = null;
  /** The overlay whose code is loading; another one that is opened, or the closing of the panel, replaces it. @type {object | null} */
  #requested = null;

  /** @param {HTMLElement} panel @param {PanelContext & OverlayParts} context */
  constructor(panel, context) {
    this.#panel = panel;
    this.#context = context;
  }

  get isOpen() {
    return this.#open !== null;
  }

  close() {
    this.#requested = null;
    this.#open?.close();
  }

  async openPreferences() {
    const module = await this.#load(() => import('./preferences-form.js'));
    if (!module) return;
    const { createPreferencesDialog, PREFERENCES_CSS } = module;
    const { adoptedStyleSheets } = /** @type {ShadowRoot} */ (this.#panel.getRootNode());
    const styles = sheet(PREFERENCES_CSS);
    if (!adoptedStyleSheets.includes(styles)) adoptedStyleSheets.push(styles);
    this.#show(createPreferencesDialog(this.#context, () => this.close()));
  }

  async openHelp() {
    const module = await this.#load(() => import('./keys-help.js'));
    if (module) this.#show(module.createHelp(this.#context.texts, () => this.close()));
  }

  /** @param {Item} item */
  async openMenu(item) {
    const module = await this.#load(() => import('./row-menu.js'));
    const { list, focus, selection, triage } = this.#context;
    const { notification: { id, type } } = item;
    const element = list.row(id)?.element;
    if (!module || !element) return;
    focus.current = id;
    this.#show(module.createMenu(item, this.#panel, element, this.#context, (choice) => {
      this.close();
      if (choice === 'select') selection.toggle(id);
      else if (choice === 'snooze') void this.openSnooze([item]);
      else if (choice === 'mute' || choice === 'unmute') void triage.mute(type, choice === 'mute');
      else triage.act(choice, item.members);
    }, () => this.close()));
  }

  /** Open the snooze menu for these rows. @param {readonly Item[]} items */
  async openSnooze(items) {
    const module = await this.#load(() => import('./row-menu.js'));
    const { list, selection } = this.#context;
    const element = list.row(items[0]?.notification.id ?? '')?.element;
    if (!module || !element) return;
    this.#show(module.createSnoozeMenu(this.#panel, element, this.#context, items.flatMap(({ members }) => members), () => {
      this.close();
      selection.clear();
    }));
  }

  /** Load the code of an overlay; null if that fails, or if the overlay is no longer wanted. @template T @param {() => Promise<T>} load */
  async #load(load) {
    const request = (this.#requested = {});
    try {
      const module = await load();
      return request === this.#requested ? module : null;
    } catch (/** @type {any} */ error) {
      this.#context.triage.fail(error);
      return null;
    }
  }

  /** Show an overlay; what it covers takes no focus. Notices and announcements are not covered. @param {{element: HTMLElement, close: () => void}} overlay */
  #show(overlay) {
    this.close();
    const { list, focus } = this.#context;
    const { current } = focus;
    const covered = Array.from(this.#panel.children).filter((each) => !each.matches('[role=status]'));
    for (const each of covered) each.toggleAttribute('inert', true);
    this.#open = {
      close: () => {
        this.#open = null;
        overlay.close();
        for (const each of covered) each.toggleAttribute('inert', false);
        (list.row(current)?.title ?? this.#panel).focus();
      },
    };
    this.#panel.append(overlay.element);
  }
}
