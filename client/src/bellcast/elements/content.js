/** The content of a notification in rows and toasts: picture, texts, action. */

import { h, icon, link, plain } from './dom.js';
import { markdown } from './markdown.js';

/** @import { Notification } from '../events.js' */
/** @import { Texts } from './messages.js' */

const MAX_EMOJI_UNITS = 8; // the longest emoji in UTF-16 units; a longer text is an unknown icon name

/** Title, body and action. @param {Notification} notification @param {Texts} texts @param {(event: MouseEvent) => void} follow */
export function renderText({ title, body, body_format, priority, action_url, action_text, actor }, texts, follow) {
  const heading = anchor('title', action_url, follow);
  const words = h('span', 'words', { dir: 'auto' });
  if (priority === 'urgent' || priority === 'high') words.append(h('span', 'chip', { dir: texts.dir }, texts[priority]), ' '); // its direction may differ from the title's
  words.append(...withActor(plain(title), plain(actor?.name ?? '')));
  heading.append(words);
  const main = h('div', 'main', {}, heading);
  if (body) main.append(h('p', 'body', { dir: 'auto' }, ...(body_format === 'markdown' ? markdown(plain(body)) : [plain(body)])));
  if (action_text && link(action_url)) {
    const action = anchor('action', action_url, follow);
    action.append(h('span', 'words', { dir: 'auto' }, plain(action_text)));
    main.append(action);
  }
  return main;
}

/** The actor's name in bold, where the title contains it as a word. @param {string} title @param {string} name @returns {(Node | string)[]} */
function withActor(title, name) {
  const at = name ? title.indexOf(name) : -1;
  const isWord = at >= 0 && !/[\p{L}\p{N}]$/u.test(title.slice(0, at)) && !/^[\p{L}\p{N}]/u.test(title.slice(at + name.length));
  return isWord ? [title.slice(0, at), h('strong', 'actor', {}, name), title.slice(at + name.length)] : [title];
}

/**
 * A link if the action has a valid address, else a button.
 * @param {string} name @param {string | null} address @param {(event: MouseEvent) => void} onclick
 */
function anchor(name, address, onclick) {
  const href = link(address);
  if (!href) return h('button', name, { onclick });
  return h('a', name, { href, onclick, onauxclick: (event) => event.button === 1 && onclick(event) });
}

/** The first available of picture, symbol, initials and bell. @param {Notification} notification */
export function avatar({ actor, icon: sign, priority }) {
  const frame = h('span', 'avatar', { ariaHidden: 'true' });
  const picture = link(actor?.avatar) ?? (sign && /^(https?:)?\//.test(sign) ? link(sign) : null);
  const emoji = sign && sign.length <= MAX_EMOJI_UNITS && !/^[\w-]+$/.test(sign) ? sign : '';
  const instead = () => {
    frame.classList.toggle('emoji', Boolean(emoji));
    frame.replaceChildren(emoji || initials(actor?.name ?? '') || icon(priority === 'urgent' ? 'alert' : 'bell'));
  };
  instead();
  if (picture) frame.replaceChildren(h('img', '', { src: picture, alt: '', referrerPolicy: 'no-referrer', onerror: instead }));
  return frame;
}

/** @param {string} name */
const initials = (name) => Array.from(name.matchAll(/(?<!\S)\p{L}/gu), ([letter]) => letter.toUpperCase()).slice(0, 2).join('');
