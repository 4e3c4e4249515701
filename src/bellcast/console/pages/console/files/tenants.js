/**
 * Tenants, and one with its usage, limits, brand and retention.
 */
import { BrandFields } from './brand.js';
import { Charts } from './charts.js';
import { CREATED } from './filters.js';
import { Field, Form } from './form.js';
import { count, dayOf, fullTime, many, number } from './format.js';
import { html, useState } from './html.js';
import { Loaded, Together, loadStyle, refresh, useLoad } from './load.js';
import { KeyFields } from './key-fields.js';
import { cancel, createObject } from './new-object.js';
import { connectionsIn, StoredRows } from './overview.js';
import { Avatar, Card, Facts, Heading, Icon, Id, Json, Opening, State } from './parts.js';
import { BUILDERS, OWNERS } from './roles.js';
import { get, getTagged, path, sendIf, withQuery } from './server.js';
import { tenantName } from './tenant-names.js';
import { say } from './toast.js';

await loadStyle('tenants.css');

/** The settings that the server uses: the name, label, meaning and unit of each, and the setting of the server that applies while it is empty. */
const LIMITS = [
  ['sends_per_second', 'Sends per second', 'More are refused, and can be tried again.', 'per second', 'limit_sends_per_second'], ['sends_per_day', 'Sends per day', 'Counted from midnight UTC.', 'per day', 'limit_sends_per_day'],
  ['weight', 'Weight', 'Its share when tenants compete: with 2, twice that of others. From 0.001 to 1,000.', ''], ['retention_days', 'Retention', 'Older notifications are deleted.', 'days', 'retention'],
];
/** Seconds of the units of a duration. */
const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** What the server uses for an empty limit, in words. */
function usualOf(setting, settings) {
  if (setting === undefined) return 'Default: 1.';
  const [, amount, unit] = /^(\d+)([a-z]?)$/.exec(settings.find(({ name }) => name === setting)?.value) ?? [];
  if (amount === undefined) return '';
  return `Server default: ${amount === '0' ? 'unlimited' : unit ? count((amount * UNITS[unit]) / UNITS.d, 'day') : number(Number(amount))}.`;
}

/** From this part of its daily limit on, a tenant is near it. */
const NEARLY = 0.8;
const hasBudget = (one) => one.settings.sends_per_day > 0;
/** What a tenant does today: whether it sends, and how much of its daily limit is left. */
function stateOf(one) {
  const part = hasBudget(one) ? (one.sends_today ?? 0) / one.settings.sends_per_day : 0;
  if (one.erasing_since) return ['being deleted', 'wait'];
  if (part >= 1) return ['daily limit reached', 'bad'];
  if (part >= NEARLY) return ['daily limit near', 'warn'];
  return one.sends_today ? ['active', 'ok'] : ['idle', 'open'];
}

/** The name of a tenant. */
const nameOf = (one) => one.name ?? tenantName(one.key);

/** Of sends without a daily limit, only a part may have been counted. */
const COUNTED = 'Counted since midnight UTC. Without a daily limit, a send counts once for all its recipients.';

/** Today's sends, of the daily limit if there is one; of an idle tenant nothing, as its state says it. Without a limit, more may have been sent. */
function partSent(one) {
  if (hasBudget(one)) return `${number(one.sends_today ?? 0)} of ${number(one.settings.sends_per_day)}`;
  return one.sends_today ? html`<span title=${COUNTED}><span class="hidden">at least </span>${number(one.sends_today)}<span aria-hidden="true">+</span></span>` : null;
}

/** The limits of a tenant in words. */
function limitsOf({ settings }) {
  const sends = (name) => settings[name] !== undefined && (settings[name] > 0 ? count(settings[name], 'send') : 'any number');
  return [
    sends('sends_per_day') && `${sends('sends_per_day')} a day`, sends('sends_per_second') && `${sends('sends_per_second')} a second`,
    settings.weight !== undefined && `weight ${settings.weight}`, settings.retention_days !== undefined && (settings.retention_days > 0 ? `kept ${count(settings.retention_days, 'day')}` : 'kept forever'),
  ].filter(Boolean);
}


