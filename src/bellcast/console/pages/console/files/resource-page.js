/**
 * The page of a resource: its rows, and beside them the object that is open. A resource declares its path, columns, filters and actions.
 */
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Filters } from './filter-bar.js';
import { chosenRange, startOf } from './filters.js';
import { dayName, dayTime, monthName, number } from './format.js';
import { Failure, Loaded, Skeleton, openLoads, opened, useLoad } from './load.js';
import { Empty, Icon, Option, Popup } from './parts.js';
import { goBack, leave, objectTenant, setQuery, shownTenant } from './router.js';
import { Rows, moveInRows, sorted } from './rows.js';
import { BUILDERS, CONTENT } from './roles.js';
import { download, get, withQuery } from './server.js';
import { Siblings } from './shell.js';
import { readTenantNames, tenantName } from './tenant-names.js';

/** Maximum requests per search: each examines at most 20,000 rows. */
const SEARCHES = 10;
/** Rows in a response that are searched here. */
const SEARCHED = 200;
/** New rows are counted after this time. */
const POLL_MS = 15_000;

/**
 * @typedef {object} Resource
 * @property {string} path the list in the API
 * @property {string} rows its field in the response
 * @property {any[]} columns see `Rows`
 * @property {(row: any) => string} [link] the path of a row's object in the console
 * @property {any[]} [filters] fields of the query; `isSearch` is always visible, one that `isLocal` is not sent to the server, but searches the texts of the rows
 * @property {[string, Record<string, string>][]} [views] filters with names
 * @property {string[]} [single] filters whose values are unique only within a tenant
 * @property {boolean} [isOfTenant] the list is of one tenant, the default one if none is shown
 * @property {boolean} [isOfServer] the list does not depend on the tenant
 * @property {boolean} [isNewestFirst] new rows come at the top, and are counted; they are grouped by day
 * @property {(rows: any[], page: any) => ((row: any) => string) | null} [groupOf] the headings of the groups, by the first rows, if they are not days
 * @property {boolean} [isDense] rows of one short line
 * @property {boolean} [isTall] rows of two lines, with a sign before them
 * @property {(rows: any[]) => Promise<void>} [readMore] reads what the rows lack, such as names, before they are shown
 * @property {(rows: any[]) => any[]} [join] combines rows of several tenants
 * @property {(one: any, other: any) => number} [order] the order of the rows, if all of them are loaded
 * @property {(row: any, page: any) => any} [actions] the menu of a row
 * @property {(page: any, count: number) => any} [tools] buttons of the page, by the number of its rows
 * @property {any} [above] a component above the rows
 * @property {any} [below] a component below them
 * @property {string} [scope] words after the number of rows, if it is not that of all
 * @property {any} [histogram] a component above the rows while they are filtered by time only
 * @property {Record<string, Record<string, any>>} [histograms] the same, while another filter alone is set: by its name and value
 * @property {boolean} [pinsOpened] the page of an object says what it is with `useOpened`: it is above the rows if it is not among them
 * @property {{form: any, button: string, roles?: string[]}} [create] the component that creates an object, beside the list at `?new=yes`, the text of the button that opens it, and who may
 * @property {{text: any, icon?: string, command?: string, tools?: (page: any) => any}} none what is shown without rows
 */

