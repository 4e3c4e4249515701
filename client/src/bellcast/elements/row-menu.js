/** Menu of a row. Loaded when first opened. */

import { h, icon } from './dom.js';
import { isUnread } from './row.js';

/** @import { Item } from './group-rows.js' */
/** @import { Messages } from './messages.js' */
/** @import { TriageVerb } from './triage.js' */

const EDGE = 8; // px that the menu stays away from the panel's edges
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/**
 * @param {Item} item @param {HTMLElement} panel @param {HTMLElement} row @param {Messages} texts
 * @param {(choice: TriageVerb | 'select') => void} choose @param {() => void} close
 */
export function createMenu(item, panel, row, texts, choose, close) {
  const unread = isUnread(item);
  const archived = item.notification.archived_at;
  /** @type {[TriageVerb | 'select', Parameters<typeof icon>[0], string][]} */
  const entries = [
    unread ? ['read', 'check', texts.read] : ['unread', 'unread', texts.unreadAgain],
    archived ? ['unarchive', 'inbox', texts.unarchive] : ['archive', 'archive', texts.archive],
    ['select', 'checks', texts.select],
    ['delete', 'trash', texts.delete],
  ];
  const buttons = entries.map(([choice, sign, text]) => h('button', `menu-item ${choice}`, { role: 'menuitem', tabIndex: -1, onclick: () => choose(choice) }, icon(sign), text));
  const menu = h('div', 'menu-list', { role: 'menu', ariaLabel: texts.options }, ...buttons);
  let isPressed = false; // the finger of the long press that opened the menu lifts over the veil too: that click must not close it
  const element = h('div', 'veil', { onpointerdown: () => (isPressed = true), onclick: ({ target }) => isPressed && target === element && close() }, menu);
  menu.addEventListener('keydown', (event) => {
    const step = STEPS[/** @type {'ArrowUp'} */ (event.key)];
    if (event.key === 'Tab') return close();
    if (!step) return;
    event.preventDefault();
    const at = buttons.findIndex((each) => each === /** @type {ShadowRoot} */ (menu.getRootNode()).activeElement);
    buttons[(at + step + buttons.length) % buttons.length]?.focus();
  });
  queueMicrotask(() => {
    const frame = panel.getBoundingClientRect();
    const below = row.getBoundingClientRect().bottom - frame.top;
    menu.style.setProperty('--top', `${Math.max(EDGE, Math.min(below, frame.height - menu.offsetHeight - EDGE))}px`);
    buttons[0]?.focus();
  });
  return { element, close: () => element.remove() };
}
