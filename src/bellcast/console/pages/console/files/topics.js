/**
 * Topics, and one with its presence, followers, subscribers and stored events; publishing to it.
 */
import { Person } from './caller.js';
import { dialectName, dialectOf, shortName } from './dialects.js';
import { Field, Form } from './form.js';
import { html, useState } from './html.js';
import { Confirm } from './dialogs.js';
import { count, many, number, parsed } from './format.js';
import { Loaded, Paged, Together, loadStyle, useLoad } from './load.js';
import { Headline } from './object-parts.js';
import { Avatar, Card, Heading, Json, Time } from './parts.js';
import { Named, readNames } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { inTenant, tenantOf } from './router.js';
import { get, path, readAll, request, withQuery } from './server.js';
import { tenantName } from './tenant-names.js';

await loadStyle('topics.css');

/** Maximum connections on the page of a topic. */
const FEW = 8;
const MANY = 50;
/** Events in a response. */
const MAX_EVENTS = 1000;

/** What a name that begins with a reserved word means. */
const MEANINGS = { 'role.': 'role', 'private-': 'private', 'presence-': 'presence' };
const meaningOf = (topic) => Object.entries(MEANINGS).find(([start]) => topic.startsWith(start))?.[1];

const WIDTH = '9.5rem';
/** The tenant of a topic. The same name can exist in each. */
const placeOf = ({ tenant }) => (tenant ? tenantName(tenant) : 'Default tenant');
/** Those that are live come first. */
const order = (one, other) => other.followers - one.followers || other.subscribers - one.subscribers || one.topic.localeCompare(other.topic);

export const topics = {
  path: '/v1/topics', rows: 'topics', link: (one) => path`/topics/${one.topic}`, isDense: true, order,
  filters: [{ name: 'prefix', label: 'Name begins with', isSearch: true }],
  views: [['Roles', { prefix: 'role.' }], ['Presence', { prefix: 'presence-' }], ['Private', { prefix: 'private-' }]],
  columns: [
    { name: 'Topic', kind: 'title', of: (one) => one.topic, text: (one) => one.present > 0 && `${number(one.present)} present` }, { name: 'Tenant', of: placeOf, show: (name) => html`<span class="value">${name}</span>` },
    { name: 'Connected', kind: 'number', of: (one) => one.followers > 0 && number(one.followers), share: (one) => one.followers, width: WIDTH }, { name: 'Subscribers', kind: 'number', of: (one) => one.subscribers > 0 && many(one.subscribers), share: (one) => one.subscribers, width: WIDTH },
  ],
  none: { text: 'No topics yet. A topic appears here when a recipient subscribes to it, or a page follows it.', command: '<bellcast-bell topics="deploys" …></bellcast-bell>' },
};

