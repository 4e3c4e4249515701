/** A subset of Markdown as nodes: bold, italic, code, links, and lists as lines with bullets. Anything else stays text. */

import { h, link } from './dom.js';

// In this order: code contains no other markup, but a link may. The length of marked text is limited: a body with thousands of unmatched
// markers took 0.2 s.
const SPAN = /`([^`\n]+)`|\[([^\]\n]{1,999})\]\(([^()\s]+)\)|(\*\*|__)(?=\S)([^\n]{0,999}?\S)\4|(\*|_)(?=[^\s*_])([^\n]{0,999}?[^\s*_])\6(?![\p{L}\p{N}])/u;
const BULLET = /^[ \t]*[-*+][ \t]+/gm;

/** @param {string} text @returns {(Node | string)[]} */
export const markdown = (text) => spans(text.replace(BULLET, '• '));

/** @param {string} text @returns {(Node | string)[]} */
function spans(text) {
  /** @type {(Node | string)[]} */
  const nodes = [];
  for (let rest = text; rest; ) {
    const match = SPAN.exec(rest);
    if (!match) return [...nodes, rest];
    nodes.push(rest.slice(0, match.index), span(match));
    rest = rest.slice(match.index + match[0].length);
  }
  return nodes;
}

/** @param {RegExpExecArray} match */
function span([whole, code, words, address, , bold, , italic]) {
  if (code) return h('code', 'code', {}, code);
  if (bold) return h('strong', '', {}, ...spans(bold));
  if (italic) return h('em', '', {}, ...spans(italic));
  const href = link(address);
  return href ? h('a', 'link', { href }, ...spans(words ?? '')) : whole;
}
