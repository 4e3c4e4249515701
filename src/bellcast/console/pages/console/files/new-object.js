/**
 * The form of an object beside its list, a new one or the opened one while it is edited: the style of its fields, the way back without it, and its request.
 */
import { html } from './html.js';
import { takenKey } from './key-fields.js';
import { loadStyle } from './load.js';
import { BASE, setQuery, shownTenant } from './router.js';
import { Problem, exchange, withQuery } from './server.js';
import { say } from './toast.js';

await loadStyle('new-object.css');

/** Begin to edit the opened object, with the focus in a field, and end it. */
export const edit = (field) => setQuery({ focus: field }, { isQuiet: true });
export const endEdit = () => edit(null);
export const CancelEdit = () => html`<button type="button" onClick=${endEdit}>Cancel</button>`;

/** The second button of the form of a new object. */
export const cancel = (page) => html`<a class="button" href=${withQuery(page.url(page.list), { tenant: shownTenant() })}>Cancel</a>`;

const keyIn = (url) => new URL(url, location.href).pathname.split('/').at(-1);
/** Create an object whose key was entered, unless another one has it. */
export async function createObject(url, values, noun) {
  try {
    await exchange('PUT', url, { type: 'application/json', body: JSON.stringify(values), headers: { 'if-none-match': '*' } });
  } catch (problem) {
    if (problem.status === 412) throw new Problem(412, { errors: [takenKey(decodeURIComponent(keyIn(url)), noun, BASE + url.replace(/^\/v1/, ''))] }, null);
    throw problem;
  }
  say(`Created ${decodeURIComponent(keyIn(url))}`, url);
}
