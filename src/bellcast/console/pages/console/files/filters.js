/**
 * The filters of a list as chips, in its URL and applied at once, with suggestions; and views, which are filters with a name.
 */
import { html, useEffect, useSignal } from './html.js';
import { timeSpan } from './format.js';
import { Field, Form, Icon, Popup } from './parts.js';
import { setQuery, shownTenant } from './router.js';
import { get, withQuery } from './server.js';
import { remember, remembered } from './session.js';
import { Option } from './shell.js';

const MAX_SUGGESTED = 20;
const TYPING_MS = 200;

/** Time ranges in minutes, by their name in the URL. */
const RANGES = { '15m': 15, '1h': 60, '24h': 1440, '7d': 10_080, '30d': 43_200 };
/** The start of a time range as an ISO 8601 string; empty if there is none. */
export const startOf = (range) => (RANGES[range] === undefined ? '' : new Date(Date.now() - RANGES[range] * 60_000).toISOString());

export const RANGE = { name: 'range', label: 'Time', options: Object.keys(RANGES), words: { '15m': 'last 15 minutes', '1h': 'last hour', '24h': 'last 24 hours', '7d': 'last 7 days', '30d': 'last 30 days' } };
export const CREATED = { ...RANGE, label: 'Created' };
/** The search in a list of objects. */
export const KEY = { name: 'text', label: 'Key contains', isSearch: true };
export const CHANNEL = { name: 'channel', label: 'Channel', options: ['email', 'sms', 'push', 'chat'] };
const keysOf = (path, rows, parameter) => async (text, signal) => (await get(withQuery(path, { tenant: shownTenant() || '*', limit: MAX_SUGGESTED, ...(parameter && { [parameter]: text }) }), signal))[rows].map((one) => one.key);
export const RECIPIENT = { name: 'recipient', label: 'Recipient', suggest: keysOf('/v1/recipients', 'recipients', 'search') };
export const WORKFLOW = { name: 'workflow', label: 'Workflow', suggest: keysOf('/v1/workflows', 'workflows', 'text') };
export const PROVIDER = { name: 'provider', label: 'Provider', suggest: keysOf('/v1/providers', 'providers') };
export const TYPE = { name: 'type', label: 'Type', suggest: keysOf('/v1/types', 'types', 'text') };

/** The range in the URL's `from` and `to`, as set by a chart; null if there is none. */
export function chosenRange(query) {
  const [from, to] = ['from', 'to'].map((name) => Date.parse(query.get(name)));
  return from < to ? { from: new Date(from).toISOString(), to: new Date(to).toISOString() } : null;
}

/** "Channel is", or a label that has a verb, such as "Key begins with". */
const beginOf = ({ label }) => (/ with$/.test(label) ? label : `${label} is`);
const wordOf = (filter, value) => filter.words?.[value] ?? value;