/** @param {{page: any, resource: Resource, pane: any, hasPane: boolean}} of `pane` is the object that is open; `hasPane`: objects open beside the list */
export function ResourcePage({ page, resource, pane, hasPane }) {
  const { filters = [] } = resource;
  // A filter without the one that it needs is none, as is an unknown range.
  const query = Object.fromEntries(filters.map(({ name, needs }) => [name, (!needs || page.query.has(needs)) && (name !== 'range' || startOf(page.query.get(name))) && page.query.get(name) || '']));
  const chosen = page.key === null || page.query.has('from') ? chosenRange(page.query) : null;
  const tenant = tenantOf(page, resource, query);
  // The value can exist in each tenant of the operator.
  const ambiguous = page.me.tenants?.length > 1 && !shownTenant(page.query) && resource.single?.find((name) => query[name]);
  const local = filters.find(({ isLocal }) => isLocal)?.name, sought = local && query[local];
  const parameters = ambiguous ? null : { ...query, ...(sought && { [local]: '', limit: SEARCHED }), ...resource.fixed, range: '', from: startOf(query.range), ...chosen, tenant };
  // A hidden filter is another list, such as that of closed connections.
  const isFiltered = filters.some(({ name, isHidden }) => query[name] && !isHidden) || chosen !== null;
  const list = searched(useRows(page, resource, parameters, JSON.stringify([{ ...query, ...(sought && { [local]: 'yes' }) }, chosen, tenant, ambiguous])), sought);
  const { create } = resource, mayCreate = create && page.may(create.roles ?? BUILDERS) && !(resource.isOfServer && page.me.tenants);
  const isNew = page.key === null && page.query.has('new') && mayCreate;
  const isOpen = page.key !== null || isNew, isFull = isOpen && (page.query.has('full') || page.query.has('edit'));
  const scrolled = useRef(0);
  // On a small screen the object takes the place of the list, which returns where it was.
  useLayoutEffect(() => {
    if (isOpen) return () => scrollTo({ top: scrolled.current });
    const note = () => { scrolled.current = scrollY; };
    addEventListener('scroll', note, { passive: true });
    return () => removeEventListener('scroll', note);
  }, [isOpen]);
  const kept = Object.fromEntries([['sort', page.query.get('sort')], ...Object.entries(query), ...Object.entries(chosen ?? {})].filter(([, value]) => value));
  const link = resource.link && page.me.role !== 'viewer' ? ((one) => resource.link(one) && withQuery(page.url(resource.link(one)), { ...(hasPane && kept), ...objectTenant(one) })) : null;
  const pathOf = (one) => resource.link?.(one) && page.url(resource.link(one));
  // The same key can exist in several tenants, an id cannot.
  const isOfShown = (one) => (objectTenant(one).tenant ?? '') === (page.query.get('tenant') ?? '') || (one.id !== undefined && !page.query.has('tenant'));
  const isShown = (one) => page.key !== null && pathOf(one) === page.path && isOfShown(one);
  const pinned = !resource.pinsOpened || page.key === null || list.chunks.flat().some(isShown) ? undefined : opened.value && isShown(opened.value) ? opened.value : openLoads.value > 0 ? null : undefined;
  const newButton = mayCreate && html`<a class="button primary" href=${withQuery(page.url(page.list), { new: 'yes', tenant: shownTenant() })}><${Icon} name="plus" /> ${create.button}</a>`;
  const filtered = filters.filter(({ name }) => name !== 'range' && query[name]);
  const histogram = filtered.length === 0 ? resource.histogram : filtered.length === 1 && resource.histograms?.[filtered[0].name]?.[query[filtered[0].name]];
  // An empty list loses the room of its histogram. Others replace its rows, and nothing that is shown moves.
  const isEmpty = list.isCurrent && list.count === 0;
  return html`<div class=${`resource${isOpen ? ' opened' : ''}${isFull ? ' full' : ''}${isEmpty && !isFiltered ? ' bare' : ''}`}>
    <section class="list" aria-label=${page.title} aria-busy=${list.isLoading ? 'true' : null}>
      <header class="heading"><div class="titles"><${Siblings} />${isOpen ? html`<span class="list-title">${page.title}</span>` : html`<h1 tabIndex="-1">${page.title}</h1>`}<${Siblings} isAfter /><${Total} of=${list} scope=${resource.scope} /><${Fresh} of=${list} /></div>
        <div class="tools">${page.may(CONTENT) && html`<${Export} isHidden=${sought || !(list.count > 0)} resource=${resource} parameters=${parameters} />`}${resource.tools?.(page, list.count)}${newButton}</div></header>
      <${Filters} key=${page.list} list=${page.list} views=${resource.views} filters=${filters} query=${query} chosen=${chosen} rows=${list.chunks.flat()} tenant=${tenant} />
      ${histogram && html`<${histogram} page=${page} isHidden=${isEmpty && !isFiltered} range=${query.range} chosen=${chosen} />`}
      ${resource.above && html`<${resource.above} page=${page} />`}
      <div class="rows" key=${`${isEmpty} ${list.isCurrent}`}><${Body} page=${page} resource=${resource} newButton=${newButton} list=${list} ambiguous=${ambiguous} isFiltered=${isFiltered} query=${query} link=${link}
        isOpen=${isShown} pinned=${pinned} follow=${page.key !== null && !isFull && link && ((one) => leave(link(one), { isQuiet: true }))} /></div>
    </section>
    ${isOpen && html`<${Pane} page=${page} isFull=${isFull} kept=${kept} hasOthers=${page.key !== null && !isFull && list.count > 1}>${isNew ? html`<${create.form} page=${page} />` : pane}<//>`}
  </div>`;
}

/** The tenant whose rows are listed. Without one, the server searches the default tenant, or the only one of the operator. */
function tenantOf(page, { isOfTenant, isOfServer, single }, query) {
  if (isOfServer) return '';
  const shown = shownTenant(page.query), own = page.me.tenants;
  if (shown) return shown;
  if (isOfTenant) return own?.[0] ?? '';
  return single?.some((name) => query[name]) ? own?.length === 1 ? own[0] : '' : '*';
}

/** The rows as they arrive: the first page, more on demand, and how many are new. */
function useRows(page, resource, parameters, key) {
  const latest = useRef(parameters);
  latest.current = parameters;
  const url = (more) => withQuery(resource.path, { ...latest.current, ...more });
  const read = async (more, signal) => {
    const found = await get(url(more), signal);
    const rows = found[resource.rows];
    await Promise.all([!shownTenant() && readTenantNames(rows.map(({ tenant }) => tenant), signal), resource.readMore?.(rows)]);
    return resource.join ? { ...found, [resource.rows]: resource.join(rows) } : found;
  };
  const first = useLoad(async (signal) => (latest.current === null ? { [resource.rows]: [] } : read({}, signal)), [key, resource.path]);
  const isCurrent = first.value !== undefined;
  const begun = isCurrent ? { of: first.value, chunks: [first.value[resource.rows]], last: first.value, total: first.value.total, fresh: 0 } : { chunks: [], last: {} };
  const [state, setState] = useState(begun);
  const [more, setMore] = useState({ isLoading: false, problem: null });
  useLayoutEffect(() => setState(begun), [first.value]);
  // The first drawing after a response has its rows too, so that those that were shown stay, with the focus.
  const held = state.of === first.value ? state : begun, { chunks, last } = held;
  useEffect(() => {
    const one = opened.value;
    const update = (row) => (one && row.id === one.id && row.key === one.key && row.tenant === one.tenant ? { ...row, ...one } : row);
    if (one) setState((old) => ({ ...old, chunks: old.chunks?.map((rows) => rows.map(update)) }));
  }, [opened.value, first.value]);

  const loadMore = async () => {
    setMore({ isLoading: true, problem: null });
    try {
      let next = last;
      for (let request = 1; ; request += 1) {
        next = await read({ after: next.next ?? next.scanned_until });
        if (next[resource.rows].length > 0 || !next.scanned_until || request === SEARCHES) break;
      }
      setState((old) => (old.of === first.value ? { ...old, chunks: next[resource.rows].length > 0 ? [...old.chunks, next[resource.rows]] : old.chunks, last: next } : old));
      setMore({ isLoading: false, problem: null });
    } catch (problem) {
      setMore({ isLoading: false, problem });
    }
  };
  useEffect(() => {
    if (!isCurrent || !resource.isNewestFirst) return undefined;
    const abort = new AbortController();
    const known = new Set(chunks[0].map((one) => one.id));
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        const now = await get(url(), abort.signal), rows = resource.join?.(now[resource.rows]) ?? now[resource.rows];
        const fresh = rows.filter((one) => !known.has(one.id)).length;
        setState((old) => (old.of === first.value ? { ...old, total: now.total, fresh, isAll: fresh === rows.length && Boolean(now.next) } : old));
      } catch {
        // Counted again after a moment.
      }
    }, POLL_MS);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [first.value, isCurrent]);
  const count = chunks.reduce((sum, one) => sum + one.length, 0);
  return { first, chunks, count, last, total: held.total ?? { value: count, exact: !last.next && !last.scanned_until }, fresh: held.fresh, isMany: held.isAll, isLoading: first.isLoading || more.isLoading, more, loadMore, isCurrent };
}

/** All texts of a row, with the name of its tenant. */
const textOf = (value) => (value && typeof value === 'object' ? Object.values(value).map(textOf).join('\n') : typeof value === 'string' ? value : '');
/** The rows of a list that have a text. Those that are not read yet are searched on demand. */
function searched(list, text) {
  if (!text || !list.isCurrent) return list;
  const { last } = list, chunks = list.chunks.map((rows) => rows.filter((row) => `${textOf(row)}\n${tenantName(row.tenant)}`.toLowerCase().includes(text.toLowerCase())));
  const count = chunks.flat().length;
  return { ...list, chunks, count, last: { scanned_until: last.scanned_until ?? last.next }, total: { value: count, exact: !last.next } };
}

/** How many rows there are: after all titles, so that these keep their places. */
const Total = ({ of: { total, isCurrent }, scope }) => html`<span class="total" role="status">${isCurrent && total.value > 0 && [(total.exact ? number(total.value) : `${total.value < 1000 ? total.value : `${number(Math.floor(total.value / 1000))}k`}+`), scope].filter(Boolean).join(' ')}</span>`;

/** Shows the rows that arrived since. */
function Fresh({ of: { fresh, isMany, first } }) {
  if (!fresh) return null;
  return html`<button type="button" class="fresh" onClick=${() => {
    first.reload();
    scrollTo({ top: 0 });
  }}><${Icon} name="up" /> ${number(fresh)}${isMany ? '+' : ''}<span> new</span></button>`;
}

/** While it is hidden, it keeps its room: the other tools do not move when the rows arrive. The server, which exports, does not know a search of the rows here. */
function Export({ resource, parameters, isHidden }) {
  const [problem, setProblem] = useState(null);
  const name = resource.path.split('/').at(-1);
  const save = async (close, kind, type) => {
    setProblem(null);
    try {
      await download(withQuery(resource.path, parameters), type, `${name}.${kind}`);
      close();
    } catch (failed) {
      setProblem(failed);
    }
  };
  return html`<${Popup} buttonClass="quiet" label="Export" title="Export these rows" disabled=${isHidden} style=${isHidden ? { visibility: 'hidden' } : null} button=${html`<${Icon} name="download" />`}>${(close) => html`<div class="options">
    <${Option} choose=${() => save(close, 'csv', 'text/csv')}>As CSV<//><${Option} choose=${() => save(close, 'ndjson', 'application/x-ndjson')}>As NDJSON, a JSON object a line<//>
    ${problem && html`<p class="error" role="alert">${problem.message}</p>`}</div>`}<//>`;
}

