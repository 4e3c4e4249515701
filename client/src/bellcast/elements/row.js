/** One notification, or a folded group, as a list item. Actions and progress update it in place. */

import { renderActions } from './action-buttons.js';
import { avatar, renderText } from './content.js';
import { h, icon, link, plain, setParts } from './dom.js';
import * as icons from './icons.js';
import { actorsOf } from './group-rows.js';

/** @import { ActionButton, Notification, Verb } from '../events.js' */
/** @import { Item } from './group-rows.js' */
/** @import { clock } from './time.js' */
/** @import { Texts } from './messages.js' */

/**
 * @typedef {object} RowActions  callbacks of a row
 * @property {Texts} texts
 * @property {ReturnType<typeof clock>} clock
 * @property {(verb: Verb, item: Item) => void} act
 * @property {(item: Item, event: MouseEvent) => void} follow
 * @property {(group: string) => void} unfold
 * @property {(item: Item, action: ActionButton, event: MouseEvent) => Promise<void>} take  rejects if the action was refused
 * @property {(item: Item, button: HTMLElement) => void} openMenu
 * @property {(item: Item, event: MouseEvent) => void} select
 *
 * @typedef {ReturnType<typeof row>} Row
 */

/** Content that cannot change without a new row. @param {Item} item */
const content = ({ notification: n, members, others, open, inner }) =>
  JSON.stringify([n.title, n.body, n.body_format, n.priority, n.action_url, n.action_text, n.icon, n.actor, n.type, n.created_at, n.woken_at, n.snoozed_until, n.awaits_return, n.actions, n.acted, n.data.image, others, open, inner,
    ...(members.length > 1 ? members.map(({ actor }) => actor?.name) : [])]);

/** @param {Item} item */
export const isUnread = ({ members }) => members.some(({ read_at }) => !read_at);

/** Whether a notification is archived or snoozed. @param {Notification} notification */
export const isShelved = ({ archived_at, snoozed_until }) => Boolean(archived_at || snoozed_until);