/** @param {{filters: any[], query: Record<string, string>, chosen: {from: string, to: string} | null, rows: any[]}} of `rows` are the loaded ones, whose values are suggested */
export function FilterBar({ filters, query, chosen, rows }) {
  const chips = filters.filter(({ name, isSearch }) => query[name] && !isSearch);
  const free = filters.filter((one) => !query[one.name] && !one.isSearch && !one.isHidden);
  const apply = (name, value) => setQuery({ [name]: value, ...(name === 'range' && { from: null, to: null }) });
  const search = filters.find(({ isSearch }) => isSearch);
  return html`<div class="filters" role="search" aria-label="Filters">
    ${search && html`<${Search} key=${search.name} filter=${search} value=${query[search.name]} />`}
    ${chips.map((one) => html`<span key=${one.name} class="filter"><${Popup} isStart hasText label=${`${beginOf(one)} ${wordOf(one, query[one.name])}`} button=${html`<span class="muted">${beginOf(one)}</span> ${wordOf(one, query[one.name])}`}>
      ${(close) => html`<${Chooser} filters=${[one]} initial=${one} rows=${rows} apply=${(name, value) => {
        close();
        apply(name, value);
      }} />`}<//><button type="button" class="quiet" aria-label=${`Remove the filter ${one.label}`} onClick=${() => apply(one.name, null)}><${Icon} name="close" /></button></span>`)}
    ${chosen && html`<span class="filter"><span class="fixed"><span class="muted">Time</span> ${timeSpan(chosen.from, chosen.to)}</span><button type="button" class="quiet" aria-label="Show all times" onClick=${() => setQuery({ from: null, to: null })}><${Icon} name="close" /></button></span>`}
    ${free.length > 0 && html`<${Popup} isStart buttonClass="quiet add-filter" label="Add a filter" button=${html`<${Icon} name="plus" /> Filter`}>
      ${(close) => html`<${Chooser} filters=${free} rows=${rows} apply=${(name, value) => {
        close();
        apply(name, value);
      }} />`}<//>`}
    ${chips.length > 1 && html`<button type="button" class="quiet" onClick=${() => setQuery(Object.fromEntries([...filters.map(({ name }) => [name, null]), ['from', null], ['to', null]]))}>Clear all</button>`}
  </div>`;
}

/** The field of the filter that most searches begin with. It is applied while typing. */
function Search({ filter, value }) {
  const text = useSignal(value);
  useEffect(() => { text.value = value; }, [value]);
  const apply = () => setQuery({ [filter.name]: text.value.trim() });
  useEffect(() => {
    if (text.value.trim() === value) return undefined;
    const timer = setTimeout(() => setQuery({ [filter.name]: text.value.trim() }, { isQuiet: true }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text.value]);
  return html`<form class="find" onSubmit=${(event) => {
    event.preventDefault();
    apply();
  }}><${Icon} name="search" /><input type="search" aria-label=${filter.label} placeholder=${filter.label} autocomplete="off" value=${text.value} onInput=${(event) => { text.value = event.currentTarget.value; }} /></form>`;
}

/** Choose a filter, then its value. */
function Chooser({ filters, initial = null, rows, apply }) {
  const field = useSignal(initial), text = useSignal(''), suggested = useSignal([]);
  const filter = field.value, typed = text.value.trim();
  useEffect(() => {
    suggested.value = [];
    if (!filter?.suggest) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        suggested.value = await filter.suggest(typed, abort.signal);
      } catch {
        // Any text is accepted.
      }
    }, typed ? TYPING_MS : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [filter, typed]);
  const matches = (value) => value.toLowerCase().includes(typed.toLowerCase());
  const own = filter && !filter.options ? rows.map((one) => (filter.of ?? ((row) => row[filter.name]))(one)).flat().filter((one) => typeof one === 'string' && one) : [];
  const values = filter ? (filter.options ?? [...new Set([...own, ...suggested.value])].sort()).filter((one) => matches(wordOf(filter, one))) : [];
  const options = filter
    ? [...(typed && !filter.options && !values.includes(typed) ? [typed] : []), ...values].slice(0, MAX_SUGGESTED)
    : filters.filter(({ label }) => matches(label));
  const choose = (one) => {
    if (one === undefined) return;
    if (filter) apply(filter.name, one);
    else {
      field.value = one;
      text.value = '';
    }
  };
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const stops = [...event.currentTarget.querySelectorAll('input, .option')];
    stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
  };
  return html`<div class="chooser" onKeyDown=${move}><form onSubmit=${(event) => {
    event.preventDefault();
    // With a text that begins nothing, the text itself.
    choose(filter && !filter.options && typed ? typed : options[0]);
  }}><input aria-label=${filter?.label ?? 'Filter by'} placeholder=${filter ? `${beginOf(filter)} …` : 'Filter by …'} autocomplete="off" value=${text.value} ref=${(one) => one?.focus()} onInput=${(event) => { text.value = event.currentTarget.value; }} /></form>
    <div class="options">${options.map((one) => html`<${Option} key=${one.name ?? one} choose=${() => choose(one)}>${filter ? wordOf(filter, one) : one.label}<//>`)}
    ${filter && options.length === 0 && html`<p class="muted">Type a value.</p>`}</div></div>`;
}

/** Filters with names: those of the list, and those that the operator saved in this browser. */
export function Views({ list, views = [], filters, query, chosen }) {
  const saved = useSignal(remembered(`views${list}`, []));
  const store = (all) => {
    saved.value = all;
    remember(`views${list}`, all);
  };
  const names = filters.map(({ name }) => name);
  const used = Object.fromEntries(names.filter((name) => query[name]).map((name) => [name, query[name]]));
  const isShown = (filter) => !chosen && JSON.stringify(Object.entries(filter).sort()) === JSON.stringify(Object.entries(used).sort());
  const show = (filter) => setQuery({ from: null, to: null, ...Object.fromEntries(names.map((name) => [name, filter[name] ?? null])) });
  const all = [['All', {}], ...views, ...saved.value];
  const isNew = Object.keys(used).length > 0 && !all.some(([, filter]) => isShown(filter));
  if (all.length === 1 && !isNew) return null;
  return html`<div class="views" role="group" aria-label="Views">${all.map(([name, filter]) => html`<span key=${name}><button type="button" aria-pressed=${String(isShown(filter))} onClick=${() => show(filter)}>${name}</button>${isShown(filter) && saved.value.some(([one]) => one === name)
    && html`<button type="button" class="quiet" aria-label=${`Delete the view ${name}`} onClick=${() => store(saved.value.filter(([one]) => one !== name))}><${Icon} name="close" /></button>`}</span>`)}
    ${isNew && html`<${Popup} isStart hasText buttonClass="quiet" label="Save view" button="Save view">${(close) => html`<${Form} button="Save" send=${async ({ name }) => {
      store([...saved.value.filter(([one]) => one !== name.trim()), [name.trim(), used]]);
      close();
    }}><${Field} label="Name of the view" name="name" required maxlength="40" autocomplete="off" /><//>`}<//>`}</div>`;
}