function Body({ page, resource, newButton, list, ambiguous, isFiltered, query, link, isOpen, pinned, follow }) {
  const { first, chunks, last, more } = list;
  const wrong = !first.isLoading && first.problem?.errors?.map(({ field }) => resource.filters?.find(({ name }) => name === field)).find((one) => one && query[one.name]);
  if (wrong) return html`<${NoMatch} page=${page} resource=${resource} query=${query} text=${`There is no ${wrong.label.toLowerCase()} “${query[wrong.name]}”.`} />`;
  return html`<${Loaded} of=${first} skeleton=${html`<${Skeleton} rows="9" />`}>${() => {
    if (ambiguous) return html`<${Empty} icon="tenants" text=${`Choose the tenant of the ${resource.filters.find(({ name }) => name === ambiguous).label.toLowerCase()} in the menu: it can exist in each of yours.`} />`;
    const none = typeof resource.none === 'function' ? resource.none(page) : resource.none;
    if (list.count === 0 && !last.scanned_until) return isFiltered ? html`<${NoMatch} page=${page} resource=${resource} query=${query} />` : html`<${Empty} icon=${none.icon ?? page.icon} text=${none.text} command=${none.command}>${none.tools?.(page)}${newButton}<//>`;
    const columns = columnsOf(resource, page), group = list.count === 0 ? false : resource.groupOf ? resource.groupOf(chunks[0], page) : resource.isNewestFirst && byTime(columns, chunks.flat());
    // Only rows that are all here can be sorted, unless they are in groups.
    const isWhole = !last.next && !last.scanned_until, sort = isWhole && !group && { name: page.query.get('sort'), choose: (name) => setQuery({ sort: name }, { isQuiet: true }) };
    const ordered = isWhole && (resource.order || sort) ? [sorted(resource.order ? chunks.flat().sort(resource.order) : chunks.flat(), columns, sort ? sort.name : null)] : chunks;
    // Times say their days themselves: the only day needs no heading.
    const all = chunks.flat(), isOneDay = group && !resource.groupOf && group(all[0]) === group(all.at(-1));
    return html`${list.count > 0 && html`<${Rows} label=${page.title} columns=${columns} chunks=${ordered} state=${query.state} sort=${sort} pinned=${pinned} group=${isOneDay ? null : group} isDense=${resource.isDense} isTall=${resource.isTall} link=${link} actions=${resource.actions && ((one) => resource.actions(one, page))} isOpen=${isOpen} follow=${follow} />`}
      <p class="muted foot" role="status">${note(list)}</p>
      ${more.problem && html`<${Failure} problem=${more.problem} retry=${list.loadMore} />`}
      ${(last.next || last.scanned_until) && html`<button type="button" aria-disabled=${more.isLoading ? 'true' : null} onClick=${more.isLoading ? null : list.loadMore}>${last.next ? 'Load more' : 'Search further'}</button>`}
      ${resource.note && html`<p class="muted foot">${resource.note}</p>`}${resource.below && html`<${resource.below} page=${page} rows=${list.chunks.flat()} />`}`;
  }}<//>`;
}

