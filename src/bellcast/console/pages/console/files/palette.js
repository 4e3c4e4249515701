/**
 * Keyboard dialogs: the palette, which opens pages and objects and runs actions of the page, and the list of shortcuts.
 */
import { copyText } from './clipboard.js';
import { TYPING_MS } from './filters.js';
import { number } from './format.js';
import { Fragment, html, useEffect, useId, useRef, useSignal } from './html.js';
import { Icon } from './parts.js';
import { BUILDERS } from './roles.js';
import { leave, shownTenant } from './router.js';
import { get, withQuery } from './server.js';
import { THEMES, me, remembered, setTheme } from './session.js';
import { ownPages, pageUrl } from './shell.js';
import { readTenantNames, tenantName } from './tenant-names.js';

const SUGGESTED = 5;
/** Short lists of definitions are read once each time the palette is opened, and searched here. */
const MAX_DEFINITIONS = 200;
const lists = new Map();
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-/;
const REQUEST_ID = /^[0-9a-f]{16}$/;
const KEYS = [
  ['Ctrl K', 'Find or do anything'], ['/', 'Filter the list'], ['j k', 'Next and previous row'], ['Enter', 'Open the row'],
  ['Esc', 'Close, or go back'], ['r', 'Refresh the page'], ['?', 'Show these shortcuts'],
];

const HINTS = [['↑ ↓', 'Choose'], ['Enter', 'Open'], ['Esc', 'Close']];

async function readOnce(url, rows) {
  if (!lists.has(url)) lists.set(url, get(url));
  return (await lists.get(url))[rows];
}

const definitions = (list, rows, query = { tenant: '*', limit: MAX_DEFINITIONS }) => ({ list, search: async (text) => (await readOnce(withQuery(`/v1${list}`, query), rows)).filter((one) => [one.key, one.name, one.url].some((name) => name?.toLowerCase().includes(text.toLowerCase()))) });
const begin = (list, parameter, text, signal) => get(withQuery(`/v1${list}`, { tenant: '*', limit: SUGGESTED, [parameter]: text }), signal);
const byPrefix = (list, rows, parameter) => ({ list, search: async (text, signal) => (await begin(list, parameter, text, signal))[rows] });
/** By the beginning of their keys, which finds each of many, and by a part of their names and addresses, of which there can be more. */
async function people(text, signal) {
  const [byKey, { recipients, total }] = await Promise.all(['search', 'text'].map((parameter) => begin('/recipients', parameter, text, signal))), found = [...byKey.recipients, ...recipients];
  const all = found.filter((one, index) => index === found.findIndex(({ key, tenant }) => key === one.key && tenant === one.tenant));
  return total?.value > SUGGESTED ? Object.assign(all, { total }) : all;
}
const byId = (list) => ({ list, only: ID, search: async (text, signal) => [await get(withQuery(`/v1${list}/${encodeURIComponent(text)}`, { tenant: shownTenant() }), signal)] });

/** Where objects are found. Each source asks the server, so that only what exists is offered. */
const SOURCES = [
  { list: '/recipients', search: people, noun: 'Recipient' },
  { ...byPrefix('/topics', 'topics', 'prefix'), noun: 'Topic' },
  { ...byPrefix('/tenants', 'tenants', 'prefix'), noun: 'Tenant', isOfAll: true },
  { ...definitions('/workflows', 'workflows'), noun: 'Workflow' },
  { ...definitions('/templates', 'templates'), noun: 'Template' },
  { ...definitions('/types', 'types'), noun: 'Type' },
  { ...definitions('/schedules', 'schedules'), noun: 'Schedule' },
  { ...definitions('/sources', 'sources'), noun: 'Event source' },
  { ...definitions('/providers', 'providers'), noun: 'Provider' },
  { ...definitions('/webhooks', 'webhooks'), noun: 'Webhook' },
  { ...definitions('/operators', 'operators', { limit: MAX_DEFINITIONS }), noun: 'Operator', isOfAll: true },
  { list: '/settings', search: async (text) => (await import('./setting-names.js')).findSettings(await readOnce('/v1/settings', 'settings'), text), noun: 'Setting', isOfAll: true, queryOf: ({ name }) => ({ find: name }) },
  { ...byId('/notifications'), noun: 'Notification' },
  { ...byId('/messages'), noun: 'Message' },
  { ...byId('/runs'), noun: 'Run' },
  { list: '/requests', only: REQUEST_ID, noun: 'Request', search: async (text, signal) => (await get(withQuery('/v1/requests', { id: text, tenant: '*' }), signal)).requests },
];