export const tenants = {
  path: '/v1/tenants', rows: 'tenants', link: (one) => path`/tenants/${one.key}`, isOfServer: true, create: { form: NewTenant, button: 'New tenant' },
  filters: [{ name: 'prefix', label: 'Key begins with', isSearch: true }, CREATED],
  views: [['New this week', { range: '7d' }]],
  columns: [
    { name: 'Tenant', kind: 'title', lead: (one) => html`<${Avatar} of=${one.key} name=${nameOf(one)} />`, of: nameOf, text: (one) => [one.key, ...limitsOf(one)].filter(Boolean).join(' · '), width: 'minmax(10rem, 1fr)' },
    { name: 'State', of: stateOf, show: ([word, kind]) => html`<span class=${kind === 'open' ? 'idle' : null}><${State} of=${word} kind=${kind} /></span>`, width: '10.5rem' },
    { name: 'Sent today', kind: 'number', of: partSent, by: (one) => one.sends_today, none: '–', width: '11rem' },
    { name: 'Recipients', kind: 'number', of: (one) => one.recipients > 0 && many(one.recipients), by: (one) => one.recipients, none: '–', width: '7rem' },
    { name: 'Created', kind: 'time', of: (one) => one.created_at },
  ],
  note: 'The default tenant is not listed.',
  none: { text: 'No tenants yet. A tenant is a customer of your app: with its own recipients, brand and limits. The first send with a tenant creates it too.', command: 'bellcast notify alice "Hello" --tenant acme' },
};

function NewTenant({ page }) {
  const create = async ({ key, name }) => {
    await createObject(path`/v1/tenants/${key.trim()}`, { name: name.trim() || null }, 'tenant');
    refresh();
    page.go(page.url(path`/tenants/${key.trim()}`));
  };
  return html`<${Heading} title="New tenant" /><p class="muted">Tenants are created by the first send to them too. Create one here to set its brand and limits before.</p><${Form} isGuarded button="Create tenant" send=${create} more=${cancel(page)}><${KeyFields} hasName=${false} hint="The id of the customer in your app." /><${Field} label="Name" name="name" maxlength="500" autocomplete="off" hint="Shown in the console, and in e-mails without a brand." /><//>`;
}

export function Tenant({ page }) {
  const found = useLoad((signal) => getTagged(path`/v1/tenants/${page.key}`, signal), [page.key]);
  const listed = useLoad((signal) => get(withQuery('/v1/tenants', { tenant: page.key }), signal), [page.key]);
  const stats = useLoad((signal) => get(withQuery('/v1/stats', { tenant: page.key }), signal), [page.key]);
  // Read once, so that the fields do not move when the form is drawn again.
  const mayChange = page.may(BUILDERS) && page.me.tenants === null, server = useLoad(async (signal) => (mayChange ? (await get('/v1/settings', signal)).settings : []));
  return html`<${Opening} page=${page} of=${found}>${({ value: one, tag }) => html`<${Heading} title=${nameOf(one)} note=${html`<${Avatar} of=${one.key} name=${nameOf(one)} /><${Id} of=${one.key} /><span class="muted">since <time dateTime=${one.created_at} title=${fullTime(one.created_at)}>${dayOf(one.created_at)}</time></span>`}><a class="button" href=${withQuery(page.url('/live'), { tenant: one.key })}><${Icon} name="live" /> Live</a><//><${Together}><${Tabs} page=${page} of=${[
    ['usage', 'Usage', html`<${Usage} ...${{ page, one, listed, stats }} />`],
    page.may(BUILDERS) && ['brand', 'Brand', html`<${Brand} key=${JSON.stringify(one.settings.brand)} ...${{ page, one, tag }} />`],
    page.may(BUILDERS) && ['limits', 'Limits and retention', html`<${mayChange ? LimitForm : LimitFacts} key=${JSON.stringify(LIMITS.map(([name]) => one.settings[name]))} ...${{ page, one, tag, listed, stats, server }} />`],
  ].filter(Boolean)} />${Object.keys(one.settings).length > 0 && html`<details class="panel"><summary>Settings as JSON</summary><p class="muted">All settings of the tenant, also those of your own apps.</p><${Json} what="the settings" of=${one.settings} /></details>`}<//>`}<//>`;
}

/**
 * Parts of a page, one of which is shown: the one in the fragment of the URL, or the first. The others stay in the document, so that
 * a form keeps what was entered in it, and a mark shows that it is not saved. @param {{page: any, of: [string, string, any][]}} of id, name and content
 */
function Tabs({ page, of }) {
  const { hash } = new URL(page.href), [shown] = of.find(([id]) => hash === `#${id}`) ?? of[0];
  return html`<div class="tabbed"><nav class="tabs" aria-label="Parts of this page">${of.map(([id, name]) => html`<a key=${id} href=${`#${id}`} aria-current=${id === shown ? 'page' : null} onClick=${(event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (id !== shown) page.go(`#${id}`);
  }}>${name}</a>`)}</nav>
    ${of.map(([id, name, content]) => html`<section key=${id} id=${`part-${id}`} aria-label=${name} hidden=${id !== shown}>${content}</section>`)}</div>`;
}

