/**
 * The form of a new object beside its list: the style of its fields, and the way back without it.
 */
import { html } from './html.js';
import { loadStyle } from './load.js';
import { shownTenant } from './router.js';
import { withQuery } from './server.js';

await loadStyle('new-object.css');

/** The second button of the form. */
export const cancel = (page) => html`<a class="button" href=${withQuery(page.url(page.list), { tenant: shownTenant() })}>Cancel</a>`;