const titleOf = (one) => one.title ?? one.key ?? one.topic ?? one.to ?? one.url ?? (one.method ? `${one.method} ${one.path}` : one.workflow ?? one.name ?? one.id);
const idOf = (one) => one.key ?? one.topic ?? one.id;

/** An object as an option; viewers cannot open objects. */
function optionOf({ list, noun, isOfAll, queryOf }, one) {
  const name = (one.key && one.name) || titleOf(one), target = queryOf ? list : `${list}/${encodeURIComponent(idOf(one))}`;
  const query = queryOf?.(one) ?? { tenant: isOfAll ? '' : one.tenant ?? shownTenant() };
  const section = ownPages().find(({ path: page }) => page === list).title;
  return { icon: list.slice(1), section, name, kind: noun, note: [one.key, one.name, isOfAll ? null : tenantName(one.tenant)].filter((text) => text && text !== name).join(' · '), url: withQuery(pageUrl(target).split('?')[0], query) };
}

/** How well an object fits a text: its name or key is it, begins with it, has a word that does, or another part of it matches, such as an address. */
function rankOf(one, text) {
  const names = [one.key, one.name, titleOf(one)].map((name) => String(name ?? '').toLowerCase()), typed = text.toLowerCase();
  return [names.includes(typed), names.some((name) => name.startsWith(typed)), names.some((name) => name.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(typed)))].indexOf(true) >>> 0;
}

async function search(text, signal) {
  const sources = SOURCES.filter((one) => ownPages().some(({ path: page }) => page === one.list) && me.value.role !== 'viewer' && (one.only ? one.only.test(text) : !ID.test(text)));
  const found = await Promise.all(sources.map(async (source) => {
    try {
      const rows = await source.search(text, signal), { total } = rows;
      await readTenantNames(rows.map(({ tenant }) => tenant), signal);
      const options = rows.map((one) => ({ rank: rankOf(one, text), ...optionOf(source, one) })).sort((one, other) => one.rank - other.rank).slice(0, SUGGESTED);
      return total ? [...options, { icon: 'search', section: 'Recipients', name: `Show all ${number(total.value)}${total.exact ? '' : '+'} in Recipients`, url: withQuery(pageUrl('/recipients').split('?')[0], { text }) }] : options;
    } catch {
      return []; // not found, or not permitted
    }
  }));
  return [...found.filter(({ length }) => length > 0).sort(([one], [other]) => one.rank - other.rank).flat(), ...await connectionsOf(text, signal)];
}

async function connectionsOf(text, signal) {
  const url = (query) => withQuery('/v1/connections', { tenant: '*', limit: 1, ...query });
  try {
    const { connections } = await get(url({ recipient: text }), signal);
    return connections.length > 0 ? [{ icon: 'connections', section: 'Connections', kind: 'Connections of', name: text, url: withQuery(pageUrl('/connections').split('?')[0], { recipient: text }) }] : [];
  } catch {
    return [];
  }
}

const ACTIONS = [
  ...THEMES.map((one) => [`Theme: ${one}`, '', () => setTheme(one)]),
  ['Retry failures', '', () => leave(pageUrl('/failures')), 'failures'],
  ['Send a test', '', () => leave(pageUrl('/playground')), 'playground'],
  ['Copy the link to this page', '', () => copyText(location.href)],
];

/** Actions that are offered before anything is typed, and the pages that they need. */
const OFTEN = { 'New workflow': '/workflows', 'New template': '/templates', 'Send a test': '/playground', 'Retry failures': '/failures' };
const mayDo = (name) => !(name in OFTEN) || ownPages().some(({ path }) => path === OFTEN[name]);

/** What the operator may create, and where. */
const creations = () => (BUILDERS.includes(me.value.role) ? ownPages().filter(({ noun }) => noun) : []).map(({ noun, path, edit, icon }) => ({ icon, section: 'Actions', name: `New ${noun}`, url: withQuery(pageUrl(path), edit ? { edit: 'new' } : { new: 'yes' }) }));

