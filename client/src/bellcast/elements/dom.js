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
const ICONS = {
  bell: 'M6 9.5a6 6 0 0 1 12 0c0 4.6 2 6.5 2 6.5H4s2-1.9 2-6.5M10 19.5a2.2 2.2 0 0 0 4 0',
  check: 'M5 12.5 10 17.5 19.5 7',
  checks: 'M2 12.5 7 17.5 15.5 8M11.5 17l.5.5L22.5 7',
  unread: 'M3.5 6h17v12.5h-17zM4 6.5l8 6.5 8-6.5',
  trash: 'M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7',
  archive: 'M3.5 5h17v4h-17zM5 9v10h14V9M10 13h4',
  inbox: 'M4 13l2.5-8h11L20 13v6H4zM4 13h5a3 3 0 0 0 6 0h5',
  sound: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11',
  desktop: 'M3.5 5h17v11h-17zM9 20h6M12 16v4',
  close: 'M6 6l12 12M18 6 6 18',
  more: 'M5.5 12v.01M12 12v.01M18.5 12v.01',
  up: 'M12 19V5.5M6 11l6-6 6 6',
  clock: 'M12 7.5V12l3 2M12 3.5a8.5 8.5 0 1 0 .01 0',
  mute: 'M6.2 8.5C6 9 6 9.3 6 9.5c0 4.6-2 6.5-2 6.5h12M9.3 4.2A6 6 0 0 1 18 9.5c0 2.2.5 3.8 1 4.9M10 19.5a2.2 2.2 0 0 0 4 0M4.5 4.5l15 15',
  lock: 'M6 11h12v8.5H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  settings: 'M4 7h10M18 7h2M4 17h2M10 17h10M14 7a2 2 0 1 0 4 0 2 2 0 1 0-4 0M6 17a2 2 0 1 0 4 0 2 2 0 1 0-4 0',
  alert: 'M12 7.5v5.5M12 16.5v.01M12 3a9 9 0 1 0 .01 0',
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}
