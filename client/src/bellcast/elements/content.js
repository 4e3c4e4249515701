/** The content of a notification in rows and toasts: picture, texts, action. */

import { h, icon, link, plain } from './dom.js';
import * as icons from './icons.js';
import { markdown } from './markdown.js';
import { splitTitle } from './notification-title.js';

/** @import { Notification } from '../events.js' */
/** @import { Texts } from './messages.js' */

const MAX_EMOJI_UNITS = 8; // the longest emoji in UTF-16 units; a longer text is an unknown icon name

/** Title, body and action. @param {Notification} notification @param {Texts} texts @param {(event: MouseEvent) => void} follow */
export function renderText({ title, body, body_format, priority, action_url, action_text, actor }, texts, follow) {
  const heading = anchor('title', action_url, follow);
  const words = h('span', 'words', { dir: 'auto' });
  const text = h('span', 'text');
  if (priority !== 'normal') text.append(h('span', 'chip', { dir: texts.dir }, texts[priority]), ' '); // its direction may differ from the title's
  const [before, name, after] = splitTitle({ title, actor });
  text.append(before, ...(name ? [h('strong', 'actor', {}, name)] : []), after);
  words.append(text);
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

/**
 * A link if the action has a valid address, else a button.
 * @param {string} name @param {string | null} address @param {(event: MouseEvent) => void} onclick
 */
function anchor(name, address, onclick) {
  const href = link(address);
  if (!href) return h('button', name, { onclick });
  return h('a', name, { href, onclick, onauxclick: (event) => event.button === 1 && onclick(event) });
}

/** The first available of picture, symbol, named icon, initials, icon of the type, and bell. @param {Notification} notification */
export function avatar({ actor, icon: sign, priority, type }) {
  const frame = h('span', 'avatar', { ariaHidden: 'true' });
  const picture = link(actor?.avatar) ?? (sign && /^(https?:)?\//.test(sign) ? link(sign) : null);
  const emoji = sign && sign.length <= MAX_EMOJI_UNITS && !/^[\w-]+$/.test(sign) ? sign : '';
  const instead = () => {
    const letters = initials(actor?.name ?? '');
    frame.classList.toggle('emoji', Boolean(emoji));
    frame.replaceChildren(emoji || letters || icon(priority === 'urgent' ? icons.alert : icons.bell));
    /** @param {typeof import('./type-icons.js')} module */
    const showIcon = ({ typeIcon }) => {
      const shape = typeIcon(sign, letters ? '' : type);
      if (shape) frame.replaceChildren(icon(shape));
    };
    if (!emoji && (sign || !letters)) import('./type-icons.js').then(showIcon, () => {}); // the panel has loaded it already
  };
  instead();
  if (picture) frame.replaceChildren(h('img', '', { src: picture, alt: '', referrerPolicy: 'no-referrer', onerror: instead }));
  return frame;
}

/** @param {string} name */
const initials = (name) => Array.from(name.matchAll(/(?<!\S)\p{L}/gu), ([letter]) => letter.toUpperCase()).slice(0, 2).join('');
