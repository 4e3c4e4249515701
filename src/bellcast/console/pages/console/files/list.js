/**
 * A page with a list: filters in the URL, a table, more rows on demand, and its empty, loading and error states.
 */
import { clockTime, copyButton, exact, field, fill, h, moment } from './dom.js';
import { get, withQuery } from './server.js';
import { windowed } from './windowing.js';

/** A skeleton appears after this time, so that quick responses do not flicker. */
export const SKELETON_MS = 150;

/** Maximum tenants that a field suggests: as many as one response can contain. */
const MAX_SUGGESTED = 200;

/** Maximum requests per search: each examines at most 20,000 rows. */
const SEARCHES = 10;

/** Unfinished loads of a page, by the page's signal. */
const watches = new WeakMap();
/** When each element was last filled. */
const shownAt = new WeakMap();

/** Call `done` when all loads of a page have ended, with the first error or null. Returns a function to call when the page is built. */
export function watchLoads(signal, done) {
  const watch = { open: 1, problem: null, done: (problem) => {
    watches.delete(signal);
    if (!signal.aborted) done(problem);
  } };
  watches.set(signal, watch);
  return () => end(watch, null);
}

function end(watch, problem) {
  watch.problem ??= problem;
  watch.open -= 1;
  if (watch.open === 0) watch.done(watch.problem);
}

/** The server was unreachable, busy or failed, so its previous response stays visible. */
export const isTemporary = ({ status }) => !(status >= 400 && status < 500) || status === 429;

/** Show a promise's result, a skeleton if it takes long, or its error with a retry button. An object that is not read yet, or cannot be
 * read, has `title` as its heading. After a temporary error, the previous result stays, marked as outdated. */
export async function load(place, signal, read, show, title) {
  const watch = watches.get(signal);
  if (watch) watch.open += 1;
  const since = shownAt.get(place);
  const late = since === undefined && setTimeout(() => fill(place, title && heading(title), skeleton()), SKELETON_MS);
  place.setAttribute('aria-busy', 'true');
  let failed = null;
  try {
    const result = await read(signal);
    if (!signal.aborted) {
      refill(place, show(result));
      shownAt.set(place, new Date());
    }
  } catch (problem) {
    failed = problem;
    const retry = () => load(place, signal, read, show, title);
    if (signal.aborted) return;
    if (since && isTemporary(problem)) markStale(place, problem, since, retry);
    else fill(place, title && heading(title), failure(problem, retry));
  } finally {
    clearTimeout(late);
    place.removeAttribute('aria-busy');
    if (watch) end(watch, failed);
  }
}

/** Mark data as outdated, with the reason. The same error is not announced twice. */
export function markStale(place, problem, since, retry) {
  const mark = failure(problem, retry, since);
  const before = place.querySelector(':scope > .stale');
  if (before?.dataset.problem === problem.message) return;
  before?.remove();
  mark.dataset.problem = problem.message;
  place.prepend(mark);
}

const CONTROLS = 'a, button, input, select, textarea, summary, [tabindex]';
const nameOf = (one) => [one.tagName, one.id, one.getAttribute('aria-label') ?? one.getAttribute('href') ?? one.textContent].join(' ');

/** Replace the content of an element. The focus stays on the same control, or returns to the page. */
export function refill(place, ...children) {
  // If a menu was open, its button gets the focus.
  for (const menu of place.querySelectorAll(':popover-open')) menu.hidePopover();
  const focused = document.activeElement;
  const isWithin = focused !== place && place.contains(focused);
  fill(place, children);
  if (!isWithin || focused.isConnected) return;
  const same = [...place.querySelectorAll(CONTROLS)].find((one) => nameOf(one) === nameOf(focused));
  (same ?? document.getElementById('main'))?.focus();
}

function skeleton() {
  return h('div', { class: 'skeleton', role: 'status' }, h('span', { class: 'hidden' }, 'Loading'), [1, 2, 3, 4].map(() => h('div')));
}

