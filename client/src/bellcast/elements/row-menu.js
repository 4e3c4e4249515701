/** Menus of a row: its actions, and snooze times. Loaded when first opened. */

import { h, icon, plain } from './dom.js';
import * as icons from './icons.js';
import { isShelved, isUnread } from './row.js';
import { snoozeTimes } from './snooze-times.js';

/** @import { Notification } from '../events.js' */
/** @import { Session } from '../session.js' */
/** @import { Item } from './group-rows.js' */
/** @import { Messages, Texts } from './messages.js' */
/** @import { RowActions } from './row.js' */
/** @import { Triage, TriageVerb } from './triage.js' */

/**
 * @typedef {TriageVerb | 'select' | 'snooze' | 'mute' | 'unmute'} MenuChoice
 * @typedef {{choice: string, sign: string, text: string, detail?: string, onclick: () => void}} Entry
 */

const GENERAL = 'general'; // the type of sends without one
const EDGE = 8; // px between the menu and the panel's edges
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/**
 * @param {Item} item @param {HTMLElement} panel @param {HTMLElement} row @param {{texts: Messages, session: Session}} context
 * @param {(choice: MenuChoice) => void} choose @param {() => void} close
 */
export function createMenu(item, panel, row, { texts, session }, choose, close) {
  /** @type {[MenuChoice, Entry['sign'], string][]} */
  const entries = [
    isUnread(item) ? ['read', icons.check, texts.read] : ['unread', icons.unread, texts.unreadAgain],
    isShelved(item.notification) ? ['unarchive', icons.inbox, texts.unarchive] : ['archive', icons.archive, texts.archive],
    ['snooze', icons.clock, texts.snooze],
    ['select', icons.checks, texts.select],
    ['mute', icons.mute, texts.mute],
    ['delete', icons.trash, texts.delete],
  ];
  const menu = menuOf(entries.map(([choice, sign, text]) => ({ choice, sign, text, onclick: () => choose(choice) })), texts.options, panel, row, close);
  void nameType(menu.element, item, { texts, session }, () => choose('unmute')).catch(() => {}); // then the type has no name, and muting again changes nothing
  return menu;
}

/**
 * Name the type; if it is already muted, it can be unmuted instead.
 * @param {HTMLElement} menu @param {Item} item @param {{texts: Messages, session: Session}} context @param {() => void} unmute
 */
async function nameType(menu, { notification: { type } }, { texts, session }, unmute) {
  const { muted = {}, effective } = await session.preferences();
  const entry = /** @type {HTMLButtonElement | null} */ (menu.querySelector('.mute'));
  if (!entry) return;
  const name = type !== GENERAL && /** @type {{type: string, name: string}[]} */ (effective).find((each) => each.type === type)?.name;
  const isMuted = muted[type] === true || Date.parse(muted[type]) > Date.now();
  if (isMuted) entry.onclick = unmute;
  const text = isMuted ? (name ? texts.unmuteType(plain(name)) : texts.unmute) : name ? texts.muteType(plain(name)) : texts.mute;
  entry.replaceChildren(icon(isMuted ? icons.bell : icons.mute), h('span', 'menu-text', { dir: 'auto' }, text));
}

/**
 * @param {HTMLElement} panel @param {HTMLElement} row @param {{texts: Texts, clock: RowActions['clock'], triage: Triage}} context
 * @param {readonly Notification[]} notifications @param {() => void} close
 */
export function createSnoozeMenu(panel, row, { texts, clock, triage }, notifications, close) {
  const now = Date.now();
  const names = { later: texts.snoozeLater, evening: texts.snoozeEvening, tomorrow: texts.snoozeTomorrow, week: texts.snoozeWeek };
  const entries = snoozeTimes(now).map(({ choice, at }) => {
    const detail = clock.until(at, now);
    const onclick = () => (close(), void triage.snooze(notifications, { until: new Date(at).toISOString() }, texts.wasSnoozed(detail)));
    return /** @type {Entry} */ ({ choice, sign: icons.clock, text: names[choice], detail, onclick });
  });
  const untilBack = () => (close(), void triage.snooze(notifications, { until: 'back' }, texts.wasSnoozedUntilBack));
  return menuOf([...entries, { choice: 'back', sign: icons.inbox, text: texts.snoozeBack, onclick: untilBack }], texts.snooze, panel, row, close);
}

/** @param {readonly Entry[]} entries @param {string} name @param {HTMLElement} panel @param {HTMLElement} row @param {() => void} close */
function menuOf(entries, name, panel, row, close) {
  const buttons = entries.map(({ choice, sign, text, detail, onclick }) =>
    h('button', `menu-item ${choice}`, { role: 'menuitem', tabIndex: -1, onclick }, icon(sign), h('span', 'menu-text', {}, text), ...(detail ? [h('span', 'menu-detail', {}, detail)] : [])));
  const menu = h('div', 'menu-list', { role: 'menu', ariaLabel: name }, ...buttons);
  let isPressed = false; // the long press that opened the menu ends over the backdrop: its click must not close the menu
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