export function Topic({ page }) {
  const tenant = tenantOf(page);
  const url = (more, query = {}) => withQuery(path`/v1/topics/${page.key}` + more, { ...tenant, ...query });
  const here = [page.path, tenant];
  /** Names are shown at once, so that nothing moves. */
  const withNames = (rows) => async (found) => {
    await readNames(found[rows].map(({ recipient }) => ({ ...tenant, recipient })));
    return found;
  };
  const listed = useLoad((signal) => get(withQuery('/v1/topics', { prefix: page.key, ...tenant }), signal), here);
  const present = useLoad((signal) => get(url('/presence'), signal), here);
  const connected = useLoad((signal) => get(withQuery('/v1/connections', { topic: page.key, ...tenant, limit: FEW }), signal).then(withNames('connections')), here);
  const subscribed = useLoad((signal) => get(url('/subscriptions'), signal).then(withNames('subscriptions')), here);
  const stored = useLoad(async (signal) => ({ events: (await readAll((after) => url('/events', { after, limit: MAX_EVENTS }), 'events', signal)).reverse() }), here);
  const hrefOf = ({ recipient }) => (page.may(CONTENT) ? inTenant(page, path`/recipients/${recipient}`) : null);
  const person = (one) => (one.recipient ? html`<${Named} isShort of=${{ ...tenant, recipient: one.recipient }} href=${hrefOf(one)} />` : html`<span class="person muted"><${Avatar} of="" icon="account" tone="grey" /><span class="name">anonymous</span></span>`);
  return html`<${Heading} title=${page.key}><a class="button" href=${withQuery(page.url('/live'), { topic: page.key, ...tenant })}>Trace</a><//><${Together}>
    <${Loaded} of=${listed}>${(found) => html`<${Counts} of=${found} name=${page.key} stored=${stored} about=${tenant.tenant && tenantName(tenant.tenant)} />`}<//>
    <div class="story-columns topic"><div><div><${Filled} title="Connected" of=${connected} rows="connections">${({ connections, next, total }) => html`
      <ul class="rows-of">${connections.map((one) => html`<li key=${one.id}>${person(one)}<span class=${`dialect ${dialectOf(one)}`} title=${dialectName(one)}>${shortName(one)}</span><${Time} at=${one.connected_at} /></li>`)}</ul>${next && html`<a href=${withQuery(page.url('/connections'), { topic: page.key, ...tenant })}>${total.exact ? `All ${count(total.value, 'connection')}` : 'All connections'}</a>`}`}<//>
    <${Filled} title="Event history" of=${stored} rows="events">${({ events }) => html`
      <${InPages} rows=${events}>${(some) => html`<div>${some.map((one) => html`<details key=${one.id}><summary>${one.name} <${Time} at=${one.at} /></summary><${Json} of=${one.data} /></details>`)}</div>`}<//>
      ${page.may(BUILDERS) && html`<${Confirm} isDanger label="Delete these events" word="Delete these events" about="Clients that connect later do not receive them." act=${() => request('DELETE', url('/events')).then(stored.reload)} />`}`}<//></div>
    <div><${Filled} title="Subscribers" of=${subscribed} rows="subscriptions">${(response) => html`
      <${Paged} of=${response} rows="subscriptions" read=${(after) => get(url('/subscriptions', { after })).then(withNames('subscriptions'))}>${(all) => html`<ul class="members">${all.map((one) => html`<li key=${one.recipient}>${person(one)}</li>`)}</ul>`}<//>`}<//>
    <${Filled} title="Present now" of=${present} rows="members">${({ members }) => html`
      <${InPages} rows=${members}>${(some) => html`<ul class="members">${some.map((one) => html`<li key=${one.recipient}>${one.name ? html`<${Person} name=${one.name} href=${hrefOf(one)} />` : person(one)}${one.connections > 1 && ` (${one.connections} connections)`}</li>`)}</ul>`}<//>`}<//>${stored.value?.events.length === 0 && html`<${Card} title="Event history"><p class="muted">No stored events. The setting ${page.mayOpen('/settings') ? html`<a href=${page.url('/settings#topics')}>Topic history</a>` : 'Topic history'} names the topics that keep their last ones.</p><//>`}${page.may(BUILDERS) && html`<${Publishing} topic=${page.key} tenant=${tenant} done=${stored.reload} />`}</div></div></div><//>`;
}

/** How many follow a topic, as in the list, and its last event. */
function Counts({ of: { topics: found }, name, stored, about }) {
  const { followers = 0, present = 0, subscribers = 0 } = found.find(({ topic }) => topic === name) ?? {}, last = stored.value?.events[0];
  const note = [about, meaningOf(name), present > 0 && `${number(present)} present`, subscribers === 0 ? 'No recipient subscribes to it' : `${many(subscribers)} ${subscribers === 1 ? 'recipient subscribes' : 'recipients subscribe'} to it`].filter(Boolean).join(' · ');
  return html`<${Headline} kind=${followers > 0 ? 'ok' : 'info'} note=${html`${note}${last && html` · ${last.name} <${Time} at=${last.at} />`}`}>${followers > 0 ? `${count(followers, 'connection')} ${followers === 1 ? 'follows' : 'follow'} it` : 'No connection follows it'}<//>`;
}

/** A card of rows, which is left out if there are none. */
const Filled = ({ title, of, rows, children }) => of.value?.[rows].length !== 0 && html`<${Card} title=${title}><${Loaded} of=${of}>${children}<//><//>`;

/** Rows that have already been read, a few at a time. */
function InPages({ rows, children }) {
  const [shown, setShown] = useState(MANY);
  return html`${children(rows.slice(0, shown))}${shown < rows.length && html`<button type="button" onClick=${() => setShown(shown + MANY)}>Load more</button>`}`;
}

function Publishing({ topic, tenant, done }) {
  const [result, setResult] = useState('');
  return html`<details class="panel"><summary>Publish a test event</summary><${Form} isGuarded button="Publish event" send=${async ({ name, data }) => {
    await request('POST', withQuery('/v1/events', tenant), { topic, name: name.trim(), data: parsed(data) });
    setResult('Published.');
    done();
  }}><${Field} label="Event" name="name" required maxlength="200" autocomplete="off" placeholder="lead.assigned" /><${Field} isLong label="Data as JSON" name="data" defaultValue="{}" /><//><p role="status">${result}</p></details>`;
}