/** What the tenant stores, with links to its lists, how much of its daily limit is used, and what it sends. */
function Usage({ page, one, listed, stats }) {
  return html`<${Card}><${Loaded} of=${listed}>${({ tenants: [row] }) => html`<${Loaded} of=${stats}>${(value) => html`<${StoredRows} page=${page} tenant=${one.key} of=${value}><li class="daily"><${Sent} of=${{ ...one, sends_today: row?.sends_today }} /></li><//>`}<//>`}<//><//>
    <${Charts} page=${page} tenant=${one.key} connections=${connectionsIn(stats.value)} />`;
}

/** What was sent today, of the daily limit if there is one. */
function Sent({ of: one }) {
  const sent = number(one.sends_today ?? 0), [word, kind] = stateOf(one), all = one.settings.sends_per_day;
  if (!hasBudget(one)) return html`<b>${one.sends_today > 0 && html`<small>at least</small> `}${sent}</b> <span title=${COUNTED}>sent today</span>`;
  return html`<b>${sent}</b> <span>of ${number(all)} sent today</span>${['warn', 'bad'].includes(kind) && html` <${State} of=${word} kind=${kind} />`}<progress aria-label="Of the daily limit" class=${kind} max=${all} value=${one.sends_today ?? 0}></progress>`;
}

/** Merge into the tenant's settings as they were read, or with `isMine` into the current ones, because the API replaces all settings. */
async function change({ page, one, tag }, changed, isMine) {
  const url = path`/v1/tenants/${one.key}`, read = isMine ? await getTagged(url) : { value: one, tag }, { name, settings } = read.value;
  const merged = Object.fromEntries(Object.entries({ ...settings, ...changed }).filter(([, value]) => value !== null));
  await sendIf('PUT', url, { name, settings: merged }, { 'if-match': read.tag });
  say(`Saved ${name ?? one.key}`);
  page.reload();
}

/** A limit in words: 0 is none. */
const inWords = (name, value, unit) => (value > 0 || name === 'weight' ? `${number(value)} ${unit}` : name === 'retention_days' ? 'kept forever' : 'unlimited');
const LimitFacts = ({ one }) => html`<${Facts} of=${LIMITS.map(([name, label, , unit]) => [label, typeof one.settings[name] === 'number' ? inWords(name, one.settings[name], unit) : 'not set'])} /><p class="muted">Only operators that are not restricted to tenants can change them.</p>`;

/** Takes the entries of a form back. */
const discard = html`<button type="reset">Discard</button>`;

/** The settings with what is used of each beside its field. */
function LimitForm({ page, one, tag, listed, stats, server }) {
  const stored = stats.value?.store.notifications;
  const open = LIMITS.filter(([name]) => name !== 'retention_days' || page.may(OWNERS));
  const used = { sends_per_day: listed.value && html`<${Sent} of=${{ ...one, sends_today: listed.value.tenants[0]?.sends_today }} />`, retention_days: stored !== undefined && `${number(stored)}${stats.value.at_least.includes('notifications') ? '+' : ''} stored now` };
  return html`<p class="muted">An empty field has the default of the server. 0 is unlimited.</p><${Form} isGuarded isEdit class="rows-of-fields" button="Save limits" more=${discard} send=${(values, _, isMine) => change({ page, one, tag }, Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === '' ? null : Number(value)])), isMine)}>
    ${open.map(([name, label, hint, unit, setting]) => html`<div key=${name} class="allowance" data-unit=${unit}><${Field} label=${label} name=${name} type="number" min=${name === 'weight' ? 0.001 : 0} step="any" defaultValue=${one.settings[name] ?? ''} hint=${`${hint} ${usualOf(setting, server.value ?? [])}`} /><div class="used">${used[name]}</div></div>`)}<//>`;
}

function Brand({ page, one, tag }) {
  const [brand, setBrand] = useState(one.settings.brand ?? {});
  return html`<p class="muted">The look of e-mails, and of the pages behind their links.</p><${Form} isGuarded isEdit button="Save brand" more=${discard} onReset=${() => setBrand(one.settings.brand ?? {})} send=${(_, _form, isMine) => change({ page, one, tag }, { brand: Object.keys(brand).length > 0 ? brand : null }, isMine)}><${BrandFields} name=${one.name ?? ''} brand=${brand} change=${setBrand} /><//>`;
}