/** @param {Item} made @param {RowActions} actions */
export function row(made, actions) {
  const { texts, clock } = actions;
  const { notification, others, inner } = made;
  let shown = made;
  let age = '';
  let isSelected = false;
  /** @param {MouseEvent} event */
  const follow = (event) => actions.follow(shown, event);

  const at = notification.snoozed_until ?? notification.woken_at ?? notification.created_at;
  const isUntilBack = Boolean(notification.snoozed_until && notification.awaits_return);
  const time = h('time', 'time', { dateTime: at, title: isUntilBack ? '' : clock.full(at) });
  const toggle = tool('toggle', () => actions.act(isUnread(shown) ? 'read' : 'unread', shown));
  const shelve = tool('archive', () => actions.act(isShelved(shown.notification) ? 'unarchive' : 'archive', shown));
  const remove = tool('delete', () => actions.act('delete', shown));
  label(remove, icons.trash, texts.delete);
  const menu = tool('menu', () => actions.openMenu(shown, menu));
  menu.setAttribute('aria-haspopup', 'menu');
  label(menu, icons.more, texts.options);

  const actors = actorsOf(made);
  const names = renderNames(actors, texts);
  const main = renderText(names.length ? { ...notification, actor: null } : notification, texts, follow);
  const title = /** @type {HTMLElement} */ (main.firstElementChild);
  const side = h('div', 'side', {}, h('span', 'when', {}, time, h('span', 'dot')), h('div', 'tools', {}, toggle, shelve, remove, menu));
  /** The text of its first line leaves room for the time. */
  const firstLine = /** @type {HTMLElement} */ (names[0] ?? title.querySelector('.text'));
  main.prepend(h('div', 'top', {}, h('div', 'line', {}, ...names, title), side), ...renderImage(notification));
  main.append(...renderActions(notification, texts, (action, event) => actions.take(shown, action, event)));
  const bar = h('progress', 'progress', { max: 1 });
  bar.ariaLabel = texts.progress;
  main.querySelector('.action, .actions, .fold')?.before(bar) ?? main.append(bar);
  if (others) main.append(foldButton(made, actions));
  const picture = actors.members.length ? h('span', 'pair', { ariaHidden: 'true' }, ...actors.members.map(avatar)) : avatar(notification);
  picture.onclick = (event) => actions.select(shown, event);
  const element = h('li', 'row', {}, picture, main);
  element.dataset.priority = notification.priority;
  element.dataset.type = notification.type;
  element.toggleAttribute('data-inner', inner);
  for (const control of element.querySelectorAll('button, a')) /** @type {HTMLElement} */ (control).tabIndex = -1; // the list is a single tab stop

  function renderState() {
    const unread = isUnread(shown);
    const { priority, data } = shown.notification;
    const shelved = isShelved(shown.notification);
    element.toggleAttribute('data-unread', unread);
    element.toggleAttribute('data-selected', isSelected);
    setParts(element, 'row', { unread, [priority]: true, selected: isSelected });
    title.ariaDescription = [...(isSelected ? [texts.selected(1)] : []), ...(unread ? [texts.unread] : [])].join(', ') || null;
    label(toggle, unread ? icons.check : icons.unread, unread ? texts.read : texts.unreadAgain);
    label(shelve, shelved ? icons.inbox : icons.archive, shelved ? texts.unarchive : texts.archive);
    bar.hidden = typeof data.progress !== 'number';
    if (typeof data.progress === 'number') bar.value = Math.min(1, Math.max(0, data.progress));
  }

  renderState();
  return {
    element,
    title,
    /** @param {Item} next @param {boolean} selected @returns {boolean} false if it takes a new row */
    update(next, selected) {
      if (next === shown && selected === isSelected) return true;
      if (next !== shown && content(next) !== content(made)) return false;
      shown = next;
      isSelected = selected;
      renderState();
      return true;
    },
    /** @param {number} now */
    tick(now) {
      const next = isUntilBack ? texts.untilBack : notification.snoozed_until ? clock.until(notification.snoozed_until, now) : clock.ago(at, now);
      if (next !== age) time.textContent = firstLine.dataset.when = age = next;
    },
  };
}

/** The actors of a folded group: "Ben, Nora and 3 others". @param {ReturnType<typeof actorsOf>} actors @param {Texts} texts */
function renderNames({ names, more }, texts) {
  if (!names.length) return [];
  // British English: no comma before "and".
  const list = new Intl.ListFormat(texts.lang === 'en' ? 'en-GB' : texts.lang);
  const parts = list.formatToParts([...names.map(plain), ...(more ? [texts.others(more)] : [])]);
  return [h('strong', 'names', {}, ...parts.map(({ type, value }) => (type === 'element' ? h('bdi', '', {}, value) : value)))];
}

/** @param {Notification} notification */
function renderImage({ data }) {
  const src = typeof data.image === 'string' && link(data.image);
  if (!src) return [];
  const frame = h('span', 'thumbnail', {});
  frame.append(h('img', '', { src, alt: '', loading: 'lazy', referrerPolicy: 'no-referrer', onerror: () => frame.remove() }));
  return [frame];
}

/** Button that unfolds the group. @param {Item} item @param {RowActions} actions */
function foldButton({ notification: { group }, others, open }, { texts, unfold }) {
  const text = open ? texts.fewer : texts.folded(others);
  return h('button', 'fold', { ariaExpanded: String(open), onclick: () => unfold(group ?? '') }, text);
}

/** @param {string} name @param {() => void} onclick */
const tool = (name, onclick) => h('button', `tool ${name}`, { onclick });

/** @param {HTMLElement} button @param {string} sign @param {string} text */
export function label(button, sign, text) {
  button.replaceChildren(icon(sign));
  button.ariaLabel = button.title = text;
}