/** An error with the id of its request and a retry button. `since` is the time of old data that stays below. */
export function failure(problem, retry, since) {
  return h('div', { class: since ? 'failure stale' : 'failure', role: 'alert' },
    h('p', {}, since && [h('b', {}, 'Shown as of ', clockTime(since.toISOString())), ': '], problem.message),
    problem.requestId && h('p', { class: 'muted' }, 'Request ', h('code', {}, problem.requestId)),
    h('button', { type: 'button', onclick: retry }, 'Retry'));
}

/** A description of the missing objects, and the command that creates one. */
export function empty(text, command) {
  return h('div', { class: 'empty' }, h('p', {}, text), command && [h('pre', { tabindex: '0' }, h('code', {}, command)), copyButton('the example', () => command)]);
}

/** The label of a filter whose values are unique only within a tenant, if no tenant is selected. */
function lacksTenant(list, query) {
  const used = !query.tenant && list.single?.find((name) => query[name]);
  return used && list.filters.find(({ name }) => name === used).label.toLowerCase();
}

/** No row matches the filters. Without a tenant, the server searches the default one, or the only one of the operator. */
function noMatch(page, list, query) {
  const label = page.me.tenants === null && lacksTenant(list, query);
  return empty(['Nothing matches these filters. ', label && `The ${label} was searched without a tenant: if it has one, enter it too. `, h('a', { href: page.path }, 'Clear the filters')]);
}

/**
 * @param {any} page the context of the page: `query`, `signal`, `go`
 * @param {{title: string, path: string, rows: string, columns: [string, (row: any) => any, 'number'?][], filters?: any[],
 *   link?: (row: any) => string, fixed?: Record<string, string>, none: string, command?: string, tools?: any, note?:
 *   string, tenant?: boolean, anyTenant?: boolean, single?: string[]}} list `single`: filters whose values are unique
 *   only within a tenant
 */
export function listPage(page, list) {
  const place = h('div', { class: 'rows' });
  const own = page.me.tenants;
  // An operator that is restricted to tenants selects one of them, except in lists of all tenants.
  const tenant = { name: 'tenant', label: 'Tenant', ...(own && { options: list.anyTenant ? ['', ...own] : own }) };
  const filters = [...(list.filters ?? []), ...(list.tenant === false ? [] : [tenant])];
  const query = Object.fromEntries(filters.map(({ name, options }) => [name, page.query.get(name) ?? (name === 'tenant' ? options?.[0] : '') ?? '']));
  const bar = filters.length > 0 && filterBar(page, filters, query);
  const chosen = 'range' in query && !query.range ? chosenRange(page) : null;
  const isFiltered = Object.entries(query).some(([name, value]) => value && value !== list.fixed?.[name]) || chosen !== null;
  const parameters = { ...query, ...list.fixed, from: since(query.range), range: '', ...chosen, ...(list.anyTenant && !query.tenant && !lacksTenant(list, query) && { tenant: '*' }) };
  const label = own?.length > 1 && lacksTenant(list, query);
  if (label) fill(place, empty(`Choose the tenant of the ${label} in the filters: it can exist in each of yours.`));
  else load(place, page.signal, (signal) => get(withQuery(list.path, parameters), signal), (response) => {
    if (response[list.rows].length === 0 && !response.scanned_until) return isFiltered ? noMatch(page, list, query) : empty(list.none, list.command);
    return pagedTable(page, list, parameters, response);
  });
  return [heading(list.title, list.tools), list.note && h('p', { class: 'muted' }, list.note), [bar, chosen && rangeNote(page, chosen)], place];
}

