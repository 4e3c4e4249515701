/**
 * Connections, open and recently closed: close them, or trace one.
 */
import { Dialect, dialectName, shortName } from './dialects.js';
import { Confirm } from './dialogs.js';
import { inboxState } from './activity.js';
import { duration, number } from './format.js';
import { html } from './html.js';
import { RANGE, RECIPIENT } from './filters.js';
import { loadStyle, refresh, useLoad, useOpened } from './load.js';
import { Headline, More } from './object-parts.js';
import { Avatar, Card, Empty, Facts, Heading, Id, Moment, Opening, State, Tag, Time } from './parts.js';
import { Named, nameOf, readNames } from './recipient-names.js';
import { CONTENT } from './roles.js';
import { inTenant, shownTenant } from './router.js';
import { get, path, request, withQuery } from './server.js';
import { useRecent } from './traffic.js';

await loadStyle('connections.css');

/** What follows when a connection is closed. */
const CLOSING = 'Its page or app connects again by itself, and gets what it missed.';

/** Enough of an id to recognise a connection without a name. */
const ID_LENGTH = 8;
/** Events of a connection that are shown, and what else its recipient has. */
const MAX_EVENTS = 12, FEW = 5;

/** Why a connection was closed. */
const closingOf = ({ reason, code }) => (reason ? `${reason} (${code})` : `code ${code}`);

const isClosed = (page) => page.query.get('state') === 'closed';

const close = async (one) => {
  await request('DELETE', withQuery(path`/v1/connections/${one.id}`, { tenant: one.tenant ?? '' }));
  refresh();
};

export const connections = {
  path: '/v1/connections', rows: 'connections', readMore: readNames, link: (one) => path`/connections/${one.id}`, isNewestFirst: true, pinsOpened: true, isDense: true, above: Protocols,
  filters: [RECIPIENT, { name: 'topic', label: 'Topic', of: (one) => one.topics }, { name: 'protocol', label: 'Protocol', options: ['native', 'pusher', 'socketio'], words: { native: 'Native', pusher: 'Pusher', socketio: 'Socket.IO' } }, { name: 'node', label: 'Node' }, { name: 'state', label: 'State', options: ['closed'], words: { closed: 'recently closed' }, isHidden: true }, RANGE],
  views: [['Native', { protocol: 'native' }], ['Socket.IO', { protocol: 'socketio' }], ['Pusher', { protocol: 'pusher' }], ['Closed', { state: 'closed' }]],
  columns: (page) => [
    { name: 'Recipient', kind: 'title', lead: (one) => html`<${Avatar} ...${one.recipient ? { of: one.recipient, name: nameOf(one) } : { of: '', icon: 'account', tone: 'grey' }} />`, of: (one) => nameOf(one) ?? 'anonymous', text: (one) => [one.origin, one.address, !one.recipient && !one.origin && !one.address && one.id.slice(0, ID_LENGTH)].filter(Boolean).join(', ') },
    { name: 'Protocol', of: (one) => html`<${Dialect} of=${one} />`, width: '13rem' }, isClosed(page) ? { name: 'Cause', of: (one) => closingOf(one).replaceAll('_', ' '), width: '15rem' } : { name: 'Topics', of: (one) => one.topics.join(', '), width: '11rem' }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    isClosed(page) ? { name: 'Closed', kind: 'time', of: (one) => one.closed_at } : { name: 'Since', kind: 'time', of: (one) => one.connected_at },
  ],
  actions: (one, page) => !isClosed(page) && page.may(CONTENT) && html`<a class="option" href=${withQuery(page.url('/live'), { connection: one.id, tenant: one.tenant })}>Trace</a><${Confirm} label=${`Close the connection ${one.id}`} word="Close" about=${CLOSING} act=${() => close(one)} />`,
  note: 'Closed connections: the last 1,000 of each node, from memory.',
  none: (page) => (isClosed(page) ? { text: 'No closed connections yet. Closed connections appear here, with the reason.' }
    : { text: 'No connections yet. Browsers and apps appear here while they have a connection.', command: '<bellcast-bell server="…" token="…"></bellcast-bell>' }),
};

const MINUTE_MS = 60_000;
/** Whether a connection is open, how and how long, as a sentence. */
function headlineOf(one) {
  const took = (Date.parse(one.closed_at ?? '') || Date.now()) - Date.parse(one.connected_at), unit = took < MINUTE_MS ? 1000 : MINUTE_MS, lasted = duration(Math.max(1, Math.floor(took / unit)) * unit);
  return one.closed_at ? html`<${Headline} kind="info">Closed after ${lasted}: ${closingOf(one).replaceAll('_', ' ')}<//>` : html`<${Headline} kind="ok">Connected over ${shortName(one)} for ${lasted}<//>`;
}

/** An event of a connection in plain words. */
function sentenceOf({ kind, text, topic, detail }) {
  if (kind === 'connect') return `Connected over ${shortName(detail)}`;
  if (kind === 'subscribe') return html`Follows <${Tag}>${topic}<//>`;
  if (kind === 'call' && detail.outcome === 'ok') return detail.name === 'connect' ? 'Your app accepted it' : `Your app handled ${detail.name}`;
  return text[0].toUpperCase() + text.slice(1);
}

