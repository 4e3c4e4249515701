/** Creation of elements. Data becomes text and checked links only, never markup. */

/**
 * Create an element with a class that is also its `part`, so that pages can style it.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {string} name @param {Partial<HTMLElementTagNameMap[Tag]>} [props] @param {...(Node | string)} content
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, name, props = {}, ...content) {
  const element = Object.assign(document.createElement(tag), tag === 'button' && { type: 'button' }, props); // not a submit button
  element.className = name;
  if (name) element.setAttribute('part', name);
  element.append(...content);
  return element;
}

/** Add the states of an element to its part, so that pages can style `::part(row unread)`. @param {HTMLElement} element @param {string} name @param {Record<string, unknown>} states */
export const setParts = (element, name, states) => element.setAttribute('part', [name, ...Object.keys(states).filter((state) => states[state])].join(' '));

/** The address if it is safe to follow (http, https, mailto, tel or relative), else null. @param {string | null | undefined} address */
export function link(address) {
  if (!address || !URL.canParse(address, document.baseURI)) return null;
  const { protocol, href } = new URL(address, document.baseURI);
  return /^(https?|mailto|tel):$/.test(protocol) ? href : null;
}

/** Remove direction overrides, which can disguise `gnp.exe` as `exe.png`. @param {string} text */
export const plain = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, '');

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} shape  a path of `icons.js` */
export function icon(shape) {
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', shape);
  svg.append(path);
  return svg;
}