/** The table of a list that begins with the rows of `response`, and a button that requests the next ones with the same parameters. */
export function pagedTable(page, list, parameters, response) {
  const table = h('table', {}, h('thead', {}, h('tr', {}, list.columns.map(([name, , kind]) => h('th', { scope: 'col', class: kind }, name || h('span', { class: 'hidden' }, 'Actions'))))));
  const region = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': list.title }, table);
  const addBody = windowed(table, page.signal);
  let shown = 0;
  const note = h('p', { class: 'muted', role: 'status' });
  const [more, error] = moreButton(page, async () => {
    for (let request = 1; ; request += 1) {
      const next = await get(withQuery(list.path, { ...parameters, after: more.value }), page.signal);
      append(next);
      if (next[list.rows].length > 0 || !next.scanned_until || request === SEARCHES) break;
    }
  });
  const append = (next) => {
    const rows = next[list.rows];
    if (rows.length > 0) addBody(h('tbody', {}, rows.map((row) => tableRow(row, list, page.me.role !== 'viewer'))));
    shown += rows.length;
    region.hidden = shown === 0;
    const after = next.next ?? next.scanned_until;
    more.hidden = !after;
    more.value = after ?? '';
    more.textContent = next.next ? 'Load more' : 'Search further';
    if (next.scanned_until) note.textContent = `${shown === 0 ? 'No row matches' : 'Few rows match'} these filters so far${searched(next.scanned_until)}.`;
    else if (shown === 0) note.textContent = 'Nothing matches these filters.';
    else note.textContent = next.next && response.total ? share(shown, response.total) : '';
  };
  append(response);
  return [region, note, error, more];
}

/** A list within a page: `items` returns the elements of a response's rows, and `read` requests the page after a cursor. */
export function pagedList(page, list, response, read, items) {
  const [more, error] = moreButton(page, async () => append(await read(more.value)));
  const append = (next) => {
    list.append(...items(next));
    more.hidden = !next.next;
    more.value = next.next ?? '';
  };
  append(response);
  return [list, error, more];
}

/** A button that loads more, and the element for its error. */
function moreButton(page, loadMore) {
  const error = h('div');
  const more = h('button', { type: 'button', onclick: async () => {
    more.disabled = true;
    error.replaceChildren();
    try {
      await loadMore();
    } catch (problem) {
      if (!page.signal.aborted) fill(error, failure(problem, () => more.click()));
    }
    more.disabled = false;
  } }, 'Load more');
  return [more, error];
}

/** The rows of all pages of a short list; `target` returns the path of the page after a cursor. */
export async function readAll(target, rows, signal) {
  const all = [];
  for (let after = ''; after !== null;) {
    const response = await get(target(after), signal);
    all.push(...response[rows]);
    after = response.next ?? null;
  }
  return all;
}

/** How far back a search has reached: UUIDv7 ids begin with a timestamp. */
function searched(cursor) {
  const [, high, low] = /^([0-9a-f]{8})-([0-9a-f]{4})-7/.exec(cursor) ?? [];
  return high ? `: searched back to ${exact(parseInt(high + low, 16))}` : '';
}

/** The range in the URL's `from` and `to`, as set by a chart; null if there is none. */
export function chosenRange(page) {
  const [from, to] = ['from', 'to'].map((name) => Date.parse(page.query.get(name)));
  return from < to ? { from: new Date(from).toISOString(), to: new Date(to).toISOString() } : null;
}

/** The chosen range, with a link that removes it. */
export function rangeNote(page, { from, to }) {
  const rest = Object.fromEntries([...page.query].filter(([name]) => name !== 'from' && name !== 'to'));
  return h('p', {}, 'From ', moment(from), ' to ', moment(to), ' ', h('a', { href: withQuery(page.path, rest) }, 'Show all times'));
}

/** How many of all rows are shown; empty if the total only indicates that there is another page. */
function share(shown, { value, exact }) {
  if (!exact && value <= shown + 1) return '';
  return `${shown.toLocaleString('en')} of ${exact ? '' : 'more than '}${value.toLocaleString('en')}`;
}

/** The filters of a page, in its URL. On a phone they fold behind a button. */
export function filterBar(page, filters, query) {
  const used = Object.values(query).filter(Boolean).length;
  const bar = h('form', { class: 'filters', id: 'filters', role: 'search', onsubmit: (event) => {
    event.preventDefault();
    const entered = Object.fromEntries(new FormData(event.target));
    page.go(withQuery(page.path, { ...(!entered.range && chosenRange(page)), ...entered }));
  }, onchange: (event) => event.target.tagName === 'SELECT' && event.currentTarget.requestSubmit() },
  filters.map((one) => filterField(page, one, query[one.name])),
  h('button', { type: 'submit' }, 'Filter'));
  const fold = h('button', { type: 'button', class: 'fold', 'aria-expanded': 'false', 'aria-controls': 'filters', onclick: () => {
    fold.setAttribute('aria-expanded', String(bar.classList.toggle('unfolded')));
  } }, used ? `Filters (${used})` : 'Filters');
  return [fold, bar];
}

