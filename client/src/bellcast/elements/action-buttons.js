/** The action buttons of a row: pending until the server responds; then the action that was taken has a check mark. */

import { h, icon, link, plain } from './dom.js';
import * as icons from './icons.js';

/** @import { ActionButton, Notification } from '../events.js' */
/** @import { Texts } from './messages.js' */

const MAX_SHOWN = 3; // more do not fit into a row; the first are the app's most important

/** @param {Notification} notification @param {Texts} texts @param {(action: ActionButton, event: MouseEvent) => Promise<void>} take @returns {HTMLElement[]} */
export function renderActions({ actions = [], acted }, texts, take) {
  const taken = acted && actions.find(({ key }) => key === acted.key);
  if (taken) return [group(texts, h('span', 'taken', {}, icon(icons.check), words(taken)))];
  const buttons = actions.slice(0, MAX_SHOWN).map((action) => button(action, take));
  return buttons.length ? [group(texts, ...buttons)] : [];
}

/** @param {Texts} texts @param {...HTMLElement} content */
const group = (texts, ...content) => h('div', 'actions', { role: 'group', ariaLabel: texts.actions }, ...content);

/** @param {ActionButton} action */
const words = ({ label }) => h('span', 'words', { dir: 'auto' }, plain(label));

/** @param {ActionButton} action @param {(action: ActionButton, event: MouseEvent) => Promise<void>} take */
function button(action, take) {
  const href = link(action.url);
  /** @param {MouseEvent} event */
  const onclick = async (event) => {
    const { parentElement: all } = element;
    if (all?.ariaBusy) return event.preventDefault();
    setState('pending');
    try {
      await take(action, event);
      setState('done');
    } catch {
      setState('failed');
    }
  };
  const element = href ? h('a', 'act', { href, onclick }, words(action)) : h('button', 'act', { onclick }, words(action));
  element.dataset.style = action.style;

  /** The focus stays on the button: it is marked as busy, not disabled. @param {'pending' | 'done' | 'failed'} state */
  function setState(state) {
    element.dataset.state = state;
    const { parentElement: all } = element;
    if (all) all.ariaBusy = state === 'failed' ? null : 'true';
    element.querySelector('svg')?.remove();
    if (state !== 'pending') element.prepend(icon(state === 'done' ? icons.check : icons.alert));
  }
  return element;
}
