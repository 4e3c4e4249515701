/**
 * The filters of a list as chips, in its URL and applied at once; and views, which are filters with a name.
 */
import { html, signal, useEffect, useRef, useSignal, useState } from './html.js';
import { RECIPIENT, TYPING_MS, beginOf, wordOf } from './filters.js';
import { timeSpan } from './format.js';
import { keepFocus } from './palette.js';
import { Icon, Popup } from './parts.js';
import { setQuery, shownTenant } from './router.js';
import { me, remember, remembered } from './session.js';

/** Lists without a search for text are searched by a recipient, at the same place. */
const FIND = 'Search by recipient';

/** @param {{filters: any[], query: Record<string, string>, chosen: {from: string, to: string} | null, rows: any[], tenant?: string, view?: Record<string, string>}} of `rows` are the loaded ones, and their values are suggested; `tenant` is what they are read of, `*` for all; the filters of the `view` that is shown are no chips; `children` follow the search, `saving` the filters */
export function FilterBar({ filters, query, chosen, rows, tenant: read = shownTenant() || '*', view = {}, saving, children }) {
  const chips = filters.filter(({ name, isSearch }) => query[name] && !isSearch && !view[name]);
  const free = filters.filter((one) => !chips.includes(one) && !one.isSearch && !one.isHidden);
  const apply = (name, value) => setQuery({ [name]: value, ...(name === 'range' && { from: null, to: null }) });
  const search = filters.find(({ isSearch }) => isSearch), person = !search && filters.find((one) => one === RECIPIENT);
  // A list that opens with a recipient is shown when the name is read: its chip has the width at once. A key of all tenants has none.
  const tenant = read === '*' && me.value.tenants?.length === 1 ? me.value.tenants[0] : read, recipient = tenant !== '*' && chips.includes(RECIPIENT) && query.recipient, [named, setNamed] = useState(recipient ? null : {});
  useEffect(() => {
    if (recipient) import('./recipient-names.js').then(({ nameOf, readNames }) => readNames([{ tenant, recipient }]).then(() => nameOf)).catch(() => ({ recipient: key }) => key).then((nameOf) => setNamed({ nameOf }));
  }, [recipient, tenant]);
  const valueOf = (one) => (one === RECIPIENT && recipient && named?.nameOf ? named.nameOf({ tenant, recipient }) : wordOf(one, query[one.name]));
  useEffect(() => { if (!chooser.value) import('./filter-chooser.js').then((loaded) => { chooser.value = loaded; }); }, []);
  return html`<div class=${named ? 'filters' : 'filters opening'} role="search" aria-label="Filters">
    ${search && html`<${Search} key=${search.name} filter=${search} value=${query[search.name]} />`}${person && html`<${Popup} isStart hasText buttonClass="find add-filter" label=${FIND} button=${html`<${Icon} name="search" /> ${FIND}`}>
      ${(close) => html`<${LateChooser} filters=${[person]} initial=${person} rows=${rows} apply=${(name, value) => {
        close();
        apply(name, value);
      }} />`}<//>`}${children}
    ${chips.map((one) => html`<span key=${one.name} class="filter"><${Popup} isStart hasText title=${one === RECIPIENT ? query.recipient : null} label=${`${beginOf(one)} ${valueOf(one)}`} button=${html`<span class="muted">${beginOf(one)}</span> ${valueOf(one)}`}>
      ${(close) => html`<${LateChooser} filters=${[one]} initial=${one} rows=${rows} apply=${(name, value) => {
        close();
        apply(name, value);
      }} />`}<//><button type="button" class="quiet" aria-label=${`Remove the filter ${one.label}`} onClick=${() => apply(one.name, null)}><${Icon} name="close" /></button></span>`)}
    ${chosen && html`<span class="filter"><span class="fixed"><span class="muted">Time</span> ${timeSpan(chosen.from, chosen.to)}</span><button type="button" class="quiet" aria-label="Show all times" onClick=${() => setQuery({ from: null, to: null })}><${Icon} name="close" /></button></span>`}
    ${free.length > 0 && html`<${Popup} isStart buttonClass="quiet add-filter" label="Add a filter" button=${html`<${Icon} name="plus" /> Filter`}>
      ${(close) => html`<${LateChooser} filters=${free} rows=${rows} apply=${(name, value) => {
        close();
        apply(name, value);
      }} />`}<//>`}
    ${chips.length > 1 && html`<button type="button" class="quiet" onClick=${() => setQuery(Object.fromEntries([...filters.map(({ name }) => [name, null]), ['from', null], ['to', null]]))}>Clear all</button>`}${saving}
  </div>`;
}

/** The field of the filter that most searches begin with. It is applied while typing. */
function Search({ filter, value }) {
  const text = useSignal(value), applied = useRef(value);
  // What is typed while the list of the text before arrives stays, as does a space at the end.
  useEffect(() => { if (value !== applied.current) text.value = applied.current = value; }, [value]);
  const apply = (options) => setQuery({ [filter.name]: applied.current = text.value.trim() }, options);
  useEffect(() => {
    if (text.value.trim() === value) return undefined;
    const timer = setTimeout(() => apply({ isQuiet: true }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text.value]);
  return html`<form class="find" onSubmit=${(event) => {
    event.preventDefault();
    apply();
  }}><${Icon} name="search" /><input type="search" aria-label=${filter.label} placeholder=${filter.label} autocomplete="off" value=${text.value} onInput=${(event) => { text.value = event.currentTarget.value; }} /></form>`;
}

/** The menu of a filter and the form of a view, of which the module is loaded before it is needed. */
const chooser = signal(null);
const LateChooser = (props) => chooser.value && html`<${chooser.value.Chooser} ...${props} />`;
const LateViewForm = (props) => chooser.value && html`<${chooser.value.ViewForm} ...${props} />`;

/** The filters of a list, and filters with names: those of the list, and those that the operator saved in this browser. */
export function Filters({ list, views = [], filters, query, chosen, rows, tenant }) {
  const saved = useSignal(remembered(`views${list}`, []));
  const store = (name, ...view) => {
    saved.value = [...remembered(`views${list}`, []).filter(([one]) => one !== name), ...view]; // another tab may have stored one
    remember(`views${list}`, saved.value);
    setTimeout(keepFocus); // the button is gone
  };
  const names = filters.map(({ name }) => name);
  const used = Object.fromEntries(names.filter((name) => query[name]).map((name) => [name, query[name]]));
  const all = [['All', {}], ...views, ...saved.value];
  const shown = chosen ? null : all.find(([, filter]) => JSON.stringify(Object.entries(filter).sort()) === JSON.stringify(Object.entries(used).sort()));
  const show = (filter) => setQuery({ from: null, to: null, ...Object.fromEntries(names.map((name) => [name, filter[name] ?? null])) });
  const isNew = Object.keys(used).length > 0 && !shown;
  const saving = isNew && html`<${Popup} isStart hasText buttonClass="quiet" label="Save view" button="Save view">${(close) => html`<${LateViewForm} save=${(name) => {
    store(name, [name, used]);
    close();
  }} />`}<//>`;
  const named = (all.length > 1 || isNew) && html`<div class="views" role="group" aria-label="Views">${all.map((one) => html`<span key=${one[0]}><button type="button" aria-pressed=${String(one === shown)} onClick=${() => show(one[1])}>${one[0]}</button>${one === shown && saved.value.includes(one)
    && html`<button type="button" class="quiet" aria-label=${`Delete the view ${one[0]}`} onClick=${() => store(one[0])}><${Icon} name="close" /></button>`}</span>`)}</div>`;
  return (filters.length > 0 || chosen) && html`<${FilterBar} filters=${filters.filter((one) => (!one.isHidden || query[one.name]) && (!one.needs || query[one.needs]))} query=${query} chosen=${chosen} rows=${rows} tenant=${tenant} view=${shown?.[1]} saving=${saving}>${named}<//>`;
}