/** A group has at least this number of rows: a heading takes the room of one. */
const FEWEST = 3;
const LAST_DAYS = ['Today', 'Yesterday']; // have headings even with few rows
/** The headings of rows: the day of their time, the month after two days that have few, and none if the groups have few on average, or all rows are of one month. */
function byTime(columns, rows) {
  const { of } = columns.find(({ kind }) => kind === 'time'), dayOf = (row) => dayName(of(row)), all = rows.map(dayOf), counts = {};
  for (const day of all) counts[day] = (counts[day] ?? 0) + 1;
  const each = Object.keys(counts), hasFew = (day) => !LAST_DAYS.includes(day) && !(counts[day] >= FEWEST);
  const first = each.findIndex((day, index) => hasFew(day) && hasFew(each[index + 1]));
  const days = [...LAST_DAYS, ...each.slice(0, first < 0 ? undefined : first)];
  const named = (row) => (days.includes(dayOf(row)) ? dayOf(row) : monthName(of(row)));
  const groups = new Set(rows.map(named));
  return rows.length >= FEWEST * groups.size && (groups.size > 1 || rows.some((row) => groups.has(dayOf(row)))) && named;
}

const isOfTenant = ({ name, kind }) => name === 'Tenant' && kind !== 'title';
/** The tenant of an object is a column only while all tenants are listed, with its name. */
const columnsOf = (resource, page) => (typeof resource.columns === 'function' ? resource.columns(page) : resource.columns).filter((one) => one && !(isOfTenant(one) && shownTenant(page.query)))
  .map((one) => (isOfTenant(one) ? { show: (key) => html`<span class="value" title=${key}>${tenantName(key)}</span>`, ...one, width: '8rem' } : one));