/** @param {{actions: () => [string, string, () => void][]}} of an action has a name, a key and what it does */
export function Palette({ actions }) {
  const id = useId();
  const dialog = useRef(null), input = useRef(null);
  const text = useSignal(''), found = useSignal([]), active = useSignal(0), opened = useSignal(0);
  const typed = text.value.trim();
  useEffect(() => {
    found.value = [];
    if (!typed) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      const options = await search(typed, abort.signal);
      if (!abort.signal.aborted) found.value = options;
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [typed]);
  const matches = (name) => name.toLowerCase().includes(typed.toLowerCase());
  const doable = opened.value === 0 ? [] : [...(typed ? [] : creations()), ...[...actions(), ...ACTIONS].map(([name, keys, act, icon = 'chevron']) => ({ icon, section: 'Actions', name, keys, act })), ...(typed ? creations() : [])].filter(({ name }) => mayDo(name));
  const options = opened.value === 0 ? [] : [
    ...(typed ? [] : remembered('recent', []).map((one) => ({ ...one, section: 'Recent' }))),
    ...(typed ? [] : doable.filter(({ name }) => name in OFTEN)),
    ...ownPages().filter((one) => matches(one.title)).map((one) => ({ icon: one.icon, section: 'Pages', name: one.title, keys: one.letter && `g ${one.letter}`, url: pageUrl(one.path) })),
    ...(typed ? doable.filter(({ name }) => matches(name)) : []),
    ...found.value, // last: what arrives later moves no other option
  ];
  const current = Math.min(active.value, options.length - 1);
  useEffect(() => document.getElementById(`${id}-${current}`)?.scrollIntoView({ block: 'nearest' }), [current]);
  const choose = (one) => {
    if (!one) return;
    dialog.current.close();
    if (one.act) {
      one.act();
      return;
    }
    leave(one.url);
  };
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    active.value = (current + step + options.length) % options.length;
  };
  const open = () => {
    text.value = '';
    active.value = 0;
    opened.value += 1;
    lists.clear();
    dialog.current.showModal();
    input.current.focus();
  };
  return html`<dialog id="palette" class="palette" aria-label="Go to" ref=${dialog} onopendialog=${open} onClose=${keepFocus} onKeyDown=${move} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <form method="dialog" onSubmit=${(event) => {
      event.preventDefault();
      choose(options[current]);
    }}><${Icon} name="search" /><input ref=${input} role="combobox" aria-label="Page, action or id" aria-expanded="true" aria-controls=${`${id}-list`} aria-autocomplete="list" aria-activedescendant=${options.length > 0 ? `${id}-${current}` : null}
      placeholder="Page, action or id" autocomplete="off" value=${text.value} onInput=${(event) => {
        text.value = event.currentTarget.value;
        active.value = 0;
      }} /></form>
    <div role="listbox" id=${`${id}-list`} class="options" aria-label="Results">${options.map((one, index) => html`<${Fragment} key=${`${one.section} ${one.url ?? one.name}`}>${one.section !== options[index - 1]?.section && html`<div class="section" role="presentation">${one.section}</div>`}<div id=${`${id}-${index}`} role="option" tabIndex="-1" class="option" aria-selected=${String(index === current)}
      onMouseMove=${() => { active.value = index; }} onClick=${() => choose(one)}><${Icon} name=${one.icon} /><span>${one.kind && html`<span class="hidden">${one.kind} </span>`}${one.name}</span>${one.note && html`<span class="muted note">${one.note}</span>`}${one.keys && html`<kbd>${one.keys}</kbd>`}</div><//>`)}
    ${typed && options.length === 0 && html`<p class="muted" role="status">Nothing is called ${typed}.</p>`}</div>
    <footer aria-hidden="true">${HINTS.map(([key, what]) => html`<span key=${key}><kbd>${key}</kbd> ${what}</span>`)}</footer></dialog>`;
}

/** Open the dialog with this id. */
export const openDialogById = (id) => document.getElementById(id).dispatchEvent(new Event('opendialog'));

/** A refresh may have replaced the control to which the focus should return. */
function keepFocus() {
  if (document.activeElement === document.body) document.getElementById('main')?.focus();
}

/** The list of keys. */
export function ShortcutList() {
  const dialog = useRef(null);
  const groups = Object.entries({ Everywhere: KEYS, ...Object.groupBy(ownPages().map((one) => [`g ${one.letter}`, one.title, one.group ?? 'Start']), ([, , group]) => group) });
  const close = () => dialog.current.close();
  return html`<dialog id="keys" class="keys" aria-label="Shortcuts" ref=${dialog} onopendialog=${() => dialog.current.showModal()} onClose=${keepFocus} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <header><h2 tabIndex="-1" autofocus>Keyboard shortcuts</h2><button type="button" class="quiet" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
    <div class="shortcuts">${groups.map(([group, keys]) => html`<section key=${group}><h3>${group}</h3><dl>${keys.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl></section>`)}</div></dialog>`;
}
