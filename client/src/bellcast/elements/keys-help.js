/** Help with the list's keyboard shortcuts, shown over it. Loaded on demand. */

import { h, icon } from './dom.js';
import * as icons from './icons.js';

/** @import { Messages } from './messages.js' */

const COMMAND = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? '') ? '⌘' : 'Ctrl';

/** @param {Messages} texts @param {() => void} close */
export function createHelp(texts, close) {
  /** @type {[string[], string][]} */
  const keys = [
    [['J', 'K', '↓', '↑'], texts.keysMove], [['Home', 'End'], texts.keysEnds], [['Enter'], texts.keysOpen], [['→', '←'], texts.keysControls],
    [['E'], texts.archive], [['U'], texts.unreadAgain], [['H'], texts.snooze], [['Delete'], texts.delete],
    [['X'], texts.select], [['Shift', '↓'], texts.keysSelect], [[COMMAND, 'Z'], texts.undo], [['Esc'], texts.close],
  ];
  const leave = h('button', 'tool', { ariaLabel: texts.close, onclick: close }, icon(icons.close));
  const list = h('dl', 'keys-list', {}, ...keys.map(([names, text]) =>
    h('div', 'keys-line', {}, h('dt', '', {}, ...names.map((name) => h('kbd', 'key', {}, name))), h('dd', '', {}, text))));
  const element = h('div', 'help', { role: 'dialog', ariaLabel: texts.shortcuts, tabIndex: -1 },
    h('div', 'help-head', {}, h('h3', 'help-heading', {}, texts.shortcuts), leave), list);
  queueMicrotask(() => leave.focus());
  return { element, close: () => element.remove() };
}
