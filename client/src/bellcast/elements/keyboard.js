/** Keyboard control of a panel: keys move the focus among its rows and their controls, select rows and act on them. */

import { isUnread } from './row.js';

/** @import { Item } from './group-rows.js' */
/** @import { List } from './list.js' */
/** @import { Overlays } from './overlays.js' */
/** @import { RovingFocus } from './roving-focus.js' */
/** @import { RowActions } from './row.js' */
/** @import { Selection } from './selection.js' */
/** @import { Triage } from './triage.js' */

/**
 * @typedef {object} KeyboardContext
 * @property {List} list
 * @property {RovingFocus} focus
 * @property {Selection} selection
 * @property {Triage} triage
 * @property {RowActions['texts']} texts
 * @property {() => Item[]} targets  the rows to act on
 * @property {() => boolean} escape  false if there is nothing to close
 */

/** Return the handler of a panel's keydown events. @param {Overlays} overlays @param {KeyboardContext} context */
export function keyHandler(overlays, { list, focus, selection, triage, texts, targets, escape }) {
  /** @param {string} name @param {boolean} isShifted @returns {boolean} whether the key means something here */
  function run(name, isShifted) {
    const items = targets();
    const members = items.flatMap(({ members }) => members);
    switch (name) {
      case 'arrowdown': case 'j': return step(1, isShifted);
      case 'arrowup': case 'k': return step(-1, isShifted);
      case 'home': return jump(0);
      case 'end': return jump(Infinity);
      case 'arrowright': return moveInRow(1);
      case 'arrowleft': return moveInRow(-1);
      case '?': return void overlays.openHelp(), true;
      case 'ctrl z': return triage.undo();
      case 'ctrl a': return focus.focused >= 0 && (selection.selectAll(list.ids), true);
    }
    if (!items.length) return false;
    switch (name) {
      case 'h': return void overlays.openSnooze(items), true;
      case 'e': return triage.act(members.every(({ archived_at }) => archived_at) ? 'unarchive' : 'archive', members), true;
      case 'u': return triage.act(items.every(isUnread) ? 'read' : 'unread', members), true;
      case 'delete': case 'backspace': return triage.act('delete', members), true;
      case 'x': return focus.focused >= 0 && (selection.toggle(list.focused ?? ''), true);
    }
    return false;
  }

  /** @param {number} by @param {boolean} isExtending */
  function step(by, isExtending) {
    const from = list.focused;
    if (focus.move(by) && isExtending && from) selection.extend(list.ids, from, focus.current);
    return true;
  }

  /** @param {number} index */
  function jump(index) {
    focus.cancel();
    focus.focus(index);
    return true;
  }

  /** Move among the controls of the row with the focus. @param {number} by */
  function moveInRow(by) {
    const element = list.row(list.focused ?? '')?.element;
    if (!element) return false;
    const controls = [...element.querySelectorAll('a, button')].filter((each) => each instanceof HTMLElement && each.offsetParent);
    const root = /** @type {ShadowRoot} */ (element.getRootNode());
    const at = controls.findIndex((each) => each === root.activeElement);
    const next = controls[at + (texts.dir === 'rtl' ? -by : by)];
    if (next instanceof HTMLElement) next.focus();
    return true;
  }

  /** @param {KeyboardEvent} event */
  return (event) => {
    const { key, ctrlKey, metaKey, altKey } = event;
    const [origin] = event.composedPath();
    if (altKey || (key !== 'Escape' && origin instanceof HTMLElement && (origin.isContentEditable || /^(input|textarea|select)$/i.test(origin.tagName)))) return;
    const name = (ctrlKey || metaKey ? 'ctrl ' : '') + nameOf(event);
    const handled = key === 'Escape' ? escape() : overlays.isOpen ? false : run(name, event.shiftKey);
    if (handled) event.preventDefault();
  };
}

/** The letter of a key; on a keyboard without Latin letters, the one at its position. @param {KeyboardEvent} event */
function nameOf({ key, code }) {
  const isForeign = key.length === 1 && key > '\u007f' && code.startsWith('Key');
  return isForeign ? code.slice(3).toLowerCase() : key.toLowerCase();
}