/** A connection: who follows what, from where, and why it was closed. */
export function Connection({ page }) {
  const tenant = page.query.get('tenant') ?? '*';
  const found = useLoad(async (signal) => {
    const read = (state) => get(withQuery('/v1/connections', { id: page.key, state, tenant }), signal);
    const one = (await read('open')).connections[0] ?? (await read('closed')).connections[0];
    return one ?? null;
  }, [page.key, tenant]);
  useOpened(found.value);
  return html`<${Opening} page=${page} of=${found}>${(one) => {
    if (one === null) return html`<${Heading} title="Connection" /><${Empty} icon="connections" text="This connection has been closed. Each node keeps the last 1,000 closed ones in memory."><a class="button" href=${page.url('/connections')}>All connections</a><//>`;
    const { tenant: own } = one, of = own === null ? {} : { tenant: own };
    return html`<${Heading} title=${nameOf(one) ?? 'Anonymous'}>
        ${page.may(CONTENT) && html`<a class="button" href=${withQuery(page.url('/live'), { connection: one.id, tenant: own })}>Trace</a>`}
        <${More} of="this connection">${!one.closed_at && page.may(CONTENT) && html`<${Confirm} isDanger label="Close the connection" word="Close the connection" about=${CLOSING} act=${() => close(one)} />`}<//><//>
      ${headlineOf(one)}
      <${Facts} of=${[
        ['Closed', one.closed_at && html`<${Moment} at=${one.closed_at} />`],
        ['Recipient', one.recipient ? html`<${Named} of=${one} href=${page.may(CONTENT) && withQuery(page.url(path`/recipients/${one.recipient}`), of)} />` : 'none: it has no token'],
        ['Tenant', own], ['Topics', one.topics.length > 0 && html`<span class="actions">${one.topics.map((topic) => html`<a key=${topic} class="tag" href=${withQuery(page.url(path`/topics/${topic}`), of)}>${topic}</a>`)}</span>`], ['Protocol', html`<${Dialect} of=${one} />`], ['Connected since', html`<${Moment} at=${one.connected_at} />`], ['Origin', one.origin && html`<code>${one.origin}</code>`], ['Address', one.address && html`<code>${one.address}</code>`], ['Node', one.node && html`<code>${one.node}</code>`], ['Id', html`<${Id} of=${one.id} />`],
      ]} />
      <${Beside} key=${one.id} page=${page} one=${one} />`;
  }}<//>`;
}

/**
 * What else the recipient of a connection has, and then the last events of the connection. Each is left out if it cannot be read; they
 * appear together, so that nothing moves.
 */
function Beside({ page, one }) {
  const query = { recipient: one.recipient, tenant: one.tenant ?? '' };
  const read = async (rows, signal) => (one.recipient && page.may(CONTENT) ? (await get(withQuery(`/v1/${rows}`, { ...query, limit: FEW + 1 }), signal))[rows] : []);
  const [open, sent] = [useLoad((signal) => read('connections', signal), [one.id]), useLoad((signal) => read('notifications', signal), [one.id])];
  const all = (rows) => withQuery(page.url(`/${rows}`), query), isRead = [open, sent].every(({ value, problem }) => value || problem);
  return isRead && html`<${FirstRows} title="Other connections" of=${(open.value ?? []).filter(({ id }) => id !== one.id)} all=${all('connections')}>${(other) => html`<a class="plain grow" href=${inTenant(page, path`/connections/${other.id}`, other)}><${Dialect} of=${other} /></a><span class="muted">${other.origin ?? other.address}</span><${Time} at=${other.connected_at} />`}<//>
    <${FirstRows} title="Last notifications" of=${sent.value ?? []} all=${all('notifications')}>${(row) => html`<span class="inbox-state"><${State} of=${inboxState(row)} /></span><a class="plain grow" href=${inTenant(page, path`/notifications/${row.id}`, row)} dir="auto">${row.title || 'Without a title'}</a><${Time} at=${row.created_at} />`}<//>
    <${Events} page=${page} one=${one} />`;
}

/** A card of some rows, with a link to all if there are more. */
const FirstRows = ({ title, of, all, children }) => of.length > 0 && html`<${Card} title=${title}><ul class="rows-of">${of.slice(0, FEW).map((one) => html`<li key=${one.id}>${children(one)}</li>`)}</ul>${of.length > FEW && html`<a href=${all}>All of them</a>`}<//>`;

/** The last events of a connection, as far as a server has them in memory. They come last, so that nothing moves when they arrive. */
function Events({ page, one }) {
  const events = useRecent({ connection: one.id, tenant: one.tenant ?? '*' }, (_, { connection }) => connection === one.id, page.may(CONTENT), MAX_EVENTS);
  return events.length > 0 && html`<${Card} title="Last events"><ul class="rows-of">${events.map((event, index) => html`<li key=${index}><span class="grow">${sentenceOf(event)}</span><${Time} at=${event.at} /></li>`)}</ul><//>`;
}

/** How many connections of each protocol are open. It counts all, so a filtered list has none. */
function Protocols({ page }) {
  const tenant = shownTenant() || '*';
  const found = useLoad((signal) => get(withQuery('/v1/stats', { tenant }), signal), [tenant]);
  if ([...connections.filters, { name: 'from' }].some(({ name }) => page.query.get(name))) return null;
  if (!found.value) return html`<div class="protocols"></div>`;
  const groups = found.value.connections.toSorted((one, other) => other.count - one.count);
  return html`<section class="protocols" aria-label="Open connections by protocol"><p class="muted">${groups.map((one) => html`<span key=${dialectName(one)}><${Dialect} of=${one} /> <b>${number(one.count)}</b></span>`)}</p></section>`;
}