function filterField(page, { name, label, options }, value) {
  if (options) return field(label, { name, selected: value, options });
  const attributes = { name, value, type: 'search', autocomplete: 'off', placeholder: name === 'tenant' ? 'all' : 'any' };
  return name === 'tenant' ? tenantField(page, label, attributes) : field(label, attributes);
}

/** A field that suggests tenants. */
export function tenantField(page, label, attributes, hint) {
  const suggested = h('datalist', { id: `tenants-${attributes.name}` });
  const suggest = async () => {
    if (suggested.firstChild) return;
    try {
      const { tenants } = await get(withQuery('/v1/tenants', { limit: MAX_SUGGESTED }), page.signal);
      fill(suggested, tenants.map((one) => h('option', { value: one.key })));
    } catch {
      // The field accepts any text.
    }
  };
  return [field(label, { ...attributes, list: suggested.id, onfocus: suggest }, hint), suggested];
}

/** Time ranges in minutes, by their name in the URL. */
const RANGES = { '15m': 15, '1h': 60, '24h': 1440, '7d': 10_080, '30d': 43_200 };
export const RANGE = { name: 'range', label: 'Time', options: ['', ...Object.keys(RANGES)] };

export const CREATED = { ...RANGE, label: 'Created' };

export const CHANNELS = ['email', 'sms', 'push', 'chat'];
export const CHANNEL = { name: 'channel', label: 'Channel', options: ['', ...CHANNELS] };
export const PROVIDER = { name: 'provider', label: 'Provider' };
export const RECIPIENT = { name: 'recipient', label: 'Recipient' };
export const WORKFLOW = { name: 'workflow', label: 'Workflow' };

/** The start of a time range as an ISO 8601 string; empty if there is none. */
export function since(range) {
  const minutes = RANGES[range];
  return minutes === undefined ? '' : new Date(Date.now() - minutes * 60_000).toISOString();
}

export function heading(title, ...tools) {
  return h('header', { class: 'heading' }, h('h1', { tabindex: '-1', dir: 'auto' }, title), h('div', { class: 'tools' }, tools));
}

/** A short text without spaces, which is not wrapped. */
const WORD = /^\S{1,32}$/;

/** A row. Viewers cannot open objects, so they see no links. */
export function tableRow(row, { columns, link }, isLinked = false) {
  const href = isLinked && link?.(row);
  return h('tr', {}, columns.map(([name, show, align], index) => {
    const shown = show(row);
    // The arrow keys move among the first cells.
    if (index === 0 && shown?.tagName === 'A') shown.classList.add('row-link');
    const isEmpty = shown === null || shown === undefined || shown === '' || shown === false;
    const content = !isEmpty ? shown : name ? '–' : '';
    const kind = isEmpty ? 'none' : !name ? 'acting' : shown.tagName === 'TIME' && index > 0 ? 'when' : WORD.test(shown) ? 'word' : undefined;
    return h('td', { 'data-label': name || undefined, class: [kind, align].filter(Boolean).join(' ') || null }, href && index === 0 ? h('a', { href, class: 'row-link', dir: 'auto' }, content) : content);
  }));
}

/** A definition list without empty values. */
export function facts(entries) {
  return h('dl', { class: 'facts' }, entries.filter(([, value]) => value !== null && value !== undefined && value !== '').map(([term, value]) => h('div', {}, h('dt', {}, term), h('dd', { dir: 'auto' }, value))));
}

/** A JSON value as text. */
export function json(value) {
  return h('pre', { tabindex: '0' }, h('code', {}, JSON.stringify(value, null, 2)));
}
