/**
 * Parts of all pages: roles, cards, links within a tenant, buttons that delete.
 */
import { confirmed, h, state } from './dom.js';
import { count, many, number } from './format.js';
import { load } from './list.js';
import { ALL, BUILDERS, CONTENT, OWNERS } from './roles.js';
import { get, request, withQuery } from './server.js';

export { ALL, BUILDERS, CONTENT, OWNERS, count, many, number };

export const card = (title, ...children) => h('section', { class: 'panel' }, h('h2', {}, title), children);
/** The tenant in the URL. Lists of all tenants have `*`, which single objects do not. */
const tenantIn = (page) => page.query.get('tenant')?.replace(/^\*$/, '') ?? '';
export const tenantOf = (page) => ({ tenant: tenantIn(page) });

/** The URL of a page with the tenant of `row` or, without a row, the tenant of this page. */
export const inTenant = (page, target, row) => withQuery(page.url(target), { tenant: row ? row.tenant ?? '' : tenantIn(page) });

const PROTOCOLS = { native: 'Native', pusher: 'Pusher', socketio: 'Socket.IO' };
const TRANSPORTS = { sse: 'SSE', websocket: 'WebSocket', polling: 'polling' };
/** The protocol and the transport of a connection, by their usual names. */
export const dialectName = ({ protocol, transport }) => `${PROTOCOLS[protocol] ?? protocol} over ${TRANSPORTS[transport] ?? transport}`;
/** The same with the colour of the dialect. */
export const dialect = (one) => h('span', { class: `dialect ${one.protocol === 'native' ? one.transport : one.protocol}` }, dialectName(one));

/** The numbers of stored rows, followed by others. */
export const storedRows = ({ store, at_least: atLeast }, others = {}) => h('ul', { class: 'numbers' }, Object.entries({ ...store, ...others })
  .map(([kind, value]) => h('li', {}, h('b', {}, number(value), atLeast.includes(kind) && '+'), h('span', {}, storedKind(kind)))));

const storedKind = (name) => (name === 'tombstones' ? 'deletion markers' : name.replaceAll('_', ' '));

/** A link to a recipient's page, or its key alone for viewers. */
export const recipientLink = (page, key, row) => key && (page.may(CONTENT) ? h('a', { href: inTenant(page, `/recipients/${encodeURIComponent(key)}`, row) }, key) : key);

/** A part of a page with its own request. */
export function part(page, url, show, title) {
  const place = h('div');
  load(place, page.signal, (signal) => get(url, signal), show, title);
  return place;
}

/** The page of one object: if the object cannot be read, the heading is its key. */
export const detail = (page, url, show) => part(page, url, show, page.key);

/** The value of a field for JSON; null if the field is empty. */
export function parsed(text) {
  if (!text.trim()) return null;
  try {
    return JSON.parse(text);
  } catch (problem) {
    throw new Error(`The data is not valid JSON: ${problem.message}.`);
  }
}

/** A form in one line. */
export function inline(element) {
  element.classList.add('inline');
  return element;
}

/**
 * A button that deletes on the second click. It then shows the URL `then` or reloads the page, or calls `then` if it is a
 * function.
 */
export function remove(page, label, word, target, then) {
  return confirmed(label, word, async () => {
    await request('DELETE', target);
    if (typeof then === 'function') await then();
    else if (then) page.go(then);
    else page.reload();
  });
}

/** Show whether the server is ready, and the reason if it is not. */
export function loadReadiness(page, place) {
  load(place, page.signal, readiness, (reason) => h('div', { class: 'readiness' },
    h('p', { class: 'big' }, state(reason ? 'not ready' : 'ready')),
    h('p', { class: 'muted' }, reason ?? 'The store is readable and writable, and the broker is connected.')));
}

/** The reason why the server is not ready, or null. */
export async function readiness(signal) {
  try {
    await get('/readyz', signal);
    return null;
  } catch (problem) {
    if (problem.status === 503) return problem.message;
    throw problem;
  }
}