function note({ count: shown, last, total }) {
  if (last.scanned_until) return `${shown === 0 ? 'No row matches' : 'Few rows match'} these filters so far${reachOf(last.scanned_until)}.`;
  if (!last.next || (!total.exact && total.value <= shown + 1)) return '';
  return `${number(shown)} of ${total.exact ? '' : 'more than '}${number(total.value)}`;
}

/** How far back a search has reached: UUIDv7 ids begin with a timestamp. */
function reachOf(cursor) {
  const [, high, low] = /^([0-9a-f]{8})-([0-9a-f]{4})-7/.exec(cursor) ?? [];
  return high ? `: searched back to ${dayTime(parseInt(high + low, 16))}` : '';
}

function NoMatch({ page, resource, query, text = 'Nothing matches these filters.' }) {
  const used = page.me.tenants === null && !shownTenant(page.query) && resource.single?.find((name) => query[name]);
  const label = used && resource.filters.find(({ name }) => name === used).label.toLowerCase();
  const clear = () => setQuery({ from: null, to: null, ...Object.fromEntries((resource.filters ?? []).map(({ name }) => [name, null])) });
  return html`<${Empty} icon="search" text=${`${text}${label ? ` The ${label} was searched without a tenant: if it has one, choose it in the menu.` : ''}`}><button type="button" onClick=${clear}>Clear the filters</button>${page.me.tenants?.length !== 1 && shownTenant(page.query) && !resource.isOfTenant && html` <button type="button" onClick=${() => setQuery({ tenant: null })}>In all tenants</button>`}<//>`;
}

