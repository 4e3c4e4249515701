/** One notification as a list item. Actions update it in place. */

import { h, icon, link, plain } from './dom.js';

/** @import { Notification, Verb } from '../events.js' */
/** @import { Item } from './group-rows.js' */
/** @import { clock } from './time.js' */
/** @import { Texts } from './messages.js' */

/**
 * @typedef {object} RowActions  callbacks of a row
 * @property {Texts} texts
 * @property {ReturnType<typeof clock>} clock
 * @property {(verb: Verb, which: string | 'all') => void} act
 * @property {(notification: Notification, event: MouseEvent) => void} follow
 * @property {(group: string) => void} unfold
 *
 * @typedef {ReturnType<typeof row>} Row
 */

const MAX_EMOJI_UNITS = 8; // an emoji may take that many UTF-16 units; anything longer is an unknown name

/** Content that needs a new row when it changes. @param {Item} item */
const content = ({ notification: n, others, open, inner }) =>
  JSON.stringify([n.title, n.body, n.priority, n.action_url, n.action_text, n.icon, n.actor, n.type, n.created_at, others, open, inner]);

/** @param {Item} made @param {RowActions} desk */
export function row(made, desk) {
  const { texts, clock, act } = desk;
  let { notification: now } = made;
  let shown = made;
  let age = '';
  /** @param {MouseEvent} event */
  const follow = (event) => desk.follow(now, event);

  const time = h('time', 'time', { dateTime: now.created_at, title: clock.full(now.created_at) });
  const toggle = tool('toggle', () => act(now.read_at ? 'unread' : 'read', now.id));
  const shelve = tool('archive', () => act(now.archived_at ? 'unarchive' : 'archive', now.id));
  const remove = tool('delete', () => act('delete', now.id));
  label(remove, 'trash', texts.delete);
  const lines = renderText(now, texts, follow);
  const title = /** @type {HTMLElement} */ (lines.firstElementChild);
  if (made.others) lines.append(foldButton(made, desk));
  const element = h('li', 'row', {}, avatar(now), lines,
    h('div', 'side', {}, h('span', 'when', {}, time, h('span', 'dot')), h('div', 'tools', {}, toggle, shelve, remove)));
  element.dataset.priority = now.priority;
  element.dataset.type = now.type;
  element.toggleAttribute('data-inner', made.inner);

  function state() {
    element.toggleAttribute('data-unread', !now.read_at);
    title.ariaDescription = now.read_at ? null : texts.unread;
    label(toggle, now.read_at ? 'unread' : 'check', now.read_at ? texts.unreadAgain : texts.read);
    label(shelve, now.archived_at ? 'inbox' : 'archive', now.archived_at ? texts.unarchive : texts.archive);
  }

  state();
  return {
    element,
    title,
    /** @param {Item} next @returns {boolean} false if it takes a new row */
    update(next) {
      const { notification } = next;
      if (next !== shown && content(next) !== content(made)) return false;
      shown = next;
      const changed = notification.read_at !== now.read_at || notification.archived_at !== now.archived_at;
      now = notification;
      if (changed) state();
      return true;
    },
    /** @param {number} today */
    tick(today) {
      const next = clock.ago(now.created_at, today);
      if (next !== age) time.textContent = age = next;
    },
  };
}

/** Title, body and action. @param {Notification} made @param {Texts} texts @param {(event: MouseEvent) => void} follow */
export function renderText({ title, body, priority, action_url, action_text }, texts, follow) {
  const heading = anchor('title', title, action_url, follow);
  const lines = h('div', 'main', {}, heading);
  if (priority === 'urgent' || priority === 'high') heading.appendChild(h('span', 'chip', {}, texts[priority]));
  if (body) lines.append(h('p', 'body', { dir: 'auto' }, plain(body)));
  if (action_text && link(action_url)) lines.append(anchor('action', action_text, action_url, follow));
  return lines;
}

/** Button that unfolds the group. @param {Item} item @param {RowActions} desk */
function foldButton({ notification: { group }, others, open }, { texts, unfold }) {
  const text = open ? texts.fewer : texts.folded(others);
  return h('button', 'fold', { ariaExpanded: String(open), onclick: () => unfold(group ?? '') }, text);
}

/** A link if there is a valid address, else a button. @param {string} name @param {string} text @param {string | null} address @param {(event: MouseEvent) => void} onclick */
function anchor(name, text, address, onclick) {
  const href = link(address);
  const inner = h('span', 'words', { dir: 'auto' }, plain(text));
  if (!href) return h('button', name, { onclick }, inner);
  return h('a', name, { href, onclick, onauxclick: (event) => event.button === 1 && onclick(event) }, inner);
}

/** @param {string} name @param {() => void} onclick */
const tool = (name, onclick) => h('button', `tool ${name}`, { onclick });

/** @param {HTMLElement} button @param {Parameters<typeof icon>[0]} sign @param {string} text */
export function label(button, sign, text) {
  button.replaceChildren(icon(sign));
  button.ariaLabel = button.title = text;
}

/** The first available of picture, symbol, initials and bell. @param {Notification} made */
export function avatar({ actor, icon: sign, priority }) {
  const frame = h('span', 'avatar', { ariaHidden: 'true' });
  const drawn = () => icon(priority === 'urgent' ? 'alert' : 'bell');
  const picture = link(actor?.avatar) ?? (sign && /^(https?:)?\//.test(sign) ? link(sign) : null);
  const symbol = sign && sign.length <= MAX_EMOJI_UNITS && !/^[\w-]+$/.test(sign) ? sign : initials(actor?.name ?? '');
  const instead = () => frame.replaceChildren(symbol || drawn());
  instead();
  if (picture) frame.replaceChildren(h('img', '', { src: picture, alt: '', referrerPolicy: 'no-referrer', onerror: instead }));
  return frame;
}

/** @param {string} name */
const initials = (name) => Array.from(name.matchAll(/(?<!\S)\p{L}/gu), ([letter]) => letter.toUpperCase()).slice(0, 2).join('');
