/** One notification as a list item. Made once; what a person does to it changes it in place. */

import { h, icon, link, plain } from './dom.js';

/** @import { Notification, Verb } from '../events.js' */
/** @import { clock } from './time.js' */
/** @import { Texts } from './messages.js' */

/**
 * @typedef {object} Desk  where rows report what was asked of them
 * @property {Texts} texts
 * @property {ReturnType<typeof clock>} clock
 * @property {(verb: Verb, which: string | 'all') => void} act
 * @property {(notification: Notification, event: MouseEvent) => void} follow
 *
 * @typedef {ReturnType<typeof row>} Row
 */

const SYMBOL = 8; // an emoji may take that many UTF-16 units; longer is a name we do not know

/** What makes it another row, not the same one in another state. @param {Notification} n */
const content = (n) =>
  JSON.stringify([n.title, n.body, n.priority, n.action_url, n.action_text, n.icon, n.actor, n.type, n.created_at]);

/** @param {Notification} made @param {Desk} desk */
export function row(made, desk) {
  const { texts, clock, act } = desk;
  let now = made;
  let age = '';
  /** @param {MouseEvent} event */
  const follow = (event) => desk.follow(now, event);

  const title = anchor('title', made.title, made.action_url, follow);
  const time = h('time', 'time', { dateTime: made.created_at, title: clock.full(made.created_at) });
  const toggle = tool('toggle', () => act(now.read_at ? 'unread' : 'read', now.id));
  const remove = tool('delete', () => act('delete', now.id));
  label(remove, 'trash', texts.delete);
  const element = h('li', 'row', {}, avatar(made), main(made, title, texts, follow),
    h('div', 'side', {}, h('span', 'when', {}, time, h('span', 'dot')), h('div', 'tools', {}, toggle, remove)));
  element.dataset.priority = made.priority;
  element.dataset.type = made.type;

  /** @param {Notification} next  @returns {boolean} false if it takes a new row */
  function update(next) {
    if (next !== made && content(next) !== content(made)) return false;
    if (next.read_at !== now.read_at || next === made) {
      element.toggleAttribute('data-unread', !next.read_at);
      title.ariaDescription = next.read_at ? null : texts.unread;
      label(toggle, next.read_at ? 'unread' : 'check', next.read_at ? texts.unreadAgain : texts.read);
    }
    now = next;
    return true;
  }

  update(made);
  return {
    element,
    title,
    update,
    /** @param {number} today */
    tick(today) {
      const next = clock.ago(made.created_at, today);
      if (next !== age) time.textContent = age = next;
    },
  };
}

/** @param {Notification} made @param {Node} title @param {Texts} texts @param {(event: MouseEvent) => void} follow */
function main({ body, priority, action_url, action_text }, title, texts, follow) {
  const lines = h('div', 'main', {}, title);
  if (priority === 'urgent' || priority === 'high') title.appendChild(h('span', 'chip', {}, texts[priority]));
  if (body) lines.append(h('p', 'body', { dir: 'auto' }, plain(body)));
  if (action_text && link(action_url)) lines.append(anchor('action', action_text, action_url, follow));
  return lines;
}

/** A link where there is somewhere to go, a button elsewhere. @param {string} name @param {string} text @param {string | null} address @param {(event: MouseEvent) => void} onclick */
function anchor(name, text, address, onclick) {
  const href = link(address);
  const words = h('span', 'words', { dir: 'auto' }, plain(text));
  if (!href) return h('button', name, { type: 'button', onclick }, words);
  return h('a', name, { href, onclick, onauxclick: (event) => event.button === 1 && onclick(event) }, words);
}

/** @param {string} name @param {() => void} onclick */
const tool = (name, onclick) => h('button', `tool ${name}`, { type: 'button', onclick });

/** @param {HTMLElement} button @param {Parameters<typeof icon>[0]} sign @param {string} text */
function label(button, sign, text) {
  button.replaceChildren(icon(sign));
  button.ariaLabel = button.title = text;
}

/** Face, picture, symbol, initials or a bell: the first there is. @param {Notification} made */
function avatar({ actor, icon: sign, priority }) {
  const frame = h('span', 'avatar', { ariaHidden: 'true' });
  const drawn = () => icon(priority === 'urgent' ? 'alert' : 'bell');
  const picture = link(actor?.avatar) ?? (sign && /^(https?:)?\//.test(sign) ? link(sign) : null);
  const symbol = sign && sign.length <= SYMBOL && !/^[\w-]+$/.test(sign) ? sign : initials(actor?.name ?? '');
  const instead = () => frame.replaceChildren(symbol || drawn());
  instead();
  if (picture) frame.replaceChildren(h('img', '', { src: picture, alt: '', referrerPolicy: 'no-referrer', onerror: instead }));
  return frame;
}

/** @param {string} name */
const initials = (name) => Array.from(name.matchAll(/(?<!\S)\p{L}/gu), ([letter]) => letter.toUpperCase()).slice(0, 2).join('');