/** The object that is open, beside the list or alone. */
function Pane({ page, isFull, kept, hasOthers, children }) {
  const place = useRef(null);
  const close = () => (page.query.has('new') ? leave : goBack)(withQuery(page.url(page.list), { ...kept, tenant: shownTenant() }));
  useEffect(() => {
    place.current.scrollTop = 0;
    // The keys go on in a list that is still beside it.
    if (!document.activeElement?.closest('.row, .pane-bar')?.checkVisibility()) (place.current.querySelector('[autofocus]') ?? place.current).focus();
  }, [page.path, page.query.has('new')]);
  const width = isFull ? 'Back beside the list' : 'Use the whole page';
  return html`<section class="pane" data-path=${page.path} data-new=${page.query.get('new') ?? (page.query.has('focus') ? 'edit' : null)} ref=${place} tabIndex="-1" aria-label="Opened"><div class="pane-bar">
    <button type="button" class="quiet close" aria-label=${`Close, back to ${page.title}`} title="Close (Esc)" onClick=${close}><${Icon} name="back" /><span>${page.title}</span><${Icon} name="close" /></button>
    ${hasOthers && [['Previous', 'k'], ['Next', 'j']].map(([word, key]) => html`<button key=${key} type="button" class=${`quiet ${key}`} aria-label=${word} title=${`${word} (${key})`} onClick=${() => moveInRows(key === 'j' ? 1 : -1)}><${Icon} name="chevron" /></button>`)}
    <button type="button" class="quiet expand" aria-label=${width} title=${width} onClick=${() => setQuery({ full: isFull ? null : 'yes' }, { isQuiet: true })}><${Icon} name=${isFull ? 'beside' : 'expand'} /></button></div>${children}</section>`;
}

