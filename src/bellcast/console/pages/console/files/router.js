/**
 * The URL of the console as a signal, and navigation.
 */
import { signal } from './html.js';
import { refresh } from './load.js';
import { ROOT, withQuery } from './server.js';

export const BASE = `${ROOT}/console`;

/** The URL that is shown. */
export const here = signal(new URL(location.href));
/** How the URL was reached: `focus` is false for a change within the page. `from` is the path before a step in the history. */
export let arrival = { focus: false, from: null };

const show = (next) => {
  arrival = next;
  // Those of the page that was shown, unless they end only by their buttons.
  if (next.focus) document.querySelectorAll('dialog[open]:not([closedby=none])').forEach((one) => one.close());
  // A link to the page that is shown reads it again.
  if (location.href === here.value.href && next.focus) refresh();
  here.value = new URL(location.href);
};

/** A URL with the time zone of the current one. */
function inZone(target) {
  const url = new URL(target, location.href);
  const tz = here.value.searchParams.get('tz');
  if (tz) url.searchParams.set('tz', tz);
  return url;
}

/** Show a URL of the console. `isQuiet` replaces the current one and leaves the focus where it is. */
export function go(target, { isQuiet = false } = {}) {
  if (isQuiet) history.replaceState(history.state, '', inZone(target));
  else history.pushState({ isWithin: true }, '', inZone(target));
  show({ focus: !isQuiet, from: null });
}

/** What decides which forms a page has. */
const formsOf = (url) => [url.pathname, ...['new', 'edit', 'tenant'].map((name) => url.searchParams.get(name))].join();

const isUnsaved = () => document.querySelector('[data-unsaved]') !== null;

/** Whether a URL may be shown: what was entered in a form or an editor and not saved is left only on purpose. */
const mayLeave = (next) => !isUnsaved() || formsOf(next) === formsOf(here.value) || confirm('Leave this page? What you entered is not saved.');

/** Whether the session may end, with what this tab has not saved: in a form, or of drafts. */
export const mayEnd = () => !(isUnsaved() || Object.keys(sessionStorage).some((key) => key.startsWith('draft '))) || confirm('Sign out? What you entered is not saved, and is deleted.');

/** Show a URL of the console that the operator chose, unless they stay with what they entered. */
export function leave(target, options) {
  if (mayLeave(new URL(target, location.href))) go(target, options);
}

/** Show the current page with other query parameters; null removes one. */
export function setQuery(changes, options) {
  const url = new URL(here.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  go(url, options);
}

/** The path within the console. */
export const localPath = (url = here.value) => url.pathname.slice(BASE.length) || '/';

/** The tenant whose rows are shown, or an empty string for all. A list of all tenants keeps `scope=all` while one of its objects is open. */
export function shownTenant(query = here.value.searchParams) {
  const tenant = query.get('scope') === 'all' ? '' : query.get('tenant') ?? '';
  return tenant === '*' ? '' : tenant;
}

/** The tenant of the object in the URL, as a parameter. Lists of all tenants have `*`, which single objects do not. */
export const tenantOf = ({ query }) => ({ tenant: query.get('tenant')?.replace(/^\*$/, '') ?? '' });

/** The same with whether its list is of all tenants, for links that stay with the object. */
export const scopeOf = (page) => ({ ...tenantOf(page), scope: page.query.get('scope') });

/** The tenant of a row in its URL. A list of all tenants stays one. */
export function objectTenant(one) {
  const shown = shownTenant();
  return { tenant: one.tenant ?? shown, scope: !shown && one.tenant ? 'all' : '' };
}

/** The URL of a page with the tenant of `row` or, without a row, the tenant of this page. */
export const inTenant = (page, target, row) => withQuery(page.url(target), row ? { tenant: row.tenant ?? '', scope: objectTenant(row).scope } : scopeOf(page));

/** Go back to where an object was opened, or to the URL of its list. */
export function goBack(list) {
  if (history.state?.isWithin) history.back();
  else leave(list);
}

addEventListener('popstate', () => {
  if (mayLeave(new URL(location.href))) show({ focus: true, from: here.value.pathname });
  else history.pushState({ isWithin: true }, '', here.value);
});

addEventListener('beforeunload', (event) => { if (isUnsaved()) event.preventDefault(); });
document.addEventListener('input', ({ target: { form } }) => { if (form?.matches('[data-guarded]')) form.setAttribute('data-unsaved', ''); });
document.addEventListener('reset', ({ target }) => target.removeAttribute('data-unsaved'));

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(`${BASE}/`) || link.getAttribute('href').startsWith('#') || link.target || link.download) return;
  event.preventDefault();
  leave(url);
});
